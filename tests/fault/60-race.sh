#!/bin/bash
# Several archivers at once on one name, as of a primary and its standby, or of an orphan and the
# server's next attempt: the same content is 0 for all of them; of different contents exactly one
# is stored, its archivers say 0 and all others refuse (4).  Who fetches meanwhile gets a whole file
# or none.  ROUNDS=10000 in 61-race-long.
# timeout: 600
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"

WORK=$SCRATCH
use_memory
ROUNDS=${ROUNDS:-200}
build_tool faults
build_tool badstore
make_pool

# Four sources of one name; A and B hold the same, C and D differ from it inside one record.
FILE=$IDLE
for source in A B C D; do
    mkdir "$WORK/$source"
    cp "$POOL/$FILE" "$WORK/$source/"
done
flip_byte "$WORK/C/$FILE" 70 1
flip_byte "$WORK/D/$FILE" 70 2
SOURCES=(A B C D)

# race STORE-FUNCTION SOURCE...: all at once; CODES in their order.
race() {
    local store=$1 source pids=() pid
    shift
    CODES=()
    for source; do
        $store "$WORK/$source/$FILE" >"$SCRATCH/said.${#pids[@]}" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid"
        CODES+=($?)
    done
}

# judge_race POINT REFUSAL SOURCE...: one content, and everybody was told the truth.
judge_race() {
    local point=$1 refusal=$2 i=0 source winners=''
    shift 2
    if ! fetch; then
        problem "$point: torn: $(head -n 1 "$SCRATCH/said.back") (${CODES[*]})"
        return
    fi
    for source; do
        if cmp -s "$WORK/back" "$WORK/$source/$FILE"; then
            [ "${CODES[i]}" -eq 0 ] || problem "$point: stored, but $source exits with ${CODES[i]}:" \
                "$(head -n 1 "$SCRATCH/said.$i")"
            winners+=$source
        elif [ "${CODES[i]}" -eq 0 ]; then
            problem "$point: two winners: $source says 0, but another is stored (${CODES[*]})"
        elif [ "${CODES[i]}" -ne "$refusal" ]; then
            problem "$point: $source exits with ${CODES[i]} instead of $refusal:" \
                "$(head -n 1 "$SCRATCH/said.$i")"
        fi
        i=$((i + 1))
    done
    [ -n "$winners" ] || problem "$point: what is stored is none of them"
    WON[${winners:-X}]=$((${WON[${winners:-X}]-0} + 1))
    [ -z "$(leftovers)" ] || problem "$point: left: $(leftovers)"
}

store() { "${ARCHIVE[@]}" "$1"; }

for kind in plain sealed; do
    make_repo "$WORK/$kind" $kind
    TARGET=$(target)
    n=$((ROUNDS / 2))

    declare -A WON=()
    for ((round = 1; round <= n; round++)); do
        # New directories in every second round.
        if [ $((round % 2)) -eq 0 ]; then rm -f "$TARGET"; else rm -rf "$LINEAGE/wal"; fi
        race store A B A B
        judge_race "round $round" 4 A B A B
        [ "${CODES[*]}" = '0 0 0 0' ] || problem "round $round: ${CODES[*]}"
    done
    verdict "$kind: the same content, 4 archivers, $n rounds: all 0"

    declare -A WON=()
    for ((round = 1; round <= n; round++)); do
        if [ $((round % 2)) -eq 0 ]; then rm -f "$TARGET"; else rm -rf "$LINEAGE/wal"; fi
        # Whoever is started first often wins; so it is another one each time.
        SOURCES=("${SOURCES[@]:1}" "${SOURCES[0]}")
        race store "${SOURCES[@]}"
        judge_race "round $round" 4 "${SOURCES[@]}"
    done
    verdict "$kind: three contents, 4 archivers, $n rounds: one content, the others refused"
    note "won: $(for i in "${!WON[@]}"; do echo "$i ${WON[$i]}"; done | sort | tr '\n' ' ')"
    [ ${#WON[@]} -ge 2 ] && pass "$kind: and not always the same one" ||
        fail "$kind: and not always the same one"

    # Readers beside them, of a segment that takes a while.
    FILE=${FULL[0]}
    TARGET=$(target)
    found=0
    missed=0
    for ((round = 1; round <= n; round++)); do
        rm -f "$TARGET"
        (store "$POOL/$FILE" & store "$POOL/$FILE") >/dev/null 2>&1 &
        for _ in 1 2 3 4; do
            rc=0
            fetch || rc=$?
            case $rc in
            0)
                cmp -s "$WORK/back" "$POOL/$FILE" || problem "round $round: a wrong file is fetched"
                found=$((found + 1))
                ;;
            200) # a later one is there, so a miss is a hole
                [ ! -e "$WORK/back" ] || problem "round $round: half a file is at DEST"
                missed=$((missed + 1))
                ;;
            *) problem "round $round: a fetch exits with $rc: $(head -n 1 "$SCRATCH/said.back")" ;;
            esac
        done
        wait
    done
    FILE=$IDLE
    verdict "$kind: fetched beside two archivers: $found times whole, $missed times a hole"
    rm -rf "$WORK/$kind"
done

# The negative control: looks, and renames later.  It is held at the rename, so that all have looked.
mkdir "$WORK/bad"
target() { echo "$WORK/bad/$FILE"; }
fetch() { cp "$WORK/bad/$FILE" "$WORK/back"; }
held() {
    local report
    report=$(mktemp "$SCRATCH/report.XXXXXX")
    "$SCRATCH/faults" -o "$report" -w rename -a 'exec=sleep 0.3' "$SCRATCH/badstore" good "$1" \
        "$WORK/bad"
    [ "$(cut -d' ' -f3,4 "$report")" = 'exit 0' ]
}
declare -A WON=()
TARGET=$(target)
race held A B C D
judge_race control 1 A B C D
caught 'two winners' 'an archiver that looks first and renames later is caught'

done_testing
