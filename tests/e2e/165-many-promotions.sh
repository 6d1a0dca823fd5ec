#!/bin/bash
# Goal: a cluster that was promoted thousands of times (each fail-over is one) archives its history like
# any other, and what its timelines need of each other is known.
#
# also: dev
# also: cross
# timeout: 100
# when: full
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# history TIMELINE: as a server writes it, in $SCRATCH; prints its name.
history() {
    perl -e 'my ($path, $n) = @ARGV; open(my $f, ">", $path) or die;
        printf $f "%s%u\t%X/%X\tno recovery target specified\n", $_ == 1 ? "" : "\n", $_, $_ * 0x300000 >> 32, $_ * 0x300000 & 0xFFFFFFFF
            for 1 .. $n - 1' "$SCRATCH/$(printf %08X "$1").history" "$1"
    printf '%08X.history' "$1"
}

pg_init -f main "$(pg_majors | tail -n 1)" --wal-segsize=1 || bail initdb
for kind in plain sealed; do
    if [ $kind = plain ]; then w_init main "$(pg_data main)"; else w_init_sealed main "$(pg_data main)"; fi || bail init
    for timeline in 2 1025 1026 10001; do
        name=$(history $timeline)
        ok "$kind: the history of timeline $timeline" w_push main main "$SCRATCH/$name"
        ok 'again' w_push main main "$SCRATCH/$name"
        w_fetch main main "$name" "$SCRATCH/got" || fail 'fetched'
        ok 'and back' cmp "$SCRATCH/$name" "$SCRATCH/got"
    done
    exits 200 'a segment that the newest needs' w_fetch main main 000013890000000300000A99 "$SCRATCH/got"
    like "$ERR" '"00002711.history" is there' 'it says which'
    exits 1 'one that nobody needs' w_fetch main main 00002711000000070000053A "$SCRATCH/got"
    run walden list --config "$(w_conf main)"
    unlike "$OUT$ERR" '[Dd]amage|[Ee]rror' 'list reads them'
    rm -rf "$(w_repo main)" "$(w_keys main)"
done
done_testing
