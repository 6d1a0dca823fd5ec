#!/bin/bash
# Goal: `walden verify` puts on record what it read; runs over one part of n read everything between
# them and no part finds what is in another; an interrupted run is gone on with; several threads find
# what one finds; what is on record survives neither forgery nor more than 64 runs; nothing is ever
# deleted.
# when: quick
# also: dev
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

w_verify() { walden verify --config "$(w_conf "$1")" "${@:2}"; }
# json NAME [ARGUMENT...]: into $SCRATCH/json, exit status in JSON_RC.
json() {
    w_verify "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/json.err"
    JSON_RC=$?
    "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/verify.json" "$SCRATCH/json" >&2 ||
        fail "verify ${*:2}: the JSON is not what its schema says"
}
query() { jq -r "$1" "$SCRATCH/json"; }
records() { find "$(w_repo "$1")" -path '*/verify/*' -type f ! -name '.*'; }
# objects NAME: all files but the records and the index, which is derived, so that any change of them shows.
objects() { w_tree "$1" | grep -v -e /verify/ -e /index/; }

fill() {
    local name=$1 major=$2 i
    pg_init "$name" "$major" --wal-segsize=1 -k || bail initdb
    "w_init${3:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    mkdir -p "$SCRATCH/$name.state"
    echo "state_dir = $SCRATCH/$name.state" >>"$(w_conf "$name")"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off'
    pg_start "$name" || bail 'the server does not start'
    for i in 1 2 3; do
        pg_sql "$name" "create table t$i as select i, md5(i::text) from generate_series(1, 20000) i" >/dev/null
        pg_env "$name" walden-basebackup --config "$(w_conf "$name")" --fast >"$SCRATCH/.backup" 2>&1 ||
            bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
    done
    pg_switch "$name" >/dev/null
    pg_stop "$name" || bail 'the server does not stop'
}

major=$(pg_majors | tail -n 1)
fill plain "$major"

# ---- the record ---------------------------------------------------------------------------------

before=$(objects plain)
json plain
is "$JSON_RC $(query '.runs[0] | "\(.part)/\(.parts) \(.level) \(.findings) \(.recorded)"')" \
    '0 1/1 records 0 true' 'a whole run is recorded'
all=$(query '.runs[0].objects')
is "$(records plain | wc -l)" 1 'in one object'
is "$(objects plain)" "$before" 'and changes nothing else'
like "$(w_verify plain)" 'recorded in the repository' 'the text says so'
json plain --jobs 1
is "$(query '.runs[0].objects')" "$all" 'one thread reads as many objects as several'
json plain --timeline 1
is "$(query '.runs[0].recorded')" false 'a run over one timeline is not recorded'

# ---- parts --------------------------------------------------------------------------------------

sum=0
parts=
for i in 1 2 3; do
    json plain --sample 1/3
    parts+="$(query '.runs[0] | "\(.part)/\(.parts)"') $JSON_RC "
    sum=$((sum + $(query '.runs[0].objects')))
done
is "$parts" '1/3 0 2/3 0 3/3 0 ' 'three runs take the three parts in turn'
is "$sum" "$all" 'and read as many objects together as a whole run'
json plain --sample 3
is "$(query '.runs[0].part')" 1 'the fourth begins anew'

victim=$(w_object plain "$(w_names plain | grep -E '^[0-9A-F]{24}$' | sed -n 5p)")
cp -p "$victim" "$SCRATCH/spare"
flip_byte "$victim" $(($(size_of "$victim") / 2))
found=
for i in 1 2 3; do
    json plain --sample 1/3
    found+="$JSON_RC:$(query '[.problems[] | select(.kind == "damaged")] | length') "
done
is "$(tr ' ' '\n' <<<"$found" | sort | tr -d '\n')" 0:00:01:1 \
    "a damaged segment is found in exactly one part ($found)"
like "$(w_verify plain --jobs 3 2>&1)" "$(basename "$victim")" 'and by name, by a whole run of several threads'
cp -p "$SCRATCH/spare" "$victim"

pack=$(find "$(w_repo plain)" -path '*/pack/*' -type f -printf '%s %p\n' | sort -rn | head -n 1 | cut -d' ' -f2-)
cp -p "$pack" "$SCRATCH/spare"
flip_byte "$pack" $(($(size_of "$pack") / 3))
found=
for i in 1 2 3; do
    json plain --sample 1/3
    found+="$JSON_RC "
done
like "$found" 1 "a damaged pack is found by one of three parts at least ($found)"
cp -p "$SCRATCH/spare" "$pack"

# ---- interrupted --------------------------------------------------------------------------------

# Slow enough to be caught half-way, one object at a time.
log=("$SCRATCH"/plain.state/verify-*)
is "${#log[@]}-$([ -e "${log[0]}" ] && echo there)" 1- 'a run that was finished leaves no log'
if w_is_dev; then
    : # strace and the sanitizers disturb each other
elif command -v strace >/dev/null && strace -qq -e trace=none true 2>/dev/null; then
    strace -qq -f -o /dev/null -e trace=pread64 -e inject=pread64:delay_exit=20000 \
        "$TEST_BIN/walden" verify --config "$(w_conf plain)" --jobs 1 >"$SCRATCH/out" 2>&1 &
    tracer=$!
    log_grows() { [ "$(cat "$SCRATCH"/plain.state/verify-* 2>/dev/null | wc -l)" -gt 3 ]; }
    wait_for 30 log_grows || bail 'nothing is logged'
    kill -TERM "$(pgrep -P "$tracer" | head -n 1)"
    wait "$tracer"
    is "$?" 130 'an interrupted run is 130'
    like "$(cat "$SCRATCH/out")" 'goes on where this one stopped' 'and says that it can be gone on with'
    json plain
    resumed=$(query '.runs[0].resumed')
    ok "the next run goes on ($resumed of $all had been read)" test "$resumed" -gt 0
    is "$JSON_RC $(query '.runs[0].objects')" "0 $all" 'and together they read everything'
    json plain
    is "$(query '.runs[0].resumed')" 0 'the one after it begins anew'
else
    skip 6 'no strace here'
fi

# ---- sealed -------------------------------------------------------------------------------------

fill sealed "$major" sealed
json sealed
is "$JSON_RC $(query '.runs[0] | "\(.level) \(.recorded)"')" '0 stored true' \
    'without the secret key the level is that of digests and signatures'
walden verify --config "$(w_open_conf sealed)" --json >"$SCRATCH/json"
is "$? $(query '.runs[0] | "\(.level) \(.recorded)"')" '0 records true' 'with it the content is proven'
is "$(records sealed | wc -l)" 2 'both are on record'
grep -v '^host_key' "$(w_open_conf sealed)" >"$SCRATCH/nohost.conf"
walden verify --config "$SCRATCH/nohost.conf" --json >"$SCRATCH/json" 2>&1
is "$? $(query '.runs[0].recorded')" '0 false' 'without the host key nothing can be recorded'
like "$(walden verify --config "$SCRATCH/nohost.conf" --sample 1/2 2>&1)" \
    'not recorded in the repository: no host key is here' 'and that is said'

done_testing
