#!/bin/bash
# The WAL reader against PostgreSQL's own: on WAL of real workloads, with several segment sizes and
# wal_levels, it must see the same records and the same commits as pg_waldump and pg_walinspect of
# the same major, join every segment with its neighbour, and find the accidents that were staged.
. "$(dirname "$0")/../lib.sh"

WALSUM=$SCRATCH/walsum

build_walsum() {
    local reader='facts join meta metaread tlv version walevent walname walpage walrecord walwalk
        walxact walxids'
    local flags='-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -O1 -g'
    # shellcheck disable=SC2046,SC2086 # lists of words
    (cd "$ROOT" && ${CC:-cc} $flags -fsanitize=address,undefined -fno-sanitize-recover=all -Ilib \
        -include base/banned.h -o "$WALSUM" tests/tools/walsum.c \
        $(printf 'lib/pg/%s.c ' $reader) lib/base/{crc32c,err,parse,text}.c) >"$SCRATCH/cc.log" 2>&1
}

# value LINE KEY: the value of KEY=VALUE in a line of walsum.
value() { sed -n "s/^.* $2=\([^ ]*\).*$/\1/p;t;s/^$2=\([^ ]*\).*$/\1/p" <<<"$1"; }

# lines KIND: of the last walsum.
lines() { grep "^$1 " "$SCRATCH/sum"; }

# sum FILE...: runs walsum, output in $SCRATCH/sum.
sum() { "$WALSUM" "$@" >"$SCRATCH/sum" 2>"$SCRATCH/sum.err"; }

# start_server NAME MAJOR SEGMENT_MB WAL_LEVEL
start_server() {
    pg_init "$1" "$2" --wal-segsize="$3" || return 1
    pg_archive_cp "$1" "$SCRATCH/$1.archive"
    pg_conf "$1" "wal_level = $4" 'max_prepared_transactions = 5' 'wal_keep_size = 4GB' \
        'max_wal_size = 4GB' 'checkpoint_timeout = 1h' 'autovacuum = off' \
        'track_commit_timestamp = on' 'synchronous_commit = off' 'lock_timeout = 10s'
    pg_start "$1"
}

bench() {
    pg_env "$1" "$(pg_prog pgbench)" -q -i -s 1 >/dev/null 2>&1 &&
        pg_env "$1" "$(pg_prog pgbench)" -n -c 4 -t 150 >/dev/null 2>&1
}

