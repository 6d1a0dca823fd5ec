#!/bin/bash
# Goal: a search of the whole archive takes no more memory where much happened: 200,000 drops, judged as they
# are read. All of them are there when they are asked for.
# when: long
# timeout: 900
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

build_bigrepo
pg_init big 14 --wal-segsize=1 || bail 'initdb' # 15 and later tell dropped tables by their statistics
w_init big "$(pg_data big)" || bail 'walden init'
mkdir "$SCRATCH/files"
WALDEN_CONFIG=$(w_conf big) "$SCRATCH/bigrepo" 1000 3 100 "$(date -u -d '2026-06-01' +%s)" "$SCRATCH/files" 200 ||
    bail 'bigrepo'

# takes KB ARGUMENT...: find ends with 0 and takes less.
takes() {
    local most=$1
    shift
    exits 0 "find $*" "$ROOT/tests/tools/memory" "$SCRATCH/kb" walden find --config "$(w_conf big)" "$@"
    FOUND=$OUT
    ok "find $*: takes $(<"$SCRATCH/kb") kB, less than $most" test "$(<"$SCRATCH/kb")" -lt "$most"
}

takes 24576
like "$FOUND" '199950 older ones are left out' 'and says how many there are'
takes 24576 --drop nosuch
exits 0 'all of them' walden find --config "$(w_conf big)" --limit 1000000 --json
is "$(jq '[.candidates[].xid] | length, (unique | length)' <<<"$OUT" | tr '\n' ' ')" '200000 200000 ' \
    'each is there, once'
done_testing
