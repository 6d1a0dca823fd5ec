#!/bin/bash
# Goal: `walden undump` brings back exactly what was dumped: into a new database with the original's
# owner, encoding, locale, rights and settings; in the place of the original, which stays until the
# new one is whole; one schema in place, in one transaction, after a safety dump.  What is missing is
# named before anything is changed, and what fails leaves what was there.  All of it also where only
# a runner reaches the server.
# also: dev
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

json() { # COMMAND...
    "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/json.err" || diag "$(cat "$SCRATCH/json.err")"
    ok 'the JSON is what its schema says' "$ROOT/tests/tools/json-schema" \
        "$ROOT/catalog/schema/undump.json" "$SCRATCH/json"
}
query() { jq -r "$1" "$SCRATCH/json"; }
databases() { pg_sql "$1" "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate and datname <> 'postgres'"; }
# about SERVER DATABASE: what stands at the database itself.
about() {
    pg_sql "$1" "select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, (select array_agg(a::text order by a::text) from unnest(datacl) a),
        (select setconfig from pg_db_role_setting where setdatabase = d.oid and setrole = 0) from pg_database d where datname = '$2'"
}

majors=$(pg_majors)
newest=$(tail -n 1 <<<"$majors")
if w_is_dev; then majors=$newest; else majors=$(sed -n '1p;$p' <<<"$majors" | uniq); fi

for major in $majors; do
    srv=s$major
    d_tools "$major"
    pg_init "$srv" "$major" || bail initdb
    pg_start "$srv" || bail 'no server'
    pg_sql "$srv" "create role shop_owner login password 'x'" -c 'create role clerk'
    d_data "$srv" shop || bail 'no data'
    pg_sql "$srv" 'alter database shop owner to shop_owner' -c 'grant connect on database shop to clerk' \
        -c "alter database shop set search_path = app, public" -c "alter database shop set work_mem = '7MB'" \
        -c 'alter database shop connection limit 50'
    d_sql "$srv" shop 'alter table app.orders owner to shop_owner; grant select on app.orders to clerk;
        grant usage on schema app to clerk'
    pg_env "$srv" walden init --repo "$(w_repo "$srv")" --config "$(w_conf "$srv")" >/dev/null || bail 'no repository'
    d_conf "$srv" '[dump shop]' 'databases = shop' 'counts = all'
    ok "$major: a dump" d_walden "$srv" "$srv" dump shop
    rows=$(d_rows "$srv" shop)
    dumped=$rows
    about=$(about "$srv" shop)

    # ---- a new database --------------------------------------------------------------------------
    json d_walden "$srv" "$srv" undump shop
    new=$(query .database)
    like "$new" '^shop_restored_[0-9]{8}_[0-9]{6}$' "$major: restored into a database of its own name"
    is "$(d_rows "$srv" "$new")" "$rows" "$major: with the same rows"
    is "$(about "$srv" "$new")" "$about" "$major: owner, encoding, locale, limit, rights and settings"
    is "$(query .rows)" 20302 "$major: every row was counted"
    is "$(d_rows "$srv" shop)" "$rows" "$major: the original is as it was"
    pg_sql "$srv" "drop database $new"
    ok "$major: plain dumps, too" d_walden "$srv" "$srv" dump shop -F plain --tag plain
    plain=$(d_labels "$srv" | tail -n 1)
    ok "$major: come back" d_walden "$srv" "$srv" undump "$plain" --database again
    is "$(d_rows "$srv" again)" "$rows" "$major: with the same rows"
    exits 4 "$major: a database that exists is not touched" d_walden "$srv" "$srv" undump "$plain" --database again
    pg_sql "$srv" 'drop database again'
    ok "$major: parallel, through a file that is gone afterwards" d_walden "$srv" "$srv" undump shop --database again --jobs 3
    is "$(d_rows "$srv" again)" "$rows" "$major: with the same rows"
    is "$(find "$SCRATCH" -maxdepth 1 -name 'walden-undump*')" '' "$major: no plaintext is left"
    pg_sql "$srv" 'drop database again'

    # ---- in the place of the original ------------------------------------------------------------
    d_sql "$srv" shop 'delete from app.orders where id > 100; drop table customers'
    broken=$(d_sql "$srv" shop 'select count(*) from app.orders')
    exits 4 "$major: --replace without a word" d_walden "$srv" "$srv" undump shop --replace
    d_hold "$srv" shop 'select 1'
    json d_walden "$srv" "$srv" undump shop --switch --yes
    d_release 2>/dev/null
    is "$(d_rows "$srv" shop)" "$rows" "$major: --switch: the database is as it was dumped"
    is "$(about "$srv" shop)" "$about" "$major: with its properties"
    old=$(query .old_database)
    is "$(d_sql "$srv" "$old" 'select count(*) from app.orders')" "$broken" "$major: the one before is aside"
    ok "$major: --replace" d_walden "$srv" "$srv" undump shop --replace --yes
    is "$(d_rows "$srv" shop)" "$rows" "$major: the database is as it was dumped"
    pg_sql "$srv" "drop database \"$old\""
    ok "$major: --replace --drop-first" d_walden "$srv" "$srv" undump shop --replace --drop-first --yes
    is "$(d_rows "$srv" shop) $(databases "$srv")" "$rows shop" "$major: and nothing is left beside it"

    # ---- one schema ------------------------------------------------------------------------------
    d_sql "$srv" shop "delete from app.orders; insert into customers(name) values ('new')"
    exits 4 "$major: --schema without a word" d_walden "$srv" "$srv" undump shop --schema app
    json d_walden "$srv" "$srv" undump shop --schema app --yes
    is "$(d_sql "$srv" shop "select (select count(*) from app.orders), (select count(*) from customers),
        (select has_schema_privilege('clerk', 'app', 'usage')), (select has_table_privilege('clerk', 'app.orders', 'select'))")" \
        '20000|301|t|t' "$major: the schema is as it was dumped, the rest as it is now, rights included"
    safety=$(query .safety_dump)
    exits 4 "$major: a dump of an empty schema still comes back only on a word" d_walden "$srv" "$srv" undump "$safety" --schema app --database shop
    ok "$major: the safety dump is the way back" d_walden "$srv" "$srv" undump "$safety" --schema app --database shop --yes
    is "$(d_sql "$srv" shop 'select count(*) from app.orders')" 0 "$major: to what was there"
    ok "$major: and again" d_walden "$srv" "$srv" undump shop --schema app --yes
    [ "$major" = "$newest" ] || pg_drop "$srv"
