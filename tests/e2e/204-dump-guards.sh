#!/bin/bash
# Goal: what should be known before it is too late: tables that lost many rows since the last dump,
# compression that costs more than it gives, a dump without a row in the place of a database, a dump as a
# file in a git tree; the example configuration is one that walden reads.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=$(pg_majors | tail -n 1)
d_tools "$major"
pg_init a "$major" || bail initdb
pg_start a || bail 'no server'
w_init a "$(pg_data a)" || bail 'walden init'
w() { d_walden a a "$@"; }
pg_sql a 'create database shop'
d_sql a shop 'create table big(i int); insert into big select generate_series(1, 5000);
    create table small(i int); insert into small select generate_series(1, 1000);
    create table few(i int); insert into few select generate_series(1, 10)'
ok 'a dump' w dump shop -d shop
d_sql a shop 'delete from small where i > 400; delete from few where i > 4; delete from big where i > 4900'
ok 'the next one' w dump shop -d shop
like "$ERR" '"public.small" has 400 rows; it had 1000 in dump' 'tells the table that lost half of its rows'
unlike "$ERR" 'few|big' 'and no other'
d_sql a shop 'delete from few'
ok 'another' w dump shop -d shop
like "$ERR" '"public.few" has no rows; it had 4' 'tells the one that lost all'

note 'compression'
ok 'gzip:9' w dump shop -d shop --format 'custom gzip:9'
like "$ERR" 'gzip:9 costs several times' 'is warned of'
ok 'zstd' w dump shop -d shop --format 'custom zstd'
unlike "$ERR" 'costs' 'is not'

note 'nothing to restore'
d_sql a shop 'truncate big, small'
ok 'a dump of nothing is stored when that is meant' w dump empty -d shop --accept
d_sql a shop 'insert into big values (1)'
exits 4 'it takes no place' w undump empty --replace --yes
like "$ERR" 'no table in the dump has a row' 'which is said'
is "$(d_sql a shop 'select count(*) from big')" 1 'what was there is there'
ok 'control: beside it' w undump empty --database beside
ok 'and with a word' w undump empty --replace --yes --accept-empty
is "$(d_sql a shop 'select count(*) from big')" 0 'it is done'

note 'git'
mkdir -p "$SCRATCH/tree/.git" "$SCRATCH/tree/dumps"
ok 'a file in a git tree' walden get shop --config "$(w_conf a)" -o "$SCRATCH/tree/dumps/shop.dump"
like "$ERR" 'working tree of git' 'is warned of'
ok 'one elsewhere' walden get shop --config "$(w_conf a)" -o "$SCRATCH/shop.dump"
unlike "$ERR" 'git' 'is not'

note 'the example'
"$ROOT/cross/describe" "$TEST_BIN" config >"$SCRATCH/example" || bail 'no example'
sed -n '/^# \[dump shop\]/,$s/^# \?//p' "$SCRATCH/example" >"$SCRATCH/sections"
is "$(grep -c '^\[' "$SCRATCH/sections")" 8 'its sections'
cat "$(w_conf a)" "$SCRATCH/sections" >"$SCRATCH/all.conf"
sed -i "1i state_dir = $SCRATCH" "$SCRATCH/all.conf"
ok 'are read: jobs' walden run --list --config "$SCRATCH/all.conf"
like "$OUT" 'weekly' 'all of them'
exits 3 'copies' walden copy usb --config "$SCRATCH/all.conf"
unlike "$ERR" 'all.conf:' 'without a mistake'
for command in 'undump shop --switch' 'drill --dump shop --on-server' 'dump shop'; do
    # shellcheck disable=SC2086 # words
    run w $command --config "$SCRATCH/all.conf" --runner 'env'
    unlike "$ERR" 'all.conf:' "$command"
done
sed -i 's/^max_rate = 5MB/max_rat = 5MB/' "$SCRATCH/all.conf"
exits 2 'control: a wrong key' walden copy usb --config "$SCRATCH/all.conf"
like "$ERR" 'all.conf:[0-9]+: max_rat' 'is found'
done_testing
