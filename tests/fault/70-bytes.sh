#!/bin/bash
# Damage: every byte of a small archived object is flipped, and the object is cut at every length,
# plain and sealed, segment and history; the same for the repository's own two text files.
# walden-restore must detect all of it: never a success, never "not there".
# timeout: 600
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"

WORK=$SCRATCH
use_memory
make_pool
ALL='1 2 4 8 16 32 64 128 255'

# sweep WHAT PATH NAME MASKS COMMAND...: the file at PATH is damaged, NAME is fetched.
sweep() {
    local what=$1 path=$2 name=$3 masks=$4 line
    shift 4
    [ -z "${EVERY-}" ] || masks=$ALL
    while read -r line; do
        case $line in
        runs*) RUNS=$line ;;
        *) problem "$what: $line" ;;
        esac
    done < <(perl "$ROOT/tests/fault/bytes.pl" "$path" "$WORK/dest" "$POOL/$name" "$masks" "$@" 2>&1)
    [ -n "${RUNS-}" ] || problem "$what: did not run"
    WHAT="$what, $(size_of "$path") bytes, ${RUNS-}"
    RUNS=
}

for kind in plain sealed; do
    make_repo "$WORK/$kind" $kind
    for FILE in "$IDLE" "$HISTORY" "$IDLE2"; do
        "${ARCHIVE[@]}" "$POOL/$FILE" >"$SCRATCH/said" 2>&1 || bail "cannot archive: $(cat "$SCRATCH/said")"
    done
    sweep "$kind segment" "$(object_path "$IDLE")" "$IDLE" turn "${RESTORE[@]}" "$IDLE" "$WORK/dest"
    verdict "$WHAT"
    sweep "$kind history" "$(object_path "$HISTORY")" "$HISTORY" turn \
        "${RESTORE[@]}" "$HISTORY" "$WORK/dest"
    verdict "$WHAT"
    # In text one bit makes a letter of another case.
    sweep "$kind marker" "$REPO/walden-repo" "$IDLE" 32 "${RESTORE[@]}" "$IDLE" "$WORK/dest"
    verdict "$WHAT"
    sweep "$kind lineage" "$LINEAGE/cluster" "$IDLE" 32 "${RESTORE[@]}" "$IDLE" "$WORK/dest"
    verdict "$WHAT"
done

# The negative controls, each without a check of its own: cp, and a decoder that only has the blocks'
# checksums and gives back what it can.
TARGET=$WORK/copy
cp "$POOL/$HISTORY" "$TARGET"
sweep 'cp' "$TARGET" "$HISTORY" turn cp "$TARGET" "$WORK/dest"
caught 'byte .*: false success' 'a fetch by cp is caught'
make_repo "$WORK/control" plain
"${ARCHIVE[@]}" "$POOL/$HISTORY" >/dev/null 2>&1 || bail 'cannot archive'
TARGET=$(object_path "$HISTORY")
sweep 'lz4' "$TARGET" "$HISTORY" turn bash -c 'lz4 -dc "$1" >"$2" || { rm -f "$2"; exit 200; }' bash \
    "$TARGET" "$WORK/dest"
caught 'byte .*: not detected' 'a fetch that only expands is caught'

done_testing
