#!/bin/bash
# A repository that is full at every size on the way, has no inodes, may not be written, or has a
# limit: walden-archive says so (1 to 125), leaves nothing that keeps the disk full, and succeeds as
# soon as there is room.  A full disk at DEST never looks like the end of WAL.
# when: quick
# needs: root
# timeout: 600
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"
. "$ROOT/tests/fault/loop.bash"

WORK=$SCRATCH
use_memory
build_tool badstore
build_tool powercut
loop_need ext4
make_pool

# run_full POINT: the disk has no room, or just enough.  Sets HOW and CODE.
run_full() {
    HITS=1 HOW=exit CODE=0
    "${STORE[@]}" >"$SCRATCH/said" 2>&1 || CODE=$?
    [ $CODE -le 125 ] || problem "$1: exits with $CODE"
    if [ $CODE -eq 0 ]; then
        judge_stored "$1" ''
    else
        [ ! -e "$TARGET" ] || judge_stored "$1" 'absent or'
        left=$(leftovers)
        [ -z "$left" ] || problem "$1: left on a full disk: $left"
    fi
}

# sizes FROM TO STEP: in a long run all of them.
sizes() { seq "$1" "${EVERY:-$3}" "$2"; }

# ---- tmpfs: full, page by page, and without inodes ------------------------------------------------

used() { df --output="$1" -k "$MNT" | tail -n 1; }
resize() { mount -o "remount,$1" "$MNT" || bail 'cannot resize a tmpfs'; }

# sweep_tmpfs LIMIT USED FACTOR TO STEP: LIMIT=USED+FACTOR*n for n up to TO, or until it succeeds.
sweep_tmpfs() {
    local n
    RUNS=0
    TARGET=$(target)
    for n in $(sizes 0 "$4" "$5"); do
        reset_subject
        resize "$1=$(($(used "$2") + n * $3))${6-}"
        run_full "$1 + $n"
        RUNS=$((RUNS + 1))
        resize size=64m
        resize nr_inodes=1000
        judge_rerun "$1 + $n, room again"
        [ $CODE -ne 0 ] || break
    done
    [ $CODE -eq 0 ] || problem 'never succeeds'
}

mkdir -p "$MNT"
mount -t tmpfs -o size=64m,nr_inodes=1000 tmpfs "$MNT" || skip_all 'cannot mount a tmpfs'
for kind in plain sealed; do
    make_repo "$MNT/$kind" $kind
    FILE=${FULL[0]} BEFORE=
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    sweep_tmpfs size used 4 400 7 k
    verdict "tmpfs, $kind: full at $RUNS sizes"
    sweep_tmpfs nr_inodes iused 1 10 1
    verdict "tmpfs, $kind: $RUNS counts of inodes"

    # What is there is found again on a full disk.
    reset_subject
    "${STORE[@]}" >/dev/null 2>&1
    resize "size=$(($(used used) + 4))k"
    exits 0 "tmpfs, $kind: the same again on a full disk" "${STORE[@]}"
    mount -o remount,ro "$MNT"
    rm -f "$WORK/back"
    exits 0 "tmpfs, $kind: a fetch from a read-only repository" "${RESTORE[@]}" "$FILE" "$WORK/back"
    exits 1-125 "tmpfs, $kind: nothing is stored in a read-only repository" \
        "${ARCHIVE[@]}" "$POOL/$IDLE"
    like "$ERR" 'ead-only' 'and it says why'
    mount -o remount,rw,size=64m "$MNT"
    exits 0 "tmpfs, $kind: and it succeeds when it may be written" "${ARCHIVE[@]}" "$POOL/$IDLE"
done

