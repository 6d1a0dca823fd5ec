#!/bin/bash
# Goal: `walden drill` of a base backup brings it up on a server of its own, cut off from the original:
# tablespaces come into the scratch directory, archiving is off; the rows that were counted when it was
# taken are compared at that very moment; the newest moment, any moment, or the one before a drop.
#
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

major=17
dr_place "$major"
pg_init srv "$major" --wal-segsize=1 || bail initdb
w_init_sealed srv "$(pg_data srv)" || bail 'no repository'
pg_archive srv "$(w_archive_command srv)"
pg_conf srv 'autovacuum = off'
pg_start srv || bail 'no server'
mkdir "$SCRATCH/space"
pg_sql srv "create tablespace far location '$SCRATCH/space'"
pg_sql srv 'create database shop'
d_sql srv shop "create table orders as select i, md5(i::text) as t from generate_series(1, 5000) i;
    create table apart tablespace far as select i from generate_series(1, 70) i;
    create publication p for table orders"
d_conf srv "count_tables = 'shop.public.orders shop.public.apart'"
d_conf srv '[drill order_rows]' 'of = backup' 'database = shop' 'sql = select count(*) from orders' 'expect = >= 5000' \
    '[drill standing]' 'of = backup' 'sql = select not pg_is_in_recovery()' \
    '[drill health]' 'of = backup' 'database = shop' 'timeout = 20s' \
    "command = $(pg_prog psql) -Atc \"select 'db: ' || current_database()\"" 'expect = db: shop'
ok 'a backup' pg_env srv walden backup --config "$(w_conf srv)" --fast
backup=$(dr srv list --json | jq -r '.backups[-1].label')
d_sql srv shop 'insert into orders select i, md5(i::text) from generate_series(1, 1000) i'
pg_switch srv >/dev/null
d_sql srv shop 'drop table orders'
pg_switch srv >/dev/null
d_sql srv shop "create table orders as select i, md5(i::text) as t from generate_series(1, 6000) i"
pg_switch srv >/dev/null
before=$(find "$SCRATCH/space" "$(pg_data srv)/pg_tblspc" | sort | cksum)

exits 3 'without the secret key it cannot tell' walden drill --config "$(w_conf srv)" --scratch "$PLACE" --latest
like "$ERR" 'no secret key is here' 'and says why'
exits 3 'nor which is due' walden drill --config "$(w_conf srv)" --scratch "$PLACE"
is "$(dr srv list --json | jq '.drills | length')" 0 'nothing went on record'

json dr srv drill
is "$(query '.result, .kind, .drilled' | paste -sd' ')" "ok backup $backup" 'the backup is drilled'
is "$(query '[.checks[] | select(.result != "passed") | .name] | join(" ")')" '' 'every check passed'
is "$(query '[.checks[] | select(.name | startswith("rows")) | "\(.name)=\(.found)"] | join(" ")')" \
    'rows shop.public.orders=5000 rows shop.public.apart=70' 'the rows are those of the moment of the counts'
is "$(query '.checks[] | select(.name == "order_rows").found')" 6000 'and the copy went on to the end'
is "$(query '.checks[] | select(.name == "health").found')" 'db: shop' 'the command found the copy'
is "$(query '.checks[] | select(.name == "amcheck").found')" none 'pg_amcheck looked at it'
ok 'times were measured' test "$(query 'if .unpack_ms > 0 and .replay_ms > 0 and .total_ms >= .unpack_ms + .replay_ms then 1 else 0 end')" = 1
ok 'nothing is left' is_clean
is "$(find "$SCRATCH/space" "$(pg_data srv)/pg_tblspc" | sort | cksum)" "$before" "the original's tablespace was not touched"

exits 0 'before a drop' dr srv drill --before-drop public.orders --database shop --line
like "$OUT" '^drill=ok kind=backup .* order_rows=6000' 'one line of evidence'
# One at which the table was dropped has a wrong answer, and says so.
exits 0-1 'any moment' dr srv drill --random --no-amcheck
like "$OUT" '^  asked    time ' 'it is a time'
like "$OUT" 'skipped  amcheck .*--no-amcheck' 'what was left out is said'
exits 0 'a backup by its name' dr srv drill "$backup" --line
like "$OUT" 'order_rows=5000' 'stops at what was counted with it'
ok 'nothing is left' is_clean
like "$(dr srv restore -D "$SCRATCH/none" -T "$SCRATCH/space=$SCRATCH/none.space" --dry-run)" 'time .*as fast as the drill of 20' 'restores predict by what drills measured'

# ---- killed --------------------------------------------------------------------------------------

d_conf srv '[drill hang]' 'of = backup' "command = $SCRATCH/hang"
printf '#!/bin/bash\n[ ! -e %q/hold ] || { touch %q/held; sleep 50; }\n' "$SCRATCH" "$SCRATCH" >"$SCRATCH/hang"
chmod +x "$SCRATCH/hang"
touch "$SCRATCH/hold"
dr srv drill --latest >"$SCRATCH/out" 2>&1 &
wait_for 60 test -e "$SCRATCH/held" || bail "it never got there: $(cat "$SCRATCH/out")"
key=$(grep -ohE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$PLACE"/*/data/postgresql.auto.conf | head -n 1)
kill -KILL "$(pgrep -f "walden drill .*--scratch $PLACE" | head -n 1)"
wait
ok 'killed, its server goes with it' wait_for 20 no_server
rm "$SCRATCH/hold" "$SCRATCH/held"
like "$key" walden-key 'a key was handed to the hook'
exits 0 'the next one works' dr srv drill --latest
like "$ERR" 'removed .*walden-drill.*, which a run that was killed had left' 'and clears what was left'
ok 'nothing is left' is_clean
nok 'nor the key' test -e "$key"

# ---- refused -------------------------------------------------------------------------------------

drills=$(dr srv list --json | jq '.drills | length')
mkdir -p "$SCRATCH/later" "$PLACE/data/s"
exits 4 'a scratch directory inside the data directory' walden drill --config "$(w_open_conf srv)" \
    --pgdata "$PLACE/data" --scratch "$PLACE/data/s" --latest
rmdir "$PLACE/data/s" "$PLACE/data" || fail 'something was left in it'
pg_sql srv "create tablespace later location '$SCRATCH/later'"
pg_switch srv >/dev/null
exits 4 'a tablespace that the WAL would make in the place of the original' dr srv drill --latest
like "$ERR" 'CREATE TABLESPACE at' 'it says which'
ok 'nothing is left' is_clean
is "$(dr srv list --json | jq '.drills | length')" "$drills" 'and nothing is on record: the backup is not to blame'

# ---- damage --------------------------------------------------------------------------------------

pack=$(find "$(w_repo srv)" -path '*/pack/*' -type f | head -n 1)
flip_byte "$pack" $(($(size_of "$pack") / 2))
exits 1 'a damaged backup' dr srv drill "$backup" --log "$SCRATCH/log"
like "$OUT" '^drill of backup .*: failed' 'has failed its drill'
like "$ERR" 'damaged|does not match' 'it says why'
like "$(cat "$SCRATCH/log")" '^\| error \| .*(damaged|does not match)' 'and so does the log'
is "$(dr srv list --json | jq -r '.drills[-1].result')" failed 'it is on record'
ok 'nothing is left' is_clean
done_testing
