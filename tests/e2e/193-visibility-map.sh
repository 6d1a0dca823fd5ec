#!/bin/bash
# Goal: a restored increment answers right from its indexes alone.  Before 17.11 and 18.6 a server does not
# tell in its WAL's block references that a change took a page out of the visibility map, so its
# increments leave the map as it was, and an index-only scan of what pg_combinebackup makes of them sees
# rows that are deleted.  A backup of Walden has no bit in such a map that the server's own has not, keeps
# those of tables that did not change, plain and sealed, one increment upon another.
# timeout: 400
# also: dev long
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

TABLES='deleted updated locked cut still'

# make SERVER: tables of one kind, all of whose pages are in the map, and nothing else of them in memory.
make() {
    local table
    for table in $TABLES; do
        b_sql "$1" "create table $table as select i, repeat('x', 100) as x from generate_series(1, 20000) i" \
            "create index on $table (i)" || bail 'no tables'
    done
    b_sql "$1" 'vacuum freeze' checkpoint
}

# counts SERVER: of each table, from the index alone and from the table.
counts() {
    local table way
    for table in $TABLES; do
        for way in 'enable_seqscan = off; set enable_bitmapscan = off' 'enable_indexonlyscan = off; set enable_indexscan = off'; do
            pg_sql "$1" "set $way; select '$table', count(*) from $table where i > 0"
        done
    done | paste -sd ' '
}

# restored SERVER NAME: a server of the newest backup.
restored() {
    local dir=$SCRATCH/$2 major
    major=$(pg_major "$1")
    ok "$2: walden restore" walden restore --config "$(w_open_conf "$1")" -D "$dir" --target-immediate \
        --target-action promote --tablespace-mapping "${SCRATCH//=/\\=}/$1 space\\=1=$dir.space" || return
    ok "$2: pg_verifybackup" b_verified "$major" "$dir" -n
    pg_adopt "$2" "$major" "$dir" 'archive_mode = off'
    pg_start "$2" && pg_wait_promoted "$2" || bail "$2 does not start"
    is "$(counts "$2")" "$want" "$2: the same rows by either way"
    pg_stop "$2"
}

check() {
    local srv=$1 major=$2 what="$2 $3" want combine dir=$SCRATCH/$1 map
    combine=$(pg_prog pg_combinebackup "$major")
    make "$srv"
    pg_backup_hot "$srv" "$dir.base" -T "${SCRATCH//=/\\=}/$srv space\\=1=$dir.basespace" || bail 'no copy'
    ok "$what: a first backup" b_backup "$srv" "$srv" --wal=stream
    b_sql "$srv" 'delete from deleted where i % 10 = 0' 'update updated set i = -i where i % 10 = 0' \
        'begin; select from locked where i % 10 = 0 for update; commit' 'delete from cut where i > 100' checkpoint
    want=$(counts "$srv")
    ok "$what: an increment" b_backup "$srv" "$srv" --wal=stream --incremental=always
    pg_backup_hot "$srv" "$dir.inc" --incremental="$dir.base/backup_manifest" \
        -T "${SCRATCH//=/\\=}/$srv space\\=1=$dir.incspace" || bail 'no increment by pg_basebackup'
    pg_backup_hot "$srv" "$dir.full" -T "${SCRATCH//=/\\=}/$srv space\\=1=$dir.fullspace" || bail 'no full copy'
    "$combine" -o "$dir.comb" -T "$dir.incspace=$dir.combspace" "$dir.base" "$dir.inc" || bail 'pg_combinebackup'
    note "$what: maps in which pg_combinebackup leaves too much: $(b_more_visible "$dir.comb" "$dir.full" | wc -l)"
    ok "$what: is read back" b_sound "$srv" "$srv" newest "$srv.back"
    is "$(b_more_visible "$dir.back" "$dir.full")" '' "$what: no bit too much in any map"
    map=$(pg_sql "$srv" "select pg_relation_filepath('still')")_vm
    ok "$what: the map of what did not change is kept" cmp "$dir.back/$map" "$dir.full/$map"
    restored "$srv" "$srv.one"
    # Off the end of the file, and behind it again: once more upon the increment.
    b_sql "$srv" 'vacuum (truncate) cut' 'delete from updated where i % 7 = 0' \
        "insert into cut select i, 'again' from generate_series(101, 9000) i" 'delete from cut where i % 3 = 0' checkpoint
    want=$(counts "$srv")
    ok "$what: another increment" b_backup "$srv" "$srv" --wal=stream --incremental=always
    rm -rf "$dir.full" "$dir.fullspace"
    pg_backup_hot "$srv" "$dir.full" -T "${SCRATCH//=/\\=}/$srv space\\=1=$dir.fullspace" || bail 'no full copy'
    ok "$what: is read back, too" b_sound "$srv" "$srv" newest "$srv.back"
    is "$(b_more_visible "$dir.back" "$dir.full")" '' "$what: nor there"
    restored "$srv" "$srv.two"
    ok "$what: walden verify" walden verify --config "$(w_open_conf "$srv")"
}

build_unpack
for major in $(pg_majors); do
    [ "$major" -ge 17 ] || continue
    srv=s$major kind=plain checksums=-k
    if [ "$major" = 17 ]; then
        kind=sealed checksums=
    elif [ "$major" -ge 18 ]; then
        checksums=--no-data-checksums
    fi
    b_server "$srv" "$major" $checksums || bail "no server $srv"
    pg_conf "$srv" 'summarize_wal = on' 'autovacuum = off'
    if [ $kind = sealed ]; then w_init_sealed "$srv" "$(pg_data "$srv")"; else w_init "$srv" "$(pg_data "$srv")"; fi ||
        bail 'no repository'
    pg_restart "$srv"
    check "$srv" "$major" "$kind"
    pg_drop "$srv"
    rm -rf "$SCRATCH/$srv".*
done
done_testing
