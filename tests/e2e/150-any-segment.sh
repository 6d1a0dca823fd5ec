#!/bin/bash
# Goal: whichever segment on the way is deleted, window, check, list and verify exit 1 and name it, and a
# target behind it is refused in less than a second, with its name, before a byte is copied.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

# on_the_way NAME: the segments between the only backup and the end of the latest timeline.  (What the
# older timeline archived after it was left is in nobody's way.)
on_the_way() {
    local all first
    all=$(w_names "$1" | grep -E '^[0-9A-F]{24}$')
    first=$(grep '^00000002' <<<"$all" | head -n 1)
    awk -v at="${first:8}" 'substr($0, 1, 8) == "00000002" || substr($0, 9) < at' <<<"$all"
}

# plan NAME: the way to the last minute; TOOK is how long that took, in milliseconds.
plan() {
    local from
    from=$(date +%s%N)
    run walden restore --config "$(w_open_conf "$1")" -D "$SCRATCH/copy" --dry-run --target-time "$TARGET"
    TOOK=$((($(date +%s%N) - from) / 1000000))
}

# each NAME: every segment is taken away in turn.
each() {
    local name=$1 conf segment last why file told='' refused='' slow='' n=0 command
    conf=$(w_conf "$name")
    last=$(on_the_way "$name" | tail -n 1)
    while read -r segment; do
        file=$(w_object "$name" "$segment")
        mv "$file" "$SCRATCH/away"
        for command in 'window --offline' 'check --no-server --drill-max-age 0' list verify; do
            # shellcheck disable=SC2086
            run walden $command --config "$conf"
            # Lines are wrapped: the name may stand anywhere.
            [ "$RC" = 1 ] && grep -q "$segment" <<<"$OUT" || told="$told $segment/${command%% *}($RC)"
        done
        plan "$name"
        # Without the last one nothing is missing on the way, only its end is another one.
        why="segment $segment is missing"
        [ "$segment" != "$last" ] || why='the archive ends at'
        [ "$RC" = 1 ] && grep -q "$why" <<<"$ERR" || refused="$refused $segment($RC: $ERR)"
        [ "$TOOK" -lt 1000 ] || slow="$slow $segment($TOOK ms)"
        mv "$SCRATCH/away" "$file"
        n=$((n + 1))
    done < <(on_the_way "$name")
    ok "$name: $n segments were taken away in turn" test "$n" -ge 38
    is "$told" '' "$name: each was named by window, check, list and verify, with exit 1"
    is "$refused" '' "$name: each time the target behind it was refused with the name"
    is "$slow" '' "$name: in less than a second"
    ok "$name: the copy is empty" test -z "$(ls "$SCRATCH/copy")"
}

build_bigrepo
segments=40
start=$(date -u -d '2026-06-01 00:00' +%s)
TARGET=$(utc $((start + (segments - 2) * 60 + 40)))
pg_init big 17 --wal-segsize=1 || bail 'initdb'
mkdir -p "$SCRATCH/files" "$SCRATCH/copy"
for name in plain sealed; do
    "w_init$([ $name = plain ] || echo _sealed)" $name "$(pg_data big)" || bail 'walden init'
    WALDEN_CONFIG=$(w_conf $name) "$SCRATCH/bigrepo" $segments 2 1000 "$start" "$SCRATCH/files" || bail 'bigrepo'
    # The negative control: all is there.
    ok "$name: nothing is missing" walden list --config "$(w_conf $name)"
    ok "$name: and window is 0" walden window --offline --config "$(w_conf $name)"
    plan $name
    like "$ERR" 'the backup has no "global/pg_control"' "$name: the target is reached by a plan"
    each $name
    ok "$name: all is well again" walden window --offline --config "$(w_conf $name)"
done
done_testing
