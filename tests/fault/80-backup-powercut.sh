#!/bin/bash
# Power cuts during a base backup: walden-basebackup is killed at calls that change something, and
# then the repository's filesystem (ext4 and xfs) is taken away with all that was not flushed.  After
# the next mount every backup that was acknowledged is there and whole, one that was not is either
# not there or whole, too, verify is content, and the same command takes a backup that survives the
# next power cut.  Killed without a power cut: the same.
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

# power_cut [-j]: with -j what the journal holds becomes durable before (see 30-powercut).
power_cut() {
    LOSSES=$((LOSSES + 1))
    "$SCRATCH/powercut" "$@" "$MNT" || bail 'the filesystem cannot be shut down'
    loop_unmount && loop_mount fs || bail "cannot mount again: $(cat "$SCRATCH/mount.log")"
}

# The state before: what $WORK/before holds, durable.
reset_subject() {
    rm -rf "$LINEAGE"
    cp -a "$WORK/before" "$LINEAGE"
    sync -f "$MNT"
    KNOWN=$ACKNOWLEDGED
}
keep_subject() {
    rm -rf "$WORK/before"
    cp -a "$LINEAGE" "$WORK/before"
    ACKNOWLEDGED=$(labels)
}

# judge POINT WHAT: every backup in KNOWN is there, and whole; WHAT is "more" when another one may be
# there.
judge() {
    local now lost
    now=$(labels)
    lost=$(comm -23 <(echo "$KNOWN") <(echo "$now"))
    [ -z "$lost" ] || problem "$1: lost: $lost"
    [ "$2" = more ] || [ -z "$(comm -13 <(echo "$KNOWN") <(echo "$now"))" ] ||
        problem "$1: there is a backup that failed"
    walden verify --config "$CONF" >"$SCRATCH/said" 2>&1 ||
        problem "$1: torn: $(grep -m 1 -iE 'error|damag|missing' "$SCRATCH/said" || head -n 1 "$SCRATCH/said")"
}

# rerun POINT: the same command, undisturbed, and then the power goes.
rerun() {
    local rc=0 journal=()
    [ $((LOSSES % 2)) = 0 ] || journal=(-j)
    OUT=$("${BACKUP[@]}" 2>"$SCRATCH/said") || rc=$?
    if [ $rc -ne 0 ]; then
        problem "$1: stuck: the next backup exits with $rc: $(head -n 1 "$SCRATCH/said")"
        return
    fi
    KNOWN=$(labels)
    [ -z "$(find "$REPO" -name '.tmp.*')" ] || problem "$1: left: $(find "$REPO" -name '.tmp.*' | head -n 1)"
    power_cut "${journal[@]}"
    judge "$1, next backup, power cut" none
}

# cut_at WHERE VARIANT: killed there, and then the power goes (cut, or journal), or not (rerun).
cut_at() {
    reset_subject
    inject "$1" kill=all "${BACKUP[@]}"
    [ "$HITS" -gt 0 ] || return 0 # threads: not every run makes as many calls
    case $2 in
    cut) power_cut ;;
    journal) power_cut -j ;;
    esac
    judge "$1 $HIT, $2" more
    rerun "$1 $HIT, $2"
}

# sweep VARIANT...
sweep() {
    local where variants=("$@")
    reset_subject
    list_points 0 "${BACKUP[@]}"
    POINTS=0
    while read -r where; do
        POINTS=$((POINTS + 1))
        cut_at "$where" "${variants[(POINTS + SWEEP) % ${#variants[@]}]}"
    done < <(calls "$MOST")
    reset_subject
    rerun 'not killed'
}

# sweep_lies: flushes that are not made, all, and one after the other.
sweep_lies() {
    local where journal
    reset_subject
    list_points 0 "${BACKUP[@]}"
    for where in fsync $(calls 100 | grep fsync); do
        for journal in '' -j; do
            reset_subject
            inject "$where" return=0 "${BACKUP[@]}"
            [ "$HOW $CODE" = 'exit 0' ] || problem "lie at $where: ends with $HOW $CODE"
            KNOWN=$(labels)
            # shellcheck disable=SC2086 # nothing, or an option
            power_cut $journal
            judge "lie at $where$journal" none
        done
    done
}

# whole DESCRIPTION: what the last backup restores to is what the server's manifest says.
whole() {
    rm -rf "$SCRATCH/back" "$SCRATCH/back.space"
    ok "$1: restored" walden restore --config "$CONF" -D "$SCRATCH/back" -T "$SPACE=$SCRATCH/back.space" \
        --owner "$TEST_USER" --target-immediate
    ok "$1: pg_verifybackup is content" "$(pg_prog pg_verifybackup 18)" -q "$SCRATCH/back"
}

for fs in ext4 xfs; do
    megabytes=96
    [ $fs = ext4 ] || megabytes=320
    loop_make fs $fs $megabytes && loop_mount fs || bail "no $fs: $(cat "$SCRATCH/mount.log")"
    kinds=(plain)
    [ $fs = ext4 ] && [ -z "${EVERY-}" ] || kinds+=(sealed)
    for kind in "${kinds[@]}"; do
        make_repo "$MNT/$kind" $kind
        CONF=$WORK/$kind.conf
        if [ $kind = sealed ]; then
            { cat "$WORK/$kind.conf"; echo "secret_key = $WORK/$kind.keys/recovery.key"; } >"$WORK/$kind.open.conf"
            CONF=$WORK/$kind.open.conf
        fi
        BACKUP=(walden-basebackup --config "$WORK/$kind.conf" --fast --json --wal=stream --no-relation-map)
        keep_subject
        sweep journal rerun cut
        verdict "$fs, $kind, first backup, new directories: killed at $POINTS calls"
        if [ $kind = plain ]; then
            sweep_lies
            caught 'lie at fsync: lost' 'lie at fsync-j: (lost|torn)' 'lie at fsync:[0-9]*: lost' \
                'lie at fsync:[0-9]*(-j)?: torn' "$fs: flushes that lie are caught"
        fi
        reset_subject
        "${BACKUP[@]}" >/dev/null 2>&1 || bail 'no backup'
        keep_subject
        change
        sweep journal rerun cut
        verdict "$fs, $kind, next backup: killed at $POINTS calls"
        whole "$fs, $kind"
        rm -rf "${REPO:?}"
    done
    rm -rf "$WORK"/{plain,sealed}.*
    loop_unmount || bail 'cannot unmount'
done

note "$LOSSES power cuts"
pg_stop source
done_testing
