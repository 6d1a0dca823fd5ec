#!/bin/bash
# Goal: `walden get` and `undump --at TIME` take the newest dump that is not younger; a plain dump of
# pg_dump 17 or later is loaded into an older server, which lacks a setting that it makes, and row values
# that look like that setting stay as they are; --wait waits for a server that is not there yet, and does
# not wait when it turns the role away.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

old=$(pg_majors | awk '$1 < 17' | tail -n 1)
[ -n "$old" ] || skip_all 'no server older than 17'
d_tools 17
pg_init a "$old" || bail initdb
pg_start a || bail 'no server'
w_init a "$(pg_data a)" || bail 'walden init'
pg_sql a 'create database shop'
d_sql a shop "create table t(id int, v text); insert into t values (1, 'SET transaction_timeout = 0;')"
w() { d_walden a a "$@"; }

note 'at a time'
ok 'the first dump' w dump shop -d shop
first=$(d_labels a | tail -n 1)
sleep 2
between=$(date -u '+%Y-%m-%d %H:%M:%S+00')
zoned=$(TZ=Asia/Tokyo date -d "$between" '+%Y-%m-%d %H:%M:%S')
sleep 1
d_sql a shop "insert into t values (2, 'two')"
ok 'the second' w dump shop -d shop
second=$(d_labels a | tail -n 1)
ok 'undump --at' w undump shop --at "$between" --database then
is "$(d_sql a then 'select count(*) from t')" 1 'is the first one'
ok 'undump' w undump shop --database now
is "$(d_sql a now 'select count(*) from t')" 2 'is the second'
ok 'get --at, in the time of this host' env TZ=Asia/Tokyo walden get shop --config "$(w_conf a)" --at "$zoned" -o "$SCRATCH/then.dump"
ok 'get' walden get "$first" --config "$(w_conf a)" -o "$SCRATCH/first.dump"
ok 'is the first one' cmp "$SCRATCH/then.dump" "$SCRATCH/first.dump"
exits 2 'before there was any' w undump shop --at '2001-01-01 00:00Z'
like "$ERR" 'no dump of "shop" is as old as that' 'is said'
exits 2 'a label and a time' w get "$second" --at "$between" -o -
exits 2 'no time' w get shop --at yesterday -o -

note "a plain dump of pg_dump 17 into $old"
d_conf a '[dump plain]' 'databases = shop' 'format = plain'
ok 'the dump' w dump plain
ok 'sets what the server lacks' grep -q '^SET transaction_timeout = 0;$' <(walden get plain --config "$(w_conf a)" -o -)
psql=$(pg_prog psql)
pg_sql a 'create database control'
nok 'psql stops there' pg_env a env PGDATABASE=control "$psql" -X -q -v ON_ERROR_STOP=1 -f <(walden get plain --config "$(w_conf a)" -o -)
ok 'undump does not' w undump plain --database plain
is "$(d_sql a plain 'select v from t where id = 1')" 'SET transaction_timeout = 0;' 'and leaves the rows alone'

note 'waiting'
pg_stop a
exits 3 'a server that is not there' w dump shop -d shop
began=$SECONDS
(sleep 3 && pg_start a) >/dev/null 2>&1 &
ok 'is waited for' w dump shop -d shop --wait 60s
ok 'as long as it takes' [ $((SECONDS - began)) -ge 2 ]
wait
began=$SECONDS
nok 'a role that it does not know' w dump shop -d shop -U nobody_here --wait 60s
ok 'is no reason to wait' [ $((SECONDS - began)) -lt 30 ]
pg_stop a
began=$SECONDS
exits 3 'nor is it for ever' w dump shop -d shop --wait 2s
ok 'that it waits' [ $((SECONDS - began)) -ge 2 ]
done_testing