# DEST on a full disk: the archive is elsewhere.
cp -a "$MNT/plain" "$WORK/repo"
sed -i "s|^repo = .*|repo = $WORK/repo|" "$WORK/plain.conf"
RESTORE=(walden-restore --config "$WORK/plain.conf")
rm -rf "${MNT:?}"/*
RUNS=0
for n in $(sizes 0 256 13); do
    rm -rf "${MNT:?}"/* "$MNT"/.tmp.*
    resize "size=$((n * 4 + 4))k"
    CODE=0
    "${RESTORE[@]}" "${FULL[0]}" "$MNT/dest" >"$SCRATCH/said" 2>&1 || CODE=$?
    if [ $CODE -eq 0 ]; then
        cmp -s "$MNT/dest" "$POOL/${FULL[0]}" || problem "$n pages: false success"
    elif [ $CODE -le 125 ]; then
        problem "$n pages: false end of WAL: exits with $CODE"
    elif [ -n "$(ls -A "$MNT")" ]; then
        problem "$n pages: left: $(ls -A "$MNT")"
    fi
    RUNS=$((RUNS + 1))
done
resize size=64m
exits 0 'walden-restore succeeds when there is room' "${RESTORE[@]}" "${FULL[0]}" "$MNT/dest"
verdict "walden-restore: DEST full at $RUNS sizes"
rm -rf "$WORK/repo"

# The negative control: an archiver that is deaf to the error.
mkdir "$MNT/bad"
save=$(declare -f target fetch reset_subject)
target() { echo "$MNT/bad/$FILE"; }
fetch() { cp "$MNT/bad/$FILE" "$WORK/back"; }
reset_subject() { rm -rf "$MNT/bad" && mkdir "$MNT/bad"; }
FILE=${FULL[0]}
STORE=("$SCRATCH/badstore" deaf "$POOL/$FILE" "$MNT/bad")
sweep_tmpfs size used 4 300 40 k
caught 'torn' 'an archiver that is deaf to a full disk is caught'
eval "$save"
umount "$MNT"

# ---- a limit on the size of files -----------------------------------------------------------------

make_repo "$WORK/plain2" plain
FILE=${FULL[0]} BEFORE=
TARGET=$(target)
"${ARCHIVE[@]}" "$POOL/$FILE" >/dev/null 2>&1 || bail 'cannot archive'
whole=$(size_of "$TARGET")
step=30011
[ -z "${EVERY-}" ] || step=997
RUNS=0
for n in 0 1 4095 4096 4097 $((whole - 4096)) $((whole - 1)) "$whole" \
    $(seq 10000 "$step" "$whole"); do
    reset_subject
    STORE=(prlimit --fsize="$n" "${ARCHIVE[@]}" "$POOL/$FILE")
    run_full "limit of $n bytes"
    [ $CODE -ne 0 ] || [ "$n" -ge "$whole" ] || problem "limit of $n bytes: false success"
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    judge_rerun "limit of $n bytes, without it"
    RUNS=$((RUNS + 1))
done
verdict "a limit on the size of files: $RUNS sizes up to $whole bytes"

# ---- ext4, which finds out late -------------------------------------------------------------------

loop_make fs ext4 8 && loop_mount fs || bail 'no ext4'
for kind in plain sealed; do
    make_repo "$MNT/e-$kind" $kind
    TARGET=$(target)
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    RUNS=0
    for n in $(sizes 0 640 29); do
        reset_subject
        sync -f "$MNT"
        # As much as there is needs some for its own extents.
        room=$(df --output=avail -k "$MNT" | tail -n 1)
        fallocate -l $(((room - n) * 1024)) "$MNT/ballast" 2>/dev/null ||
            fallocate -l $(((room - n - 32) * 1024)) "$MNT/ballast" || bail 'no ballast'
        run_full "$n kB free"
        RUNS=$((RUNS + 1))
        rm -f "$MNT/ballast"
        sync -f "$MNT"
        judge_rerun "$n kB free, room again"
    done
    [ $CODE -eq 0 ] || problem 'never succeeds'
    verdict "ext4, $kind: full at $RUNS sizes"
done
loop_unmount || bail 'cannot unmount'

done_testing
