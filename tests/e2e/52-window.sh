#!/bin/bash
# Goal: `walden window` says in clock time what can be restored, and it is so: times inside a window are
# planned, times in a gap are refused; each segment that is taken away in turn is named by window,
# list, verify and restore, whether it leaves a hole or was the first or the last; so is a base backup.
# Whatever becomes of the index, all commands say the same.
# when: quick
# also: dev
# timeout: 900
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

w_window() { walden window --config "$(w_conf "$1")" "${@:2}"; }
w_list() { walden list --config "$(w_conf "$1")" "${@:2}"; }
# w_plan NAME ARGUMENT...
w_plan() { walden restore --config "$(w_open_conf "$1")" -D "$SCRATCH/copy" --dry-run "${@:2}"; }
query() { jq -r "$1" "$SCRATCH/json"; }

# json NAME: what window says as JSON.
json() {
    w_window "$1" --offline --json >"$SCRATCH/json" 2>"$SCRATCH/json.err"
    JSON_RC=$?
    ok 'the JSON is what its schema says' \
        "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/window.json" "$SCRATCH/json"
}

labels() { find "$(w_repo "$1")" -path '*/backup/*' -type f -printf '%f\n' | sort; }
backup() {
    local before
    before=$(labels "$1")
    pg_env "$1" walden-basebackup --config "$(w_conf "$1")" --fast >"$SCRATCH/.backup" 2>&1 ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
    LABEL=$(comm -13 <(echo "$before") <(labels "$1"))
}

# micros TIME, utc MICROSECONDS: between RFC 3339 and microseconds.
micros() { date -u -d "$1" +%s%6N; }
utc() { date -u -d "@${1:0:-6}.${1: -6}" +%Y-%m-%dT%H:%M:%S.%6NZ; }

away() {
    AWAY=$1
    mv "$AWAY" "$SCRATCH/away"
}
back() { mv "$SCRATCH/away" "$AWAY"; }

fill() {
    local name=$1 i
    pg_init "$name" "$2" --wal-segsize=1 || bail 'initdb'
    "w_init${3:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    mkdir -p "$SCRATCH/copy"
    exits 1 'before anything is archived it is 1' w_window "$name"
    like "$OUT" 'NOTHING CAN BE RESTORED: there is no base backup' 'and says what is missing'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'max_wal_senders = 5'
    pg_start "$name" || bail 'the server does not start'
    pg_sql "$name" 'create table t (i int)' || bail 'no table'
    backup "$name"
    FIRST=$LABEL
    for i in 1 2 3; do
        pg_sql "$name" "insert into t values ($i)" && pg_switch "$name" >/dev/null || bail 'no WAL'
    done
    backup "$name"
    SECOND=$LABEL
    for i in 4 5 6; do
        pg_sql "$name" "insert into t values ($i)" && pg_switch "$name" >/dev/null || bail 'no WAL'
    done
}

test_well() {
    local name=$1 what=$2 start end i time
    ok "$what: with backups it is 0" pg_env "$name" walden window --config "$(w_conf "$name")"
    like "$OUT" '^You can go back to any moment' "$what: it says so"
    like "$OUT" '^If the server were lost now: what came after ' "$what: and what would be lost"
    like "$OUT" '^The server has written ' "$what: which the server knows best"
    unlike "$OUT" 'NOT RESTORABLE' "$what: there is no gap"
    ok "$what: offline too" w_window "$name" --offline
    is "$(awk 'length > 80' <<<"$(walden window --config "$(w_conf "$name")" --offline --ascii |
        grep -E '^  (TL|full)|restorable   !')")" '' "$what: the picture fits 80 columns"
    is "$(walden window --config "$(w_conf "$name")" --offline --ascii | LC_ALL=C grep -c '[^ -~]')" 0 \
        "$what: in ASCII when asked to"
    is "$(COLUMNS=50 walden window --config "$(w_conf "$name")" --offline | grep -c '^  TL')" 0 \
        "$what: narrow terminals get the sentences only"
    json "$name"
    is "$JSON_RC" 0 "$what: in JSON"
    is "$(query '.windows | length')" 1 "$what: one window"
    is "$(query '.windows[0].backups | join(" ")')" "$FIRST $SECOND" "$what: from both backups"
    is "$(query '.gaps | length')" 0 "$what: no gap"
    is "$(query '.windows[0] | .timeline == 1 and .newest and .ends == "end"')" true "$what: the newest"
    start=$(micros "$(query '.windows[0].start_time')")
    end=$(micros "$(query '.windows[0].end_time')")
    for i in 0 1 2 3 4 5; do
        time=$(utc $((start + (end - start - 1) * i / 5)))
        ok "$what: $time is planned" w_plan "$name" --target-time "$time"
    done
    exits 1 "$what: a time before it is not" w_plan "$name" --target-time "$(utc $((start - 60000000)))"
    exits 1 "$what: nor a time behind it" w_plan "$name" --target-time "$(utc $((end + 60000000)))"
}

