#!/bin/bash
# Goal: on 17 and later a server with summarize_wal sends only what changed since the backup before,
# and what Walden makes of it is the full backup that a full stream would have been: byte for byte what
# pg_combinebackup makes of the same increment, and what a plain pg_basebackup copies; files that grew,
# shrank, were truncated, made and dropped among them, plain and sealed, one increment upon another.
# A change of 1 % of the rows side by side is of that order on the wire.
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

setup() {
    local name=$1 major=$2 kind=$3
    b_server "$name" "$major" -k || bail "no server $name"
    pg_conf "$name" 'summarize_wal = on' 'autovacuum = off'
    if [ "$kind" = sealed ]; then w_init_sealed "$name" "$(pg_data "$name")"; else w_init "$name" "$(pg_data "$name")"; fi ||
        bail "no repository $name"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_restart "$name" || bail "$name does not start"
    b_sql "$name" "create table wide as select i, 0 as v, repeat(md5(i::text), 8) as x from generate_series(1, 240000) i" \
        'create table shrinks as select * from wide where i < 20000' \
        'create table emptied as select * from wide where i < 20000' \
        'create table dropped as select * from wide where i < 5000' \
        'create table moved as select * from wide where i < 5000' \
        'create table quiet as select * from wide where i < 20000' 'vacuum freeze' checkpoint
}

# change SERVER: all that can become of a relation's files.
change() {
    b_sql "$1" 'delete from shrinks where i > 3000' 'vacuum shrinks' 'truncate emptied' \
        'drop table dropped' 'alter table moved set tablespace "odd = name"' \
        'create table fresh as select * from wide where i < 5000' 'insert into apart select generate_series(1, 5000)' \
        "insert into quiet select i, 0, 'more' from generate_series(1, 20000) i" \
        'create unlogged table fleeting as select * from wide where i < 5000' \
        'create database another' 'vacuum' checkpoint
}

# same WHAT DIR DIR: the same files with the same bytes, but for what every backup has of its own, and
# visibility maps (193-visibility-map).
same() {
    run diff -r --no-dereference -x backup_label -x backup_manifest -x pg_control -x pg_wal -x pg_tblspc -x '*_vm' "$2" "$3"
    is "$RC $OUT$ERR" '0 ' "$1"
}

spaces_of() { find "$1/pg_tblspc" -mindepth 1 -printf '%f\n'; }

# check_same NAME MAJOR WHAT: the newest backup of Walden, an increment to the one in $SCRATCH/NAME.1, is
# what the server's own tools get out of an increment, and out of a full copy.
check_same() {
    local name=$1 major=$2 what=$3 dir=$SCRATCH/$1 oid combine
    combine=$(pg_prog pg_combinebackup "$major")
    rm -rf "$dir".{inc,comb,full,2,3} "$dir".{incspace,combspace,fullspace}
    ok "$what: is read back whole, pg_verifybackup is content" b_sound "$name" "$name" newest "$name.2"
    unlike "$(cat "$dir.2/backup_label")" INCREMENTAL "$what: its label is that of a full backup"
    is "$(find "$dir.2" "$dir".2.* -name 'INCREMENTAL.*')" '' "$what: with no increment among its files"
    pg_backup_hot "$name" "$dir.inc" --incremental="$dir.1/backup_manifest" \
        -T "${SCRATCH//=/\\=}/$name space\\=1=$dir.incspace" || bail 'no increment by pg_basebackup'
    # pg_combinebackup follows links, so the prior backup needs its own.
    oid=$(spaces_of "$dir.inc")
    ok "$what: pg_combinebackup puts the server's own together" "$combine" -o "$dir.comb" \
        -T "$dir.incspace=$dir.combspace" "$dir.1" "$dir.inc"
    same "$what: the same bytes as pg_combinebackup" "$dir.2" "$dir.comb"
    same "$what: in the tablespace, too" "$dir.2.$oid" "$dir.combspace"
    pg_backup_hot "$name" "$dir.full" -T "${SCRATCH//=/\\=}/$name space\\=1=$dir.fullspace" || bail 'no full copy'
    same "$what: the same bytes as a full copy" "$dir.2" "$dir.full"
    is "$(b_more_visible "$dir.2" "$dir.full")" '' "$what: no bit too much in any visibility map"
    same "$what: in the tablespace, too" "$dir.2.$oid" "$dir.fullspace"
}

