#!/bin/bash
# Goal: `walden list` shows every base backup of a real server and says when one cannot be restored by
# itself; `walden verify` rebuilds every file of every backup, finds a flipped byte anywhere in a pack
# or a manifest, a pack that is gone or cut short, and names the backups and files that it costs, as
# deep as the keys allow; the entries it found damaged are stored afresh by the next backup.
# also: dev
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

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

# backup NAME [ARGUMENT...]: takes one, and leaves its label in LABEL.
backup() {
    local before
    before=$(labels "$1")
    pg_env "$1" walden-basebackup --config "$(w_conf "$1")" --fast "${@:2}" >"$SCRATCH/.backup" 2>&1 ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
    LABEL=$(comm -13 <(echo "$before") <(labels "$1"))
}
labels() { find "$(w_repo "$1")" -path '*/backup/*' -type f -printf '%f\n' | sort; }
# packs NAME: the paths of its packs, the largest first.
packs() { find "$(w_repo "$1")" -path '*/pack/*' -type f -printf '%s %p\n' | sort -rn | cut -d' ' -f2-; }

# spoil FILE OFFSET: flips a byte; spare FILE before whatever else; mend puts the file back.
spare() {
    SPOILED=$1
    cp -p "$1" "$SCRATCH/spare"
}
spoil() {
    spare "$1"
    flip_byte "$1" "$2"
}
mend() { mv -f "$SCRATCH/spare" "$SPOILED"; }

# A server with two backups: FIRST and SECOND.
fill() {
    local name=$1 major=$2
    pg_init "$name" "$major" -k || bail 'initdb'
    "w_init${3:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'max_wal_senders = 5'
    pg_start "$name" || bail 'the server does not start'
    pg_sql "$name" 'create table t as select i, md5(i::text) from generate_series(1, 20000) i' ||
        bail 'no table'
    backup "$name"
    FIRST=$LABEL
    pg_sql "$name" 'create table u as select i, md5(i::text) from generate_series(1, 5000) i;
        update t set i = i where i < 100' || bail 'no second table'
    backup "$name" --tag before-it
    SECOND=$LABEL
    if [ -z "$FIRST" ] || [ -z "$SECOND" ]; then bail 'no labels'; fi
}

test_list() {
    local name=$1 what=$2 major=$3 segment
    ok "$what: list is 0" w_list "$name"
    like "$OUT" "^  backup $FIRST$" "$what: it names the first backup"
    like "$OUT" "^  backup $SECOND, \"before-it\"$" "$what: and the second with its tag"
    like "$OUT" "^      server   $major\.[0-9]+ primary$" "$what: the server's version"
    like "$OUT" 'its WAL is archived' "$what: it can be restored by itself"
    json w_list "$name"
    is "$(query '[.backups[].label] | join(" ")')" "$FIRST $SECOND" "$what: oldest first"
    is "$(query '[.backups[] | .restorable, .from_standby, .wal_inside] | tostring')" \
        '[true,false,false,true,false,false]' "$what: what they are"
    is "$(query '.backups[1].tag')" 'before-it' "$what: the tag"
    is "$(query '.backups[0].server_version / 10000 | floor')" "$major" "$what: the version"
    is "$(query '[.backups[] | .start_time < .stop_time] | all')" true "$what: times"
    is "$(query '.backups | .[1].stored_bytes < .[0].stored_bytes and .[0].stored_bytes > 0')" true \
        "$what: the second stored less"

    # The WAL between start and stop of the first one.
    segment=$(wal_name 1 "$(query '.backups[0].start')" 16777216)
    spare "$(w_object "$name" "$segment")"
    rm "$SPOILED"
    exits 1 "$what: a backup without its WAL is a problem" w_list "$name"
    like "$OUT" "^  BACKUP backup/$FIRST$" "$what: it is named"
    like "$(flat "$OUT")" "segment $segment is missing" "$what: with the segment"
    like "$OUT" "backup $FIRST cannot be restored" "$what: and what it means"
    unlike "$OUT" "backup $SECOND cannot be restored" "$what: the other one is not affected"
    json w_list "$name"
    is "$JSON_RC" 1 "$what: and in JSON"
    is "$(query '[.backups[].restorable] | tostring')" '[false,true]' "$what: which one"
    like "$(query '.backups[0].reason')" "segment $segment is missing" "$what: and why"
    is "$(query '.backups[1].reason')" null "$what: for the other there is no reason"
    mend
}

