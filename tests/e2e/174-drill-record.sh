#!/bin/bash
# Goal: `walden verify` reads the records of drills back, plain and sealed: sound ones are counted, one with
# a flipped byte or a cut end is named, and nothing else is said to be affected.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

dr_place 17
pg_init a 17 || bail initdb
pg_start a || bail 'no server'
pg_sql a 'create database shop'
d_sql a shop 'create table orders as select i from generate_series(1, 200) i'
for kind in '' _sealed; do
    name=r$kind
    "w_init$kind" "$name" "$(pg_data a)" || bail 'no repository'
    ok 'a dump' d_walden a "$name" dump shop -d shop
    ok 'a drill' dr "$name" drill --dump shop
    ok 'one more' dr "$name" drill --dump shop
    ok 'verify' dr "$name" verify --json
    is "$(jq .drill_records <<<"$OUT")" 2 'reads both records'
    record=$(find "$(w_repo "$name")" -path '*/drill/*' -type f | sort | head -n 1)
    cp "$record" "$SCRATCH/good"
    chmod 600 "$record"
    printf '\x5a' | dd of="$record" bs=1 seek=$(($(stat -c %s "$record") - 200)) conv=notrunc status=none
    exits 1 'one with a flipped byte' dr "$name" verify
    like "$OUT" "drill/$(basename "$record")" 'is named'
    like "$(flat "$OUT")" 'no backup and no dump is affected' 'with what it means'
    head -c -20 "$SCRATCH/good" >"$record"
    exits 1 'one that is cut' dr "$name" verify
    like "$OUT" "drill/$(basename "$record")" 'is named'
    cat "$SCRATCH/good" >"$record"
    ok 'the good one again' dr "$name" verify
done
done_testing