# workload NAME SEGMENT_MB: everything that a reader may meet.  Writes what must be found to
# $SCRATCH/NAME.want as shell variables.
workload() {
    local name=$1 mb=$2 want=$SCRATCH/$1.want
    # Each count starts in a segment of its own: pieces below the reader's threshold are not told.
    fresh() { pg_sql "$name" "select pg_switch_wal()" -o /dev/null; }
    mkdir -p "$SCRATCH/$name.space"
    bench "$name" || return 1
    pg_sql "$name" "checkpoint;
        update pgbench_accounts set filler = 'x' where aid % 7 = 0;
        create table victim (id int primary key, t text);
        insert into victim select i, repeat('v', 100) from generate_series(1, 5000) i;
        create table keep (id int primary key, t text);
        insert into keep select i, repeat('k', 100) from generate_series(1, 5000) i;" || return 1
    {
        pg_sql "$name" "select 'victim=' || pg_relation_filenode('victim'),
            'keep=' || pg_relation_filenode('keep'), 'keep_oid=' || 'keep'::regclass::oid,
            'victim_oid=' || 'victim'::regclass::oid" | tr '|' '\n'
        fresh
        pg_sql "$name" "begin; delete from victim where id <= 1234;
            select 'delete_xid=' || txid_current(); commit"
        fresh
        pg_sql "$name" "begin; delete from victim where id <= 2000; rollback" &&
            pg_sql "$name" "begin; delete from victim where id between 2001 and 2100; savepoint a;
                delete from victim where id between 2101 and 2150; savepoint b;
                delete from victim where id between 2151 and 2400; rollback to b;
                delete from victim where id between 2401 and 2420;
                select 'sub_xid=' || txid_current(); commit"
        fresh
        pg_sql "$name" "begin; update keep set t = 'u' where id <= 700;
            select 'update_xid=' || txid_current(); commit"
        fresh
        pg_sql "$name" "begin; delete from keep where id between 4001 and 4300;
            select 'two_xid=' || txid_current(); prepare transaction 'one'" &&
            pg_sql "$name" "begin; delete from keep where id between 4301 and 4600;
                prepare transaction 'two'" &&
            pg_sql "$name" "commit prepared 'one'" && pg_sql "$name" "rollback prepared 'two'"
        fresh
        pg_sql "$name" "begin; delete from keep where id between 1001 and 1100;
            select 'long_xid=' || txid_current(); select pg_switch_wal() is null;
            delete from keep where id between 1101 and 1200; commit" | grep -v '^f$'
    } >"$want"
    pg_sql "$name" "do \$\$ begin for i in 1..300 loop
            begin update keep set t = 'sub' where id = i;
                if i % 3 = 0 then raise exception 'no'; end if;
            exception when others then null; end;
        end loop; end \$\$;
        select pg_create_restore_point('before the accident')" -o /dev/null || return 1
    {
        pg_sql "$name" "select 'trunc_node=' || pg_relation_filenode('keep')"
        pg_sql "$name" "begin; truncate keep; select 'trunc_xid=' || txid_current(); commit"
        pg_sql "$name" "insert into keep select i, 'again' from generate_series(1, 500) i"
        pg_sql "$name" "begin; drop table victim; select 'drop_xid=' || txid_current(); commit"
    } >>"$want"
    pg_sql "$name" "vacuum full keep" && pg_sql "$name" "cluster keep using keep_pkey" &&
        pg_sql "$name" "alter table keep alter column id type bigint; reindex table keep;
            create materialized view mv as select * from keep; refresh materialized view mv;
            create unlogged table u (i int); insert into u values (1); drop table u;
            begin; create table rolled (i int); rollback;" || return 1
    pg_sql "$name" "create database other" &&
        pg_sql "$name" "select 'other=' || oid from pg_database where datname = 'other'" >>"$want" &&
        pg_sql "$name" "drop database other" &&
        pg_sql "$name" "create tablespace space location '$SCRATCH/$name.space'" &&
        pg_sql "$name" "create table inspace (i int) tablespace space" &&
        pg_sql "$name" "drop table inspace" && pg_sql "$name" "drop tablespace space" || return 1
    # A record so long that whole segments have no record start.
    pg_sql "$name" "select pg_logical_emit_message(true, 'big',
        repeat(md5('x'), $((mb * 1048576 / 32 * 9 / 4))))" -o /dev/null || return 1
    bench "$name" || return 1
    pg_switch "$name" >/dev/null
}

# commit_lines MAJOR FIRST LAST DIR: pg_waldump's view of the segments.
waldump() {
    "$(pg_prog pg_waldump "$1")" -p "$4" "$2" "$3" >"$SCRATCH/dump" 2>"$SCRATCH/dump.err"
    grep '^rmgr: ' "$SCRATCH/dump" >"$SCRATCH/dump.records"
}

# Commit and abort times as pg_waldump prints them, oldest first: 2026-11-20 06:21:45.123456 UTC
dump_commits() {
    grep -E '^rmgr: Transaction.* desc: COMMIT(_PREPARED)? ' "$SCRATCH/dump.records" |
        grep -Eo '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ UTC' |
        sed -E 's/ UTC$/Z/; s/ /T/; s/(:[0-9]{2})Z/\1.000000Z/' |
        awk '{ split($0, a, "."); f = a[2]; sub("Z", "", f); while (length(f) < 6) f = f "0";
            print a[1] "." f "Z" }'
}

check_waldump() {
    local name=$1 major=$2 dir=$3 first=$4 last=$5 total times
    waldump "$major" "$first" "$last" "$dir"
    total=$(lines total)
    is "$(value "$total" records)" "$(wc -l <"$SCRATCH/dump.records")" \
        "$name: as many records as pg_waldump"
    times=$(dump_commits)
    is "$(value "$total" commits)" "$(wc -l <<<"$times")" "$name: as many commits as pg_waldump"
    is "$(value "$total" aborts)" \
        "$(grep -c '^rmgr: Transaction.* desc: ABORT' "$SCRATCH/dump.records")" \
        "$name: as many aborts as pg_waldump"
    is "$(value "$total" prepares)" \
        "$(grep -c '^rmgr: Transaction.* desc: PREPARE' "$SCRATCH/dump.records")" \
        "$name: as many prepares as pg_waldump"
    is "$(value "$total" least) $(value "$total" greatest)" \
        "$(sort <<<"$times" | sed -n '1p;$p' | paste -sd' ')" \
        "$name: first and last commit time as pg_waldump"
}