test_whole() {
    local name=$1 what=$2 level=$3
    ok "$what: verify is 0" w_verify "$name"
    like "$OUT" 'no problem was found' "$what: it says so"
    json w_verify "$name"
    is "$(query .level)" "$level" "$what: the level it reached"
    is "$(query '.backups | "\(.looked_at) \(.whole)"')" '2 2' "$what: both backups were proven"
    is "$(query .backups.packs)" "$(packs "$name" | wc -l)" "$what: every pack was read"
    ok "$what: with the secret key" w_verify_open "$name"
    like "$OUT" '^rebuilt: 2 base backups, ' "$what: both were rebuilt"
    json w_verify_open "$name"
    is "$(query .level)" content "$what: to the content"
    is "$(query .backups.rebuilt)" 2 "$what: and both rebuilt"
    json w_list "$name"
    cp "$SCRATCH/json" "$SCRATCH/listed"
    json w_verify_open "$name"
    is "$(query .backups.files)" "$(jq '[.backups[].files] | add' "$SCRATCH/listed")" \
        "$what: every file that list tells of"
    is "$(query .backups.bytes)" "$(jq '[.backups[].bytes] | add' "$SCRATCH/listed")" \
        "$what: every byte of them"
}

# says NAME WHAT REGEX...: verify finds it at both levels and exits 1.
says() {
    local name=$1 what=$2 verify text
    shift 2
    for verify in w_verify w_verify_open; do
        exits 1 "$what: found ($verify)" "$verify" "$name"
        for text in "$@"; do like "$(flat "$OUT")" "$text" "$what: it says \"$text\" ($verify)"; done
    done
}

test_packs() {
    local name=$1 what=$2 pack id size manifest offset dir
    pack=$(packs "$name" | head -n 1)
    id=$(basename "$pack")
    size=$(size_of "$pack")
    for offset in 20 60 $((size - 4)) $((size - 40)) $((size - 300)); do
        spoil "$pack" "$offset"
        says "$name" "$what, pack byte $offset" "(DAMAGED|REFUSED) pack/$id" \
            'cannot be restored whole: ' "^  BACKUP backup/$FIRST" 'whole: files .*, .* and [0-9]+ more'
        mend
    done
    spare "$pack"
    rm "$pack"
    says "$name" "$what, pack removed" "MISSING PACK pack/$id" "^  BACKUP backup/$FIRST" \
        "backup $FIRST cannot be restored whole: files .*, .* and [0-9]+ more"
    exits 1 "$what, pack removed: list knows" w_list "$name"
    like "$OUT" "^  BACKUP backup/$FIRST$" "$what, pack removed: list names the backup"
    json w_list "$name"
    is "$(query '.backups[0].restorable')" false "$what, pack removed: in JSON"
    like "$(query '.backups[0].reason')" 'packs that it needs (is|are) missing' \
        "$what, pack removed: and why"
    mend
    spare "$pack"
    truncate -s $((size - 1000)) "$pack"
    says "$name" "$what, pack cut short" "DAMAGED pack/$id" "^  BACKUP backup/$FIRST"
    mend
    spare "$pack"
    : >"$pack"
    says "$name" "$what, pack empty" "DAMAGED pack/$id" "^  BACKUP backup/$FIRST"
    mend

    manifest=$(find "$(w_repo "$name")" -path "*/backup/$SECOND")
    size=$(size_of "$manifest")
    for offset in 30 $((size / 2)) $((size - 20)); do
        spoil "$manifest" "$offset"
        says "$name" "$what, manifest byte $offset" "(DAMAGED|REFUSED) backup/$SECOND" \
            "backup $SECOND cannot be restored; use another one"
        unlike "$OUT" "backup $FIRST cannot" "$what, manifest byte $offset: the other is sound"
        mend
    done
    spare "$manifest"
    truncate -s $((size - 100)) "$manifest"
    exits 1 "$what, manifest cut short: list knows" w_list "$name"
    like "$OUT" "DAMAGED backup/$SECOND" "$what, manifest cut short: it is named"
    like "$(flat "$OUT")" "^  backup $SECOND CANNOT BE RESTORED: .+" \
        "$what, manifest cut short: it is among the backups, with the reason"
    json w_list "$name"
    is "$(query '.backups[] | select(.label == "'"$SECOND"'") | "\(.restorable) \(.reason | length > 10)"')" \
        'false true' "$what, manifest cut short: in JSON"
    mend
    dir=$(dirname "$manifest")
    echo x >"$dir/README"
    echo x >"$(dirname "$pack")/README"
    exits 1 "$what: strays" w_verify "$name"
    like "$OUT" 'MISPLACED backup/README' "$what: among the manifests"
    like "$OUT" 'MISPLACED pack/README' "$what: among the packs"
    rm "$dir/README" "$(dirname "$pack")/README"
    ok "$what: all is well again" w_verify_open "$name"
    nok "$what: nothing is on record" test -e "$(dirname "$dir")/damaged"
}

