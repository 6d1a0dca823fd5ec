#!/bin/bash
# walden-archive and walden-restore are killed at every system call: parent, child, or both.  What is
# under a final name is whole, the next run succeeds and removes what the dead one left.  Signals
# that ask to stop, at every call, never make walden-archive end above 125 or by the signal, since
# the server would restart its archiver and count nothing.  Every call is killed; of the other
# signals a part is sent, and all by 21-kill-all.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"

WORK=$SCRATCH
use_memory
build_tool faults
build_tool badstore
make_pool

sweep_archiver() {
    local where name action runs=0
    reset_subject
    TARGET=$(target)
    list_points 0 "${STORE[@]}"
    while read -r where name; do
        sample 0 kill=all signal={TERM,INT,QUIT}:all signal={TERM,INT,QUIT}
        for action in kill "${TAKEN[@]}"; do
            runs=$((runs + 1))
            reset_subject
            inject "$where" "$action" "${STORE[@]}"
            judge_archiver "$where $name $action"
        done
    done <"$SCRATCH/points"
    WHAT=": $(wc -l <"$SCRATCH/points") calls, $runs signals"
}

# judge_restore POINT ACTION FILE DEST: whatever became of it, DEST is absent or right, and only a
# right one is a success.  A SIGTERM ends it by that signal, for the server to see.
judge_restore() {
    local rc=0
    if [ "$HOW" = hang ]; then
        problem "$1: hangs"
    elif [ "$HOW $CODE" = 'exit 0' ]; then
        [ -e "$4" ] || problem "$1: success without a file"
    elif [ "$HOW" = exit ] && [ "$CODE" -le 125 ]; then
        problem "$1: false end of WAL: exits with $CODE"
    elif [ "$HOW" = signal ] && ! is_startup "${1%% *}"; then
        case $2:$CODE in
        kill*:9 | signal=TERM*:15) ;;
        *) problem "$1: dies by signal $CODE" ;;
        esac
    fi
    case $2:$1:$HOW in # all of it, or the parent, was asked to end: nothing else may come of it
    signal=TERM:1.*:exit | signal=TERM:all:*:exit)
        [ "$CODE" -eq 0 ] || problem "$1: exits with $CODE instead of dying of SIGTERM"
        ;;
    esac
    [ ! -e "$4" ] || cmp -s "$4" "$POOL/$3" || problem "$1: wrong file at DEST"
    rm -f "$4"
    "${RESTORE[@]}" "$3" "$4" >"$SCRATCH/said" 2>&1 || rc=$?
    [ $rc -eq 0 ] || problem "$1: the next run exits with $rc: $(head -n 1 "$SCRATCH/said")"
    cmp -s "$4" "$POOL/$3" || problem "$1: the next run delivers something else"
    rc=$(find "$WORK" -maxdepth 1 -name '.tmp.*')
    [ -z "$rc" ] || problem "$1: left: $rc"
}

sweep_restore() {
    local where name action runs=0 file=$1 dest=$WORK/dest
    rm -f "$dest"
    list_points 0 "${RESTORE[@]}" "$file" "$dest"
    while read -r where name; do
        sample 0 kill=all signal={TERM,INT,QUIT}:all signal={TERM,INT,QUIT}
        for action in kill "${TAKEN[@]}"; do
            runs=$((runs + 1))
            rm -f "$dest"
            inject "$where" "$action" "${RESTORE[@]}" "$file" "$dest"
            judge_restore "$where $name $action" "$action" "$file" "$dest"
        done
    done <"$SCRATCH/points"
    WHAT=": $(wc -l <"$SCRATCH/points") calls, $runs signals"
}

for kind in plain sealed; do
    make_repo "$WORK/$kind" $kind
    FILE=${FULL[0]}
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    BEFORE=
    sweep_archiver
    verdict "walden-archive, $kind, first segment$WHAT"

    "${ARCHIVE[@]}" "$POOL/$FILE" >/dev/null 2>&1 || bail 'cannot archive'
    rm -rf "$WORK/before" && cp -a "$LINEAGE/wal" "$WORK/before"
    BEFORE=$WORK/before
    sweep_archiver
    verdict "walden-archive, $kind, the same again$WHAT"

    FILE=$HISTORY
    STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
    sweep_archiver
    verdict "walden-archive, $kind, history of a new timeline$WHAT"

    reset_subject
    sweep_restore "${FULL[0]}"
    verdict "walden-restore, $kind$WHAT"
    rm -rf "$WORK/$kind"
done

# The negative controls: cp, like whoever writes in place, leaves half a file, and dies of SIGTERM.
EVERY=1
printf '#!/bin/sh\nexec cp "%s/$1" "$2"\n' "$POOL" >"$WORK/cp"
RESTORE=(sh "$WORK/cp")
sweep_restore "$IDLE"
caught 'kill: wrong file at DEST' 'a fetch by cp is caught'
mkdir "$WORK/bad"
target() { echo "$WORK/bad/$FILE"; }
reset_subject() { rm -f "${WORK:?}/bad/"* "$WORK/bad/".tmp.*; }
fetch() { cp "$WORK/bad/$FILE" "$WORK/back"; }
FILE=$IDLE
STORE=("$SCRATCH/badstore" in-place "$POOL/$FILE" "$WORK/bad")
sweep_archiver
caught 'write kill: torn' 'an archiver that writes in place is caught'
STORE=("$SCRATCH/badstore" good "$POOL/$FILE" "$WORK/bad")
sweep_archiver
caught 'dies by signal 15' 'an archiver that dies of SIGTERM is caught'

done_testing
