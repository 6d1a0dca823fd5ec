#!/bin/bash
# Goal: a lineage whose `cluster` file cannot be read keeps no other lineage, cluster or dump from being
# copied: it is named, and the copy is not called whole.  The file of the copy, when damaged, is replaced.
# A copy keeps to max_rate, and ends at once when it is told to.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/copy-env.sh
. "$ROOT/tests/tools/copy-env.sh"

d_tools 17
pg_init a 17 --wal-segsize=1 -k || bail initdb
pg_init b 17 --wal-segsize=2 -k || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
mkdir -p "$SCRATCH/state"
pg_start a || bail 'no server'
mv "$(w_conf a)" "$SCRATCH/first.conf"
w_init a "$(pg_data b)" --key-dir "$(w_keys a)" || bail 'walden init of a second lineage'
mv "$(w_conf a)" "$SCRATCH/second.conf"
# A cluster of another name in the same repository.
mkdir "$SCRATCH/other.d"
ok 'another cluster' walden init --repo "$(w_repo a)" --config "$SCRATCH/other.d/walden.conf" --pgdata "$(pg_data b)" --cluster other
mv "$SCRATCH/first.conf" "$(w_conf a)"
sed -i '/^system_id/d' "$(w_conf a)"
d_conf a "state_dir = $SCRATCH/state" '[repo usb]' "path = $OFF"
second=$(basename "$(find "$(w_repo a)/other" -maxdepth 1 -name '[0-9]*')")
first=$(basename "$(find "$(w_repo a)/main" -maxdepth 1 -name '[0-9]*' ! -name "$second")")
printf 'system_id = %s\n' "$first" | cat - "$(w_conf a)" >"$SCRATCH/new.conf" && mv "$SCRATCH/new.conf" "$(w_conf a)"
pg_sql a 'create database shop'
d_sql a shop "create table t as select i, md5(random()::text) || md5(random()::text) from generate_series(1, 12000) i"
ok 'a dump' d_walden a a dump -d shop
ok 'the first copy' w copy usb --new
good=$(tree_of "$OFF")

for id in "$first" "$second"; do
    file=$(w_repo a)/main/$id/cluster
    cp -p "$file" "$SCRATCH/spare"
    ok 'one more dump' d_walden a a dump -d shop
    printf 'x' | dd of="$file" bs=1 seek=40 conv=notrunc 2>/dev/null
    exits 1 'with the file of a lineage damaged' w copy usb
    like "$ERR" "main/$id.*cluster" 'it is named'
    unlike "$ERR" 'other/' 'no other one is'
    like "$OUT" '1 dumps' 'the dump is copied'
    cmp -s "$OFF/main/$id/cluster" "$SCRATCH/spare" && pass 'the copy keeps its good file' || fail 'the damage was copied'
    exits 1 'and check knows that it is not whole' w check --no-server
    like "$OUT" 'usb' 'by its name'
    cp -p "$SCRATCH/spare" "$file"
    ok 'put back' w copy usb
done
rm "$(w_repo a)/other/$second/cluster"
exits 1 'one whose file is gone' w copy usb
like "$ERR" "other/$second" 'is named as well'
cp -p "$OFF/other/$second/cluster" "$(w_repo a)/other/$second/cluster"

note 'the file of the copy'
printf 'x' | dd of="$OFF/main/$first/cluster" bs=1 seek=40 conv=notrunc 2>/dev/null
ok 'damaged there' w copy usb
like "$ERR" "main/$first/cluster was damaged in the copy and is whole again" 'is mended'
cmp -s "$OFF/main/$first/cluster" "$(w_repo a)/main/$first/cluster" && pass 'from the repository' || fail 'not mended'
isnt "$(tree_of "$OFF")" "$good" 'control: the copy went on'

note 'max_rate'
bytes=$(size_of "$(find "$OFF" -path '*/dump/shop/*' -type f ! -name '.*' | head -n 1)")
[ "$bytes" -gt 400000 ] && pass 'a dump has some size' || bail "the dump has $bytes bytes"
again() { find "$OFF" -path '*/dump/shop/*' -type f -delete; }
again
began=$(date +%s%N)
ok 'control: without a limit' w copy usb --max-rate 0
quick=$((($(date +%s%N) - began) / 1000000))
again
echo "max_rate = $((bytes / 2000))kB" >>"$(w_conf a)"
want=$((3 * 2000 * 8 / 10)) # three dumps, two seconds each, but for the first piece
began=$(date +%s%N)
ok 'with max_rate in the section' w copy usb
slow=$((($(date +%s%N) - began) / 1000000))
[ "$slow" -ge "$want" ] && pass "takes its time: $slow ms" || fail "$slow ms, not $want"
[ "$quick" -lt "$want" ] && pass "control: $quick ms without" || fail "control: $quick ms"
[ "$slow" -lt $((want * 3)) ] && pass 'and no more' || fail "$slow ms"
again
walden copy usb --config "$(w_conf a)" --max-rate 32kB >"$SCRATCH/log" 2>&1 &
sleep 1
began=$SECONDS
kill -TERM $!
wait $!
is "$?" 130 'a slow one that is told to stop'
[ $((SECONDS - began)) -lt 4 ] && pass 'stops at once' || fail "after $((SECONDS - began)) s"
ok 'and is gone on with' w copy usb --max-rate 0
sed -i 's/^max_rate = .*/max_rate = 12B/' "$(w_conf a)"
exits 2 'a rate of nearly nothing' w copy usb
like "$ERR" 'max_rate' 'is a mistake'
done_testing
