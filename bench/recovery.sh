#!/bin/bash
# recovery.sh [ROUNDS]: recovers the same server from the same WAL with cp of plain files and with
# walden-restore, taking turns, and prints `recovery SEGMENTS CP_MS WALDEN_MS` (medians).
#
# Segments are loads of real rows, so that replay has its usual work to do.
# shellcheck source=tests/lib.sh
NO_TAP=1
. "$(dirname "$0")/../tests/lib.sh"

rounds=${1:-3}
mkdir "$SCRATCH/cp"
pg_init source 17
walden init --repo "$SCRATCH/repo" --config "$SCRATCH/walden.conf" --pgdata "$(pg_data source)" >/dev/null || bail 'walden init'
pg_archive source "$TEST_BIN/walden-archive --config $SCRATCH/walden.conf %p && cp %p $SCRATCH/cp/%f"
pg_start source || bail 'no server'
pg_sql source "create table t (i int, filler text)"
pg_backup_hot source "$SCRATCH/base" || bail 'no base backup'
for i in $(seq 1 12); do
    pg_sql source "insert into t select i, repeat(md5(i::text), 4) from generate_series(1, 300000) i" || bail 'no rows'
    pg_sql source "update t set i = i + 1 where i % 50 = $i"
done >/dev/null
pg_switch source >/dev/null || bail 'archiving'
pg_stop source
count=$(find "$SCRATCH/cp" -type f | wc -l)

# once NAME COMMAND: milliseconds from the start of the server until it is promoted.
once() {
    local begin
    pg_from_backup "$1" 17 "$SCRATCH/base" "$2" 'hot_standby = off' || bail 'no copy'
    begin=$(date +%s%N)
    pg_start "$1" || bail 'no recovery'
    pg_wait_promoted "$1" || bail 'no end of recovery'
    echo $((($(date +%s%N) - begin) / 1000000))
    pg_stop "$1" immediate
    rm -rf "$(pg_data "$1")"
}
median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }
for round in $(seq 1 "$rounds"); do
    once "cp$round" "$(pg_restore_cp "$SCRATCH/cp")" >>"$SCRATCH/cp.ms"
    once "walden$round" "$TEST_BIN/walden-restore --config $SCRATCH/walden.conf %f \"%p\"" >>"$SCRATCH/walden.ms"
done
echo "recovery $count $(median <"$SCRATCH/cp.ms") $(median <"$SCRATCH/walden.ms")"
