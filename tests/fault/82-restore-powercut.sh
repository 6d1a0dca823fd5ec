#!/bin/bash
# Power cuts during a restore: walden restore is killed at calls that change something, and then the
# filesystem that it writes to (ext4 and xfs) is taken away with all that was not flushed.  After the
# next mount there is no copy that a server would start and that is not whole, and the same command
# makes it whole; what it said is done survives the next power cut.  The same onto an older copy
# (--delta), which stays as it was or is on its way.  Killed without a power cut: the same.
# needs: root
# timeout: 900
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"
. "$ROOT/tests/fault/loop.bash"
. "$ROOT/tests/fault/backup.bash"

WORK=$SCRATCH
use_memory
build_tool faults
build_tool powercut
loop_need ext4 xfs
make_source
MOST=${MOST:-3}
LOSSES=0
COPY=$MNT/copy
AWAY=$MNT/away

power_cut() {
    LOSSES=$((LOSSES + 1))
    "$SCRATCH/powercut" "$@" "$MNT" || bail 'the filesystem cannot be shut down'
    loop_unmount && loop_mount fs || bail "cannot mount again: $(cat "$SCRATCH/mount.log")"
}

# keep_copy NAME: what is in the copy, tablespace included, in $WORK/NAME.
keep_copy() {
    rm -rf "$WORK/$1"
    mkdir "$WORK/$1"
    cp -a "$COPY" "$AWAY" "$WORK/$1/"
}

# is_copy NAME: the copy is what was kept, but for the mark of what is going on.
is_copy() {
    diff -rq --no-dereference -x 'walden-restore.plan' -x '.tmp.*.walden-restore.plan' "$WORK/$1/copy" "$COPY" &&
        diff -rq --no-dereference "$WORK/$1/away" "$AWAY"
} >"$SCRATCH/differs" 2>&1

reset_absent() { rm -rf "$COPY" "$AWAY" && sync -f "$MNT"; }
reset_older() {
    rm -rf "$COPY" "$AWAY"
    cp -a "$WORK/older/copy" "$WORK/older/away" "$MNT/"
    sync -f "$MNT"
}

# judge POINT WHAT: WHAT is "done", or empty when the restore was not acknowledged.
judge() {
    if [ "$2" = done ]; then
        if ! is_copy whole; then
            problem "$1: torn: $(head -n 1 "$SCRATCH/differs")"
        elif [ -e "$COPY/walden-restore.plan" ]; then
            problem "$1: still marked as half-done"
        fi
        return
    fi
    # Without it no server starts.
    [ -e "$COPY/global/pg_control" ] || return 0
    is_copy whole && return 0
    [ "$RESET" = reset_older ] && is_copy older && return 0
    problem "$1: torn, and a server would start: $(head -n 1 "$SCRATCH/differs")"
}

# rerun POINT: the same command, undisturbed, and then the power goes.
rerun() {
    local rc=0 journal=()
    [ $((LOSSES % 2)) = 0 ] || journal=(-j)
    "${RESTORE[@]}" >"$SCRATCH/said" 2>&1 || rc=$?
    # What lacked was only the acknowledgement: then it is refused as any other copy.
    if [ $rc -eq 4 ] && [ ! -e "$COPY/walden-restore.plan" ] && is_copy whole; then
        return
    fi
    if [ $rc -ne 0 ]; then
        problem "$1: stuck: the same command exits with $rc: $(grep error "$SCRATCH/said")"
        return
    fi
    judge "$1, rerun" done
    power_cut "${journal[@]}"
    judge "$1, rerun, power cut" done
    [ -z "$(find "$COPY" -name '.tmp.*')" ] || problem "$1: left: $(find "$COPY" -name '.tmp.*' | head -n 1)"
}

cut_at() {
    $RESET
    inject "$1" kill=all "${RESTORE[@]}"
    [ "$HITS" -gt 0 ] || return 0 # threads: not every run makes as many calls
    case $2 in
    cut) power_cut ;;
    journal) power_cut -j ;;
    esac
    judge "$1 $HIT, $2" ''
    rerun "$1 $HIT, $2"
}

sweep() {
    local where variants=(journal rerun cut)
    $RESET
    list_points 0 "${RESTORE[@]}"
    POINTS=0
    while read -r where; do
        POINTS=$((POINTS + 1))
        cut_at "$where" "${variants[(POINTS + SWEEP) % 3]}"
    done < <(calls "$MOST")
    $RESET
    rerun 'not killed'
}

# lies: flushes that are not made.  (One alone is mostly made good by the others and by the
# write-back that was asked for.)
lies() {
    local journal
    for journal in '' -j; do
        $RESET
        inject fsync return=0 "${RESTORE[@]}"
        [ "$HOW $CODE" = 'exit 0' ] || problem "lie$journal: ends with $HOW $CODE"
        # shellcheck disable=SC2086 # nothing, or an option
        power_cut $journal
        judge "lie$journal" done
    done
}

# Two backups: the first is where --delta begins.
make_repo "$WORK/plain" plain
TAKE=(walden-basebackup --config "$WORK/plain.conf" --fast --json --wal=stream --no-relation-map)
"${TAKE[@]}" >/dev/null 2>"$SCRATCH/said" || bail "no backup: $(cat "$SCRATCH/said")"
FIRST=$(labels)
change
pg_sql source 'create table gone as select 1 as i' -c 'drop table new1' -c checkpoint
"${TAKE[@]}" >/dev/null 2>"$SCRATCH/said" || bail "no backup: $(cat "$SCRATCH/said")"
pg_stop source

for fs in ext4 xfs; do
    megabytes=256
    [ $fs = ext4 ] || megabytes=512
    loop_make fs $fs $megabytes && loop_mount fs || bail "no $fs: $(cat "$SCRATCH/mount.log")"
    FRESH=(walden restore --config "$WORK/plain.conf" -D "$COPY" -T "$SPACE=$AWAY" --owner "$TEST_USER" --target-immediate)
    "${FRESH[@]}" --backup "$FIRST" >"$SCRATCH/said" 2>&1 || bail "no older copy: $(cat "$SCRATCH/said")"
    keep_copy older
    rm -rf "$COPY" "$AWAY"
    "${FRESH[@]}" >"$SCRATCH/said" 2>&1 || bail "no copy: $(cat "$SCRATCH/said")"
    keep_copy whole
    ok "$fs: pg_verifybackup is content with the copy" "$(pg_prog pg_verifybackup 18)" -q "$COPY"

    RESET=reset_absent RESTORE=("${FRESH[@]}")
    sweep
    verdict "$fs, a new copy: killed at $POINTS calls"
    lies
    caught 'lie: torn' 'lie-j: torn' "$fs: flushes that lie are caught"
    RESET=reset_older RESTORE=("${FRESH[@]}" --delta --yes)
    sweep
    verdict "$fs, onto an older copy: killed at $POINTS calls"
    loop_unmount || bail 'cannot unmount'
done

note "$LOSSES power cuts"
done_testing
