#!/bin/bash
# Goal: a team that rehearses the backup of one schema in a container walks its runbook from top to
# bottom with Walden: a plain dump of the schema, three counts and two questions of meaning, an
# in-place restore between stopping and starting the application, the rehearsal repeatable, its
# evidence the same lines.
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

rb_begin 18
rb_container docker 'exec -i pgvector'
rb_programs
pg_sql srv 'create role username login createdb'
pg_sql srv 'create database oris owner username'
d_sql srv oris "set role username; create schema oris_runtime;
    create table oris_runtime.runtime_schema_migrations(version int primary key, applied_at timestamptz default now());
    create table oris_runtime.runtime_attempts(id text primary key, state text not null);
    create table oris_runtime.runtime_leases(attempt_id text primary key references oris_runtime.runtime_attempts, owner text not null);
    insert into oris_runtime.runtime_schema_migrations values (1), (2);
    insert into oris_runtime.runtime_attempts values ('a1', 'leased'), ('a2', 'queued');
    insert into oris_runtime.runtime_leases values ('a1', 'worker-1');
    create schema other; create table other.untouched(a int); insert into other.untouched values (1)"
rows() { d_sql srv oris "select (select count(*) from oris_runtime.runtime_schema_migrations), (select count(*) from oris_runtime.runtime_attempts),
    (select count(*) from oris_runtime.runtime_leases), (select count(*) from other.untouched)"; }

# ---- scope: a job, named in the catalog; the environment as keys; no password anywhere -----------

rb_init username
d_conf srv '[dump oris]' 'databases = oris' 'schemas = oris_runtime' 'format = plain' 'runner = docker exec -i pgvector' 'dsn = user=username' \
    'counts = oris_runtime.runtime_schema_migrations oris_runtime.runtime_attempts oris_runtime.runtime_leases' \
    '[drill migration_rows]' 'of = oris' 'sql = select count(*) from oris_runtime.runtime_schema_migrations' 'expect = >= 2' \
    '[drill attempt_rows]' 'of = oris' 'sql = select count(*) from oris_runtime.runtime_attempts' 'expect = 2' \
    '[drill lease_rows]' 'of = oris' 'sql = select count(*) from oris_runtime.runtime_leases' 'expect = 1' \
    '[drill queued_ready]' 'of = oris' "sql = select count(*) from oris_runtime.runtime_attempts a where state = 'queued' and not exists (select from oris_runtime.runtime_leases l where l.attempt_id = a.id)" \
    'expect = 1' 'why = a queued attempt without a lease may resume' \
    '[drill owned_leases]' 'of = oris' "sql = select count(*) from oris_runtime.runtime_leases where owner <> ''" 'expect = 1' \
    '[hook undump]' "pre = timeout=30s app stop" "post = app start" "gate = $SCRATCH/bin/validate"
exits 2 'a runner that may spoil the bytes is warned of' rb dump oris --runner 'docker exec -it pgvector'
like "$ERR" 'exec -i' 'with what to write'

# ---- manual backup ------------------------------------------------------------------------------

ok 'the backup' rb dump oris
like "$OUT" '1 database, 3 tables, 5 rows' 'is not empty, and its rows are counted'
like "$OUT" 'every byte of it was decoded' 'and was read back while it was written'
label=$(d_labels srv | tail -n 1)
ok 'it is listed' rb list
like "$OUT" "$label" 'by its name'
ok 'and can be had as a file' rb get oris -o "$SCRATCH/oris_runtime.sql"
like "$(cat "$SCRATCH/oris_runtime.sql")" 'CREATE TABLE oris_runtime.runtime_leases' 'for psql'

# ---- the rehearsal ------------------------------------------------------------------------------

for time in 'the rehearsal' 'the same again'; do
    ok "$time" rb drill --dump oris --on-server --no-amcheck --line
    like "$OUT" "^drill=ok kind=dump job=oris label=$label .* migration_rows=2 attempt_rows=2 lease_rows=1 queued_ready=1 owned_leases=1( |$)" \
        'leaves the evidence of the runbook'
    is "$(pg_sql srv "select string_agg(datname, ',') from pg_database where datname not in ('postgres', 'template0', 'template1')")" \
        oris 'and no database'
done
ok 'as a block for the log' rb drill --dump oris --on-server --no-amcheck --log "$SCRATCH/LOG.md"
like "$(cat "$SCRATCH/LOG.md")" '^## DRILL-20..-..-..: ok' 'with the date'
like "$(cat "$SCRATCH/LOG.md")" 'queued_ready.*a queued attempt without a lease may resume' 'and the rule, explained'
is "$(rb list --json | jq '.drills | length')" 3 'all three are on record'

# ---- manual restore, in place -------------------------------------------------------------------

d_sql srv oris "delete from oris_runtime.runtime_leases; delete from oris_runtime.runtime_attempts; insert into other.untouched values (2)"
rb_program validate "psql -XAtq -d \"dbname=\$HOOK_DATABASE user=username host=$SOCKETS port=$(pg_port srv)\" -c \"select 1 / count(*) from oris_runtime.runtime_attempts where state = 'queued'\"" \
    "echo validated >>'$SCRATCH/app.log'"
exits 4 'nothing is dropped without a word' rb undump oris --schema oris_runtime
is "$(rb_log)" '' 'nor is the application stopped'
ok 'the schema restored' rb undump oris --schema oris_runtime --yes
is "$(rows)" '2|2|1|2' 'is as it was dumped, and the rest as it is'
is "$(rb_log)" 'stop pre ;validated;start post ok;' 'the application was stopped before, and started after the validation'
like "$OUT" 'the way back: walden undump' 'a safety dump is the way back'

# A pre hook that fails is a gate; a validation that fails keeps the application down.
d_sql srv oris "delete from oris_runtime.runtime_leases"
sed -i 's/^pre = timeout=30s app stop/pre = timeout=30s sh -c "echo still busy >\&2; exit 3"/' "$(w_conf srv)"
exits 1 'the application cannot be stopped' rb undump oris --schema oris_runtime --yes
like "$ERR" 'pre hook failed with exit status 3: still busy' 'which is said'
is "$(rows) $(rb_log)" '2|2|0|2 ' 'and nothing was done'
sed -i 's/^pre = .*/pre = timeout=1s sleep 30/' "$(w_conf srv)"
exits 3 'nor in time' rb undump oris --schema oris_runtime --yes
like "$ERR" 'did not end within 1s' 'which is said, too'
sed -i 's/^pre = .*/pre = app stop/' "$(w_conf srv)"
rb_program validate 'echo "no queued attempt" >&2; exit 1'
exits 1 'a validation that fails' rb undump oris --schema oris_runtime --yes
like "$ERR" 'gate hook failed with exit status 1: no queued attempt' 'is said'
like "$ERR" 'The way back: walden undump' 'with the way back'
is "$(rb_log)" 'stop pre ;' 'and the application stays stopped'
done_testing
