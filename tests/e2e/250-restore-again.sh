#!/bin/bash
# Goal: what stops a restore that would do harm does not stop one that is as it should be: a half-done one
# to a moment in words is told how it goes on, the original is brought back with its own tablespaces beside a
# copy that was put aside and is looked at, and an exclusive target is kept where a server had to be given
# more on the way.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

restore() { walden restore --config "$(w_conf main)" "$@"; }
gone() { # the copy
    [ ! -e "$SCRATCH/copy/postmaster.pid" ] || "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/copy" -s -w -m immediate stop
    rm -rf "$SCRATCH/copy"
}
at_exit gone

major=$(pg_majors | tail -n 1)
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_archive main "$(w_archive_command main)"
pg_start main || bail 'no server'
mkdir "$SCRATCH/space"
pg_sql main "create tablespace far location '$SCRATCH/space'"
pg_sql main 'create table t tablespace far as select generate_series(1, 1000) i'
ok 'a backup' pg_env main walden-basebackup --config "$(w_conf main)" --fast
pg_sql main 'insert into t values (0)'
pg_conf main 'max_connections = 170'
pg_restart main
before=$(pg_sql main 'select pg_current_wal_insert_lsn()')
xid=$(pg_sql main 'begin; select pg_current_xact_id(); insert into t values (-1); commit')
then=$(pg_sql main 'select clock_timestamp()')
later=$(pg_sql main 'select clock_timestamp()')
pg_sql main 'insert into t values (-2)'
pg_switch main >/dev/null

# "1 second ago" is another moment when it is said again.
far=--tablespace-mapping=$SCRATCH/space=$SCRATCH/far
for _ in {1..20}; do
    rm -rf "$SCRATCH/half" "$SCRATCH/far"
    walden restore --config "$(w_conf main)" --target-time "$then" "$far" -D "$SCRATCH/half" >/dev/null 2>&1 &
    pid=$!
    until cp "$SCRATCH/half/walden-restore.plan" "$SCRATCH/mark" 2>/dev/null || is_gone $pid; do :; done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ ! -s "$SCRATCH/mark" ] || break
done
ok 'a half-done one' cp "$SCRATCH/mark" "$SCRATCH/half/walden-restore.plan" # it may have come to its end
exits 4 'half done, to another moment now' restore --target-time "$later" "$far" -D "$SCRATCH/half"
time=$(tr '\n' ' ' <<<"$ERR" | sed -n "s/.*--target-time '\([^']*\)'.*/\1/p")
like "$time" '^20[0-9-]+ [0-9:.]+[+]00$' 'it says which it was'
ok 'and is completed with that' restore --target-time "$time" "$far" -D "$SCRATCH/half"

# Exclusive targets behind the record at which the server must be started again.
for target in "--target-lsn $before" "--target-xid $xid"; do
    rm -rf "$SCRATCH/far"
    # shellcheck disable=SC2086 # two words
    ok "$target --target-exclusive --start" restore $target --target-exclusive "$far" -D "$SCRATCH/copy" \
        --pg-bin "$(pg_bin "$major")" --start
    like "$OUT" '^reached  recovery stopping before ' "$target: stops before it"
    is "$("$(pg_prog psql)" -X -A -t -h "$(sed -n 's/^connect  psql -h \([^ ]*\) .*/\1/p' <<<"$OUT")" -p 5432 -U postgres \
        -d postgres -c 'select count(*), min(i) from t' -c 'show max_connections' | tr '\n' ' ')" '1001|0 170 ' \
        "$target: with what was there by then"
    gone
done

# The original itself is broken; somebody put a copy aside and looks at it.
pg_stop main
cp -a "$(pg_data main)" "$SCRATCH/aside"
(cd "$SCRATCH/aside" && exec sleep 300) &
looks=$!
ok 'from within what was put aside' eval '(cd "$SCRATCH/aside" && restore --target-xid "$xid" --target-exclusive --delta --yes \
    -D "$(pg_data main)" --target-action promote --become-primary)'
ok 'beside one who looks at it' restore --target-xid "$xid" --target-exclusive --delta --yes \
    -D "$(pg_data main)" --target-action promote --become-primary
kill $looks
pg_conf main 'max_connections = 170' # as the backup does not have it
pg_start main && pg_wait_promoted main
is "$(pg_sql main 'select count(*), min(i) from t')" '1001|0' 'and it is back'
pg_stop main
done_testing
