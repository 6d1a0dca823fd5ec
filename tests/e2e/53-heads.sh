#!/bin/bash
# Goal: an old state of the repository that is put back is noticed: restore refuses it unless told to go
# on, list and window report it, and a host that has never seen the repository says so and remembers.
# when: quick
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

backup() {
    pg_env s walden-basebackup --config "$(w_conf s)" --fast >"$SCRATCH/.backup" 2>&1 ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
}
w_list() { walden list --config "$SCRATCH/reader.conf" "$@"; }
w_plan() { walden restore --config "$SCRATCH/reader.conf" -D "$SCRATCH/copy" --dry-run "$@"; }

pg_init s 17 || bail 'initdb'
w_init_sealed s "$(pg_data s)" || bail 'walden init'
pg_archive s "$(w_archive_command s)"
pg_conf s 'max_wal_senders = 5'
pg_start s || bail 'the server does not start'
mkdir -p "$SCRATCH/copy" "$SCRATCH/state"
{
    cat "$(w_open_conf s)"
    echo "state_dir = $SCRATCH/state"
} >"$SCRATCH/reader.conf"
backup
pg_switch s >/dev/null
cp -a "$(w_repo s)" "$SCRATCH/old"

ok 'a repository that was never seen is planned with' w_plan
like "$ERR" 'this host has never seen this repository' 'and it says that it cannot compare'
ok 'now it has' test -s "$SCRATCH/state/heads"
ok 'a second time' w_plan
unlike "$ERR" 'never seen' 'it can'
backup
ok 'after another backup list is 0' w_list
is "$(cut -d' ' -f2 "$SCRATCH/state/heads")" 2 'the newer record is remembered'
ok 'list --heads is 0' w_list --heads
is "$OUT" "$(cat "$SCRATCH/state/heads")" 'and prints what the host keeps'

mv "$(w_repo s)" "$SCRATCH/new"
cp -a "$SCRATCH/old" "$(w_repo s)"
exits 1 'an old state is a problem for list' w_list
like "$OUT" '^  ROLLED BACK' 'it says so'
exits 1 'and for window' walden window --offline --config "$SCRATCH/reader.conf"
like "$(tr -s " \n" " " <<<"$OUT")" 'this host has seen record 2 of writer .*, but the newest one that the repository shows is 1' \
    'with what it has seen'
exits 4 'restore refuses it' w_plan
like "$ERR" 'accept-older' 'and names the way out'
ok 'which works' w_plan --accept-older
like "$ERR" 'older state' 'with a warning'
is "$(cut -d' ' -f2 "$SCRATCH/state/heads")" 2 'the host still remembers the newer one'
rm "$(w_repo s)"/main/*/backup/*
exits 1 'without any record, too' w_list
like "$(tr -s " \n" " " <<<"$OUT")" 'shows none of that writer' 'it says so'

rm -rf "$(w_repo s)"
mv "$SCRATCH/new" "$(w_repo s)"
ok 'the right one is accepted again' w_plan
# Another lineage's records are no matter of this one.
echo "$(printf '0%.0s' {1..32}) 9 $(printf '0%.0s' {1..64}) other/42" >>"$SCRATCH/state/heads"
ok "another lineage's head does no harm" w_plan
echo 'rubbish' >>"$SCRATCH/state/heads"
exits 1 'a damaged file of heads is a problem' w_list
like "$(tr -s " \n" " " <<<"$OUT")" 'state/heads' 'which is named'
pg_stop s
done_testing
