#!/bin/bash
# Goal: with wal_within the WAL between an old backup's end and the moments that count goes: the old one
# still comes back as it was at its end, the newest with all that came after, the moments between are
# refused at once and shown as expired, not as a hole; nothing is red.
# when: long
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

name=within
take() {
    pg_sql $name "insert into rows select coalesce(max(id), 0) + 1 from rows"
    b_backup $name $name >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
}
write() {
    local i
    for ((i = 0; i < $1; i++)); do
        pg_sql $name "insert into rows select max(id) + 1 from rows"
        pg_switch $name >/dev/null
    done
}
comes_back() { # LABEL [ARGUMENT...]
    pg_stop back immediate 2>/dev/null
    rm -rf "$SCRATCH/pg/back" "$SCRATCH/back.data"
    walden restore --config "$(w_conf $name)" -D "$SCRATCH/back.data" --backup "$@" \
        >"$SCRATCH/.restore" 2>&1 || { cat "$SCRATCH/.restore"; return; }
    pg_adopt back 17 "$SCRATCH/back.data" >/dev/null 2>&1
    pg_start back && pg_wait_promoted back && pg_sql back 'select max(id) from rows'
}

pg_init $name 17 --wal-segsize=1 || bail initdb
w_init $name "$(pg_data $name)" || bail 'walden init'
pg_archive $name "$(w_archive_command $name)"
pg_conf $name 'autovacuum = off' 'max_wal_senders = 5'
pg_start $name || bail 'the server does not start'
b_sql $name 'create role rep login replication' 'create table rows (id int)'
take && A=$LABEL
write 4
between=$(pg_sql $name 'select pg_current_wal_lsn()')
write 2
take && B=$LABEL
write 2
sleep 70
take && C=$LABEL
write 3
last=$(pg_sql $name 'select max(id) from rows')

ok 'expire' walden expire --config "$(w_conf $name)" --wal-within 1min
like "$OUT" '^  REMOVE timeline 1, ' 'WAL goes'
like "$OUT" '^  from ' 'and moments'
is "$(b_labels $name | wc -l)" 3 'but no backup'
for label in "$A" "$B"; do
    like "$(comes_back "$label" --target-immediate --target-action promote)" '^[0-9]+$' \
        'an old one comes back as it was at its end'
done
is "$(comes_back "$C")" "$last" 'the newest with all that came after'
exits 1 'a moment between is refused' walden restore --config "$(w_conf $name)" \
    -D "$SCRATCH/never" --target-lsn "$between"
ok 'list finds nothing wrong' walden list --config "$(w_conf $name)"
unlike "$OUT" 'HOLE' 'and calls nothing a hole'
ok 'nor does verify' walden verify --config "$(w_conf $name)"
ok 'another run' walden expire --config "$(w_conf $name)" --wal-within 1min
ok 'no WAL, no record: nothing was left to do' [ "$(find "$(w_repo $name)" -name 'expire-*' | wc -l)" = 1 ]
done_testing
