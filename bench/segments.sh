#!/bin/bash
# segments.sh DIR: makes real WAL segments for the bench in DIR, on a throw-away server.
#
#   fpi      mid-pgbench, just after a checkpoint: full-page images, about 5:1 under lz4
#   nofpi    pgbench with full_page_writes off: many small records, about 2:1
#   random   random bytes, which nothing compresses
#   idle     pg_switch_wal() on an idle server
#   burst/   200 in a row, as a load of data makes them
#   data     a data directory (stopped) to run the hooks in
#
# shellcheck source=tests/lib.sh
NO_TAP=1
. "$(dirname "$0")/../tests/lib.sh"

out=$1
mkdir -p "$out/burst"
archive=$SCRATCH/archive
mkdir "$archive"
pg_init bench 17 -k
pg_conf bench 'shared_buffers = 256MB' 'max_wal_size = 4GB' 'checkpoint_timeout = 1h' 'wal_level = replica'
pg_archive_cp bench "$archive"
pg_start bench || bail "no server"
bench() { pg_env bench "$(pg_prog pgbench)" -n "$@" postgres >/dev/null 2>&1; }
now() { pg_sql bench "select pg_walfile_name(pg_current_wal_lsn())"; }
# after NAME N: the name of the Nth archived segment behind NAME
after() { (cd "$archive" && printf '%s\n' 0*) | grep -E '^[0-9A-F]{24}$' | sed -n "/^$1\$/,\$p" | sed -n "$(($2 + 1))p"; }

pg_env bench "$(pg_prog pgbench)" -i -q -s 60 postgres >/dev/null 2>&1
pg_sql bench checkpoint
fpi=$(now)
bench -T 20 -c 2
pg_switch bench >/dev/null
pg_sql bench "alter system set full_page_writes = off" >/dev/null
pg_reload bench
pg_sql bench checkpoint
pg_switch bench >/dev/null
nofpi=$(now)
bench -T 30 -c 2
pg_switch bench >/dev/null
random=$(now)
pg_sql bench "create table r (b bytea); alter table r alter b set storage external" >/dev/null
pg_sql bench "insert into r select decode(string_agg(md5(random()::text), ''), 'hex') from generate_series(1, 60000) i, generate_series(1, 63) j group by i" >/dev/null
pg_switch bench >/dev/null
idle=$(pg_switch bench)
while [ "$(find "$archive" -name '0*' | wc -l)" -lt 205 ]; do
    pg_sql bench "drop table if exists load" || bail 'no load'
    pg_sql bench "create table load as select i, repeat(md5(i::text), 4) as filler from generate_series(1, 1500000) i" || bail 'no load'
    pg_switch bench >/dev/null || bail 'no archiving'
done
# keep NAME SEGMENT: the segment under its own name in a directory of its kind
keep() {
    [ -n "$2" ] || bail "no segment for $1"
    mkdir -p "$out/$1"
    cp "$archive/$2" "$out/$1/$2"
}
# five_to_one: the first segment behind the checkpoint that lz4 -1 makes five times smaller (the images of
# the first ones hold more rows than later ones, which compress less and then ever more)
five_to_one() {
    local n name
    for n in $(seq 2 40); do
        name=$(after "$fpi" "$n")
        [ -n "$name" ] || break
        [ "$(lz4 -q -1 -c "$archive/$name" | wc -c)" -gt $((16777216 / 5)) ] || break
    done
    echo "$name"
}
keep fpi "$(five_to_one)"
keep nofpi "$nofpi"
keep random "$(after "$random" 1)"
keep idle "$idle"
for f in $(cd "$archive" && printf '%s\n' 0* | grep -E '^[0-9A-F]{24}$' | sed -n '3,202p'); do
    cp "$archive/$f" "$out/burst/$f"
done
pg_stop bench
cp -a "$(pg_data bench)" "$out/data"
