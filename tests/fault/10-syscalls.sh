#!/bin/bash
# Every system call of walden-archive and walden-restore fails once, in every way that fits it.
# walden-archive must end in 1 to 125, or in 0 with the whole object in place, and its next run must
# succeed.  walden-restore must never deliver a wrong file, nor say "not there" (1) of a file that
# is there or behind a hole.  Every call fails in at least one way; 11-syscalls-all takes
# all ways.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"

WORK=$SCRATCH
use_memory
build_tool faults
build_tool badstore
make_pool

# A call that was only interrupted, or that did a part of the work, is made again.
GENTLE='^(openat|openat2|read|write|pread64|pwrite64|renameat2|flock|wait4|rt_sigtimedwait|ppoll)$'

# ways NAME: the errors of a call and, for reads and writes, a short one.
ways() {
    errors_of "$1"
    case $1 in read | write | pread64 | pwrite64) echo short ;; esac
}

# fail_once WHERE WAY COMMAND...
fail_once() {
    local action="error=$2"
    [ "$2" != short ] || action=short
    inject "$1" "$action" "${@:3}"
}

# sweep_archiver: every call of STORE in every way.
sweep_archiver() {
    local where name way runs=0
    reset_subject
    TARGET=$(target)
    list_points 0 "${STORE[@]}"
    while read -r where name; do
        # shellcheck disable=SC2046 # a list of words
        sample 1 $(ways "$name")
        for way in "${TAKEN[@]}"; do
            runs=$((runs + 1))
            reset_subject
            fail_once "$where" "$way" "${STORE[@]}"
            judge_archiver "$where $name $way"
            # (The parent's last read is of a pipe, which never gives a part.)
            if [[ $way =~ ^(EINTR|short)$ && $name =~ $GENTLE && "$HOW $CODE" != 'exit 0' ]] &&
                [ "${where%.*}:$way:$CODE" != 1:short:9 ]; then
                problem "$where $name $way: gives up with $HOW $CODE"
            fi
        done
    done <"$SCRATCH/points"
    WHAT=": $(wc -l <"$SCRATCH/points") calls, $runs faults"
}

# sweep_restore WHAT FILE STATUS: every call of a fetch that ends in STATUS without a fault.
sweep_restore() {
    local where name way runs=0 file=$2 dest=$WORK/dest
    rm -f "$dest"
    list_points "$3" "${RESTORE[@]}" "$file" "$dest"
    while read -r where name; do
        # shellcheck disable=SC2046 # a list of words
        sample 1 $(ways "$name")
        for way in "${TAKEN[@]}"; do
            runs=$((runs + 1))
            rm -f "$dest"
            fail_once "$where" "$way" "${RESTORE[@]}" "$file" "$dest"
            judge_restore "$where $name $way" "$3" "$file" "$dest"
        done
    done <"$SCRATCH/points"
    "${RESTORE[@]}" "$file" "$dest" >/dev/null 2>&1 # removes what was left
    [ -z "$(find "$WORK" -maxdepth 1 -name '.tmp.*')" ] || problem 'a temporary file stays beside DEST'
    WHAT="$1: $(wc -l <"$SCRATCH/points") calls, $runs faults"
}

# judge_restore POINT STATUS FILE DEST
judge_restore() {
    if [ "$HOW" = hang ]; then
        problem "$1: hangs"
    elif [ "$HOW $CODE" = 'exit 0' ]; then
        cmp -s "$4" "$POOL/$3" || problem "$1: false success"
    elif [ "$HOW" = exit ] && [ "$CODE" -le 125 ] && [ "$CODE" != "$2" ]; then
        problem "$1: false end of WAL: exits with $CODE: $(head -n 1 "$SCRATCH/said")"
    elif [ "$HOW" = signal ] && ! is_startup "${1%% *}"; then
        problem "$1: dies by signal $CODE"
    fi
    # What is at DEST in spite of a failure would not be used, but it must not be wrong either.
    [ ! -e "$4" ] || cmp -s "$4" "$POOL/$3" || problem "$1: wrong file at DEST"
}

for kind in plain sealed; do
    make_repo "$WORK/$kind" $kind
    FILE=$IDLE
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    BEFORE=
    sweep_archiver
    verdict "walden-archive, $kind, first segment$WHAT"

    # What a segment before it left, and a full one.
    FILE=${FULL[0]}
    reset_subject
    "${ARCHIVE[@]}" "$POOL/$IDLE" >/dev/null 2>&1 || bail 'cannot archive'
    rm -rf "$WORK/before" && cp -a "$LINEAGE/wal" "$WORK/before"
    BEFORE=$WORK/before
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    sweep_archiver
    verdict "walden-archive, $kind, full segment$WHAT"

    "${ARCHIVE[@]}" "$POOL/$FILE" >/dev/null 2>&1 || bail 'cannot archive'
    rm -rf "$WORK/before" && cp -a "$LINEAGE/wal" "$WORK/before"
    sweep_archiver
    verdict "walden-archive, $kind, the same again$WHAT"

    FILE=$HISTORY
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    sweep_archiver
    verdict "walden-archive, $kind, history$WHAT"

    reset_subject
    "${ARCHIVE[@]}" "$POOL/$HISTORY" >/dev/null 2>&1 || bail 'cannot archive'
    sweep_restore 'segment' "$IDLE" 0
    verdict "walden-restore, $kind, $WHAT"
    sweep_restore 'full segment' "${FULL[0]}" 0
    verdict "walden-restore, $kind, $WHAT"
    sweep_restore 'history' "$HISTORY" 0
    verdict "walden-restore, $kind, $WHAT"
    sweep_restore 'end of WAL' "$IDLE2" 1
    verdict "walden-restore, $kind, $WHAT"
    sweep_restore 'hole' "${FULL[1]}" 200
    verdict "walden-restore, $kind, $WHAT"
    rm -rf "$WORK/$kind"
done

# The negative controls: a fetch by cp, which exits with 1 for every trouble; an archiver that trusts
# write(2), and one that writes in place.
EVERY=1
printf '#!/bin/sh\nexec cp "%s/$1" "$2"\n' "$POOL" >"$WORK/cp"
RESTORE=(sh "$WORK/cp")
sweep_restore control "$IDLE" 0
caught 'openat EIO: false end of WAL' 'a fetch by cp is caught'
mkdir "$WORK/bad"
target() { echo "$WORK/bad/$FILE"; }
reset_subject() { rm -f "${WORK:?}/bad/"* "$WORK/bad/".tmp.*; }
fetch() { cp "$WORK/bad/$FILE" "$WORK/back"; }
FILE=$IDLE
STORE=("$SCRATCH/badstore" deaf "$POOL/$FILE" "$WORK/bad")
sweep_archiver
caught 'write (EIO|ENOSPC|short): (torn|lost)' 'an archiver that is deaf to errors is caught'
STORE=("$SCRATCH/badstore" in-place "$POOL/$FILE" "$WORK/bad")
sweep_archiver
caught 'torn' 'an archiver that writes in place is caught'

done_testing