check_walinspect() {
    local name=$1 mb=$2 start end rows
    start=$(value "$(lines segment | head -n 1)" first)
    # A SWITCH record reaches to the end of its segment.
    end=$(pg_sql "$name" "select '$(value "$(lines segment | tail -n 1)" start)'::pg_lsn +
        $((mb * 1048576))")
    pg_sql "$name" "create extension if not exists pg_walinspect" 2>/dev/null
    rows=$(pg_sql "$name" "select count(*),
        count(*) filter (where resource_manager = 'Transaction' and record_type like 'COMMIT%'),
        count(*) filter (where resource_manager = 'Transaction' and record_type like 'ABORT%')
        from pg_get_wal_records_info('$start', '$end')")
    is "$(value "$(lines total)" records)|$(value "$(lines total)" commits)|$(
        value "$(lines total)" aborts)" "$rows" "$name: as many records, commits and aborts as pg_walinspect"
}

check_summary() {
    local name=$1 total change
    total=$(lines total)
    # shellcheck disable=SC1090 # written by workload
    . "$SCRATCH/$name.want"
    is "$(value "$total" damages) $(value "$total" breaks)" "0 0" "$name: no damage, every join holds"
    is "$(value "$total" joined)" "$(value "$total" proved)" "$name: every joined record has its CRC"
    is "$(grep -Ec '^(decoded|joined)-' "$SCRATCH/sum")" 0 "$name: what is decoded is what was encoded"

    is "$(rows "$delete_xid" "$victim")" "1234 0" "$name: a delete of 1234 rows"
    is "$(rows "$sub_xid" "$victim")" "170 0" "$name: savepoints count, rolled-back ones do not"
    is "$(rows "$update_xid" "$keep")" "0 700" "$name: an update of 700 rows"
    is "$(rows "$two_xid" "$keep")" "300 0" "$name: a prepared delete"
    like "$(lines change | grep " xid=$two_xid ")" "flags=4 " "$name: when it is committed"
    like "$(lines open | grep " xid=$long_xid ")" "/$keep-100\+0" "$name: an open transaction's rows"
    is "$(rows "$long_xid" "$keep")" "200 0" "$name: and those of its end"
    is "$(lines change | grep "/$victim deletes=" | cut -d' ' -f2 | sort -u | wc -l)" 2 "$name: rolled-back deletes are not told"

    change=$(lines event | grep " xid=$drop_xid ")
    like "$change" "dropped=[0-9]+:.*/$victim[ ,]" "$name: a dropped table's file"
    like "$change" "created=0: " "$name: and no file made"
    like "$change" "(stats|invals)=[0-9]+:([0-9]+,)*$victim_oid[, ]" "$name: and its OID"
    like "$change" "locked=[0-9]+:([0-9]+,)*$victim_oid[, ]" "$name: and its lock"
    change=$(lines event | grep " xid=$trunc_xid ")
    like "$change" "dropped=[0-9]+:.*/$trunc_node[ ,]" "$name: a truncated table's old file"
    like "$change" "created=[1-9]" "$name: and its new one"
    like "$change" "stats=0: .*invals=[0-9]+:([0-9]+,)*$keep_oid[, ]" "$name: and its OID"
    is "$(lines point | grep -c ' name=before the accident ')" 1 "$name: the restore point"
    is "$(lines database | grep " db=$other " | grep -o 'op=[a-z]*' | paste -sd' ')" \
        "op=create op=drop" \
        "$name: a database created and dropped"
    is "$(lines tablespace | grep -o 'op=[a-z]*' | paste -sd' ')" "op=create op=drop" \
        "$name: a tablespace created and dropped"
    like "$(lines tablespace)" " path=$SCRATCH/$name.space " "$name: and its path"
    isnt "$(lines segment | grep -c ' first=0/0 ')" 0 "$name: segments without a record start"
}

# rows XID FILE_NUMBER: rows that a transaction deleted and updated, those of an open piece included.
rows() {
    lines '\(change\|open\)' | grep " xid=$1 " |
        sed -nE "s|.*/$2 deletes=([0-9]+) updates=([0-9]+) .*|\1 \2|p
            s|.*counts=.*/$2-([0-9]+)\+([0-9]+)[, ].*|\1 \2|p" |
        awk '{ d += $1; u += $2 } END { print d + 0, u + 0 }'
}

# Whatever the pieces, the result is the same.
check_chunks() {
    local name=$1 want chunk
    shift
    want=$(sum_of "$SCRATCH/sum")
    for chunk in 8192 40000; do
        "$WALSUM" -c $chunk "$@" >"$SCRATCH/sum.chunk"
        is "$(sum_of "$SCRATCH/sum.chunk")" "$want" "$name: the same in pieces of $chunk bytes"
    done
}

# A promotion in the middle of a segment: the new timeline joins the old one's last whole segment,
# and the .partial is read up to its end.
check_promotion() {
    local name=$1 major=$2 mb=$3 back=$1.back archive=$SCRATCH/$1.archive files last
    pg_from_backup -s "$back" "$major" "$SCRATCH/$name.backup" "$(pg_restore_cp "$archive")" \
        'archive_mode = on' "archive_command = 'cp \"%p\" \"$archive/%f\"'" \
        "primary_conninfo = '$(pg_connstr "$name")'" || return 1
    pg_start "$back" && pg_sql "$name" "create table late as select 1 as i" || return 1
    pg_wait_replay "$back" "$(pg_sql "$name" 'select pg_current_wal_insert_lsn()')" || return 1
    pg_promote "$back" && pg_wait_promoted "$back" || return 1
    pg_step "$back" 1 >/dev/null && pg_step "$back" 2 >/dev/null || return 1
    pg_stop "$back"
    mapfile -t files < <(cd "$archive" && printf '%s\n' 00000002????????????????)
    last=$(wal_add "${files[0]}" -1 $((mb * 1048576)))
    sum "$archive/00000001${last:8}" "${files[@]/#/$archive/}"
    is "$(lines join | grep -c 'result=0 ')" "${#files[@]}" "$name: timeline 2 joins timeline 1"
    is "$(value "$(lines total)" damages)" 0 "$name: no damage on timeline 2"
    like "$(lines timeline)" "from=1 to=2" "$name: the switch of timelines"
    like "$(lines segment | sed -n 2p)" " tli=2:1:2 " "$name: the first pages are of timeline 1"
    sum "$archive/00000001${files[0]:8}.partial"
    like "$(lines segment)" " flags=21 " "$name: the end of a .partial is found"
    is "$(value "$(lines total)" damages)" 0 "$name: what is behind it is not judged"
}

test_major() {
    local major=$1 mb=$2 level=$3 name=v$1 archive=$SCRATCH/v$1.archive files
    note "PostgreSQL $major, segments of $mb MB, wal_level $level"
    start_server "$name" "$major" "$mb" "$level" || bail "no server of $major"
    pg_basebackup_cold "$name" "$SCRATCH/$name.backup" || bail "no backup of $major"
    workload "$name" "$mb" || bail "the workload failed on $major"
    mapfile -t files < <(cd "$archive" && printf '%s\n' 00000001????????????????)
    ok "$name: ${#files[@]} segments are accepted" sum "${files[@]/#/$archive/}"
    check_summary "$name"
    check_chunks "$name" "${files[@]/#/$archive/}"
    case $major in
    13 | 15 | 17 | 18) check_waldump "$name" "$major" "$archive" "${files[0]}" "${files[-1]}" ;;
    esac
    [ "$major" -lt 15 ] || check_walinspect "$name" "$mb"
    check_promotion "$name" "$major" "$mb" || fail "$name: a standby is promoted"
    pg_stop "$name"
    [ -n "${TEST_KEEP-}" ] || rm -rf "$archive" "$SCRATCH/pg/$name/data" "$SCRATCH/pg/$name.back/data"
}

build_walsum || bail "walsum does not compile: $(head -n 5 "$SCRATCH/cc.log")"
for major in $(pg_majors); do
    case $major in
    13) test_major 13 16 replica ;;
    14) test_major 14 1 logical ;;
    15) test_major 15 1 replica ;;
    16) test_major 16 64 logical ;;
    17) test_major 17 16 logical ;;
    *) test_major "$major" 16 replica ;;
    esac
done
done_testing
