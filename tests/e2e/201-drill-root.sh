#!/bin/bash
# Goal: a drill that root starts (a timer, a cron line) does its work as the repository's owner: server,
# copy, record and log work, nothing is left, and nothing that stays belongs to root; with --owner the
# server runs as that user.
# needs: root
# timeout: 300
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
strangers() { find "$@" ! -user "$TEST_USER" -printf '%u %p\n' 2>/dev/null; }
major=$(pg_majors | tail -n 1)
dr_place "$major"
pg_init srv "$major" --wal-segsize=1 || bail initdb
w_init_sealed srv "$(pg_data srv)" || bail 'walden init'
pg_archive srv "$(w_archive_command srv)"
pg_start srv || bail 'no server'
d_data srv shop || bail 'no data'
pg_env srv walden-basebackup --config "$(w_conf srv)" --fast >/dev/null 2>"$SCRATCH/.err" || bail "no backup: $(cat "$SCRATCH/.err")"
pg_switch srv >/dev/null
d_conf srv '[dump shop]' 'databases = shop'
ok 'a dump by root' d_walden srv srv dump shop
is "$(strangers "$(w_repo srv)")" '' 'belongs to the repository'"'"'s owner'
mkdir "$SCRATCH/logs"
conf=$(w_conf srv)
key=$(sed -n 's/^secret_key *= *//p' "$(w_open_conf srv)")
drill() { walden drill --config "$conf" --secret-key "$key" --scratch "$PLACE" --pg-bin "$(pg_bin "$major")" --no-amcheck "$@"; }

ok 'a dump, drilled by root' drill --dump shop --log "$SCRATCH/logs/DRILLS.md"
like "$OUT" 'OK|passed|ok' 'went well'
like "$(cat "$SCRATCH/logs/DRILLS.md")" '^## DRILL-' 'its block is in a log of root'"'"'s'
ok 'a backup, drilled by root' drill --latest
is "$(walden list --config "$conf" --json | jq '.drills | length')" 2 'both are on record'
is "$(strangers "$(w_repo srv)" "$PLACE")" '' 'nothing of root is left'
is "$(ls -A "$PLACE")" '' 'nor anything else'
# A recovery key that only root can read is one that a timer of root's can use.
cp "$key" "$SCRATCH/root.key"
chmod 600 "$SCRATCH/root.key"
chown root:root "$SCRATCH/root.key"
key=$SCRATCH/root.key
ok 'with a key of root, as somebody: a dump' drill --dump shop --owner "$TEST_USER"
ok 'and a backup' drill --latest
is "$(walden list --config "$conf" --json | jq '.drills | length')" 4 'on record'
is "$(stat -c '%U %a' "$SCRATCH/root.key")" 'root 600' 'the key is as it was'
is "$(strangers "$(w_repo srv)" "$PLACE")" '' 'nothing of root is left'
is "$(ls -A "$PLACE")" '' 'nor anything else'
exits 2 'nobody who could run it' drill --dump shop --owner root
like "$ERR" '--owner postgres' 'is said'
done_testing
