#!/bin/bash
# Goal: what lib/pgconn takes from real servers of all majors is what PostgreSQL's own tools take:
# the same files as pg_basebackup's, accepted by pg_verifybackup, a server starts from them; streamed
# WAL equals the server's segments, across a change of timeline too.  And what goes wrong (rights,
# max_wal_senders, damaged pages, a server that dies) is an error that says so.
# timeout: 600
. "$(dirname "$0")/../lib.sh"

LIBRARY=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
REPL=$SCRATCH/repl

build_repl() {
    [ -f "$LIBRARY" ] || bail "no $LIBRARY; run make DEV=1"
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -g -Ilib \
        -fsanitize=address,undefined -fno-sanitize-recover=all -isystem /usr/include/postgresql \
        -o "$REPL" tests/tools/repl.c "$LIBRARY" -lpq -lsodium -llz4) >"$SCRATCH/cc.log" 2>&1
}

# value KEY: the value of the first line KEY=VALUE of what the last command printed.
value() { sed -n "s/^$1=//p" <<<"$OUT" | head -n 1; }

# as ROLE NAME: a connection string.
as() { pg_connstr "$2" | sed "s/user=[a-z]*/user=$1/"; }

# The client programs' major for a server's: there are none of 14 and 16.
tools_of() {
    case $1 in 14) echo 15 ;; 16) echo 17 ;; *) echo "$1" ;; esac
}

# tree DIR: each file with type and mode; the manifest is made by the client.
tree() {
    (cd "$1" && find . -mindepth 1 ! -path ./backup_manifest -printf '%y %m %P\0' | sort -z | tr '\0\n' '\n?')
}

same_tree() { diff <(tree "$1") <(tree "$2"); }

start_server() {
    local name=$1 major=$2 mb=$3 args=()
    [ "$major" != 16 ] || args=(-g)
    pg_init "$name" "$major" -k --wal-segsize="$mb" "${args[@]}" || return 1
    pg_conf "$name" 'wal_keep_size = 1GB' 'autovacuum = off' 'checkpoint_timeout = 1h' \
        'max_wal_size = 4GB' 'wal_sender_timeout = 10s' \
        'password_encryption = scram-sha-256'
    [ "$major" -lt 17 ] || pg_conf "$name" 'summarize_wal = on'
    # Passwords are asked of one role, and one may not come at all.
    sed -i '1i local replication secret scram-sha-256\nlocal replication outsider reject' \
        "$(pg_data "$name")/pg_hba.conf"
    pg_start "$name"
}

workload() {
    local name=$1 space
    mkdir -p "$SCRATCH/$name.space" "$SCRATCH/$name.a space=1"
    for space in "$SCRATCH/$name.space" "$SCRATCH/$name.a space=1"; do
        pg_sql "$name" "create tablespace \"$(basename "$space")\" location '$space'" || return 1
    done
    pg_sql "$name" "set client_min_messages = error;
        create role rep login replication; create role plain login;
        create role secret login replication password 'right';
        create role outsider login replication;
        create table t as select i, repeat(md5(i::text), 8) as x from generate_series(1, 20000) i;
        create table s (i int) tablespace \"$name.space\"; insert into s values (42);
        create table o (i int) tablespace \"$name.a space=1\"; insert into o values (43);
        create unlogged table u as select 1 as i" || return 1
    : >"$(pg_data "$name")/a name with spaces = 1"
    echo content >"$(pg_data "$name")/new
line"
    echo content >"$(pg_data "$name")/$(printf 'no-utf8-\xff\xfe')"
    mkdir -p "$(pg_data "$name")/base/pgsql_tmp" && : >"$(pg_data "$name")/base/pgsql_tmp/pgsql_tmp1.0"
    pg_sql "$name" 'checkpoint'
}

