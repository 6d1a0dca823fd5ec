#!/bin/bash
# Goal: a team with one machine and compose walks its runbook with Walden: a daily dump through
# `docker compose exec -T`, seven kept and none lost to failures, one before each migration that can
# stop it, a rehearsal of the restore with counts before and after, the restore itself, and health.
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
rb_container docker 'compose exec -T postgres'
rb_programs
pg_sql srv 'create role haircuttgbot login superuser'
pg_sql srv 'create database haircuttgbot owner haircuttgbot'
rb_init haircuttgbot
d_conf srv '[dump bot]' 'databases = haircuttgbot' 'runner = docker compose exec -T postgres' 'dsn = user=haircuttgbot' \
    'counts = users masters bookings availability_blocks' \
    '[drill health]' 'of = bot' 'command = health' 'expect = contains "status" : "ok"' \
    '[hook undump]' 'pre = app stop' 'gate = true' 'post = app start' \
    '[run nightly]' 'do = dump bot && expire --keep-dumps daily=7' 'at = 03:00' 'jitter = 5min' 'retry = 2 1s'

# ---- prerequisites ------------------------------------------------------------------------------

exits 2 'before the migrations have run there is nothing to dump' rb dump bot
like "$ERR" 'has no table "users"' 'and it says what is missing'
exits 4 'a database without any table is no backup' rb dump all -d 'user=haircuttgbot dbname=haircuttgbot' --runner 'docker compose exec -T postgres'
d_sql srv haircuttgbot "set role haircuttgbot; create table users(id int primary key); create table masters(id int primary key);
    create table bookings(id int primary key, master int references masters); create table availability_blocks(id int);
    insert into users values (1), (2), (3); insert into masters values (1), (2); insert into bookings values (1, 2)"
exits 2 'compose without -T would spoil it' rb dump bot --runner 'docker compose exec postgres'

# ---- backup, named by UTC time, verified at once, kept ------------------------------------------

ok 'the daily job' rb run nightly
like "$OUT" 'nightly: result=ok status=0 .*do="dump bot && expire' 'one line says how it went'
label=$(d_labels srv | tail -n 1)
like "$label" '^20[0-9]{6}T[0-9]{6}Z' 'it is named by the time in UTC'
is "$(rb list --json | jq -r '.dumps[-1].tables')" 4 'with its tables'
ok 'it verifies' rb verify
ok 'and check is content' rb check --no-server
# Failures do not age the good ones away.
rb_container docker 'compose exec -T nowhere'
exits 1 'nights on which nothing worked' rb run nightly
like "$OUT" 'error: .*no such container' 'say why'
is "$(d_labels srv)" "$label" 'and remove nothing'
rb_container docker 'compose exec -T postgres'
ok 'expire alone keeps the last good one, however old' rb expire --keep-dumps daily=1
is "$(d_labels srv)" "$label" 'which is there'

# ---- before a migration -------------------------------------------------------------------------

ok 'before a migration' rb dump bot --tag pre-migration
is "$(rb list --json | jq -r '.dumps[-1].tag')" pre-migration 'the dump is marked'
migrated=
if ! PATH=/usr/bin:/bin env PGHOST=/nowhere "$TEST_BIN/walden" dump bot --config "$(w_conf srv)" --tag pre-migration >/dev/null 2>&1; then :; else migrated=1; fi
is "$migrated" '' 'a dump that fails stops the migration behind it'
ok 'and each kind has a rule of its own' rb expire --keep-dumps 'daily=7 bot/pre-migration:last=1' --dry-run
like "$OUT" 'pre-migration' 'with reasons'

# ---- rehearsal in a clean state -----------------------------------------------------------------

ok 'a rehearsal' rb drill --dump bot --scratch "$PLACE" --json --log "$SCRATCH/evidence.md"
is "$(jq -r '[.checks[] | select(.name | startswith("rows")) | .found] | sort | join(",")' <<<"$OUT")" '0,1,2,3' 'the counts are 3, 2, 1, 0 as before'
is "$(jq -r '.checks[] | select(.name == "health") | .result' <<<"$OUT")" passed 'health is ok'
like "$(cat "$SCRATCH/evidence.md")" "dump bot/$label" 'the evidence names the artefact'
like "$(cat "$SCRATCH/evidence.md")" '"status" : "ok"' 'and has the words of the health check'

# ---- the restore --------------------------------------------------------------------------------

count() { d_sql srv haircuttgbot 'select (select count(*) from users), (select count(*) from masters), (select count(*) from bookings), (select count(*) from availability_blocks)'; }
before=$(count)
d_sql srv haircuttgbot 'truncate bookings; delete from users; drop table availability_blocks'
ok 'first beside it' rb undump bot --database trial
is "$(rb_log)" '' 'which stops nothing'
pg_sql srv 'drop database trial'
sed -i 's/^gate = true/gate = false/' "$(w_conf srv)"
exits 1 'a gate that says no' rb undump bot --switch --yes
is "$(rb_log)" 'stop pre ;start post failed;' 'leaves the old database, and starts the application again'
is "$(d_sql srv haircuttgbot 'select count(*) from users')" 0 'on it'
sed -i 's/^gate = false/gate = true/' "$(w_conf srv)"
exits 4 'the exchange asks' rb undump bot --switch
d_hold srv haircuttgbot 'select 1'
ok 'then the exchange, whoever is connected' rb undump bot --switch --yes
d_release 2>/dev/null
is "$(count)" "$before" 'the counts are as before'
like "$OUT" 'way back' 'with a way back'
is "$(rb_log)" 'stop pre ;start post ok;' 'the application is started again'
is "$(PGDATABASE=haircuttgbot pg_env srv health -d haircuttgbot)" '{"status" : "ok", "checks" : {"db" : "ok"}}' 'and well'
done_testing
