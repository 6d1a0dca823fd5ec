#!/bin/bash
# Goal: a PostgreSQL for ARM archives with walden-archive for ARM, is backed up by walden-basebackup for
# ARM, and comes back by walden restore and walden-restore for ARM with exactly the rows that were
# committed; plain and sealed.  All of it under qemu; 64-bit programs with a 64-bit server, 32-bit ones
# with a 32-bit server.
# only: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=17
[ -n "${TEST_ON-}" ] || bail 'run it with tests/run --on TARGET'
case $TEST_ON in
aarch64) SERVER_MACHINE=aarch64 machine=AArch64 ;;
*) SERVER_MACHINE=armv7l machine=ARM ;;
esac
# The server needs an ARMv7 processor; the programs must do with the one of their target.
cpu=$QEMU_CPU
[ "$TEST_ON" != armv6 ] || export QEMU_CPU=cortex-a7
as_target() { QEMU_CPU=$cpu "$@"; }

like "$(readelf -h "$(pg_bin $major)/postgres")" "Machine: +$machine" "the server is for $machine"
like "$(readelf -h "$TEST_BIN/walden")" "Machine: +$machine" 'and so are the programs'

# checksum SERVER: what tells one moment from another.
checksum() { pg_sql "$1" "select count(*) || ' ' || md5(string_agg(i || x, ',' order by i)) from t"; }

check() {
    local name=$1 kind=$2 before data=$SCRATCH/$1.copy
    pg_init -f "$name" $major --wal-segsize=1 -k || bail initdb
    pass "$kind: initdb"
    if [ "$kind" = sealed ]; then
        as_target w_init_sealed "$name" "$(pg_data "$name")"
    else
        as_target w_init "$name" "$(pg_data "$name")"
    fi || bail 'no repository'
    pg_archive "$name" "QEMU_CPU=$cpu $(w_archive_command "$name")"
    pg_start "$name" || bail 'no server'
    like "$(readlink "/proc/$(head -n 1 "$(pg_data "$name")/postmaster.pid")/exe")" qemu "$kind: the server runs under qemu"
    pg_sql "$name" 'create role rep login replication'
    pg_sql "$name" 'create table t as select i, md5(i::text) as x from generate_series(1, 20000) i'
    ok "$kind: a segment is archived" pg_switch "$name"
    ok "$kind: base backup" as_target env PGHOST="$SOCKETS" PGPORT="$(pg_port "$name")" PGUSER=rep \
        walden-basebackup --config "$(w_conf "$name")" --fast --no-relation-map
    pg_sql "$name" "insert into t select i, md5(i::text) from generate_series(20001, 30000) i; delete from t where i % 7 = 0"
    ok "$kind: what came after it is archived" pg_switch "$name"
    before=$(checksum "$name")
    pg_stop "$name"
    ok "$kind: verify" as_target walden verify --config "$(w_open_conf "$name")"
    ok "$kind: restore" as_target walden restore --config "$(w_open_conf "$name")" -D "$data"
    pg_adopt "$name.back" $major "$data" 'archive_mode = off'
    ok "$kind: a server recovers from it" pg_start "$name.back"
    ok "$kind: to the end" pg_wait_promoted "$name.back"
    like "$(cat "$(pg_log "$name.back")")" 'restored log file "[0-9A-F]{24}" from archive' "$kind: by the archive"
    is "$(checksum "$name.back")" "$before" "$kind: with exactly the rows that were committed"
    pg_stop "$name.back"
}

check p plain
check s sealed
done_testing
