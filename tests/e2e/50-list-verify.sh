#!/bin/bash
# Goal: `walden list` names every hole, missing history and damage of an archive that real servers
# filled, with exit status 1 and what it means for a recovery; `walden verify` finds every flipped
# byte, as deep as the keys allow; an archive that is whole is 0; and the JSON is what the schemas say.
# also: dev
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

SEGMENT=1048576

w_list() { walden list --config "$(w_conf "$1")" "${@:2}"; }
w_verify() { walden verify --config "$(w_conf "$1")" "${@:2}"; }
w_verify_open() { walden verify --config "$(w_open_conf "$1")" "${@:2}"; }

# json COMMAND...: its JSON, checked against the schema of the command, in $SCRATCH/json.
json() {
    local schema=list
    [[ $1 == w_list ]] || schema=verify
    "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/json.err"
    JSON_RC=$?
    ok "$*: the JSON is what its schema says" \
        "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/$schema.json" "$SCRATCH/json"
}
query() { jq -r "$1" "$SCRATCH/json"; }

# away NAME FILE, back: an object leaves the repository for a while.
away() {
    AWAY=$(w_object "$1" "$2")
    mv "$AWAY" "$SCRATCH/away"
}
back() { mv "$SCRATCH/away" "$AWAY"; }

# away_index NAME: the repository forgets what was in it.
away_index() { rm -r "$(w_repo "$1")"/main/*/index; }

# hook_says NAME FILE: the exit status of the restore hook.
hook_says() {
    run walden-restore --config "$(w_open_conf "$1")" "$2" "$SCRATCH/fetched"
    rm -f "$SCRATCH/fetched"
    echo "$RC"
}

# ---- the schema checker can say no --------------------------------------------------------------

test_checker() {
    local schema=$ROOT/catalog/schema/list.json check=$ROOT/tests/tools/json-schema good
    good='{"schema":1,"repository":{"path":"/r","id":"00112233445566778899aabbccddeeff",
        "sealed":false},"lineages":[],"backups":[],"dumps":[],"drills":[],"wal":[],"problems":[],
        "notes":[],"problems_omitted":0}'
    ok 'checker: an empty listing' "$check" "$schema" <(echo "$good")
    nok 'checker: a wrong schema number' "$check" "$schema" <(jq '.schema = 2' <<<"$good")
    nok 'checker: a missing member' "$check" "$schema" <(jq 'del(.notes)' <<<"$good")
    nok 'checker: an unknown member' "$check" "$schema" <(jq '.more = 1' <<<"$good")
    nok 'checker: a number as text' "$check" "$schema" <(jq '.problems_omitted = "0"' <<<"$good")
    nok 'checker: a wrong pattern' "$check" "$schema" <(jq '.repository.id = "x"' <<<"$good")
    nok 'checker: a wrong item' "$check" "$schema" <(jq '.wal = [{"timeline": 1}]' <<<"$good")
    nok 'checker: no JSON' "$check" "$schema" <(echo "{")
}

# ---- an archive with three timelines ------------------------------------------------------------

# fill NAME MAJOR [SEALED]: timeline 1, 2 out of 1, 3 out of 1 as well, each with some segments.
# Leaves SEGMENTS1, SEGMENTS2, SEGMENTS3: the names archived on each, by pg_step; and LAST1: when the
# last commit of timeline 1 was.
fill() {
    local name=$1 major=$2 i
    pg_init "$name" "$major" --wal-segsize=1 || bail 'initdb'
    "w_init${3:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'track_commit_timestamp = on'
    pg_start "$name" || bail 'the server does not start'
    pg_step "$name" 1 >/dev/null
    pg_backup_hot "$name" "$SCRATCH/$name.backup" || bail 'no base backup'
    SEGMENTS1=() SEGMENTS2=() SEGMENTS3=()
    # Records larger than a segment, too.
    for i in 2 3 4 5; do SEGMENTS1+=("$(pg_step "$name" $i $((i * 3000)))"); done
    LAST1=$(pg_sql "$name" "select to_char(timestamp at time zone 'UTC',
        'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from pg_last_committed_xact()")
    new_timeline "$name" || bail 'no timeline 2'
    for i in 6 7 8 9; do SEGMENTS2+=("$(pg_step "$name" $i)"); done
    pg_stop "$name"
    # Back to the third step of timeline 1, and on from there: timeline 3 leaves 1, too.
    pg_from_backup "$name.b" "$major" "$SCRATCH/$name.backup" "$(w_restore_command "$name")" \
        'recovery_target_timeline = 1' 'archive_mode = on' \
        "archive_command = $(pg_quote "$(w_archive_command "$name")")"
    if ! pg_start "$name.b" || ! pg_wait_promoted "$name.b"; then
        bail 'no timeline 3'
    fi
    for i in 10 11 12; do SEGMENTS3+=("$(pg_step "$name.b" $i)"); done
    pg_stop "$name.b"
}

test_whole() {
    local name=$1 what=$2
    ok "$what: list of a whole archive is 0" w_list "$name"
    like "$OUT" '^  timeline 3, left timeline 1 at [0-9A-F]+/[0-9A-F]+$' "$what: it names the branches"
    like "$OUT" 'nothing is missing' "$what: it says that all is well"
    json w_list "$name"
    is "$JSON_RC" 0 "$what: and with --json"
    is "$(query '[.wal[].timeline] | join(" ")')" '1 2 3' "$what: the timelines"
    is "$(query '[.wal[].parent] | tostring')" '[null,1,1]' "$what: their parents"
    is "$(query '.problems | length')" 0 "$what: no problems"
    is "$(query '[.wal[].segments] | add')" "$(w_names "$name" | grep -Ec '^[0-9A-F]{24}$')" \
        "$what: all segments are counted"
    is "$(query '.wal[1].start == .wal[1].switch')" true "$what: a timeline begins where it left"
    is "$(query '[.backups, .dumps, .drills] | tostring')" '[[],[],[]]' "$what: the other kinds"
    is "$(query '[.lineages[].system_id | type] | unique | join(" ")')" string \
        "$what: system identifiers are strings"
    is "$(query '[.wal[] | .first_commit <= .last_commit] | all')" true "$what: commit times"
    is "$(query '.wal[0].last_commit')" "$LAST1" "$what: the last commit is the server's"
}

test_verify_whole() {
    local name=$1 what=$2 level=$3
    ok "$what: verify of a whole archive is 0" w_verify "$name"
    like "$OUT" 'no problem was found' "$what: it says so"
    json w_verify "$name"
    is "$(query .level)" "$level" "$what: it says which level it reached"
    is "$(query '.proven_content + .proven_stored')" "$(w_names "$name" | wc -l)" \
        "$what: it read every object"
    ok "$what: with the secret key" w_verify_open "$name"
    json w_verify_open "$name"
    is "$(query .level)" content "$what: it reaches the content"
    is "$(query '.proven_content')" "$(w_names "$name" | wc -l)" "$what: of every object"
    json w_verify_open "$name" --timeline 2
    is "$(query '.proven_content' | awk '{ print ($1 > 3) }')" 1 "$what: of one timeline"
    is "$(query '.proven_content')" "$(w_names "$name" | grep -c '^00000002')" \
        "$what: of that one only"
}

# ---- what is missing ----------------------------------------------------------------------------

test_hole() {
    local name=$1 what=$2 hole=${SEGMENTS1[1]} lsn
    away "$name" "$hole"
    exits 1 "$what: list with a hole is 1" w_list "$name"
    like "$OUT" "HOLE $hole" "$what: it names the segment"
    like "$OUT" 'recovery cannot go past [0-9A-F]+/[0-9A-F]+00000 on timeline 1 \(last commit 20' \
        "$what: it says what that means"
    json w_list "$name"
    is "$JSON_RC" 1 "$what: --json is 1, too"
    is "$(query '.wal[0].holes[0].first')" "$hole" "$what: the hole in JSON"
    is "$(query '.wal[0].holes | length')" 1 "$what: it is one"
    is "$(query '[.wal[1:][].holes[]] | length')" 0 "$what: and on timeline 1 only"
    lsn=$(query '.wal[0].holes[0].start')
    is "$(wal_name 1 "$lsn" $SEGMENT)" "$hole" "$what: its LSN"
    exits 1 "$what: verify finds it, too" w_verify "$name"
    is "$(hook_says "$name" "$hole")" 200 "$what: the hook calls it a hole as well"
    back

    # The last segment that timelines 2 and 3 need of timeline 1.
    hole=${SEGMENTS1[3]}
    away "$name" "$hole"
    json w_list "$name"
    is "$(query '[.wal[0].holes[].last] | join(" ")')" "$hole" "$what: a hole before a fork"
    isnt "$(query '.wal[0].holes[-1].needed_by')" 1 "$what: the timeline that needs it is named"
    is "$(hook_says "$name" "$hole")" 200 "$what: the hook agrees"
    back
}

test_ends() {
    local name=$1 what=$2
    # The newest segment, and the oldest ones: only the index can tell.
    away "$name" "${SEGMENTS3[2]}"
    exits 1 "$what: without the newest segment it is 1" w_list "$name"
    like "$OUT" "^  GONE ${SEGMENTS3[2]}\$" "$what: it is named"
    like "$OUT" 'recovery ends at .* on timeline 3, though commits had been archived' "$what: with its cost"
    away_index "$name"
    ok "$what: without an index nobody knows" w_list "$name"
    is "$(hook_says "$name" "${SEGMENTS3[2]}")" 1 "$what: the hook agrees"
    back
    ok "$what: all is well again" w_list "$name"
    away "$name" "$(w_names "$name" | grep -E '^[0-9A-F]{24}$' | head -n 1)"
    exits 1 "$what: without the oldest segment it is 1" w_list "$name"
    like "$OUT" 'a base backup that starts before' "$what: it says what that costs"
    away_index "$name"
    ok "$what: without an index the archive begins later" w_list "$name"
    back
}

test_history() {
    local name=$1 what=$2
    away "$name" 00000002.history
    exits 1 "$what: list without a history is 1" w_list "$name"
    like "$OUT" '^  MISSING HISTORY 00000002.history' "$what: it names it"
    json w_list "$name"
    is "$(query '[.problems[] | select(.kind == "missing-history") | .name] | join(" ")')" \
        00000002.history "$what: in JSON"
    is "$(query '.wal[1].history')" missing "$what: at its timeline"
    is "$(hook_says "$name" 00000002.history)" 200 "$what: the hook agrees"
    back
}

# ---- what is damaged ----------------------------------------------------------------------------

# damage NAME FILE OFFSET: flips a byte of an object; undo puts it back.
damage() {
    DAMAGED=$(w_object "$1" "$2")
    cp -p "$DAMAGED" "$SCRATCH/undamaged"
    flip_byte "$DAMAGED" "$3"
}
undo() { mv "$SCRATCH/undamaged" "$DAMAGED"; }

test_damage() {
    local name=$1 what=$2 file=${SEGMENTS1[2]} size
    size=$(size_of "$(w_object "$name" "$file")")
    damage "$name" "$file" $((size / 2))
    exits 1 "$what: a byte of a body is found by verify" w_verify "$name"
    like "$OUT" "DAMAGED $file" "$what: it names the segment"
    like "$OUT" 'cannot go past' "$what: and what that means"
    exits 1 "$what: and with the secret key" w_verify_open "$name"
    json w_verify_open "$name"
    is "$(query '[.problems[].kind] | join(" ")')" damaged "$what: one problem"
    undo

    damage "$name" "$file" -40
    exits 1 "$what: a byte of a trailer is found by list" w_list "$name"
    like "$OUT" "DAMAGED $file" "$what: it names the segment"
    json w_list "$name"
    is "$(query '.wal[0].damaged[0].segment')" "$file" "$what: in JSON"
    is "$(query '[.wal[].holes[]] | length')" 0 "$what: it is no hole"
    undo

    damage "$name" 00000003.history 30
    exits 1 "$what: a damaged history is found" w_list "$name"
    like "$OUT" '00000003.history' "$what: it is named"
    undo

    # One segment under another's name.
    DAMAGED=$(w_object "$name" "$file")
    cp -p "$DAMAGED" "$SCRATCH/undamaged"
    cp "$(w_object "$name" "${SEGMENTS1[0]}")" "$DAMAGED"
    exits 1 "$what: a segment under another name is found" w_list "$name"
    like "$OUT" "REFUSED $file" "$what: it is not trusted"
    undo

    DAMAGED=$(w_object "$name" "$file")
    cp -p "$DAMAGED" "$SCRATCH/undamaged"
    : >"$DAMAGED"
    exits 1 "$what: an empty object is found" w_list "$name"
    undo
    if [ "$EUID" -ne 0 ]; then
        chmod 0 "$(w_object "$name" "$file")"
        exits 1 "$what: an object that cannot be read is found" w_list "$name"
        like "$OUT" "DAMAGED $file" "$what: it is named"
        chmod 600 "$(w_object "$name" "$file")"
    fi
    ok "$what: all is well again" w_verify_open "$name"
}

# What should not be there.
test_strays() {
    local name=$1 what=$2 dir
    dir=$(dirname "$(w_object "$name" "${SEGMENTS1[0]}")")
    echo x >"$dir/README"
    cp "$(w_object "$name" "${SEGMENTS2[0]}")" "$dir/"
    exits 1 "$what: files that do not belong there are found" w_list "$name"
    like "$OUT" 'MISPLACED .*README' "$what: a foreign one"
    like "$OUT" "MISPLACED .*${SEGMENTS2[0]}" "$what: a segment of another timeline"
    rm "$dir/README" "$dir/${SEGMENTS2[0]}"

    echo x >"$dir/.tmp.0.${SEGMENTS1[0]}"
    ok "$what: a dead writer's file is no problem" w_verify "$name"
    like "$OUT" 'note .*\.tmp\.0' "$what: but it is mentioned"
    flock -x "$dir/.tmp.0.${SEGMENTS1[0]}" walden list --config "$(w_conf "$name")" \
        >"$SCRATCH/listed"
    unlike "$(cat "$SCRATCH/listed")" '\.tmp\.0' "$what: a living one's is not"
    ok "$what: verify removes nothing" test -f "$dir/.tmp.0.${SEGMENTS1[0]}"
    rm "$dir/.tmp.0.${SEGMENTS1[0]}"
}

# WAL that was broken when the server offered it.
test_broken_wal() {
    local name=$1 what=$2 file
    # The segment of timeline 3 that comes next, made of the last one: fetched, renamed, broken.
    file=${SEGMENTS3[2]}
    walden-restore --config "$(w_open_conf "$name")" "$file" "$SCRATCH/$file" || bail 'no segment'
    away "$name" "$file"
    flip_byte "$SCRATCH/$file" 9000
    w_push "$name.b" "$name" "$SCRATCH/$file" 2>/dev/null
    exits 1 "$what: WAL that was damaged on arrival" w_list "$name"
    like "$OUT" "DAMAGED WAL $file" "$what: it is named"
    like "$OUT" 'damaged already when it was archived: at [0-9A-F]+/[0-9A-F]+, ' "$what: with the place"
    json w_list "$name"
    is "$(query '.wal[2].damaged[0].kind')" damaged-wal "$what: in JSON"
    exits 1 "$what: verify says the same" w_verify_open "$name"
    is "$(grep -c 'DAMAGED\|SUMMARY' <<<"$OUT")" 1 "$what: and no more"
    rm "$(w_object "$name" "$file")" "$SCRATCH/$file"
    back
}

# ---- without keys, clusters, errors -------------------------------------------------------------

test_keys() {
    local name=$1 what=$2 keys conf=$SCRATCH/look.conf
    keys=$(w_keys "$name")
    grep -Ev '^(secret_key|host_key|recipients)' "$(w_conf "$name")" >"$conf"
    exits 1 "$what: without any key nothing is believed" walden list --config "$conf"
    ok "$what: the recovery key's public half is enough to list" \
        walden list --config "$conf" --recipients "$keys/recovery.pub"
    ok "$what: and to check digests and signatures" \
        walden verify --config "$conf" --recipients "$keys/recovery.pub"
    like "$OUT" 'digest and signature only' "$what: it says so"
    damage "$name" "${SEGMENTS2[1]}" 300
    exits 1 "$what: damage is found without any secret" \
        walden verify --config "$conf" --recipients "$keys/recovery.pub"
    undo
}

test_choices() {
    local name=$1 other=$SCRATCH/$1.repo/main/77
    exits 2 'an unknown cluster is a mistake' w_list "$name" --cluster nobody
    ok 'a known one is not' w_list "$name" --cluster main
    exits 2 'an unknown system identifier is a mistake' w_list "$name" --system-id 12
    exits 3 'no repository: cannot tell' walden list --config "$(w_conf "$name")" --repo /nowhere
    exits 2 'a wrong option' w_list "$name" --no-such
    exits 2 'an operand' w_list "$name" more
    exits 2 'timeline 0' w_verify "$name" --timeline 0
    mkdir "$other"
    exits 1 'a lineage without its file is a problem' w_list "$name"
    like "$OUT" 'LINEAGE main/77' 'it is named'
    like "$OUT" 'timeline 3' 'the others are shown all the same'
    rmdir "$other"
    mkdir "$(w_repo "$name")/lost+found"
    ok 'lost+found is none of ours' w_list "$name"
    rmdir "$(w_repo "$name")/lost+found"
}

test_empty() {
    pg_init empty "$1" || bail 'initdb'
    w_init empty "$(pg_data empty)" || bail 'walden init'
    ok 'nothing to list is 0' w_list empty
    like "$OUT" 'nothing is archived here yet' 'and said'
    json w_list empty
    is "$(query '.wal | length')" 0 'no timeline'
    ok 'nothing to verify is 0' w_verify empty
    json w_verify empty
    is "$(query .level)" none 'at no level'
}

newest=$(pg_majors | tail -n 1)
oldest=$(pg_majors | head -n 1)

test_checker
test_empty "$newest"
fill plain "$oldest"
test_whole plain "$oldest, plain"
test_verify_whole plain "$oldest, plain" content
test_hole plain "$oldest, plain"
test_ends plain "$oldest, plain"
test_history plain "$oldest, plain"
test_damage plain "$oldest, plain"
test_strays plain "$oldest, plain"
test_broken_wal plain "$oldest, plain"
test_choices plain
fill sealed "$newest" sealed
test_whole sealed "$newest, sealed"
test_verify_whole sealed "$newest, sealed" stored
test_hole sealed "$newest, sealed"
test_history sealed "$newest, sealed"
test_damage sealed "$newest, sealed"
test_broken_wal sealed "$newest, sealed"
test_keys sealed "$newest, sealed"

done_testing
