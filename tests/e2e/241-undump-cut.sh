#!/bin/bash
# Goal: whatever cuts an exchange of databases short, the one that the application uses can be used again:
# a session that does not end, a signal while sessions are ended, a drop that the server refuses; and a dump
# without a table takes nobody's place.
# also: dev
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=$(pg_majors | tail -n 1)
d_tools "$major"
pg_init srv "$major" || bail initdb
w_init srv "$(pg_data srv)" || bail 'walden init'
pg_start srv || bail 'no server'
d_data srv shop || bail 'no data'
base=$(cat "$(w_conf srv)")
conf() { printf '%s\n' "$base" "$@" >"$(w_conf srv)"; }
conf '[dump shop]' 'databases = shop' '[hook undump]' "post = sh -c 'echo \$HOOK_RESULT >>$SCRATCH/post'"
ok 'a dump' d_walden srv srv dump shop
rows=$(d_rows srv shop)
open() { pg_sql srv "select string_agg(datname || ' ' || datallowconn, ', ' order by datname) from pg_database where datname ~ 'shop'"; }
is "$(open)" 'shop true' 'control: it can be used'

# A session that is stopped does not end.
stuck() {
    d_hold srv shop 'select pg_backend_pid()'
    backend=$(pg_sql srv "select pid from pg_stat_activity where datname = 'shop' limit 1")
    kill -STOP "$backend"
}
loose() {
    wait_for 20 no_session
    d_release 2>/dev/null
}
no_session() { [ "$(pg_sql srv "select count(*) from pg_stat_activity where datname = 'shop'")" = 0 ]; }

for sig in INT TERM; do
    for how in --switch '--replace --drop-first'; do
        stuck
        # shellcheck disable=SC2086
        d_walden srv srv undump shop $how --yes >"$SCRATCH/out" 2>"$SCRATCH/err" &
        pid=$!
        closed() { [[ $(open) == *'shop false'* ]]; }
        wait_for 60 closed || diag "$(open) $(cat "$SCRATCH/err")"
        sleep 0.5
        child=$(pgrep -P "$pid" -x walden || echo "$pid")
        kill -"$sig" "$child"
        sleep 0.5 # a DROP DATABASE waits for every backend, which a stopped one keeps it from
        kill -CONT "$backend"
        wait "$pid"
        is "$?" 130 "$how: SIG$sig while sessions are ended"
        is "$(open)" 'shop true' 'leaves it usable, and nothing else'
        loose
    done
done
is "$(d_rows srv shop)" "$rows" 'and as it was'

note 'a drop that the server refuses'
: >"$SCRATCH/post"
d_sql srv shop "create subscription held connection 'dbname=none' publication p with (connect = false, slot_name = none)" 2>/dev/null
exits 4 'a database with a subscription' d_walden srv srv undump shop --replace --drop-first --yes
like "$ERR" 'subscription' 'is said'
is "$(open)" 'shop true' 'it stays usable'
is "$(cat "$SCRATCH/post")" 'refused' 'and the application is started again'
d_sql srv shop 'drop subscription held'

note 'a dump without a table'
pg_sql srv 'create database bare'
ok 'can be taken' d_walden srv srv dump -d bare --accept
for how in --switch --replace; do
    exits 4 "$how: but takes nobody's place" d_walden srv srv undump bare --database shop $how --yes
    like "$ERR" 'the dump holds no table' 'and why'
done
is "$(open),$(d_rows srv shop)" "shop true,$rows" 'all is as it was'
ok 'unless that is said' d_walden srv srv undump bare --database shop --switch --yes --accept-empty
done_testing
