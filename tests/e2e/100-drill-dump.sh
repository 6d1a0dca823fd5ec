#!/bin/bash
# Goal: `walden drill` of a dump restores it into a server of its own (or a new database of one that is
# there), asks what the configuration says, says which answer is wrong, and leaves its evidence and
# nothing else, whatever kills it.  No password is ever on a command line.
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
pg_init srv "$major" || bail initdb
pg_start srv || bail 'no server'
pg_sql srv "create role shop_owner login password 'x'"
d_data srv shop || bail 'no data'
pg_sql srv 'alter database shop owner to shop_owner'
d_sql srv shop 'alter table app.orders owner to shop_owner'
mkdir "$SCRATCH/far away"
pg_sql srv "create tablespace \"Far \"\"one\" owner shop_owner location '$SCRATCH/far away'"
d_sql srv shop 'alter table customers set tablespace "Far ""one"'
far=$(find "$SCRATCH/far away" | sort | cksum)
pg_env srv walden init --repo "$(w_repo srv)" --config "$(w_conf srv)" >/dev/null || bail 'no repository'
d_conf srv '[dump shop]' 'databases = shop' 'counts = all' \
    '[drill order_rows]' 'of = shop' "sql = select count(*) from app.orders where note like 'o%'" 'expect = >= 20000' \
    '[drill owner]' 'of = shop' "sql = select tableowner from pg_tables where tablename = 'orders'" 'expect = shop_owner' \
    '[drill customers]' 'of = shop' 'database = shop' 'sql = select count(*) from customers' 'expect = 300' \
    '[drill health]' 'of = shop' "command = $(pg_prog psql) -Atc \"select 'db: ok'\"" 'expect = contains ok' \
    '[drill elsewhere]' 'of = backup' 'sql = select 1 / 0' \
    '[drill hang]' 'of = shop' "command = $SCRATCH/hang"
cat >"$SCRATCH/hang" <<SH
#!/bin/bash
[ ! -e "$SCRATCH/hold" ] || { touch "$SCRATCH/held"; sleep 50; }
SH
chmod +x "$SCRATCH/hang"

exits 1 'without anything to drill' dr srv drill
like "$ERR" 'nothing to drill' 'it says so'
ok 'a dump' d_walden srv srv dump shop
label=$(d_labels srv | tail -n 1)
json dr srv drill
is "$(query '.result, .kind, .job, .drilled' | paste -sd' ')" "ok dump shop $label" 'the dump is drilled'
is "$(query '.checks[] | select(.name == "rows shop.app.orders") | .found')" 20000 'its rows are counted'
is "$(query '[.checks[] | select(.result != "passed") | .name] | join(" ")')" '' 'every check passed'
is "$(query '.checks[] | select(.name == "amcheck").found')" none 'pg_amcheck looked at it'
is "$(query '.checks[] | select(.name == "health").found')" 'db: ok' 'and the command'
ok 'nothing is left' is_clean
is "$(find "$SCRATCH/far away" | sort | cksum)" "$far" "the original's tablespace was not touched"
is "$(dr srv list --json | jq -r '.drills[-1] | .result, .drilled' | paste -sd' ')" "ok $label" 'list shows it'
exits 0 'and its evidence can be seen again' dr srv drill --show "$(query .label)"
like "$OUT" 'passed +customers +300' 'with every answer'
pg_env srv walden check --config "$(w_conf srv)" --json >"$SCRATCH/check.json"
is "$(jq -r '.checks[] | select(.name == "drills") | .state' "$SCRATCH/check.json")" ok 'check is content'

# ---- an answer that is wrong ---------------------------------------------------------------------

d_conf srv '[drill open_orders]' 'of = shop' "sql = select count(*) from app.orders where note = 'open'" \
    'expect = > 0' 'why = without open orders the shop is closed'