# Every segment from the first backup's on, one after the other.
test_each() {
    local name=$1 what=$2 segment from to time last second
    last=$(w_names "$name" | grep -E '^[0-9A-F]{24}$' | tail -n 1)
    second=$(walden list --config "$(w_conf "$name")" --json |
        jq -r ".backups[] | select(.label == \"$SECOND\") | .stop_time")
    while read -r segment; do
        away "$(w_object "$name" "$segment")"
        exits 1 "$what: without $segment window is 1" w_window "$name" --offline
        like "$OUT" "$segment" "$what: it is named"
        exits 1 "$what: list says so, too" w_list "$name"
        like "$OUT" "(HOLE|GONE) .*$segment" "$what: by name"
        exits 1 "$what: and verify" walden verify --config "$(w_conf "$name")"
        like "$OUT" "(HOLE|GONE) .*$segment" "$what: by name"
        json "$name"
        from=$(query '.gaps[0].from_time // empty')
        to=$(query '.gaps[0].to_time // empty')
        if [ -n "$from" ] && [ -n "$to" ] && [ "$to" \> "$from" ]; then
            time=$(utc $((($(micros "$from") + $(micros "$to")) / 2)))
            exits 1 "$what: $time in the gap is refused" w_plan "$name" --target-time "$time"
            is "$(query '.gaps[0].segment')" "$segment" "$what: because of that segment"
        fi
        if [ "$segment" != "$last" ] && [ "$(query '.windows[-1].backups | join(" ")')" = "$SECOND" ]; then
            is "$(query '[.windows[-1].start_time >= "'"$second"'"] | all')" true \
                "$what: what follows the second backup is covered"
        fi
        back
    done < <(w_names "$name" | grep -E '^[0-9A-F]{24}$' | tail -n 7)
    # Moving it changed its time: it is opened again, and all is well.
    ok "$what: all is well again" w_window "$name" --offline
}

test_backup_gone() {
    local name=$1 what=$2
    away "$(find "$(w_repo "$name")" -path "*/backup/$FIRST")"
    exits 1 "$what: a backup that vanished is a problem" w_window "$name" --offline
    like "$OUT" "GONE backup $FIRST" "$what: it is named"
    exits 1 "$what: list says so, too" w_list "$name"
    back
}

test_index() {
    local name=$1 what=$2 file size want i
    file=$(echo "$(w_repo "$name")"/main/*/index/*)
    json "$name"
    want=$(query '[.windows, .gaps, .problems] | tostring')
    size=$(stat -c %s "$file")
    cp "$file" "$SCRATCH/index"
    for i in 0 $((size / 3)) $((size - 20)); do
        flip_byte "$file" "$i"
        json "$name"
        is "$(query '[.windows, .gaps, .problems] | tostring')" "$want" "$what: byte $i of the index is wrong"
        cp "$SCRATCH/index" "$file"
    done
    truncate -s $((size / 2)) "$file"
    json "$name"
    is "$(query '[.windows, .gaps, .problems] | tostring')" "$want" "$what: half of the index is gone"
    : >"$file"
    json "$name"
    is "$(query '[.windows, .gaps, .problems] | tostring')" "$want" "$what: the index is empty"
    rm -r "${file%/*}"
    json "$name"
    is "$(query '[.windows, .gaps, .problems] | tostring')" "$want" "$what: there is no index"
    ok "$what: it was made again" test -s "$file"
    ok "$what: and archiving goes on" pg_switch "$name"
    json "$name"
    isnt "$(query '.windows[0].end_lsn')" null "$what: and is seen"
}

versions=(17:plain: 18:sealed:sealed)
if w_is_dev; then versions=(18:sealed:sealed); fi
for version in "${versions[@]}"; do
    IFS=: read -r major name sealed <<<"$version"
    fill "$name" "$major" "$sealed"
    test_well "$name" "$major, $name"
    test_each "$name" "$major, $name"
    test_backup_gone "$name" "$major, $name"
    test_index "$name" "$major, $name"
    pg_stop "$name"
done
done_testing
