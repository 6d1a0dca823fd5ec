# shellcheck shell=bash
# dump-env.sh: what the tests of logical dumps share, on top of lib.sh and walden-env.sh.

# d_tools MAJOR: client programs that can dump a server of that major, first in PATH from now on.
d_tools() {
    local tools
    case $1 in
    13) tools=13 ;;
    14 | 15) tools=15 ;;
    16 | 17) tools=17 ;;
    *) tools=18 ;;
    esac
    pg_prog pg_dump "$tools" >/dev/null
    PATH=$TEST_BIN:$ROOT/build/tools/$tools/bin:${D_PATH:=$PATH}
}

# d_conf NAME LINE...: appends to the configuration of the repository NAME (both of them, when it is
# sealed).
d_conf() {
    local name=$1 file
    shift
    for file in "$(w_conf "$name")" "$(w_open_conf "$name")"; do
        printf '%s\n' "$@" >>"$file"
        [ "$(w_conf "$name")" != "$(w_open_conf "$name")" ] || break
    done
}

# d_walden SERVER NAME COMMAND...: walden with the server's address and the repository's
# configuration; d_open: with the one that can read.
d_walden() { pg_env "$1" walden "$3" --config "$(w_conf "$2")" "${@:4}"; }
d_open() { pg_env "$1" walden "$3" --config "$(w_open_conf "$2")" "${@:4}"; }

# d_labels NAME: the labels of all dumps, oldest first; d_objects: their files.
d_labels() { d_objects "$1" | sed 's|.*/||' | sort -t- -k2n; }
d_objects() { find "$(w_repo "$1")" -path '*/dump/*' -type f ! -name '.*' | sort; }
d_object() { find "$(w_repo "$1")" -path "*/dump/*/$2" -type f; }

# d_data SERVER DATABASE: a small shop.
d_data() {
    pg_sql "$1" "create database $2" || return 1
    PGDATABASE=$2 d_sql "$1" "$2" "
        create schema app;
        create table app.orders(id int primary key, note text, raw bytea);
        insert into app.orders select i, 'order ' || i || E'\n' || repeat(md5(i::text), 4), decode(md5(i::text), 'hex')
            from generate_series(1, 20000) i;
        create table customers(id serial primary key, name text);
        insert into customers(name) select 'customer-' || i from generate_series(1, 300) i;
        create table empty(a int);
        create table \"We ird.\"\"T\"(a text);
        insert into \"We ird.\"\"T\" values (E'\\\\.'), ('-- PostgreSQL database dump complete');
        create view app.big as select * from app.orders where id > 19000;
        create function f() returns text language sql as \$\$ select 'x
COPY public.empty (a) FROM stdin;
' \$\$;
        select lo_from_bytea(0, decode(repeat('ab', 50000), 'hex'));" >/dev/null
}

# d_sql SERVER DATABASE SQL
d_sql() {
    local psql
    psql=$(pg_prog psql) || exit 1
    pg_env "$1" env PGDATABASE="$2" "$psql" -X -q -A -t -v ON_ERROR_STOP=1 -c "$3"
}

# d_rows SERVER DATABASE: a fingerprint of all that d_data made.
d_rows() {
    d_sql "$1" "$2" "select (select md5(string_agg(o::text, ',' order by id)) from app.orders o),
        (select md5(string_agg(c::text, ',' order by id)) from customers c), (select count(*) from empty),
        (select string_agg(a, ',' order by a) from \"We ird.\"\"T\"),
        (select md5(string_agg(data::text, '' order by loid, pageno)) from pg_largeobject)"
}

# d_hold SERVER DATABASE SQL: runs SQL in a transaction that stays open until d_release.
d_hold() {
    local psql
    psql=$(pg_prog psql) || exit 1
    : >"$SCRATCH/hold.out"
    exec 9> >(pg_env "$1" env PGDATABASE="$2" "$psql" -X -q -A -t >"$SCRATCH/hold.out" 2>&1)
    HOLD_PID=$!
    printf 'begin;\n%s;\n\\echo held\n' "$3" >&9
    wait_for 20 grep -q held "$SCRATCH/hold.out" || bail "cannot hold: $(cat "$SCRATCH/hold.out")"
}
# d_release [commit]
d_release() {
    echo "${1:-rollback};" >&9
    exec 9>&-
    wait "$HOLD_PID"
}
# d_is_waiting SERVER: does pg_dump wait for a lock there?
d_is_waiting() {
    [ "$(pg_sql "$1" "select count(*) from pg_stat_activity where application_name = 'pg_dump'
        and wait_event_type = 'Lock'")" = 1 ]
}
