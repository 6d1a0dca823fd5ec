#!/bin/bash
# A disk that fills up during a restore, at any call that needs room, or has no inodes: walden restore
# says so in one line and exits with 1, a server would not start from what is there, and once there is
# room the same command completes it.
# needs: root
# timeout: 600
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"
. "$ROOT/tests/fault/loop.bash"
. "$ROOT/tests/fault/backup.bash"

WORK=$SCRATCH
use_memory
build_tool faults
make_source
MOST=${MOST:-4}

make_repo "$WORK/plain" plain
walden-basebackup --config "$WORK/plain.conf" --fast --json --wal=stream --no-relation-map >/dev/null \
    2>"$SCRATCH/said" || bail "no backup: $(cat "$SCRATCH/said")"
pg_stop source

# The disk: everything but the tablespace.
mkdir "$MNT"
disk() { mount -t tmpfs -o "mode=755,$1" none "$MNT" 2>"$SCRATCH/mount.log"; }
disk size=400m || skip_all "tmpfs cannot be mounted here: $(cat "$SCRATCH/mount.log")"
at_exit "umount '$MNT'"
COPY=$MNT/copy
AWAY=$MNT/away
RESTORE=(walden restore --config "$WORK/plain.conf" -D "$COPY" -T "$SPACE=$AWAY" --owner "$TEST_USER" --target-immediate)

ok 'with room' "${RESTORE[@]}"
cp -a "$COPY" "$AWAY" "$SCRATCH/"
is_whole() { diff -rq --no-dereference "$SCRATCH/copy" "$COPY" && diff -rq --no-dereference "$SCRATCH/away" "$AWAY"; }
clear_copy() { rm -rf "$COPY" "$AWAY"; }

# judge POINT: after a run whose status is CODE and whose words are in $SCRATCH/said.
judge() {
    local errors rc=0
    errors=$(grep -c '^walden restore: error: ' "$SCRATCH/said")
    if [ "$CODE" = 0 ]; then
        is_whole >"$SCRATCH/differs" 2>&1 || problem "$1: exits with 0, and $(head -n 1 "$SCRATCH/differs")"
        return
    fi
    [ "$CODE" = 1 ] || problem "$1: exits with $CODE"
    [ "$errors" = 1 ] || problem "$1: $errors errors"
    grep -qi 'error: .*\(No space left\|quota\)' "$SCRATCH/said" ||
        problem "$1: does not say so: $(grep error "$SCRATCH/said")"
    grep -q '^walden restore: hint: .*same command' "$SCRATCH/said" || problem "$1: does not say how to go on"
    [ ! -e "$COPY/global/pg_control" ] || is_whole >/dev/null 2>&1 || problem "$1: a server would start"
    "${RESTORE[@]}" >"$SCRATCH/said" 2>&1 || rc=$?
    [ $rc = 0 ] || problem "$1: stuck: $rc, $(grep error "$SCRATCH/said")"
    is_whole >"$SCRATCH/differs" 2>&1 || problem "$1, rerun: $(head -n 1 "$SCRATCH/differs")"
}

# By fault: each kind of call, a part of them.
clear_copy
list_points 0 "${RESTORE[@]}"
runs=0 failed=0
while read -r where; do
    for error in ENOSPC EDQUOT; do
        case $where in openat*) [ $error = ENOSPC ] || continue ;; esac
        clear_copy
        inject "$where" error=$error "${RESTORE[@]}"
        [ "$HITS" -gt 0 ] || continue
        [ "$HOW" = exit ] || problem "$where $error: ends by $HOW $CODE"
        runs=$((runs + 1))
        [ "$CODE" = 0 ] || failed=$((failed + 1))
        judge "$where $error"
    done
done < <(calls "$MOST" | grep -vE '^(unlinkat|fchmod|openat)')
verdict "no room at $runs calls"
ok "most of them fail: $failed" test $((failed * 3)) -gt "$runs"

# For real: what is half done is gone on with, where the room is no longer asked for beforehand.
used=$(du -sk "$SCRATCH/copy" | cut -f 1)
for part in 1 20 50 80 95 99; do
    clear_copy
    inject pwrite64:1 kill=all "${RESTORE[@]}"
    [ -e "$COPY/walden-restore.plan" ] || problem "$part %: nothing is half done"
    mount -o "remount,size=$((used * part / 100))k" "$MNT" || bail 'no remount'
    CODE=0
    "${RESTORE[@]}" >"$SCRATCH/said" 2>&1 || CODE=$?
    mount -o remount,size=400m "$MNT" || bail 'no remount'
    [ $CODE != 0 ] || problem "$part %: it had room"
    judge "$part % of the room"
done
verdict 'a disk that fills up on the way'

# Room, but no names.
umount "$MNT"
disk size=400m,nr_inodes=300 || bail 'no tmpfs'
CODE=0
"${RESTORE[@]}" >"$SCRATCH/said" 2>&1 || CODE=$?
[ $CODE != 0 ] || problem 'no inodes: it had some'
mount -o remount,nr_inodes=30000 "$MNT" || bail 'no remount'
judge 'no inodes'
verdict 'a disk without inodes'

# Too little from the beginning is refused before anything is made.
umount "$MNT"
disk "size=$((used / 2))k" || bail 'no tmpfs'
exits 4 'too little room' "${RESTORE[@]}"
like "$ERR" 'error: .*too little room: .* needed, .* free' 'too little room: says so'
is "$(ls "$MNT")" '' 'too little room: nothing was made'
done_testing