check_commands() {
    local name=$1 major=$2 mb=$3 mode=700 sysid
    [ "$major" != 16 ] || mode=750
    ok "$major: a role with REPLICATION alone identifies the system" \
        "$REPL" identify "$(as rep "$name")"
    sysid=$(pg_sql "$name" 'select system_identifier from pg_control_system()')
    is "$(value system_id) $(value tli) $(value segsize) $(value mode)" \
        "$sysid 1 $((mb * 1048576)) $mode" "$major: and gets it right"
    ok "$major: SHOW" "$REPL" show "$(as rep "$name")" server_version_num
    like "$OUT" "^value=${major}00" "$major: SHOW's answer"
    ok "$major: no history of timeline 1" "$REPL" history "$(as rep "$name")" 1
    is "$OUT" none "$major: is no error"
    nok "$major: an unknown setting" "$REPL" show "$(as rep "$name")" no_such_thing
    like "$ERR" 'refused: unrecognized configuration parameter' "$major: is told in the server's words"
}

rewritten() {
    "$REPL" manifest "$1/backup_manifest" >"$SCRATCH/rewritten" && cmp "$SCRATCH/rewritten" "$1/backup_manifest"
}

check_backup() {
    local name=$1 major=$2 mb=$3 dir=$SCRATCH/$1.tree other=$SCRATCH/$1.other sp1 sp2 verify
    sp1=$SCRATCH/$name.space sp2="$SCRATCH/$name.a space=1"
    verify=$(pg_prog pg_verifybackup "$(tools_of "$major")")
    ok "$major: backup" "$REPL" backup -f -s -l "it's a label" -m "$sp1=$dir.1" -m "$sp2=$dir.2" \
        "$(as rep "$name")" "$dir"
    is "$(grep -c '^space=[0-9]*:1:[1-9]' <<<"$OUT")" 3 "$major: three archives, with sizes"
    is "$(value links) $(value manifest_version)" "2 $((major < 17 ? 1 : 2))" "$major: two links"
    START=$(value start) END=$(value end)
    like "$(cat "$dir/backup_label")" "^LABEL: it's a label$" "$major: the label"
    like "$(cat "$dir/backup_label")" "^START WAL LOCATION: $START " "$major: the start"
    ok "$major: pg_verifybackup" "$verify" -n "$dir"
    ok "$major: the manifest is read and written again, with the same bytes" rewritten "$dir"

    ok "$major: a backup with a tablespace map" "$REPL" backup -f -t -m "$sp1=$other.1" -m "$sp2=$other.2" \
        "$(as rep "$name")" "$other"
    is "$(value links) $(sed 's/^[0-9]* //' "$other/tablespace_map" | sort)" \
        "0 $(printf '%s\n' "$sp2" "$sp1" | sort)" "$major: instead of links"
    rm -rf "$other" "$other".?

    pg_env "$name" "$(pg_prog pg_basebackup "$(tools_of "$major")")" -D "$other" -X none -c fast --no-sync \
        -T "${sp1//=/\\=}=$other.1" -T "${sp2//=/\\=}=$other.2" 2>"$SCRATCH/.pgbb" || diag "$(cat "$SCRATCH/.pgbb")"
    ok "$major: the same files as pg_basebackup's" same_tree "$dir" "$other"
    ok "$major: and in a tablespace" same_tree "$dir.1" "$other.1"
    ok "$major: and in one with a blank and = in its name" same_tree "$dir.2" "$other.2"
    is "$(tree "$dir" | wc -l) $(tree "$dir.2" | wc -l)" "$(tree "$other" | wc -l) 3" \
        "$major: as many as there are"
    rm -rf "$other" "$other".?
}

