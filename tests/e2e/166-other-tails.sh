#!/bin/bash
# Goal: two servers of one cluster offer the same WAL with different bytes behind it, where each has
# what its recycled file held: behind a segment switch (a cascading standby learns of it before it has
# the zeros), and where a timeline was left (the copies of two standbys that archive, two .partial).
# None of them stands in the way of another, whoever comes first; what holds other WAL is refused.
#
# also: dev
# also: cross
# timeout: 200
# when: full
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
keep=$SCRATCH/keep
page=8192

# tail FILE NUMBER OLD TO: FILE up to byte NUMBER, then what a recycled OLD had there, as TO.
tail_of() {
    mkdir -p "$(dirname "$4")" && head -c "$2" "$1" >"$4" && tail -c +$(($2 + 1)) "$3" >>"$4"
}
# fresh KIND: an empty repository.
fresh() {
    rm -rf "$(w_repo main)" "$(w_keys main)" "$SCRATCH/main.safe"
    if [ "$1" = sealed ]; then w_init_sealed main "$(pg_data main)"; else w_init main "$(pg_data main)"; fi || bail init
}
push() { w_push main main "$@"; }
fetched() { rm -f "$SCRATCH/got" && w_fetch main main "${1##*/}" "$SCRATCH/got" && cmp "$SCRATCH/got" "$1"; }

pg_init -f main "$major" --wal-segsize=1 || bail initdb
fresh plain
pg_archive main "$(w_keep_command main "$keep")"
pg_start main || bail 'no server'
old=$keep/$(pg_step main 1 1500)
older=$keep/$(pg_step main 2 2000)
pg_sql main "insert into steps select 3, 'y' from generate_series(1, 500)"
switched=$keep/$(pg_switch main)
pg_sql main "insert into steps select 4, repeat('z', 200) from generate_series(1, 6000)"
pg_switch main >/dev/null
pg_stop main
# A segment without a switch, and what lies in front of its middle.
for full in "$keep"/0*; do
    [ "$(tail -c $page "$full" | tr -d '\0' | wc -c)" -eq 0 ] || [[ $full < $switched || $full == "$switched" ]] || break
done
half=$((64 * page))
name=${full##*/}
last=$(perl -e 'local $/; $_ = <>; s/\0+\z//; print length' "$switched")
isnt "$((last > 600000))" 1 'the switched one ends early'

tail_of "$switched" $(((last + 7) / 8 * 8)) "$old" "$SCRATCH/a/${switched##*/}"
tail_of "$switched" $(((last + 7) / 8 * 8)) "$older" "$SCRATCH/b/${switched##*/}"
cp -r "$SCRATCH/a" "$SCRATCH/wrong"
flip_byte "$SCRATCH/wrong/${switched##*/}" $((last - 200))
tail_of "$full" $half "$old" "$SCRATCH/c/$name"
tail_of "$full" $half "$older" "$SCRATCH/d/$name"
tail_of "$full" $((half - 4 * page)) "$old" "$SCRATCH/less/$name"
cp -r "$SCRATCH/less" "$SCRATCH/rot"
dd if="$full" of="$SCRATCH/rot/$name" bs=$page skip=90 seek=90 count=1 conv=notrunc 2>/dev/null
for d in c d less rot; do cp "$SCRATCH/$d/$name" "$SCRATCH/$d/$name.partial"; done
cmp -s "$SCRATCH/a/${switched##*/}" "$SCRATCH/b/${switched##*/}" && bail 'one tail'
cmp -s "$SCRATCH/c/$name" "$SCRATCH/d/$name" && bail 'one tail'

for kind in plain sealed; do
    fresh $kind
    ok "$kind: a standby's copy of a switched segment" push "$SCRATCH/a/${switched##*/}"
    is "$ERR" '' 'nothing is wrong with it'
    ok 'then the primary'"'"'s' push "$switched"
    ok 'then that of another standby' push "$SCRATCH/b/${switched##*/}"
    ok 'it comes back without its tail' fetched "$switched"
    exits 4 'other WAL is refused' push "$SCRATCH/wrong/${switched##*/}"
    ok 'verify' walden verify --config "$(w_open_conf main)"
    fresh $kind
    ok "$kind: the primary's first" push "$switched"
    ok 'then a standby'"'"'s' push "$SCRATCH/a/${switched##*/}"
    ok 'it is as it was' fetched "$switched"
done

for suffix in '' .partial; do
    fresh plain
    ok "$name$suffix: one standby's" push "$SCRATCH/c/$name$suffix"
    ok 'another one'"'"'s' push "$SCRATCH/d/$name$suffix"
    ok 'that of one that had less' push "$SCRATCH/less/$name$suffix"
    exits 4 'not one that lost its middle' push "$SCRATCH/rot/$name$suffix"
    ok 'the first is there' fetched "$SCRATCH/c/$name$suffix"
    fresh plain
    ok 'the least first' push "$SCRATCH/less/$name$suffix"
    exits 4 'more than that is refused' push "$SCRATCH/c/$name$suffix"
    like "$ERR" 'hint: .* [Mm]ove (it|the stored one) out of the repository' 'with what to do'
    fresh sealed
    ok 'sealed' push "$SCRATCH/c/$name$suffix"
    exits 4 'nobody can compare' push "$SCRATCH/d/$name$suffix"
    like "$ERR" 'hint: .* [Mm]ove (it|the stored one) out of the repository' 'what to do is said'
done
fresh plain
ok 'a whole one' push "$full"
ok 'then the copy of a standby that left in its middle' push "$SCRATCH/c/$name"
ok 'it is whole' fetched "$full"
done_testing
