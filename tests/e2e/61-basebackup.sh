#!/bin/bash
# Goal: a base backup taken from a server that is written to, by a role with nothing but REPLICATION,
# plain and sealed, from archive or stream, is whole: PostgreSQL's own pg_verifybackup accepts every
# file, a server recovers from it with walden-restore and holds exactly the rows that were committed.
# The second backup of the same data stores next to nothing.  A backup that is killed at any moment
# is not there, and the next one is whole.
# when: long
# also: cross
# timeout: 1800
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

WORD='a-row-that-nobody-else-may-read'

# setup NAME MAJOR KIND [INITDB_ARGUMENT...]: a server that archives into a repository of its name.
setup() {
    local name=$1 major=$2 kind=$3
    shift 3
    b_server "$name" "$major" "$@" || bail "no server $name"
    if [ "$kind" = sealed ]; then
        w_init_sealed "$name" "$(pg_data "$name")"
    else
        w_init "$name" "$(pg_data "$name")"
    fi || bail "no repository $name"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_sql "$name" "create table secret as select '$WORD'::text as x"
    pg_restart "$name" || bail "$name does not start"
}

# check_under_load NAME MAJOR KIND: by the archive, while two clients write.
check_under_load() {
    local name=$1 major=$2 what="$2 $3" dir=$SCRATCH/$1.first before after
    load_start "$name"
    ok "$what: backup under write load" b_backup "$name" "$name"
    printf '%s\n' "$OUT" >"$SCRATCH/json"
    ok "$what: its JSON is as specified" "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/backup.json" \
        "$SCRATCH/json"
    OUT=$(cat "$SCRATCH/json")
    is "$(b_value wal) $(b_value timeline)" 'archive 1' "$what: its WAL is in the archive"
    is "$(b_value data_checksums) $(b_value from_standby)" 'true false' "$what: what it says of the server"
    isnt "$(b_value relations)" 0 "$what: it has a relation map"
    is "$(b_value label)" "$(b_labels "$name")" "$what: and is there"
    ok "$what: with nothing left over" b_clean "$name"
    sleep 1
    load_stop
    before=$(oracle "$name")
    pg_switch "$name" >/dev/null
    ok "$what: it is read back whole, pg_verifybackup is content" b_sound "$name" "$name" newest "$name.first"
    like "$(cat "$SCRATCH/$name.first.facts")" '^spaces=1$' "$what: with its tablespace"
    like "$(cat "$dir.relations")" '^postgres\|public\.churn\|[0-9]+\|[0-9]+\|0\|r$' "$what: and names"
    ok "$what: a server recovers from it" recover_from "$name.back" "$major" "$name" "$dir"
    after=$(oracle "$name.back")
    is "$after" "$before" "$what: with exactly the rows that were committed"
    is "$(pg_sql "$name.back" 'select i from apart')" 42 "$what: also in the tablespace"
    is "$(pg_sql "$name.back" 'select count(*) from forgotten')" 0 "$what: the unlogged table is empty"
    if [ "$major" -ge 14 ]; then
        pg_sql "$name.back" 'create extension if not exists amcheck'
        ok "$what: pg_amcheck" pg_env "$name.back" "$(pg_prog pg_amcheck)" -d postgres --heapallindexed
    fi
    pg_stop "$name.back"
}

# check_stream NAME MAJOR KIND: a backup that needs nothing besides itself.
check_stream() {
    local name=$1 major=$2 what="$2 $3, streamed" dir=$SCRATCH/$1.stream rows
    load_start "$name"
    ok "$what: backup under write load" b_backup "$name" "$name" --wal=stream --tag by-itself
    rows=$(pg_sql "$name" 'select max(n) from oracle')
    load_stop
    is "$(b_value wal) $(b_value tag)" 'stream by-itself' "$what: as asked for"
    b_sound "$name" "$name" newest "$name.stream"
    ok "$what: pg_verifybackup with its WAL" b_verified "$major" "$dir"
    pg_adopt "$name.alone" "$major" "$dir" 'archive_mode = off'
    ok "$what: a server starts from it alone" pg_start "$name.alone"
    is "$(pg_sql "$name.alone" "select count(*) > 10 and max(n) <= $rows from oracle")" t \
        "$what: with rows up to its end"
    pg_stop "$name.alone"
}

check_standby() {
    local name=$1 major=$2 what="$2 standby" dir=$SCRATCH/$1.standby back=$1.sback
    pg_backup_hot "$name" "$SCRATCH/$name.seed" \
        -T "${SCRATCH//=/\\=}/$name space\\=1=$SCRATCH/$name.seedspace" || bail "no seed"
    pg_from_backup -s "$name.s" "$major" "$SCRATCH/$name.seed" "$(w_restore_command "$name")" \
        "primary_conninfo = '$(pg_connstr "$name")'" 'hot_standby = on'
    ok "$what: starts" pg_start "$name.s"
    ok "$what: backup by stream" b_backup "$name.s" "$name" --wal=stream
    is "$(b_value from_standby)" true "$what: knows that it is one"
    ok "$what: whole" b_sound "$name" "$name" newest "$name.standby"
    ok "$what: with its WAL" b_verified "$major" "$dir"
    (
        sleep 2
        b_sql "$name" 'select pg_switch_wal()' checkpoint >/dev/null
        sleep 1
        pg_switch "$name" >/dev/null
    ) &
    ok "$what: backup by the archive, when the primary ends the segment" b_backup "$name.s" "$name" --wal=archive
    wait $!
    is "$(b_value wal)" archive "$what: proven"
    ok "$what: whole, too" b_sound "$name" "$name" newest "$name.standby"
    pg_stop "$name.s"
    ok "$what: a server recovers from it" recover_from "$back" "$major" "$name" "$dir"
    pg_stop "$back"
}

