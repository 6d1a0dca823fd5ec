#!/bin/bash
# Goal: what `walden verify` found stands beside what is shown: `list` says of each backup when it was read
# and how deep, and it and `window` are 1 while something is known to be damaged, though a look at headers shows nothing;
# what was mended and read again is forgotten.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

pg_init v 17 --wal-segsize=1 || bail 'initdb'
w_init v "$(pg_data v)" || bail 'walden init'
pg_archive v "$(w_archive_command v)"
pg_start v || bail 'no server'
c=(--config "$(w_conf v)")
pg_sql v 'create table t as select i, repeat(md5(i::text), 9) from generate_series(1, 5000) i'
pg_env v walden-basebackup --fast "${c[@]}" >"$SCRATCH/backup" 2>&1 || bail "$(cat "$SCRATCH/backup")"
pg_sql v 'insert into t select i, repeat(md5(i::text), 9) from generate_series(1, 5000) i'
name=$(pg_switch v)
pg_wait_archived v "$name"

# known: level and "damaged" of the only backup; the JSON is what its schema says.
known() {
    walden list "${c[@]}" --json >"$SCRATCH/list.json"
    "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/list.json" "$SCRATCH/list.json" &&
        jq -r '.backups[0].verified | "\(.level) \(if .damaged then "damaged" else "sound" end)"' "$SCRATCH/list.json"
}

ok 'list before any verification' walden list "${c[@]}"
like "$OUT" 'verified never' 'says so'
is "$(known)" 'none sound' 'and in JSON'
ok 'verify' walden verify "${c[@]}"
ok 'list' walden list "${c[@]}"
like "$OUT" 'verified .*all of it was' 'says when it was read and how deep'
is "$(awk 'length > 80' <<<"$OUT" | grep -v '^repository')" '' 'in 80 columns'
is "$(known)" 'records sound' 'and in JSON'

segment=$(find "$(w_repo v)" -name "$name")
pack=$(find "$(w_repo v)" -path '*/pack/*' -type f -size +20k | head -n 1)
cp -a "$segment" "$SCRATCH/segment"
cp -a "$pack" "$SCRATCH/pack"
flip_byte "$segment" 20000
ok 'a byte of WAL is another: headers do not show it' walden list "${c[@]}"
exits 1 'verify finds it' walden verify "${c[@]}"
exits 1 'and then window knows' walden window --offline "${c[@]}"
like "$OUT" 'DAMAGED WAL of timeline 1' 'that what it shows may not be had'
exits 1 'and list' walden list "${c[@]}"
like "$OUT" 'DAMAGED WAL of timeline 1' 'by the timeline'
is "$(known)" 'records sound' 'the backup is not meant'
cp -a "$SCRATCH/segment" "$segment"
flip_byte "$pack" 10000
exits 1 'verify finds a damaged pack' walden verify "${c[@]}"
exits 1 'list knows of the backup' walden list "${c[@]}"
like "$OUT" 'verified FOUND DAMAGED' 'and says so beside it'
unlike "$OUT" 'DAMAGED WAL' 'the WAL was mended'
is "$(known)" 'records damaged' 'and in JSON'
exits 1 'so does window' walden window --offline "${c[@]}"
like "$OUT" 'DAMAGED backup/' 'and names it'
cp -a "$SCRATCH/pack" "$pack"
exits 1 'mended, but nobody looked' walden list "${c[@]}"
ok 'verify finds all sound' walden verify "${c[@]}"
ok 'and so does list' walden list "${c[@]}"
ok 'and window' walden window --offline "${c[@]}"
is "$(known)" 'records sound' 'and in JSON'
done_testing
