#!/bin/bash
# Goal: `walden find` tells right what is less common: drops in functions, DO blocks and prepared transactions,
# DROP OWNED, partitions and their parents, materialized views, unlogged and temporary tables, names that
# must be quoted, a table dropped and made anew at once. A name that nobody has is said to be unknown, and
# the commands that it prints work when they are pasted.
#
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'

some() { echo "create $1 as select i, repeat('x', 30) as t from generate_series(1, ${2:-200}) i;"; }

# accidents NAME: what shall be found, in this order, is printed.
accidents() {
    local name=$1 table wrong=0
    pg_sql "$name" 'create database app' && pg_sql "$name" 'create role owner login' || bail 'no database'
    for table in by_function by_do caught prepared taken_back lost spared anew \
        '"we ird'\''s"' '"UPPER"' '"täble ☃"' '"dot.ted"' cut1 cut2 to_unlogged; do
        app "$(some "table $table")"
    done
    app "$(some 'unlogged table light') $(some 'unlogged table light_cut') $(some 'unlogged table light_full')
        $(some 'materialized view seen') $(some 'table owned1') $(some 'table owned2')
        alter table owned1 owner to owner; alter table owned2 owner to owner;
        create table parts (id int) partition by list (id);
        create table parts1 partition of parts for values in (1);
        create table parts2 partition of parts for values in (2);
        insert into parts select 1 + i % 2 from generate_series(1, 400) i;
        create table parent (id int); create table child (x int) inherits (parent);
        insert into child select i, i from generate_series(1, 200) i;
        create function drops() returns void language plpgsql as 'begin drop table by_function; end';
        create function catches() returns void language plpgsql as
            'begin begin drop table caught; raise exception ''no''; exception when others then null; end; end'"
    f_backup "$name" "$name"
    app 'drop table light'
    echo 'drop public.light'
    app 'truncate light_cut'
    echo 'truncate public.light_cut'
    app 'vacuum full light_full'
    app 'alter table to_unlogged set unlogged'
    app 'refresh materialized view seen'
    app 'drop materialized view seen'
    echo 'drop public.seen'
    app 'select drops()' >/dev/null
    echo 'drop public.by_function'
    app "do 'begin execute ''drop table by_do''; end'"
    echo 'drop public.by_do'
    app 'select catches()' >/dev/null
    app 'create temp table t as select 1; drop table t'
    app "begin; create temp table t on commit drop $(some 'table' 1 | sed 's/create table//; s/;//'); commit"
    app 'truncate cut1, cut2'
    echo 'truncate public.cut1'
    echo 'truncate public.cut2'
    app 'drop owned by owner'
    echo 'drop public.owned1'
    echo 'drop public.owned2'
    app "begin; drop table prepared; prepare transaction 'p'"
    pg_switch "$name" >/dev/null
    app "commit prepared 'p'"
    echo 'drop public.prepared'
    app "begin; drop table taken_back; prepare transaction 'p'"
    app "rollback prepared 'p'"
    app 'begin; savepoint a; drop table lost; savepoint b; drop table spared; rollback to b; release a; commit'
    echo 'drop public.lost'
    app "drop table \"we ird's\", \"UPPER\", \"täble ☃\", \"dot.ted\""
    printf 'drop public.%s\n' "\"we ird's\"" '"UPPER"' '"täble ☃"' '"dot.ted"'
    app 'drop table parts1'
    echo 'drop public.parts1'
    app 'drop table parts'
    [ "$2" -lt 15 ] || echo 'drop public.parts'
    echo 'drop public.parts2'
    app 'drop table parent cascade'
    echo 'drop public.parent'
    echo 'drop public.child'
    app "begin; drop table anew; $(some 'table anew' 10) commit"
    [ "$2" -lt 15 ] || echo 'drop public.anew'
    app "begin; $(some 'table brief') drop table brief; commit"
    pg_switch "$name" >/dev/null
    return $wrong
}
# In accidents: none of them fails unseen.
app() { f_app "$name" "$@" || wrong=1; }


names() { f_list 'join(" ", $_->{kind}, $_->{relation}) if defined $_->{relation}'; }

majors='14 17'
! w_is_dev || majors=18
for major in $majors; do
    name="p$major"
    pg_init "$name" "$major" --wal-segsize=1 -E UTF8 || bail initdb
    w_init "$name" "$(pg_data "$name")" || bail 'no repository'
    # A configuration whose path must be quoted, too.
    mkdir "$SCRATCH/o'dd $name"
    cp "$(w_conf "$name")" "$SCRATCH/o'dd $name/w.conf"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'max_prepared_transactions = 5'
    pg_start "$name" || bail 'no server'
    accidents "$name" "$major" >"$SCRATCH/expected" || bail 'the accidents failed'
    f_json "$major: find" "$name" --limit 1000
    is "$(names)" "$(<"$SCRATCH/expected")" "$major: all that happened and nothing else, in its order"
    f_json "$major: rewrites" "$name" --rewrites
    is "$(names | sort -u | tr '\n' ' ')" \
        "rewrite public.$([ "$major" -ge 15 ] || echo 'anew rewrite public.')light_full rewrite public.seen rewrite public.to_unlogged " \
        "$major: tables made unlogged, and unlogged ones, are told from those that were dropped"
    f_json "$major: dropped and made anew" "$name" --drop anew
    is "$(names)" "$([ "$major" -ge 15 ] && echo drop || echo rewrite) public.anew" "$major: dropped and made anew: is found"
    exits 0 "$major: a name that nobody has" f_find "$name" --drop nosuch
    like "$OUT" 'No base backup knows a table of that name' "$major: a name that nobody has: is said"
    f_json "$major: a name in quotes" "$name" --drop "\"we ird's\""
    is "$(names)" "drop public.\"we ird's\"" "$major: a name in quotes: is found"

    exits 0 "$major: a configuration with odd letters" walden find --config "$SCRATCH/o'dd $name/w.conf" --drop '"täble ☃"'
    command=$(sed -n 's/^  type     //p' <<<"$OUT")
    f_run "$command" "$major" || fail "$major: the pasted command works"
    is "$(pg_outcome back): $(f_ask back app 'select count(*) from "täble ☃"')" 'paused: 200' \
        "$major: the pasted command: the table is back"
    pg_drop back
    f_forget
    eval "run ${command%% -D*} -D '$SCRATCH/back.data' --before-drop nosuch"
    is "$RC" 1 "$major: before what nobody knows: refused"
    pg_drop "$name"
done
done_testing
