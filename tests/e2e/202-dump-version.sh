#!/bin/bash
# Goal: the version of the schema that the application says is noted with a dump, shown by list and undump,
# told when the database in use has another one, and compared in what was restored, by undump and drill; row
# security is compared, too.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

major=$(pg_majors | tail -n 1)
dr_place "$major"
pg_init a "$major" || bail initdb
pg_start a || bail 'no server'
w_init a "$(pg_data a)" || bail 'walden init'
pg_sql a 'create role clerk' -c 'create database shop' -c 'create database other' -c 'alter database shop set search_path = app, public'
d_sql a shop "create schema app; create table app.schema_migrations(version int primary key); insert into app.schema_migrations values (40), (41);
    create table app.jobs(id int, who text); insert into app.jobs values (1, 'clerk'); alter table app.jobs enable row level security;
    create policy own on app.jobs to clerk using (who = current_user); create policy \"all\" on app.jobs for select to public using (true)"
d_sql a other 'create table t(i int); insert into t values (1)'
d_conf a '[dump shop]' 'databases = shop' 'schema_version = select max(version) from schema_migrations' \
    '[dump both]' 'databases = shop other' 'schema_version = select max(version) from schema_migrations' \
    '[dump name]' 'databases = shop' "schema_version = select 'of ' || current_database()" \
    '[dump plain]' 'databases = shop' 'format = plain'
w() { d_walden a a "$@"; }
fits() { "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/$1.json" <(printf '%s\n' "$OUT"); }

note 'noted'
ok 'a dump' w dump shop
like "$OUT" 'schema version of shop: 41' 'says it'
ok 'in JSON' w dump shop --json
is "$(jq -r '.databases[0].schema_version' <<<"$OUT")" 41 'as well'
ok 'as its schema has it' fits dump
ok 'list' w list
like "$OUT" 'schema 41' 'shows it'
ok 'and in JSON' w list --json
is "$(jq -r '.dumps[-1].schema_version' <<<"$OUT")" 41 'too'
ok 'as its schema has it' fits list
sed -i '0,/schema_migrations$/s//no_such_table/' "$(w_conf a)"
exits 2 'a query that fails' w dump shop
like "$ERR" 'schema_version.*no_such_table' 'is a mistake in the configuration'
sed -i 's/no_such_table/schema_migrations/' "$(w_conf a)"
ok 'of several databases not all need one' w dump both
like "$OUT" 'of shop: 41' 'one has'
unlike "$OUT" 'of other' 'one has not'

note 'compared'
ok 'restored beside it' w undump shop --database beside
like "$OUT" 'schema version 41' 'it is shown'
unlike "$ERR" 'schema version' 'and nothing is to be said of it'
d_sql a shop 'insert into app.schema_migrations values (43); delete from app.jobs'
d_conf a '[hook undump]' "gate = sh -c 'echo \$HOOK_SCHEMA_VERSION >$SCRATCH/seen'"
run w undump shop --switch --yes --json
is "$RC" 0 'in the place of a newer one'
like "$ERR" 'has schema version 43, the dump 41' 'it is told'
is "$(jq -r .schema_version <<<"$OUT")" 41 'in JSON'
ok 'as its schema has it' fits undump
is "$(cat "$SCRATCH/seen")" 41 'the gate knows from where to migrate'
ok 'a version that depends on where it is asked' w dump name
exits 1 'is another one in what was restored' w undump name --database elsewhere
like "$ERR" 'schema version: found of elsewhere, the dump has of shop' 'which is said'
is "$(pg_sql a "select count(*) from pg_database where datname = 'elsewhere'")" 0 'and dropped again'

note 'row security'
is "$(d_sql a shop "select count(*) from pg_policies")" 2 'is there after a restore'
# Something on the way loses it.
cat >"$SCRATCH/lossy" <<'X'
#!/bin/bash
case " $* " in
*' --single-transaction '*) sed -u '/ENABLE ROW LEVEL SECURITY/d' | "$@" ;;
*) exec "$@" ;;
esac
X
chmod +x "$SCRATCH/lossy"
ok 'a plain dump' w dump plain
ok 'control: restored' w undump plain --database whole
export PGHOST=$SOCKETS PGPORT PGUSER=postgres
PGPORT=$(pg_port a)
exits 1 'restored without' w undump plain --database lost --runner "$SCRATCH/lossy"
like "$ERR" 'row security of app.jobs: found enabled=f .*policies="?all"?,own, the dump has enabled=t' 'is found'

note 'drills'
ok 'a drill' walden drill --config "$(w_conf a)" --scratch "$PLACE" --no-amcheck --json --dump both
is "$(jq -r '.checks[] | select(.name == "schema version") | .result + " " + .found' <<<"$OUT")" 'passed 41' 'asks for the version'
is "$(jq -r '[.checks[] | select(.name == "row security of app.jobs") | .result] | join(",")' <<<"$OUT")" passed 'and the row security'
exits 1 'one of what is otherwise there' walden drill --config "$(w_conf a)" --no-amcheck --dump name --on-server
like "$OUT" 'FAILED +schema version' 'fails'

note 'sealed'
w_init_sealed s "$(pg_data a)" || bail 'walden init'
d_conf s '[dump shop]' 'databases = shop' 'schema_version = select max(version) from schema_migrations'
ok 'a sealed dump' d_walden a s dump shop
ok 'does not say it' bash -c "! grep -q '\"schema_version\": \"41\"' <(walden list --json --config '$(w_conf s)')"
ok 'but to who has the key' d_open a s undump shop --database opened
like "$OUT" 'schema version 41' 'it is known'
done_testing