# ---- how much is stored -------------------------------------------------------------------------

# part STORED BYTES LIMIT: STORED is at most LIMIT millionths of BYTES.
part() {
    diag "stored $1 of $2: $(($1 * 1000000 / $2)) millionths"
    [ $(($1 * 1000000 / $2)) -le "$3" ]
}

manifest_size() { find "$(w_repo "$1")" -path "*/backup/*" -name "$2" -printf '%s'; }

check_sizes() {
    local name=sizes bytes
    b_server "$name" 18 -k || bail 'no server'
    w_init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_env "$name" "$(pg_prog pgbench)" -i -q -s 20 -F 90 2>/dev/null || bail 'pgbench'
    b_sql "$name" 'vacuum freeze pgbench_accounts' checkpoint
    ok 'sizes: the first backup' b_backup "$name" "$name"
    bytes=$(b_value bytes)
    ok 'sizes: the second, of the unchanged cluster' b_backup "$name" "$name"
    ok 'sizes: under 0.1 % is stored, manifest included' part \
        $(($(b_value stored) + $(manifest_size "$name" "$(b_value label)"))) "$bytes" 1000
    b_sql "$name" 'update pgbench_accounts set abalance = 1 where aid between 500001 and 520000' checkpoint
    ok 'sizes: 1 % of the rows changed, side by side' b_backup "$name" "$name"
    ok 'sizes: at most 0.35 % is stored' part "$(b_value stored)" "$bytes" 3500
    b_sql "$name" 'update pgbench_accounts set abalance = 2 where aid % 100 = 7' checkpoint
    ok 'sizes: 1 % of the rows changed, scattered' b_backup "$name" "$name"
    ok 'sizes: at most 6 % is stored' part "$(b_value stored)" "$bytes" 60000
    ok 'sizes: all of it is whole' b_sound "$name" "$name" newest "$name.sizes"
    pg_stop "$name"
    rm -rf "$SCRATCH/$name".* "$SCRATCH/pg/$name/data"
}

# ---- killed -------------------------------------------------------------------------------------

# killed_after SECONDS SIGNAL SERVER: a backup that gets the signal then; its status is in RC.
killed_after() {
    local pid
    # (exec: so that it is the backup that is killed, however early.)
    pg_env "$3" exec env PGUSER=rep walden-basebackup --config "$(w_conf "$3")" --fast --json --wal=stream \
        --no-relation-map --max-rate 40MB >"$SCRATCH/killed" 2>&1 &
    pid=$!
    sleep "$1"
    kill -"$2" "$pid" 2>/dev/null
    RC=0
    wait "$pid" || RC=$?
}

check_killed() {
    local name=$1 before i visible=0 lasting
    before=$(b_labels "$name" | wc -l)
    b_sql "$name" "create table more as select i, md5(i::text) as x from generate_series(1, 400000) i" checkpoint
    for i in 0.01 0.03 0.06 0.1 0.15 0.2 0.3 0.4 0.5 0.6 0.8 1.0 1.2 1.5; do
        killed_after $i KILL "$name"
        lasting=$(b_labels "$name" | wc -l)
        [ "$RC" = 0 ] || [ "$lasting" = "$before" ] || visible=$((visible + 1))
        before=$lasting
    done
    is "$visible" 0 'killed: nothing of a killed backup is visible'
    ok 'killed: the next one is whole' b_backup "$name" "$name"
    ok 'killed: read back' b_sound "$name" "$name" newest "$name.killed"
    is "$(w_leftovers "$name")" '' 'killed: the dead one'"'"'s temporary files are gone'
    b_sql "$name" "create table yet_more as select i, md5((-i)::text) as x from generate_series(1, 800000) i" \
        checkpoint
    before=$(b_labels "$name")
    killed_after 1.5 TERM "$name"
    is "$RC $(b_labels "$name")" "130 $before" 'stopped: exit status 130, nothing visible'
    ok 'stopped: the next backup' b_backup "$name" "$name"
    isnt "$(b_value packs_adopted)" 0 'stopped: uses what was stored'
    ok 'stopped: and is whole' b_sound "$name" "$name" newest "$name.killed"
}

build_unpack
for major in $(pg_majors); do
    case " ${TEST_BACKUP_MAJORS:-13 15 18} " in *" $major "*) ;; *) continue ;; esac
    for kind in plain sealed; do
        name=s$major$kind
        size=16
        [ "$major" != 15 ] || size=1
        setup "$name" "$major" "$kind" -k --wal-segsize=$size
        check_under_load "$name" "$major" "$kind"
        check_stream "$name" "$major" "$kind"
        if [ "$kind" = sealed ]; then
            is "$(grep -rlaF -e "$WORD" -e oracle_pkey "$(w_repo "$name")")" '' \
                "$major sealed: no row and no name can be read in the repository"
            nok "$major sealed: this host holds no secret key" test -e "$(w_keys "$name")/recovery.key"
        else
            check_standby "$name" "$major"
        fi
        [ "$major" != 18 ] || check_killed "$name"
        pg_stop "$name"
        rm -rf "$SCRATCH/$name".* "$SCRATCH/$name.back" "$SCRATCH/pg/$name"*/data "$(w_repo "$name")"
    done
done
check_sizes
done_testing
