#!/bin/bash
# Goal: while walden copy is at work, walden expire leaves the copy alone: packs come first and the manifest
# that needs them last, so a run of expire in between would take them for superfluous. And a new copy under
# an old one's name acknowledges nothing that it does not have, even when the run that made it was cut off.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/copy-env.sh
. "$ROOT/tests/tools/copy-env.sh"

take() {
    b_backup a a >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" || bail "backup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
    pg_switch a >/dev/null
}

# begin: a first copy, stopped when its first packs are there and no manifest is.
begin() {
    local i
    walden copy --config "$(w_conf a)" usb --new >"$SCRATCH/copy.out" 2>&1 &
    COPY=$!
    for ((i = 0; i < 2000; i++)); do
        [ -n "$(find "$OFF" -path '*/pack/*' -type f ! -name '.*' 2>/dev/null | head -n 1)" ] && break
        sleep 0.002
    done
    kill -STOP "$COPY"
    ok 'the copy is at work' [ -z "$(labels "$OFF")" ]
}

pg_init a 17 --wal-segsize=1 -k || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'max_wal_senders = 5'
pg_start a || bail 'the server does not start'
b_sql a 'create role rep login replication' \
    "create table junk as select sha512(i::text::bytea) || sha512((-i)::text::bytea) x from generate_series(1, 600000) i"
take && A=$LABEL
mkdir -p "$SCRATCH/state"
d_conf a "state_dir = $SCRATCH/state" '[repo usb]' "path = $OFF"

begin
exits 4 'expire' w expire --copy usb
like "$ERR" 'walden copy, is at work' 'is refused'
exits 4 'a second copy' w copy usb
kill -CONT "$COPY"
wait "$COPY"
is "$?" 0 'the copy'
is "$(labels "$OFF")" "$A " 'has the backup'
ok 'whole' off verify
ok 'expire goes on' w expire --copy usb

note 'a new copy under the same name'
ok 'the copy' w copy usb
rm -rf "$OFF"
begin
kill -TERM "$COPY"
kill -CONT "$COPY"
wait "$COPY" 2>/dev/null
pg_sql a 'drop table junk'
take; take; take
ok 'expire' w expire --require-copy usb --keep-backups last=1
like "$(labels "$(w_repo a)")" "$A" 'what only the lost one had stays'
ok 'the run after that' w copy usb
like "$(labels "$OFF")" "$A" 'copies it'
ok 'and all of it' off verify
done_testing
