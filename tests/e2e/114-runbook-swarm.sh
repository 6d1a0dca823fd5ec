#!/bin/bash
# Goal: a team that runs its backups in a container of their own walks its runbook with Walden: a
# scheduler instead of a sleeping loop, daily and Sunday dumps kept 7 and 4, the newest verified and
# carried off-site, freshness after 26 hours, the monthly drill, restore on this host and on a new one,
# and the troubles of its last chapter.
# timeout: 300
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

# The backup container reaches the database over the network: no runner, libpq's variables, and the
# password from a file.
rb_begin 16
rb_programs
# `migrate` and `health` talk to the database that they are told of.
pg_sql srv "create role ovia login createdb password 'swarm-5512'"
pg_sql srv 'create database ovia owner ovia'
d_sql srv ovia "set role ovia; create table people(id int primary key); create table identities(id int primary key);
    create table person_identity_links(person int references people, identity int references identities);
    create table audit_events(id bigint primary key, at timestamptz default now());
    insert into people select generate_series(1, 40); insert into identities select generate_series(1, 90);
    insert into person_identity_links select 1 + i % 40, i from generate_series(1, 90) i; insert into audit_events select generate_series(1, 1000)"
rb_init postgres
{
    echo 'local all postgres trust'
    echo 'local all all scram-sha-256'
} >"$(pg_data srv)/pg_hba.conf"
pg_reload srv
export PGHOST=$SOCKETS PGPORT PGUSER=ovia PGPASSFILE=$SCRATCH/pgpass
PGPORT=$(pg_port srv)
umask 077
echo '*:*:*:ovia:swarm-5512' >"$PGPASSFILE"
umask 022
w() { walden "$1" --config "$(w_conf srv)" "${@:2}"; }
rb_program migrate "psql -XAtq -d \"\$HOOK_DATABASE\" -c 'create table if not exists migrated(at int)' && echo \"migrate \$HOOK_JOB\" >>'$SCRATCH/app.log'"
d_conf srv '[dump ovia]' 'databases = ovia' 'counts = people identities person_identity_links' \
    '[run daily]' 'do = dump ovia && verify --sample 1/7 && expire' 'at = 03:00' 'retry = 1 1s' \
    '[run drill]' "do = drill --dump ovia --on-server --no-amcheck --log $SCRATCH/oplog.md" 'at = sun 1-7 05:00' \
    '[run watch]' 'do = check --no-server --dump-max-age 26h --drill-max-age 35d' 'at = every 1h' "ping_failed = app alert" \
    '[drill people]' 'of = ovia' 'sql = select count(*) from people' 'expect = > 0' \
    '[drill links]' 'of = ovia' 'sql = select count(*) from person_identity_links l left join people p on p.id = l.person where p.id is null' 'expect = 0' \
    '[drill health]' 'of = ovia' 'command = health' 'expect = contains "db" : "ok"' \
    '[hook undump]' 'pre = app stop' 'gate = migrate' 'post = app start'
sed -i '1i keep_dumps = daily=7 weekly=4' "$(w_conf srv)"

# ---- automated backups --------------------------------------------------------------------------

ok 'the plan' w run --list --json
is "$(jq -r '.jobs | map(.name) | join(",")' <<<"$OUT")" daily,drill,watch 'holds the three jobs'
like "$(jq -r '.jobs[0].next_for' <<<"$OUT")" 'T03:00:00Z' 'at clock times'
walden run --config "$(w_conf srv)" >"$SCRATCH/log" 2>&1 &
SCHEDULER=$!
wait_for 20 grep -q 'jobs;' "$SCRATCH/log" || bail 'no scheduler'
exits 4 'a second scheduler is refused' w run
ok 'a backup now, in the same container' w run daily
like "$OUT" 'daily: result=ok' 'with one line for the log'
kill -TERM $SCHEDULER
wait $SCHEDULER
is $? 0 'the scheduler ends when the container does'
label=$(d_labels srv | tail -n 1)
# A restart of the container neither repeats nor skips.
sed -i "/^job daily /s/since=[0-9]*/since=$(date -d '3 days ago' +%s)000000/; /^job daily /s/taken=[0-9]*/taken=$(date -d '3 days ago' +%s)000000/" "$SCRATCH/state/run-main"
ok 'after days without the container' w run --once
is "$(grep -c 'daily: result=ok' <<<"$OUT")" 1 'one is made up for'
ok 'no more' w run --once
unlike "$OUT" 'daily' 'than that'
ok 'seven daily ones and four weekly ones, with a reason for each' w expire --dry-run
like "$OUT" 'daily|weekly' 'as the rule says'

# ---- verify, carry off-site ---------------------------------------------------------------------

ok 'the newest is verified' w verify
ok 'and carried away through a pipe' bash -c "walden get ovia --config '$(w_conf srv)' -o - >'$SCRATCH/ovia-backup-latest.dump'"
like "$("$(pg_prog pg_restore)" --list "$SCRATCH/ovia-backup-latest.dump")" 'TABLE DATA public people' 'with all its tables'
cp -a "$(w_repo srv)" "$SCRATCH/offsite" # what rsync or rclone would do

