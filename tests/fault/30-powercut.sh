#!/bin/bash
# Power cuts: walden-archive is killed at every system call, and then the filesystem (ext4 and xfs)
# is taken away with all that was not flushed.  After the next mount what had been acknowledged is
# there and whole, nothing torn has a final name, and the next run succeeds; and what that run
# acknowledged survives the next power cut, also when it only found what the dead one had left.
# needs: root
# timeout: 900
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"
. "$ROOT/tests/fault/loop.bash"

WORK=$SCRATCH
use_memory
build_tool faults
build_tool badstore
build_tool powercut
loop_need ext4 xfs
make_pool
LOSSES=0

# power_cut [-j]: with -j what the journal holds becomes durable before, so names may be there whose
# content is not: the worst for what was not flushed.  Without it is the worst for what was.
power_cut() {
    LOSSES=$((LOSSES + 1))
    "$SCRATCH/powercut" "$@" "$MNT" || bail 'the filesystem cannot be shut down'
    loop_unmount && loop_mount fs || bail "cannot mount again: $(cat "$SCRATCH/mount.log")"
}

# The state before, durable.  RESET is how to make it.
reset_subject() { $RESET && sync -f "$MNT"; }
reset_first() { rm -rf "$LINEAGE/wal"; }
reset_next() { rm -f "$TARGET" "$(dirname "$TARGET")"/.tmp.*; }
reset_history() { rm -rf "$LINEAGE/wal/00000002"; }

# judge_earlier POINT: what was acknowledged long ago.
judge_earlier() {
    [ -n "${BEFORE-}" ] || return 0
    "${RESTORE[@]}" "$BEFORE" "$WORK/earlier" >"$SCRATCH/said" 2>&1 &&
        cmp -s "$WORK/earlier" "$POOL/$BEFORE" ||
        problem "$1: lost: the segment before: $(head -n 1 "$SCRATCH/said")"
}

# run_and_cut POINT: an undisturbed run, and then the power goes.
run_and_cut() {
    judge_rerun "$1"
    power_cut
    judge_stored "$1, run, power cut" ''
    judge_earlier "$1, run, power cut"
}

# cut_at WHERE NAME VARIANT: killed there, and then the power goes, at once (cut, or journal with
# the journal written) or only after another run (rerun).
cut_at() {
    reset_subject
    inject "$1" kill "${STORE[@]}"
    if [ "$3" != rerun ]; then
        if [ "$3" = journal ]; then power_cut -j; else power_cut; fi
        judge_stored "$1 $2, power cut" 'absent or'
        judge_earlier "$1 $2, power cut"
    fi
    if [ "$3" = rerun ] || [ -n "${EVERY-}" ]; then
        run_and_cut "$1 $2, $3"
    else
        judge_rerun "$1 $2, $3"
    fi
}

# choose_points: of the child, and of the parent from the fork on, in $SCRATCH/chosen.  A kill leaves
# the same on disk as a kill one call before, unless that call changes something; in a quick run only
# one point of such a row is taken, and three of the parent, which changes nothing.
choose_points() {
    awk -v every="${EVERY-}" '
        { split($1, at, "."); process = at[1] }
        $2 == "fork" || $2 == "clone" { forks = 1 }
        { lines[NR] = $0; of[NR] = process; name[NR] = $2; forked[NR] = forks }
        END {
            changes = "^(openat|openat2|open|mkdirat|mkdir|write|pwrite64|fsync|fdatasync|rename.*|link.*|unlink.*|fchmod|fallocate|ftruncate|sync_file_range|close)$"
            for (i = 1; i <= NR; i++) {
                if (forks && of[i] == 1) {
                    if (forked[i] && (every || parents++ < 3)) print lines[i]
                    continue
                }
                if (every || fresh[of[i]] != "no") print lines[i]
                fresh[of[i]] = name[i] ~ changes ? "yes" : "no"
            }
        }' "$SCRATCH/points" >"$SCRATCH/chosen"
}