# A byte of an entry: named, put on record, and stored afresh by the next backup.
test_heal() {
    local name=$1 what=$2 verify=$3 pack id damaged file third
    pack=$(packs "$name" | head -n 1)
    id=$(basename "$pack")
    damaged=$(dirname "$(dirname "$pack")")/damaged
    flip_byte "$pack" $(($(size_of "$pack") / 2))
    says "$name" "$what, entry" "DAMAGED pack/$id" '^      1 of its [0-9]+ entries is damaged \(' \
        " 2 backups cannot be restored whole: $FIRST, $SECOND" \
        " backup $FIRST cannot be restored whole: files? .+" \
        " backup $SECOND cannot be restored whole: files? .+"
    file=$(flat "$OUT" | sed -nE "s/.* backup $FIRST cannot be restored whole: files? ([^ ,]+).*/\1/p" | head -n 1)
    ok "$what, entry: the file that it names is the server's" test -s "$(pg_data "$name")/$file"
    rm -f "$damaged"
    exits 1 "$what, entry: again" "$verify" "$name"
    like "$OUT" 'damaged pack entries: 1; they are on record' "$what, entry: it is on record"
    is "$(grep -c "^entry $id " "$damaged")" 1 "$what, entry: in the list"
    json "$verify" "$name"
    is "$(query '.backups | "\(.damaged_entries) \(.recorded_entries)"')" '1 1' "$what, entry: in JSON"
    is "$(grep -c '^entry ' "$damaged")" 1 "$what, entry: once"

    backup "$name"
    third=$LABEL
    exits 1 "$what: after the next backup" w_verify_open "$name"
    unlike "$OUT" "$third" "$what: the new backup is sound"
    like "$OUT" '^rebuilt: 1 base backup, ' "$what: and was rebuilt"
    json w_list "$name"
    is "$(query ".backups[-1] | .label + \" \" + (.stored_bytes > 8000 | tostring)")" "$third true" \
        "$what: it stored the pages again"
}

# A backup that holds its own WAL needs none in the archive, and the WAL in it is proven as well.
test_inside() {
    local name=$1 what=$2 kept segment
    backup "$name" --wal=stream
    json w_list "$name"
    is "$(query ".backups[] | select(.label == \"$LABEL\") | [.wal_inside, .restorable] | tostring")" \
        '[true,true]' "$what: a backup with its WAL inside"
    segment=$(wal_name 1 "$(query ".backups[] | select(.label == \"$LABEL\") | .start")" 16777216)
    pg_switch "$name" >/dev/null
    pg_wait_archived "$name" "$segment" || bail 'not archived'
    rm "$(w_object "$name" "$segment")"
    exits 1 "$what: its segment leaves a hole in the archive" w_list "$name"
    like "$OUT" "^  HOLE $segment" "$what: that is named"
    unlike "$OUT" "backup $LABEL cannot" "$what: but the backup does not need it"
    kept=$(find "$(w_repo "$name")" -path '*/pack/*' -type f -newer "$(w_object "$name" "$FIRST")" \
        -printf '%T@ %p\n' | sort -n | cut -d' ' -f2-)
    exits 1 "$what: verify of it all" w_verify_open "$name"
    unlike "$OUT" "backup $LABEL cannot" "$what: the backup is sound"
    while read -r SPOILED; do
        spare "$SPOILED"
        rm "$SPOILED"
        run w_verify_open "$name"
        mend
        flat "$OUT" | grep -Eq "backup $LABEL cannot be restored whole: files? pg_wal/$segment( |$)" && break
    done <<<"$kept"
    like "$(flat "$OUT")" "backup $LABEL cannot be restored whole: files? pg_wal/$segment" \
        "$what: without the pack of its WAL it is named with that file"
}

# Who may not write it says so.
test_no_record() {
    local name=$1 conf=$SCRATCH/look.conf
    grep -v '^host_key' "$(w_open_conf "$name")" >"$conf"
    rm -f "$(dirname "$(dirname "$(packs "$name" | head -n 1)")")/damaged"
    exits 1 'without a host key' walden verify --config "$conf"
    like "$OUT" 'not put on record here: no host key is here' 'it says that nothing was recorded'
    unlike "$(find "$(w_repo "$name")" -name damaged)" . 'and nothing was'
    # Nothing but the recovery key's public half: the packs are named, and the backups.
    grep -Ev '^(secret_key|host_key|recipients)' "$(w_conf "$name")" >"$conf"
    exits 1 'without any secret' walden verify --config "$conf" \
        --recipients "$(w_keys "$name")/recovery.pub"
    like "$(flat "$OUT")" "backup $FIRST cannot be restored whole; which files" 'the backup is named all the same'
    like "$OUT" '1 of its [0-9]+ entries is damaged' 'and the entry'
}

newest=$(pg_majors | tail -n 1)
oldest=$(pg_majors | head -n 1)

if ! w_is_dev; then
    fill plain "$oldest"
    test_list plain "$oldest, plain" "$oldest"
    test_whole plain "$oldest, plain" content
    test_packs plain "$oldest, plain"
    test_heal plain "$oldest, plain" w_verify
    test_inside plain "$oldest, plain"
fi
fill sealed "$newest" sealed
test_list sealed "$newest, sealed" "$newest"
test_whole sealed "$newest, sealed" stored
test_packs sealed "$newest, sealed"
test_heal sealed "$newest, sealed" w_verify
test_no_record sealed
test_inside sealed "$newest, sealed"

done_testing
