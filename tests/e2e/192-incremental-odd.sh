#!/bin/bash
# Goal: what a server may do between two backups beyond changing rows leads to an increment that is byte
# for byte a full copy, or to the whole stream with the reason: tables cut off and grown again past their
# old end, databases copied as files, moved and made again under the same name, tablespaces inside the
# data directory, a tablespace that lies elsewhere since; a time of wal_level = minimal, a summary that
# is missing in between.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# same WHAT DIR DIR: the same files with the same bytes, but for what every backup and every restored copy
# has of its own, and visibility maps (193-visibility-map).
same() {
    run diff -r --no-dereference -x backup_label -x backup_manifest -x pg_control -x pg_wal -x pg_tblspc -x '*_vm' \
        -x postgresql.auto.conf -x recovery.signal "$2" "$3"
    is "$RC $OUT$ERR" '0 ' "$1"
}

# sound WHAT: the newest backup can be restored, into $SCRATCH/inc, and is whole.  (The unpacker of
# backup-env.sh knows no tablespace inside.)
sound() {
    rm -rf "$SCRATCH/inc" "$SCRATCH/incspace"
    ok "$1: is restored" walden restore --config "$(w_conf main)" -D "$SCRATCH/inc" --target-immediate \
        --tablespace-mapping "${SPACE//=/\\=}=$SCRATCH/incspace"
    ok "$1: pg_verifybackup is content" b_verified "$major" "$SCRATCH/inc" -n
}

# next WHAT: the next backup is an increment, and what the server's own tool copies in full.
next() {
    local what=$1 oid
    rm -rf "$SCRATCH/full" "$SCRATCH/fullspace"
    ok "$what: an increment" b_backup main main --wal=stream --incremental=always
    sound "$what"
    pg_backup_hot main "$SCRATCH/full" -T "${SPACE//=/\\=}=$SCRATCH/fullspace" || bail 'no full copy'
    same "$what: the same bytes as a full copy" "$SCRATCH/inc" "$SCRATCH/full"
    same "$what: in the tablespace, too" "$SCRATCH/incspace" "$SCRATCH/fullspace"
    oid=$(pg_sql main "select oid from pg_tablespace where spcname = 'inside'")
    same "$what: in the one inside, too" "$SCRATCH/inc/pg_tblspc/$oid" "$SCRATCH/full/pg_tblspc/$oid"
}

# whole WHAT REGEX: the next backup is sent whole for this reason, and is right; then increments go on.
whole() {
    ok "$1: the backup is taken" b_backup main main --wal=stream
    is "$(b_value transfer)" full "$1: sent whole"
    like "$(sed -n 's/.*"transfer_reason":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$OUT")" "$2" "$1: says why"
    sound "$1"
    b_sql main 'insert into apart values (1)' checkpoint
    ok "$1: increments go on" b_backup main main --wal=stream --incremental=always
}

# summarized: up to the last checkpoint.
summarized() {
    [ "$(pg_sql main 'select count(*) > 0 from pg_available_wal_summaries() where end_lsn >=
        (select redo_lsn from pg_control_checkpoint())')" = t ]
}

check_files() {
    b_sql main "create tablespace inside location ''" ||
        bail 'no tablespace inside'
    b_sql main 'create table within (i int) tablespace inside' 'insert into within select generate_series(1, 50000)' \
        'create table cut as select i, repeat(md5(i::text), 8) as x from generate_series(1, 20000) i' \
        'create table longer as select i, repeat(md5(i::text), 8) as x from generate_series(1, 2000) i' \
        'create table logged as select * from cut where i < 3000' \
        'create database wanders' 'create database anew' checkpoint
    ok 'a first backup' b_backup main main --wal=stream
    # Off behind row 500, then to another, larger length: pages that were, were not, and are new.
    b_sql main 'delete from cut where i > 500' 'vacuum cut' 'insert into cut select i, repeat(md5((-i)::text), 8) from generate_series(501, 26000) i' \
        'truncate longer' "insert into longer select i, repeat('x', 300) from generate_series(1, 9000) i" \
        'alter table logged set unlogged' 'alter table logged set logged' 'update within set i = i + 1 where i < 300' \
        'create database copied template wanders strategy file_copy' \
        'drop database anew' 'create database anew strategy file_copy' \
        'alter database wanders set tablespace "odd = name"' 'reindex database' vacuum checkpoint
    next 'files that came, went and were cut off'
    # The same again upon that: what was an increment is the prior backup now.
    b_sql main 'delete from cut where i > 20000' 'vacuum cut' 'alter database wanders set tablespace pg_default' \
        'vacuum full longer' 'insert into within select generate_series(1, 9000)' 'drop database copied' vacuum checkpoint
    next 'an increment upon it'
    # The same tablespace at another place.
    pg_stop main
    mv "$SPACE" "$SCRATCH/elsewhere"
    SPACE=$SCRATCH/elsewhere
    ln -sfn "$SCRATCH/elsewhere" "$(find "$(pg_data main)/pg_tblspc" -type l)"
    pg_start main
    b_sql main 'insert into apart select generate_series(1, 3000)' vacuum checkpoint
    next 'a tablespace that lies elsewhere'
}

check_minimal() {
    pg_conf main 'wal_level = minimal' 'max_wal_senders = 0' 'summarize_wal = off'
    pg_restart main
    # Neither in the WAL nor in a summary.
    pg_sql main "begin; create table unseen (i int); insert into unseen select generate_series(1, 100000);
        truncate apart; insert into apart select generate_series(5, 4000); commit" || bail 'nothing unseen'
    b_sql main checkpoint
    pg_conf main 'wal_level = replica' 'max_wal_senders = 10' 'summarize_wal = on'
    pg_restart main
    b_sql main 'insert into apart values (3)' checkpoint
    whole 'a time of wal_level = minimal' .
    note "$(b_value transfer_reason)"
}

check_gap() {
    local first
    ok 'a summary missing: a backup before' b_backup main main --wal=stream
    rm -rf "$SCRATCH/away" && mkdir "$SCRATCH/away"
    for i in 1 2 3; do
        b_sql main "update churn set y = 'gap' where i between ${i}00 and ${i}99" checkpoint
        wait_for 30 summarized || bail 'no summary'
    done
    first=$(find "$(pg_data main)/pg_wal/summaries" -type f -printf '%f\n' | sort | tail -n 2 | head -n 1)
    rm "$(pg_data main)/pg_wal/summaries/$first"
    whole 'a summary missing in between' 'incomplete|no WAL summary'
}

SPACE="$SCRATCH/main space=1"
major=$(pg_majors | tail -n 1)
if [ "$major" -ge 17 ]; then
    b_server main "$major" -k || bail 'no server'
    pg_conf main 'summarize_wal = on' 'wal_summary_keep_time = 0' 'allow_in_place_tablespaces = on'
    w_init main "$(pg_data main)" || bail 'no repository'
    pg_restart main
    check_files
    check_gap
    check_minimal
    ok 'all of it: walden verify' walden verify --config "$(w_conf main)"
fi
done_testing