# sweep VARIANT...: killed at every point that differs.  In a quick run each has one of the variants;
# the next sweep gives it another.
sweep() {
    local where name variant variants=("${@:-journal}")
    TARGET=$(target)
    reset_subject
    list_points 0 "${STORE[@]}"
    choose_points
    POINTS=0
    SWEEPS=$((SWEEPS + 1))
    while read -r where name; do
        POINTS=$((POINTS + 1))
        if [ -n "${EVERY-}" ]; then
            for variant in $(printf '%s\n' "${variants[@]}" | sort -u); do
                cut_at "$where" "$name" $variant
            done
        else
            cut_at "$where" "$name" "${variants[(POINTS + SWEEPS) % ${#variants[@]}]}"
        fi
    done <"$SCRATCH/chosen"
    reset_subject
    run_and_cut 'not killed'
    run_and_cut 'once more'
}

# sweep_lies: one flush at a time is left out, and all of them.
sweep_lies() {
    local where journal
    TARGET=$(target)
    reset_subject
    list_points 0 "${STORE[@]}"
    for where in fsync $(awk '$2 == "fsync" { print $1 }' "$SCRATCH/points"); do
        for journal in '' -j; do
            reset_subject
            inject "$where" return=0 "${STORE[@]}"
            [ "$HOW $CODE" = 'exit 0' ] || problem "lie at $where: ends with $HOW $CODE"
            # shellcheck disable=SC2086 # nothing, or an option
            power_cut $journal
            judge_stored "lie at $where$journal" ''
        done
    done
}

SWEEPS=0
for fs in ext4 xfs; do
    megabytes=24
    [ $fs = ext4 ] || megabytes=320
    loop_make fs $fs $megabytes && loop_mount fs || bail "no $fs: $(cat "$SCRATCH/mount.log")"
    for kind in plain sealed; do
        make_repo "$MNT/$kind" $kind
        FILE=${FULL[0]} BEFORE='' RESET=reset_first
        STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
        sweep journal rerun journal cut
        verdict "$fs, $kind, first segment, new directories: killed at $POINTS calls"
        if [ $kind = plain ]; then
            sweep_lies
            # That of the file and that of the directory, each alone.
            caught 'lie at fsync: lost' 'lie at 2[.][0-9]*: torn' 'lie at 2[.][0-9]*: lost' \
                "$fs: flushes that lie are caught"
        fi

        "${ARCHIVE[@]}" "$POOL/$IDLE" >/dev/null 2>&1 || bail 'cannot archive'
        BEFORE=$IDLE RESET=reset_next
        sweep journal rerun journal cut
        verdict "$fs, $kind, next segment: killed at $POINTS calls"

        FILE=$HISTORY RESET=reset_history
        STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
        sweep journal rerun journal cut
        verdict "$fs, $kind, history, new timeline: killed at $POINTS calls"
    done

    # Archivers that are broken on purpose.
    mkdir "$MNT/bad"
    save=$(declare -f target fetch)
    target() { echo "$MNT/bad/$FILE"; }
    fetch() { cp "$MNT/bad/$FILE" "$WORK/back"; }
    FILE=$IDLE BEFORE='' RESET=reset_next
    for how in early no-flush no-dir; do
        STORE=("$SCRATCH/badstore" $how "$POOL/$FILE" "$MNT/bad")
        sweep journal
        case $how in
        early) caught 'power cut: torn' "$fs: a rename before the flush is caught" ;;
        no-flush) caught 'run, power cut: (torn|lost)' "$fs: no flush at all is caught" ;;
        no-dir) caught 'run, power cut: lost' "$fs: no flush of the directory is caught" ;;
        esac
    done
    eval "$save"
    rm -rf "$WORK"/{plain,sealed}.*
    loop_unmount || bail 'cannot unmount'
done

note "$LOSSES power cuts"
done_testing
