#!/bin/bash
# Goal: on each major a backup holds exactly the files, directories and links that pg_basebackup copies
# from the same server, with their permissions and their bytes, tablespaces among them: nothing that a
# server throws away (statistics, temporary and unlogged files, other processes' state), all that a user
# put there.
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# litter DATA: what must not be copied, and things beside it that must be.
litter() {
    local data=$1 dir
    for dir in pg_replslot pg_dynshmem pg_notify pg_serial pg_snapshots pg_stat_tmp pg_subtrans; do
        mkdir -p "$data/$dir/below"
        echo x >"$data/$dir/donotcopy"
        echo x >"$data/$dir/below/donotcopy"
    done
    for dir in . global base base/1; do
        echo x >"$data/$dir/pg_internal.init.123"
        echo x >"$data/$dir/pgsql_tmp_donotcopy"
        echo x >"$data/$dir/pgsql_tmp.7"
        mkdir -p "$data/$dir/pgsql_tmp"
        echo x >"$data/$dir/pgsql_tmp/pgsql_tmp1.0"
    done
    for dir in backup_label tablespace_map backup_manifest postgresql.auto.conf.tmp current_logfiles.tmp; do
        echo x >"$data/$dir"
    done
    echo x >"$data/backup_label.old"
    echo x >"$data/a file of mine"
    : >"$data/empty = file"
    mkdir -p "$data/an empty directory" "$data/base/1/strange"
    echo x >"$data/base/1/t3_16500"       # temporary relations: of an odd name they are not
    echo x >"$data/base/1/t3_16500_fsm"
    echo x >"$data/base/1/t3_x"
    echo x >"$data/pg_xact/of-nobody"
    echo x >"$data/postgresql.conf.bak"
    chmod 640 "$data/a file of mine"
    chmod 400 "$data/postgresql.conf.bak"
    chmod 750 "$data/an empty directory"
}

# list DIR: type, mode, size and path of all that is there, but for what every backup has of its own:
# pg_wal and what says which backup it is.  A directory's size says nothing.
list() {
    (cd "$1" && find . -mindepth 1 \
        \( -path './pg_wal/*' -o -path './pg_tblspc/*' \) -prune -o \
        -type d -printf 'd %m - %P\n' -o -type f -printf 'f %m %s %P\n' -o -printf '%y %P\n') |
        grep -vE '^f [0-9]+ [0-9]+ (backup_label|backup_manifest)$' | LC_ALL=C sort
}

# same WHAT DIR DIR
same() {
    list "$2" >"$SCRATCH/list1"
    list "$3" >"$SCRATCH/list2"
    run diff "$SCRATCH/list1" "$SCRATCH/list2"
    is "$RC $OUT" '0 ' "$1: the same files, kinds, permissions, sizes"
    run diff -r --no-dereference -x backup_label -x backup_manifest -x pg_control -x pg_wal -x pg_tblspc "$2" "$3"
    is "$RC $OUT$ERR" '0 ' "$1: the same bytes"
}

check_major() {
    local major=$1 name=s$1 data dir=$SCRATCH/s$1 oid what=$1 args=() file
    [ "$major" = 15 ] && args=(-g)
    b_server "$name" "$major" -k "${args[@]}" || bail "no server $major"
    data=$(pg_data "$name")
    w_init "$name" "$data" || bail "no repository $major"
    b_sql "$name" 'create unlogged table held (i int primary key)' 'insert into held values (1)' \
        'create unlogged table held_apart (i int) tablespace "odd = name"' 'insert into held_apart values (1)' \
        "select pg_create_physical_replication_slot('slot')" "select pg_create_restore_point('here')" \
        'vacuum churn' 'select count(*) from churn' >/dev/null
    file=$(pg_sql "$name" "select pg_relation_filepath('held')")
    pg_restart "$name"
    litter "$data"
    b_sql "$name" checkpoint
    ok "$what: a backup" b_backup "$name" "$name" --wal=stream
    oid=$(pg_sql "$name" "select oid from pg_tablespace where spcname = 'odd = name'")
    ok "$what: walden export" walden export --config "$(w_conf "$name")" -D "$dir.export" --wal "$dir.wal" \
        -T "${SCRATCH//=/\\=}/$name space\\=1=$dir.space"
    # What makes it recover is not of the backup.
    ok "$what: its recovery settings" test -f "$dir.export/recovery.signal"
    rm -f "$dir.export/recovery.signal"
    sed -i '/^# walden restore: begin/,/^# walden restore: end/d' "$dir.export/postgresql.auto.conf"
    pg_backup_hot "$name" "$dir.plain" -T "${SCRATCH//=/\\=}/$name space\\=1=$dir.plainspace" || bail 'no copy'
    # The server writes its statistics again whenever it stops; a copy of a running one has none.
    same "$what: data directory" "$dir.export" "$dir.plain"
    same "$what: tablespace" "$dir.space" "$dir.plainspace"
    is "$(stat -c %a "$dir.export")" "$(stat -c %a "$data")" "$what: the permissions of the data directory itself"
    is "$(readlink "$dir.export/pg_tblspc/$oid")" "$dir.space" "$what: the tablespace's link leads where it was sent"
    is "$(cd "$dir.export" && find . -name '*donotcopy*' -o -name '*pgsql_tmp*' -o -name '*pg_internal.init*')" '' \
        "$what: nothing that a server throws away"
    nok "$what: no main fork of an unlogged table" test -e "$dir.export/$file"
    ok "$what: but its init fork" test -f "$dir.export/${file}_init"
    ok "$what: what a user put there" test -f "$dir.export/a file of mine" -a -d "$dir.export/an empty directory"
    ok "$what: pg_verifybackup" b_verified "$major" "$dir.export" -n
    pg_drop "$name"
    chmod -R u+rwX "$dir".*
    rm -rf "$dir".*
}

for major in $(pg_majors); do
    check_major "$major"
done
done_testing
