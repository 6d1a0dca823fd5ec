#!/bin/bash
# Goal: `walden expire` after a change of timeline, with what verify found, and beside a backup of a
# real server: one verified backup is floor enough; WAL of a timeline that no kept backup leads to
# goes with its directories, histories stay; a running backup loses nothing that it needs.
# when: long
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

name=lines
w_expire() { walden expire --config "$(w_conf $name)" "$@"; }
take() {
    pg_sql $name "insert into rows select coalesce(max(id), 0) + 1 from rows"
    b_backup $name $name "$@" >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
    pg_sql $name "insert into rows select max(id) + 1 from rows"
    pg_switch $name >/dev/null
}
wal_of() { w_names $name | grep -E "^0000000$1[0-9A-F]{16}$"; } # TIMELINE
comes_back() {
    pg_stop back immediate 2>/dev/null
    rm -rf "$SCRATCH/pg/back" "$SCRATCH/back.data"
    walden restore --config "$(w_open_conf $name)" -D "$SCRATCH/back.data" --backup "$1" \
        >"$SCRATCH/.restore" 2>&1 || { cat "$SCRATCH/.restore"; return; }
    pg_adopt back 17 "$SCRATCH/back.data" >/dev/null 2>&1
    pg_start back && pg_wait_promoted back && pg_sql back 'select max(id) from rows'
}

pg_init $name 17 --wal-segsize=1 || bail initdb
w_init_sealed $name "$(pg_data $name)" || bail 'walden init'
pg_archive $name "$(w_archive_command $name)"
pg_conf $name 'autovacuum = off' 'max_wal_senders = 5'
pg_start $name || bail 'the server does not start'
b_sql $name 'create role rep login replication' 'create table rows (id int)'
take && A=$LABEL
take && B=$LABEL
new_timeline $name || bail 'no new timeline'
ok 'before a backup of the new timeline' w_expire --keep-backups last=1 --dry-run
like "$OUT" "^  keep   $B$" 'the newest leads to it, and stays'
take && C=$LABEL
ok 'nothing is verified' w_expire --keep-backups last=1
like "$OUT" "^  REMOVE $A$" 'the oldest goes'
is "$(b_labels $name)" "$(printf '%s\n' "$B" "$C" | sort)" 'and the newest two stay'
ok 'WAL of the first timeline is there' [ "$(wal_of 1 | wc -l)" -gt 0 ]

# Without a key, by the digests of what is stored.
ok 'verify without a key' walden verify --config "$(w_conf $name)"
ok 'now one is verified' w_expire --keep-backups last=1
is "$(b_labels $name)" "$C" 'that is floor enough'
is "$(wal_of 1)" '' 'no WAL of the first timeline is left'
is "$(find "$(w_repo $name)" -path '*/wal/00000001/*' -type d)" '' 'nor one of its directories'
like "$(w_names $name)" '^00000002\.history$' 'the history is there'
ok 'nothing is missing' walden list --config "$(w_conf $name)"
is "$(comes_back "$C")" "$(pg_sql $name 'select max(id) from rows')" 'and all comes back'

# Beside a backup that takes its time.
pg_sql $name 'create table bulk as select sha512(i::text::bytea) from generate_series(1, 150000) i'
b_backup $name $name --max-rate 1MB >"$SCRATCH/.slow" 2>"$SCRATCH/.slow.err" &
slow=$!
has_intent() { [ -n "$(find "$(w_repo $name)" -path '*/lease/intent-*')" ]; }
wait_for 30 has_intent || bail 'the backup does not begin'
for i in 1 2 3; do
    pg_sql $name "insert into rows select max(id) + 1 from rows"
    pg_switch $name >/dev/null
done
before=$(wal_of 2)
ok 'expire beside a running backup' w_expire --keep-backups last=1
like "$OUT" 'no WAL goes: a backup is running' 'sees it'
is "$(comm -23 <(echo "$before") <(wal_of 2))" '' 'and leaves all WAL'
ok 'the backup ends well' wait $slow
LABEL=$(OUT=$(cat "$SCRATCH/.slow") b_value label)
pg_switch $name >/dev/null
ok 'verify again' walden verify --config "$(w_conf $name)"
ok 'expire after it' w_expire --keep-backups last=1
is "$(b_labels $name)" "$LABEL" 'keeps the new one'
is "$(comes_back "$LABEL")" "$(pg_sql $name 'select max(id) from rows')" 'which comes back whole'
done_testing