check_increments() {
    local name=$1 major=$2 kind=$3 what="$2 $3" bytes received sent stored dir=$SCRATCH/$1 rows
    ok "$what: the first backup" b_backup "$name" "$name"
    is "$(b_value transfer) $(b_value transfer_reason)" 'full there is no earlier backup' "$what: is sent whole"
    bytes=$(b_value bytes)
    ok "$what: is whole" b_sound "$name" "$name" newest "$name.1"
    ok "$what: a second one of an unchanged cluster" b_backup "$name" "$name"
    printf '%s\n' "$OUT" >"$SCRATCH/json"
    ok "$what: its JSON is as specified" "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/backup.json" "$SCRATCH/json"
    OUT=$(cat "$SCRATCH/json")
    is "$(b_value transfer)" incremental "$what: sends only what changed"
    received=$(b_value received)
    ok "$what: is whole" b_sound "$name" "$name" newest "$name.1"
    b_sql "$name" 'update wide set v = 1 where i between 50001 and 52400' checkpoint
    ok "$what: 1 % of the rows changed, side by side" b_backup "$name" "$name"
    sent=$(b_value received) stored=$(b_value stored)
    note "$what: $bytes bytes; sent $received unchanged, $sent after 1 %, stored $stored"
    ok "$what: costs less than 2.5 % on the wire, besides what any increment costs" test \
        $(((sent - received) * 1000)) -le $((bytes * 25))
    ok "$what: and little anew in the repository" test $((stored * 100)) -le $((bytes * 2))
    ok "$what: is whole" b_sound "$name" "$name" newest "$name.1"
    link_space "$name"
    change "$name"
    ok "$what: files grew, shrank, came and went" b_backup "$name" "$name" --incremental=always
    is "$(b_value prior)" "$(b_labels "$name" | tail -n 2 | head -n 1)" "$what: since an increment"
    rows=$(facts "$name")
    check_same "$name" "$major" "$what"
    pg_switch "$name" >/dev/null
    ok "$what: walden verify" walden verify --config "$(w_open_conf "$name")"
    ok "$what: walden restore" walden restore --config "$(w_open_conf "$name")" -D "$dir.3" --jobs 2 \
        --tablespace-mapping "$SCRATCH/$name space\\=1=$dir.space3"
    ok "$what: pg_verifybackup of the restored copy" b_verified "$major" "$dir.3" -n
    pg_adopt "$name.back" "$major" "$dir.3" 'archive_mode = off'
    ok "$what: a server starts from it" pg_start "$name.back"
    ok "$what: and recovers" pg_wait_promoted "$name.back"
    is "$(facts "$name.back")" "$rows" "$what: with the same rows"
    pg_stop "$name.back"
}

# link_space NAME: gives the unpacked backup $SCRATCH/NAME.1 its tablespace, for pg_combinebackup.
link_space() {
    local dir=$SCRATCH/$1.1 oid
    for oid in $(spaces_of "$dir"); do
        rm -rf "$dir/pg_tblspc/$oid"
        ln -s "$dir.$oid" "$dir/pg_tblspc/$oid"
    done
}

facts() {
    pg_sql "$1" "select (select count(*) || ' ' || sum(v) || ' ' || md5(string_agg(x, '' order by i)) from wide),
        (select count(*) from shrinks), (select count(*) from emptied), (select count(*) from moved),
        (select count(*) from quiet), (select count(*) from apart), (select count(*) from fresh)"
}

build_unpack
for major in $(pg_majors); do
    [ "$major" -ge 17 ] || continue
    kind=plain
    [ "$major" != 17 ] || kind=sealed
    setup "s$major" "$major" "$kind"
    check_increments "s$major" "$major" "$kind"
    pg_stop "s$major"
    rm -rf "$SCRATCH/s$major".* "$SCRATCH/pg/s$major"*/data
done
done_testing
