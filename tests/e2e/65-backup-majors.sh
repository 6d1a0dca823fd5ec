#!/bin/bash
# Goal: on each major a base backup under write load, taken by a role with nothing but REPLICATION, over
# TCP with a password that only .pgpass knows, is whole and recovers to exactly the rows that were
# committed; rows of chosen tables are counted with it, by a role that may, and shown by walden list;
# what cannot be counted is told and costs nothing else.
# when: quick
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# over_tcp SERVER: listens on loopback, with passwords by SCRAM alone.
over_tcp() {
    local hba
    hba=$(pg_data "$1")/pg_hba.conf
    pg_conf "$1" "listen_addresses = '127.0.0.1'" 'password_encryption = scram-sha-256'
    pg_restart "$1" || return 1
    b_sql "$1" "alter role rep password 'not in any argument'" || return 1
    printf '%s\n' 'local all postgres trust' 'host replication rep 127.0.0.1/32 scram-sha-256' \
        'host postgres rep 127.0.0.1/32 scram-sha-256' >"$hba"
    pg_reload "$1"
}

# tcp_backup SERVER REPO [ARGUMENT...]
tcp_backup() {
    local port repo=$2
    port=$(pg_port "$1")
    shift 2
    PGPASSFILE=$SCRATCH/pgpass walden backup --config "$(w_conf "$repo")" --fast --json \
        -h 127.0.0.1 -p "$port" -U rep -d postgres "$@"
}

check_major() {
    local name=s$1 major=$1 before dir=$SCRATCH/s$1.first
    b_server "$name" "$major" -k || bail "no server $major"
    w_init "$name" "$(pg_data "$name")" || bail "no repository $major"
    pg_archive "$name" "$(w_archive_command "$name")"
    over_tcp "$name" || bail "no TCP $major"
    : >"$SCRATCH/pgpass"
    chmod 600 "$SCRATCH/pgpass"
    exits 3 "$major: without the password" tcp_backup "$name" "$name"
    like "$ERR" 'password' "$major: without the password: says so"
    echo "127.0.0.1:$(pg_port "$name"):*:rep:not in any argument" >"$SCRATCH/pgpass"
    load_start "$name"
    ok "$major: backup under write load, by TCP with .pgpass" tcp_backup "$name" "$name"
    is "$(b_value wal) $(b_value server_version)" "archive $(pg_sql "$name" 'show server_version_num')" \
        "$major: of this server, its WAL in the archive"
    isnt "$(b_value relations)" 0 "$major: with a relation map"
    load_stop
    before=$(oracle "$name")
    pg_switch "$name" >/dev/null
    ok "$major: is read back whole, pg_verifybackup is content" b_sound "$name" "$name" newest "$name.first"
    ok "$major: a server recovers from it" recover_from "$name.back" "$major" "$name" "$dir" "listen_addresses = ''"
    is "$(oracle "$name.back")" "$before" "$major: with exactly the rows that were committed"
    pg_stop "$name.back"
    ok "$major: the WAL in the backup, by TCP" tcp_backup "$name" "$name" --wal=stream
    is "$(b_value wal)" stream "$major: as asked for"
    b_sound "$name" "$name" newest "$name.stream"
    pg_adopt "$name.alone" "$major" "$SCRATCH/$name.stream" 'archive_mode = off' "listen_addresses = ''"
    ok "$major: a server starts from it alone" pg_start "$name.alone"
    pg_stop "$name.alone"
    rm -rf "$SCRATCH/$name".{first,stream}* "$SCRATCH/pg/$name.back/data"
}

counted() {
    sed 's/{"database"/\n&/g' <<<"$1" |
        sed -n 's/^{"database":"\(.*\)","schema":"\(.*\)","table":"\(.*\)","rows":\([0-9]*\),.*/\1.\2.\3=\4/p'
}

check_counts() {
    local name=$1 label tables='churn, "Odd Name"."a.b" public.apart other.public.far missing nowhere.public.x secret'
    b_sql "$name" 'create schema "Odd Name"' 'create table "Odd Name"."a.b" as select generate_series(1, 7) as i' \
        'create database other' 'create table secret (i int)' 'grant usage on schema "Odd Name" to rep' \
        'grant select on churn, "Odd Name"."a.b", apart to rep'
    pg_env "$name" "$(pg_prog psql)" -X -q -d other -c 'create table far as select generate_series(1, 9) as i' \
        -c 'grant select on far to rep'
    ok 'counts: a backup' b_backup "$name" "$name" --count-tables "$tables"
    label=$(b_value label)
    is "$(b_value tables_counted) $(b_value tables_not_counted)" '4 3' 'counts: what could be counted'
    is "$(grep -c 'warning: .*not counted' <<<"$ERR")" 3 'counts: each of the others is told'
    like "$ERR" 'rows of "missing" were not counted: there is no such table' 'counts: one that is not there'
    like "$ERR" 'rows of "secret" were not counted: .*permission denied' 'counts: one that may not be read'
    ok 'counts: walden list' walden list --config "$(w_conf "$name")" --json
    printf '%s\n' "$OUT" >"$SCRATCH/json"
    is "$(counted "$(tr -d '\n' <"$SCRATCH/json" | sed "s/.*\"label\":\"$label\"//")" | paste -sd' ')" \
        'postgres.public.churn=20000 postgres.Odd Name.a.b=7 postgres.public.apart=1 other.public.far=9' \
        'counts: walden list has them'
    ok 'counts: its JSON is as specified' "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/list.json" "$SCRATCH/json"
    ok 'counts: in words, too' walden list --config "$(w_conf "$name")"
    like "$OUT" '^ +rows +9 in other\.public\.far$' 'counts: one line a table'
    exits 2 'counts: a list that is none' b_backup "$name" "$name" --count-tables 'a.b.c.d'
    pg_sql "$name" 'alter role rep nologin'
    pg_sql "$name" 'alter role rep login'
    sed -i '1i local postgres,other rep reject' "$(pg_data "$name")/pg_hba.conf"
    pg_reload "$name"
    ok 'counts: no SQL for this role, and the backup is taken' b_backup "$name" "$name" --count-tables churn
    like "$ERR" 'warning: not all rows' 'counts: with a warning'
}

# Sealed: names and counts are for who has the write key or the secret key.
check_sealed() {
    local name=$1
    w_init_sealed seal "$(pg_data "$name")" || bail 'no sealed repository'
    ok 'sealed: a backup with counts' pg_env "$name" walden backup --config "$(w_conf seal)" --fast --wal=stream \
        --count-tables churn --json
    is "$(b_value tables_counted)" 1 'sealed: counted'
    is "$(grep -rlaF churn "$(w_repo seal)")" '' 'sealed: the name cannot be read in the repository'
    ok 'sealed: the host sees the counts' walden list --config "$(w_conf seal)" --json
    like "$OUT" '"rows":20000' 'sealed: with its write key'
    grep -v '^host_key' "$(w_conf seal)" >"$SCRATCH/keyless.conf"
    run walden list --config "$SCRATCH/keyless.conf" --json
    like "$OUT" '"counts":null' 'sealed: without a key they are unknown'
}

build_unpack
for major in $(pg_majors); do
    case " ${TEST_BACKUP_MAJORS:-14 16 17} " in *" $major "*) ;; *) continue ;; esac
    check_major "$major"
    if [ "$major" = 17 ]; then
        echo 'local all all trust' >>"$(pg_data s17)/pg_hba.conf"
        echo 'local replication all trust' >>"$(pg_data s17)/pg_hba.conf"
        pg_reload s17
        check_counts s17
        check_sealed s17
    fi
    pg_drop "s$major"
done
done_testing