done

# ---- what is missing -----------------------------------------------------------------------------

srv=s$newest
pg_init -f other "$newest" || bail initdb
pg_start other || bail 'no server'
exits 4 'roles that are missing are named' d_walden other "$srv" undump shop
like "$ERR" 'shop_owner' 'the owner'
like "$ERR" 'clerk' 'and who has rights'
is "$(databases other)" '' 'nothing was made'
ok 'without owners it works' d_walden other "$srv" undump shop --database bare --no-owner
is "$(d_rows other bare)" "$dumped" 'with the same rows'
ok 'and with the roles of the dump' d_walden other "$srv" undump shop --globals --database full
is "$(pg_sql other "select string_agg(rolname, ',' order by rolname) from pg_roles where rolname in ('clerk', 'shop_owner')")" \
    clerk,shop_owner 'which were made'

# ---- what fails ----------------------------------------------------------------------------------

d_sql "$srv" shop 'create table app.later(a int)' # so that DROP has something to forget
d_sql "$srv" shop "create schema outside; create table outside.child(id int references app.orders(id))"
exits 4 'a foreign key from outside is not dropped unasked' pg_env "$srv" walden undump shop --schema app --config "$(w_conf "$srv")"
like "$ERR" 'outside.child' 'but named'
d_sql "$srv" shop 'drop schema outside cascade'
cat >"$SCRATCH/cutting" <<'SH'
#!/bin/bash
case $1 in pg_restore) [ "$2" = --version ] || { head -c 300000 | "$@"; exit; } ;; esac
exec "$@"
SH
chmod +x "$SCRATCH/cutting"
where="host=$SOCKETS port=$(pg_port "$srv") user=postgres dbname=postgres"
exits 1 'an archive that does not reach pg_restore whole' pg_env "$srv" walden undump shop --database cut \
    --runner "$SCRATCH/cutting" -d "$where" --config "$(w_conf "$srv")"
unlike "$(databases "$srv")" 'cut' 'leaves no database'
exits 1 'in place' pg_env "$srv" walden undump shop --schema app --yes --runner "$SCRATCH/cutting" \
    -d "$where" --config "$(w_conf "$srv")"
is "$(d_sql "$srv" shop "select to_regclass('app.later') is not null")" t 'it leaves the schema as it was'
object=$(d_object "$srv" "$(d_labels "$srv" | head -n 1)")
cp -p "$object" "$SCRATCH/spare"
flip_byte "$object" $(($(size_of "$object") * 8 / 10))
exits 1 'a damaged dump' d_walden "$srv" "$srv" undump "$(basename "$object")" --replace --yes
is "$(d_sql "$srv" shop "select to_regclass('app.later') is not null")|$(databases "$srv")" 't|shop' \
    'leaves the original, and nothing else'
cp -p "$SCRATCH/spare" "$object"

# ---- a server that only a runner reaches ---------------------------------------------------------

cat >"$SCRATCH/docker" <<SH
#!/bin/bash
[ "\$1 \$2 \$3 \$4" = 'compose exec -T db' ] || { echo "unknown: \$*" >&2; exit 9; }
shift 4
export PGHOST=$SOCKETS PGPORT=$(pg_port "$srv")
exec "\$@"
SH
chmod +x "$SCRATCH/docker"
d_conf "$srv" '[dump boxed]' "runner = $SCRATCH/docker compose exec -T db" 'dsn = user=postgres' \
    'databases = shop' 'counts = all'
boxed() { env -u PGHOST PGHOST=/nowhere walden "$1" --config "$(w_conf "$srv")" "${@:2}"; }
rows=$(d_rows "$srv" shop)
ok 'a dump through the runner' boxed dump boxed
ok 'restored through the runner' boxed undump boxed
new=$(databases "$srv" | grep -o 'shop_restored_[0-9_]*')
is "$(d_rows "$srv" "$new")" "$rows" 'with the same rows'
ok 'in the place of the original' boxed undump boxed --replace --yes
is "$(d_rows "$srv" shop)" "$rows" 'with the same rows'
d_sql "$srv" shop 'delete from app.orders'
ok 'one schema' boxed undump boxed --schema app --yes
is "$(d_rows "$srv" shop)" "$rows" 'with the same rows'
exits 3 'control: without the runner nobody gets there' boxed dump shop

done_testing
