#!/bin/bash
# Goal: 90 days of one segment a minute on several timelines, on a disk, and nothing of it in memory: `window`
# takes less than a second of processor time and a few thousand calls; how long it took is printed.
# needs: root
# when: long
# alone
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

segments=${SEGMENTS:-129600}
place=$(mktemp -d /var/tmp/walden-cold.XXXXXX) || bail 'no directory in /var/tmp'
trap 'rm -rf "$place"' EXIT
[ "$(stat -f -c %T "$place")" != tmpfs ] || skip_all '/var/tmp is not on a disk'
[ -w /proc/sys/vm/drop_caches ] || skip_all 'the page cache cannot be dropped here'
build_bigrepo
pg_init big 17 --wal-segsize=1 || bail 'initdb'
for kind in plain sealed; do
    "w_init$([ $kind = plain ] || echo _sealed)" $kind "$(pg_data big)" || bail 'walden init'
    conf=$(w_conf $kind)
    mv "$(w_repo $kind)" "$place/$kind"
    ln -s "$place/$kind" "$(w_repo $kind)"
    mkdir -p "$SCRATCH/files"
    WALDEN_CONFIG=$conf "$SCRATCH/bigrepo" "$segments" 4 1440 "$(date -u -d '2026-06-01 00:00' +%s)" \
        "$SCRATCH/files" || bail 'bigrepo'
    ok "$kind: window is 0" walden window --offline --config "$conf"
    for heat in cold cold warm; do
        sync
        [ $heat = warm ] || echo 3 >/proc/sys/vm/drop_caches
        TIMEFORMAT='%R %U %S'
        read -r real user system < <({ time walden window --offline --config "$conf" >/dev/null 2>&1; } 2>&1)
        used=$(awk -v u="$user" -v s="$system" 'BEGIN { printf "%d", (u + s) * 1000 }')
        diag "$kind, $heat: $real s, of which $used ms of processor time"
        ok "$kind, $heat: less than a second of processor time" test "$used" -lt 1000
    done
    rm -rf "${place:?}/$kind"
done
done_testing
