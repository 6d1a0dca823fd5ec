#!/bin/bash
# Goal: two restores are never at work in one directory, also when the second one is the same command,
# and what one has completed is not begun again; nothing that a rerun would remove may be put into the
# data directory, whatever links lead there; a lock file that a crash has left is told from a server.
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

restore() { walden restore --config "$(w_conf main)" --target-immediate "$@"; }
verified() { "$(pg_prog pg_verifybackup)" -n "$1"; }

major=$(pg_majors | tail -n 1)
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_start main || bail 'no server'
mkdir "$SCRATCH/space"
pg_sql main "create tablespace far location '$SCRATCH/space'"
pg_sql main 'create table t tablespace far as select generate_series(1, 10000) i'
pg_env main walden-basebackup --config "$(w_conf main)" --fast --wal=stream >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
pg_stop main
map() { echo -T "$SCRATCH/space=$1"; }

# ---- two at once ----

# stopped_in_the_middle: the process $pid has its mark in $SCRATCH/two, and stands still.
stopped_in_the_middle() {
    local n
    for n in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf "$SCRATCH/two" "$SCRATCH/two.space"
        # shellcheck disable=SC2046 # words
        walden restore --config "$(w_conf main)" --target-immediate -D "$SCRATCH/two" $(map "$SCRATCH/two.space") \
            >"$SCRATCH/first" 2>&1 &
        pid=$!
        until [ -s "$SCRATCH/two/walden-restore.plan" ] || is_gone $pid; do :; done
        kill -STOP $pid 2>/dev/null
        [ -s "$SCRATCH/two/walden-restore.plan" ] && [ ! -e "$SCRATCH/two/recovery.signal" ] && return 0
        kill -CONT $pid 2>/dev/null
        wait $pid
        note "try $n: it was through before it could be stopped"
    done
    return 1
}
ok 'one restore is in the middle' stopped_in_the_middle
files=$(find "$SCRATCH/two" | sort)
# shellcheck disable=SC2046 # words
exits 4 'the same command beside it' restore -D "$SCRATCH/two" $(map "$SCRATCH/two.space")
like "$ERR" 'error: another restore is at work in' 'it says why'
# shellcheck disable=SC2046 # words
exits 4 'the same for a script' restore -D "$SCRATCH/two" $(map "$SCRATCH/two.space") --json
printf '%s\n' "$OUT" >"$SCRATCH/json"
ok 'what it prints is one object' "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/restore.json" "$SCRATCH/json"
is "$(find "$SCRATCH/two" | sort)" "$files" 'nothing was touched'
kill -CONT $pid
wait $pid
is $? 0 'the first one is completed' || diag "$(cat "$SCRATCH/first")"
ok 'and whole' verified "$SCRATCH/two"
nok 'and has no mark' test -e "$SCRATCH/two/walden-restore.plan"
stopped_in_the_middle || bail 'it cannot be stopped'
kill -KILL $pid
wait $pid 2>/dev/null
# shellcheck disable=SC2046 # words
ok 'one that was killed lets go' restore -D "$SCRATCH/two" $(map "$SCRATCH/two.space")
ok 'and is made whole' verified "$SCRATCH/two"

# ---- a lock file ----

printf 'x' >"$SCRATCH/two/postmaster.pid"
# shellcheck disable=SC2046 # words
exits 4 'a lock file that cannot be read' restore -D "$SCRATCH/two" $(map "$SCRATCH/two.space") --delta --yes
like "$ERR" 'error: a server may be running in .*postmaster.pid cannot be read' 'it says so'
echo $$ >"$SCRATCH/two/postmaster.pid"
# shellcheck disable=SC2046 # words
exits 4 "a lock file with somebody's number" restore -D "$SCRATCH/two" $(map "$SCRATCH/two.space") --delta --yes
like "$ERR" "error: a server is running in .* \\(process $$\\)" 'it names the process'
like "$ERR" 'hint: .*remove postmaster.pid' 'and says what to do when that is no server'
rm "$SCRATCH/two/postmaster.pid"

# ---- inside the data directory ----

rm -rf "$SCRATCH/two" "$SCRATCH/two.space"
mkdir "$SCRATCH/real"
ln -s "$SCRATCH/real" "$SCRATCH/link"
# shellcheck disable=SC2046 # words
exits 4 'a tablespace inside the data directory' restore -D "$SCRATCH/link" $(map "$SCRATCH/real/space")
like "$ERR" 'inside the data directory' 'it says why'
# shellcheck disable=SC2046 # words
exits 4 'the other way round' restore -D "$SCRATCH/real" $(map "$SCRATCH/link/space")
# shellcheck disable=SC2046 # words
exits 2 '--config-files inside the data directory' restore -D "$SCRATCH/link" $(map "$SCRATCH/two.space") \
    --config-files "$SCRATCH/real/conf"
# shellcheck disable=SC2046 # words
exits 2 '--config-files inside one that is not there yet' restore -D "$SCRATCH/none" $(map "$SCRATCH/two.space") \
    --config-files "$SCRATCH/none/conf"
is "$(find "$SCRATCH/real" "$SCRATCH/none" "$SCRATCH/two.space" 2>/dev/null)" "$SCRATCH/real" 'nothing was made'
# shellcheck disable=SC2046 # words
ok 'a data directory behind a link' restore -D "$SCRATCH/link" $(map "$SCRATCH/two.space")
ok 'whole' verified "$SCRATCH/real"
done_testing
