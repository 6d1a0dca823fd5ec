#!/bin/bash
# Goal: a Raspberry Pi with a dump each night walks its runbook with Walden: cron, seven days here and
# thirty off-site, encryption, the restore between stopping and starting the application, roles and
# row security, and the drill after every restore, whose block goes into the decision log.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"
# shellcheck source=tests/tools/runbook-env.sh
. "$ROOT/tests/tools/runbook-env.sh"

rb_begin 17
rb_container docker 'exec -i ai-fsm-db'
rb_programs
pg_sql srv 'create role app_user'
pg_sql srv 'create database ai_fsm'
tables='users jobs visits estimates invoices payments audit_log'
n=0
for table in $tables; do
    n=$((n + 1))
    d_sql srv ai_fsm "create table $table(id int primary key, role text default 'owner'); insert into $table select generate_series(1, $n * 3);
        grant select on $table to app_user"
done
d_sql srv ai_fsm "alter table jobs enable row level security; create policy own on jobs to app_user using (role = 'owner')"
# Sealed from the start: the Pi can be carried away.
pg_env srv walden init --repo "$(w_repo srv)" --config "$(w_conf srv)" --encrypt >/dev/null 2>&1 || bail 'no repository'
w_take_key srv || bail 'no key'
for file in "$(w_conf srv)" "$(w_open_conf srv)"; do sed -i "1i state_dir = $SCRATCH/state" "$file"; done
d_conf srv '[dump fsm]' 'databases = ai_fsm' 'runner = docker exec -i ai-fsm-db' 'dsn = user=postgres' "counts = $tables" \
    '[drill version]' 'of = fsm' 'sql = select version()' 'expect = contains PostgreSQL 17' \
    '[drill health]' 'of = fsm' 'command = health' 'expect = contains "db" : "ok"' \
    '[drill login]' 'of = fsm' 'sql = select role from users where id = 1' 'expect = owner' \
    '[drill row_security]' 'of = fsm' "sql = select relrowsecurity from pg_class where relname = 'jobs'" 'expect = t' \
    '[hook undump]' 'pre = app stop web worker' 'post = app start web worker'
open() { env PGHOST=/nowhere walden "$1" --config "$(w_open_conf srv)" "${@:2}"; }

# ---- the nightly backup -------------------------------------------------------------------------

# What cron would run, without a shell of its own: nothing is left of a failure.
ok 'the nightly line' rb dump fsm
label=$(d_labels srv | tail -n 1)
ok 'and retention' rb expire --keep-dumps 'daily=7'
before=$(tree_of "$(w_repo srv)/main/dump")
rb_container docker 'exec -i ai-fsm-db-new'
exits 1 'a night on which the container is gone' rb dump fsm
is "$(tree_of "$(w_repo srv)/main/dump")" "$before" 'leaves no truncated file'
rb_container docker 'exec -i ai-fsm-db'
ok 'nothing that was dumped can be read on the Pi' bash -c "! grep -rqaE 'audit_log|ai_fsm|app_user' '$(w_repo srv)'"
exits 1 'not even with Walden' rb get fsm -o "$SCRATCH/none"
like "$ERR" 'secret.key' 'which says what is missing'
cp -a "$(w_repo srv)" "$SCRATCH/usb" # the second host

# ---- integrity without a restore ----------------------------------------------------------------

ok 'verify, sealed: what is stored is what was written' rb verify
ok 'with the key every block is decoded' open verify
object=$(d_object srv "$label")
cp -p "$object" "$SCRATCH/spare"
truncate -s $(($(size_of "$object") / 2)) "$object"
exits 1 'a dump that was cut in half is found' rb verify
cp -p "$SCRATCH/spare" "$object"

# ---- restore ------------------------------------------------------------------------------------

counts() { for table in $tables; do echo "$table=$(d_sql srv ai_fsm "select count(*) from $table")"; done | paste -sd' '; }
good=$(counts)
d_sql srv ai_fsm 'drop table payments; delete from users'
d_hold srv ai_fsm 'select 1'
ok 'restored' open undump fsm --replace --yes
d_release 2>/dev/null
is "$(counts)" "$good" 'all seven counts are those of the dump'
is "$(rb_log)" 'stop web worker pre ;start web worker post ok;' 'between stop and start'
is "$(d_sql srv ai_fsm "select relrowsecurity, (select count(*) from pg_policies), has_table_privilege('app_user', 'jobs', 'select') from pg_class where relname = 'jobs'")" \
    't|1|t' 'row security, its policy and the grants are as they were'
# New hardware: the copy, the key, one file.
pg_init pi2 17 || bail initdb
pg_start pi2 || bail 'no server'
printf 'repo = %s\nsecret_key = %s\n' "$SCRATCH/usb" "$SCRATCH/srv.safe/recovery.key" >"$SCRATCH/pi2.conf"
exits 4 'roles are missing there' pg_env pi2 walden undump fsm --config "$SCRATCH/pi2.conf" --database ai_fsm --runner env
like "$ERR" 'app_user' 'which is said first'
ok 'they come with the dump' pg_env pi2 walden undump fsm --config "$SCRATCH/pi2.conf" --database ai_fsm --globals --runner env
is "$(d_sql pi2 ai_fsm "select has_table_privilege('app_user', 'jobs', 'select')")" t 'with their rights'

# ---- the validation drill -----------------------------------------------------------------------

mkdir "$SCRATCH/docs"
echo '# Decisions' >"$SCRATCH/docs/DECISION_LOG.md"
ok 'the drill' open drill --dump fsm --scratch "$PLACE" --log "$SCRATCH/docs/DECISION_LOG.md"
log=$(cat "$SCRATCH/docs/DECISION_LOG.md")
like "$log" '^# Decisions$' 'is appended to the decision log'
like "$log" '^## DRILL-20[0-9]{2}-[0-9]{2}-[0-9]{2}: ok' 'as an entry of its day'
like "$log" "drilled \| dump fsm/$label" 'with the backup'
like "$log" 'times \| unpack' 'the duration'
n=0
for table in $tables; do
    n=$((n + 1))
    like "$log" "rows ai_fsm.public.$table \| passed \| $((n * 3)) " "the rows of $table"
done
like "$log" 'health \| passed' 'health'
like "$log" 'login \| passed \| owner' 'and the login'
# The last good counts are those of the dump: nobody has to write them down.
d_sql srv ai_fsm "update users set role = 'clerk'; delete from jobs where id > 1"
ok 'a later dump' rb dump fsm
exits 1 'whose drill fails a question' open drill --dump fsm --scratch "$PLACE"
like "$OUT" 'FAILED +login' 'says which'
ok 'and leaves nothing' bash -c "[ -z \"\$(ls '$PLACE')\" ]"
exits 3 'without the key no drill can tell' rb drill --dump fsm --scratch "$PLACE"
exits 0-1 'check' rb check --no-server --drill-max-age 35d
like "$OUT" 'drill' 'keeps account of drills'
done_testing