exits 1 'an assertion fails' dr srv drill --dump shop --log "$SCRATCH/DRILLS.md"
like "$OUT" '^drill of dump shop/.*: failed' 'the drill has failed'
like "$OUT" 'FAILED +open_orders' 'it says which'
like "$OUT" 'expected > 0' 'what was asked'
like "$OUT" 'found    0' 'what was found'
like "$OUT" 'without open orders the shop is closed' 'and why it matters'
ok 'nothing is left but the evidence' is_clean
like "$(cat "$SCRATCH/DRILLS.md")" '^## DRILL-[0-9-]{10}: failed' 'which is in the log'
like "$(cat "$SCRATCH/DRILLS.md")" '^\| open_orders \| failed \| > 0 \| 0 \|' 'with the answer'
like "$(cat "$SCRATCH/DRILLS.md")" '^`drill=failed kind=dump job=shop .* order_rows=20000 .* open_orders=0' 'and as one line'
is "$(dr srv list --json | jq -r '.drills[-1] | .result, .failed' | paste -sd' ')" 'failed 1' 'and in the repository'
pg_env srv walden check --config "$(w_conf srv)" --json >"$SCRATCH/check.json"
is "$(jq -r '.checks[] | select(.name == "drills") | .state' "$SCRATCH/check.json")" critical 'check is red'
like "$(jq -r '.checks[] | select(.name == "drills") | .text' "$SCRATCH/check.json")" "newest drill of dump shop/$label" 'and says of what'
d_sql srv shop "update app.orders set note = 'open' where id = 1"
ok 'mended' d_walden srv srv dump shop
exits 0 'it passes' dr srv drill --dump shop --log "$SCRATCH/DRILLS.md"
is "$(grep -c '^## DRILL' "$SCRATCH/DRILLS.md")" 2 'the log grows'
d_conf srv '[drill wrong]' 'sqll = select 1'
exits 2 'a mistake in a section' dr srv drill --dump shop
like "$ERR" 'Did you mean sql' 'is named'
for file in "$(w_conf srv)"; do sed -i '/^\[drill wrong/,$d' "$file"; done


# ---- killed --------------------------------------------------------------------------------------

touch "$SCRATCH/hold"
dr srv drill --dump shop >"$SCRATCH/out" 2>&1 &
wait_for 60 test -e "$SCRATCH/held" || bail "it never got there: $(cat "$SCRATCH/out")"
nok 'while it runs there is a server' is_clean
walden=$(pgrep -f "walden drill .*--scratch $PLACE" | head -n 1)
kill -KILL "$walden"
wait
ok 'killed, its server goes with it' wait_for 20 no_server
nok 'its directory stays' is_clean
rm "$SCRATCH/hold" "$SCRATCH/held"
memory=$(sed -n '7s/.* //p' "$PLACE"/walden-drill.*/data/postmaster.pid)
exits 0 'the next one works' dr srv drill --dump shop
like "$ERR" 'removed .*walden-drill.*, which a run that was killed had left' 'and clears what was left'
ok 'nothing is left' is_clean
nok 'not even shared memory' bash -c "ipcs -m | grep -qw '${memory:-none}'"

# ---- on a server that is there -------------------------------------------------------------------

pg_sql srv "create role op superuser login password 'Pa55-in-proc'"
echo "local all op scram-sha-256" | cat - "$(pg_data srv)/pg_hba.conf" >"$SCRATCH/hba" && cat "$SCRATCH/hba" >"$(pg_data srv)/pg_hba.conf"
pg_reload srv
echo "*:*:*:op:Pa55-in-proc" >"$HOME/.pgpass" && chmod 600 "$HOME/.pgpass"
on_server() { pg_env srv env PGUSER=op walden drill --config "$(w_conf srv)" --scratch "$PLACE" --dump shop --on-server "$@"; }
databases() { pg_sql srv "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate"; }
roles() { pg_sql srv "select string_agg(rolname, ' ' order by rolname) from pg_roles"; }
there="$(databases) $(roles)"
look_at_proc Pa55-in-proc
bash -c 'exec -a "x Pa55-in-proc" sleep 0.3'
ok 'control: a password on a command line would be seen' wait_for 5 test -s "$SCRATCH/seen"
: >"$SCRATCH/seen"
json on_server
is "$(query .result)" ok 'into a new database of a server'
is "$(cat "$SCRATCH/seen")" '' 'no password was on a command line'
like "$(query .into)" 'running server' 'it says where'
is "$(query '.checks[] | select(.name == "customers").found')" 300 'the questions find the database'
is "$(databases) $(roles)" "$there" 'nothing is left there'
touch "$SCRATCH/hold"
on_server >"$SCRATCH/out" 2>&1 &
wait_for 60 test -e "$SCRATCH/held" || bail "it never got there: $(cat "$SCRATCH/out")"
isnt "$(databases) $(roles)" "$there" 'while it runs there is a database'
kill -KILL "$(pgrep -f "walden drill .*--on-server" | head -n 1)"
wait "$!" 2>/dev/null
rm -f "$SCRATCH/hold" "$SCRATCH/held"
isnt "$(databases) $(roles)" "$there" 'killed, it leaves it'
exits 0 'the next one works' on_server
like "$ERR" 'dropped database "walden_drill_[0-9a-f]{16}", which a drill that was killed had left' 'and drops it'
is "$(databases) $(roles)" "$there" 'nothing is left there'
done_testing