# lsn_up LSN BYTES: the next multiple.
lsn_up() {
    local n=$((16#${1%/*} * 4294967296 + 16#${1#*/}))
    n=$(((n + $2 - 1) / $2 * $2))
    printf '%X/%X\n' $((n >> 32)) $((n & 0xffffffff))
}

# The WAL of the backup makes it whole; what is streamed is what the server has.
check_wal() {
    local name=$1 major=$2 mb=$3 dir=$SCRATCH/$1.tree first last file same=0 n=0
    local bytes=$((mb * 1048576)) back=$1.back
    ok "$major: the WAL of the backup" "$REPL" wal "$(as rep "$name")" "$dir/pg_wal" 1 "$START" "$END" slot_1
    is "$(value end)" "$END" "$major: ends where the backup ends"
    truncate -s "$bytes" "$dir/pg_wal"/????????????????????????
    ok "$major: pg_verifybackup with WAL" wal_verified "$major" "$dir"
    pg_adopt "$back" "$major" "$dir" 'archive_mode = off' 'max_wal_senders = 10' && pg_start "$back"
    is "$(pg_sql "$back" 'select count(*), sum(length(x)) from t')|$(pg_sql "$back" 'select i from s')|$(
        pg_sql "$back" 'select i from o')" '20000|5120000|42|43' "$major: a server starts from it"
    pg_stop "$back"

    mkdir "$SCRATCH/$name.wal"
    first=$(pg_sql "$name" 'select pg_current_wal_lsn()')
    pg_sql "$name" "select pg_logical_emit_message(true, 'big', repeat(md5('x'), $((mb * 1048576 * 5 / 64))));
        select pg_switch_wal()" -o /dev/null
    last=$(pg_sql "$name" 'select pg_current_wal_lsn()')
    last=$(lsn_up "$last" "$bytes")
    pg_sql "$name" "insert into s values (1); select pg_switch_wal()" -o /dev/null
    ok "$major: a range of WAL" "$REPL" wal "$(as rep "$name")" "$SCRATCH/$name.wal" 1 "$first" "$last"
    for file in "$SCRATCH/$name.wal"/*; do
        n=$((n + 1))
        cmp -s "$file" "$(pg_data "$name")/pg_wal/$(basename "$file")" && same=$((same + 1))
    done
    ok "$major: has at least three segments ($n)" test "$n" -ge 3
    is "$same" "$n" "$major: and equals the server's"
    unlike "$OUT" 'whole=0' "$major: all of them whole"
    nok "$major: a timeline that is not there" "$REPL" wal "$(as rep "$name")" "$SCRATCH" 7 "$first" "$last"
    like "$ERR" "timeline 7 does not exist|timeline 7 is not in this server's history" "$major: is told"
}

wal_verified() {
    case $1 in
    14 | 16) "$(pg_prog pg_verifybackup "$(tools_of "$1")")" -n "$2" ;;
    *) "$(pg_prog pg_verifybackup "$1")" "$2" ;;
    esac
}

# A promoted standby has two timelines; the stream goes through both.
check_timelines() {
    local name=$1 major=$2 mb=$3 back=$1.standby dir=$SCRATCH/$1.tli first last file data bytes=$(($3 * 1048576))
    run "$REPL" backup -f "$(as rep "$name")" "$SCRATCH/$name.hot"
    pg_from_backup -s "$back" "$major" "$SCRATCH/$name.hot" false 'wal_keep_size = 1GB' \
        "primary_conninfo = '$(pg_connstr "$name")'"
    data=$(pg_data "$back")
    rm -rf "$SCRATCH/$name.hot"
    pg_start "$back" || return 1
    ok "$major: a backup from a standby" "$REPL" backup -f "$(as rep "$back")" "$SCRATCH/$name.hot"
    like "$(cat "$SCRATCH/$name.hot/backup_label")" '^BACKUP FROM: standby' "$major: is one"
    first=$(pg_sql "$name" 'select pg_current_wal_lsn()')
    pg_sql "$name" "insert into t values (0, 'x')"
    pg_wait_replay "$back" "$(pg_sql "$name" 'select pg_current_wal_insert_lsn()')" || return 1
    pg_promote "$back" && pg_wait_promoted "$back" || return 1
    pg_sql "$back" "insert into t values (0, 'y'); select pg_switch_wal()" -o /dev/null
    last=$(lsn_up "$(pg_sql "$back" 'select pg_current_wal_lsn()')" "$bytes")
    pg_sql "$back" "insert into t values (0, 'z'); select pg_switch_wal()" -o /dev/null
    mkdir "$dir"
    ok "$major: WAL of two timelines" "$REPL" wal "$(as rep "$back")" "$dir" 1 "$first" "$last"
    is "$(value end_tli) $(value history) $(grep -c whole=0 <<<"$OUT")" "2 00000002.history 1" \
        "$major: follows the switch"
    for file in "$dir"/00000002*; do
        ok "$major: $(basename "$file") equals the server's" cmp "$file" "$data/pg_wal/$(basename "$file")"
    done
    nok "$major: WAL that is gone" "$REPL" wal "$(as rep "$back")" "$SCRATCH" 1 0/100000 "$last"
    like "$ERR" '^error 10: .*has already been removed' "$major: is a hole"
    pg_stop "$back"
}

check_incremental() {
    local name=$1 major=$2 dir=$SCRATCH/$1.incr full=$SCRATCH/$1.full1 out=$SCRATCH/$1.combined
    run "$REPL" backup -f "$(as rep "$name")" "$full"
    pg_sql "$name" "update t set x = 'new' where i = 7; create table added as select 1 as i"
    ok "$major: an incremental backup" "$REPL" backup -f -i "$full/backup_manifest" "$(as rep "$name")" "$dir"
    like "$(cat "$dir/backup_label")" '^INCREMENTAL FROM LSN' "$major: is one"
    ok "$major: smaller" test "$(du -s --apparent-size "$dir" | cut -f1)" -lt \
        "$(($(du -s --apparent-size "$full" | cut -f1) / 2))"
    ok "$major: pg_combinebackup" "$(pg_prog pg_combinebackup "$major")" "$full" "$dir" -o "$out"
    ok "$major: pg_verifybackup of the whole" "$(pg_prog pg_verifybackup "$major")" -n "$out"
    nok "$major: a manifest that is none" "$REPL" backup -i "$out/PG_VERSION" "$(as rep "$name")" "$dir.2"
    like "$ERR" 'refused: .*manifest' "$major: is told"
    flip_byte "$full/backup_manifest" 200
    nok "$major: a damaged manifest" "$REPL" backup -i "$full/backup_manifest" "$(as rep "$name")" "$dir.3"
    rm -rf "$dir" "$full" "$out"
}

check_rights() {
    local name=$1 major=$2
    nok "$major: a role without REPLICATION" "$REPL" identify "$(as plain "$name")"
    like "$ERR" '^error 7: .*(permission denied|must be superuser)' "$major: is told"
    like "$ERR" '^hint: .*alter role "plain" replication' "$major: with the remedy"
    nok "$major: a wrong password" "$REPL" identify "$(as secret "$name") password=wrong"
    like "$ERR" 'password authentication failed' "$major: is told"
    like "$ERR" '^hint: .*\.pgpass.*"replication"' "$major: with the remedy"
    unlike "$ERR" 'LOCATION|28P01' "$major: without the server's inside"
    ok "$major: the right password" "$REPL" identify "$(as secret "$name") password=right"
    nok "$major: no line in pg_hba.conf" "$REPL" identify "$(as outsider "$name")"
    like "$ERR" '^hint: Add a line .*host replication outsider' "$major: is told with the remedy"
}

check_damage() {
    local name=$1 major=$2 dir=$SCRATCH/$1.bad file
    file=$(pg_sql "$name" "select pg_relation_filepath('t')")
    pg_sql "$name" checkpoint
    flip_byte "$(pg_data "$name")/$file" $((3 * 8192 + 4000))
    nok "$major: a damaged page fails the backup" "$REPL" backup -f "$(as rep "$name")" "$dir"
    like "$ERR" "^error 5: .*$file.*checksum verification failure" "$major: and the file is named"
    like "$ERR" '^hint: ' "$major: with a hint"
    rm -rf "$dir"
    ok "$major: unless checksums are not verified" "$REPL" backup -f -n "$(as rep "$name")" "$dir"
    rm -rf "$dir"
    flip_byte "$(pg_data "$name")/$file" $((3 * 8192 + 4000))
}

# begun: a backup in the background has started to send.
begun() { grep -q '^start=' "$SCRATCH/slow.out" 2>/dev/null; }

slow_backup() {
    rm -f "$SCRATCH/slow.out"
    "$REPL" backup -f -r 500 -S 3 "$(as rep "$1")" "$SCRATCH/$1.slow" >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
    SLOW=$!
    wait_for "$TEST_WAIT" begun
}

ended() {
    RC=0
    wait "$SLOW" || RC=$?
    ERR=$(cat "$SCRATCH/slow.err")
    rm -rf "$SCRATCH/$1.slow"
}

check_breaks() {
    local name=$1 major=$2 seconds pid
    slow_backup "$name"
    seconds=$SECONDS
    kill -TERM "$SLOW"
    ended "$name"
    is "$RC" 1 "$major: SIGTERM ends a backup"
    like "$ERR" '^error 11: ' "$major: as an interruption"
    ok "$major: at once" test $((SECONDS - seconds)) -le 3
    slow_backup "$name"
    pid=$(pg_sql "$name" "select pid from pg_stat_activity where backend_type = 'walsender' order by backend_start desc limit 1")
    kill -STOP "$pid"
    ended "$name"
    kill -CONT "$pid"
    is "$RC" 1 "$major: a server that falls silent ends it"
    like "$ERR" '^error 9: the server did not answer in time' "$major: as a timeout"
    slow_backup "$name"
    pg_sql "$name" "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'walsender'" -o /dev/null
    ended "$name"
    is "$RC" 1 "$major: a terminated walsender ends it"
    like "$ERR" 'terminating connection' "$major: in the server's words"
    slow_backup "$name"
    pg_crash "$name"
    ended "$name"
    is "$RC" 1 "$major: so does a killed server"
    like "$ERR" '^error 7: ' "$major: as unreachable"
    nok "$major: a server that is not there" "$REPL" identify "$(as rep "$name")"
    like "$ERR" '^error 7: could not connect' "$major: is told"
    pg_conf "$name" 'max_wal_senders = 0'
    pg_start "$name" || return 1
    nok "$major: no WAL sender is left" "$REPL" identify "$(as rep "$name")"
    like "$ERR" 'max_wal_senders"? \(currently 0\)' "$major: is told"
    like "$ERR" '^hint: Raise max_wal_senders' "$major: with the remedy"
}

test_major() {
    local major=$1 mb=$2 name=v$1
    note "PostgreSQL $major, segments of $mb MB"
    start_server "$name" "$major" "$mb" || bail "no server of $major"
    workload "$name" || bail "the workload failed on $major"
    check_commands "$name" "$major" "$mb"
    check_backup "$name" "$major" "$mb"
    check_wal "$name" "$major" "$mb"
    check_rights "$name" "$major"
    # Without the tablespaces, which would be written where they are.
    pg_sql "$name" 'drop table s, o'
    pg_sql "$name" "drop tablespace \"$name.space\"" && pg_sql "$name" "drop tablespace \"$name.a space=1\""
    check_timelines "$name" "$major" "$mb" || fail "$major: a standby is promoted"
    check_damage "$name" "$major"
    [ "$major" -lt 17 ] || check_incremental "$name" "$major"
    check_breaks "$name" "$major" || fail "$major: the server starts again"
    pg_stop "$name"
    [ -n "${TEST_KEEP-}" ] || rm -rf "$SCRATCH/$name".* "$SCRATCH/pg/$name/data"
}

build_repl || bail "repl does not compile: $(head -n 5 "$SCRATCH/cc.log")"
for major in $(pg_majors); do
    case $major in
    13 | 16) test_major "$major" 16 ;;
    *) test_major "$major" 1 ;;
    esac
done
done_testing