# ---- restore, scenario 1: the same host ---------------------------------------------------------

people=$(d_sql srv ovia 'select count(*) from people')
PGUSER=postgres d_sql srv ovia 'delete from person_identity_links; delete from people'
w list --json | jq -r '.dumps[].label' | grep -q "$label" && pass 'the file to choose is listed' || fail 'not listed'
ok 'restored in place of the old' w undump ovia --replace --yes
like "$OUT" 'all as in the dump' 'the row counts are in the summary'
is "$(d_sql srv ovia 'select count(*) from people')" "$people" 'and right'
is "$(rb_log)" 'stop pre ;migrate ovia;start post ok;' 'between stopping, migrating and starting'
is "$(d_sql srv ovia "select to_regclass('migrated') is not null")" t 'the migration was applied to what was restored'
like "$(PGDATABASE=ovia health)" '"status" : "ok"' 'healthy'

# ---- restore, scenario 2: a new host ------------------------------------------------------------

pg_init new 16 || bail initdb
exits 3 'before the new server is there' env PGPORT="$(pg_port new)" PGUSER=postgres walden undump ovia --repo "$SCRATCH/offsite" --config "$(w_conf srv)"
pg_start new || bail 'no server'
printf 'repo = %s\n' "$SCRATCH/offsite" >"$SCRATCH/new.conf" # one line is all that the new host needs
exits 4 'roles that the new host lacks are named' env PGPORT="$(pg_port new)" PGUSER=postgres walden undump ovia --config "$SCRATCH/new.conf" --database ovia
like "$ERR" 'ovia' 'before anything is made'
ok 'restored from the copy alone, with the roles' env PGPORT="$(pg_port new)" PGUSER=postgres walden undump ovia --config "$SCRATCH/new.conf" --database ovia --globals
is "$(d_sql new ovia 'select count(*) from people')" "$people" 'the rows are there'

# ---- freshness ----------------------------------------------------------------------------------

ok 'fresh: 0' w check --no-server --dump-max-age 26h
exits 0-1 'the drill is due' w check --no-server --dump-max-age 26h --drill-max-age 1s
like "$OUT" 'drill' 'and check says so'
sleep 2
exits 2 'no backup for too long' w check --no-server --dump-max-age 1s --nagios
sed -i 's/--dump-max-age 26h/--dump-max-age 1s/' "$(w_conf srv)"
: >"$SCRATCH/app.log"
exits 1 'the watch sees it' w run watch
is "$(rb_log)" 'alert ping_failed failed;' 'and somebody is told'

# ---- the monthly drill --------------------------------------------------------------------------

databases=$(pg_sql srv 'select count(*) from pg_database')
ok 'the drill' w run drill
is "$(pg_sql srv 'select count(*) from pg_database')" "$databases" 'leaves no database'
like "$(cat "$SCRATCH/oplog.md")" '^## DRILL-' 'and is in the operational log'
like "$(cat "$SCRATCH/oplog.md")" '\| people \| passed' 'with its questions'
ok 'check knows of it' w check --no-server --drill-max-age 35d

# ---- troubleshooting ----------------------------------------------------------------------------

before=$(d_labels srv)
pg_stop srv
exits 3 'connection refused' w dump ovia
like "$ERR" 'could not connect|connection to server' 'is said'
pg_start srv || bail 'no server'
echo '*:*:*:ovia:changed' >"$PGPASSFILE"
exits 3 'authentication failed' w dump ovia
like "$ERR" 'password authentication failed' 'is said'
like "$ERR" 'pgpass' 'with the place of the password'
echo '*:*:*:ovia:swarm-5512' >"$PGPASSFILE"
is "$(d_labels srv)" "$before" 'the good ones are untouched'
object=$(d_object srv "$(tail -n 1 <<<"$before")")
cp -p "$object" "$SCRATCH/spare"
truncate -s -100 "$object"
exits 1 'an invalid archive' w verify
nok 'is not restored' w undump "$(basename "$object")" --replace --yes
is "$(d_sql srv ovia 'select count(*) from people')" "$people" 'and the original stays'
ok 'without a label the newest good one is taken' w undump ovia --database older
unlike "$OUT" "$(basename "$object")" 'which is another'
cp -p "$SCRATCH/spare" "$object"
PGUSER=postgres d_sql srv ovia 'truncate people, identities, person_identity_links, audit_events'
exits 4 'zero rows are noticed when the dump is made, not at the restore' w dump ovia
like "$ERR" 'accept' 'with the way to insist'
ok 'a slow restore goes in parallel' w undump "$label" --database parallel --jobs 4
is "$(d_sql srv parallel 'select count(*) from people')" "$people" 'with all rows'
done_testing
