#!/bin/bash
# Goal: as 80-find and 81-rescue, for every major at wal_level replica and logical.
#
# when: long
# timeout: 5400
dir=$(dirname "$0")
# shellcheck source=tests/lib.sh
. "$dir/../lib.sh"

for level in replica logical; do
    for test in 80-find 81-rescue; do
        for major in $(pg_majors); do
            FIND_MAJORS=$major FIND_LEVEL=$level "$dir/$test.sh" >"$SCRATCH/out" 2>&1
            is "$?" 0 "$test: $major at wal_level $level" || diag "$(grep -v '^ok' "$SCRATCH/out")"
        done
    done
done
done_testing
