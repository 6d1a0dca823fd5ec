#!/bin/bash
# Goal: a table that grows over 1 GB, where its second file begins, and shrinks back under it between
# backups comes back byte for byte from each of them: exactly full, one page more, cut with an empty
# second file left behind, full again, beyond, and gone to nothing; sent whole and as the server's own
# increments (17 and later), and brought up to date onto the copy of the backup before.
# when: long
# timeout: 2400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

pages() { echo $(($(pg_sql "$name" "select pg_relation_size('t')") / 8192)); }

# to PAGES: the table has so many pages, of one row each.
to() {
    local now
    now=$(pages)
    if [ "$1" -gt "$now" ]; then
        b_sql "$name" "insert into t select i, repeat(chr(97 + (i % 26)::int), 8000) from generate_series($now + 1, $1) i"
    else
        b_sql "$name" "delete from t where i > $1" 'vacuum t'
    fi
    b_sql "$name" checkpoint
    is "$(pages)" "$1" "$what: the table has $1 pages"
}

# check: the copy brought up to date has the table's files as the server has them.
check() {
    local file base from to
    base=$(pg_sql "$name" "select pg_relation_filepath('t')")
    ok "$what: restored" walden restore --config "$(w_conf "$name")" -D "$SCRATCH/copy" --target-immediate --jobs 2 --delta --yes
    ok "$what: pg_verifybackup is content" b_verified "$major" "$SCRATCH/copy" -n
    for file in "$base" "$base.1" "$base.2" "${base}_fsm" "${base}_vm"; do
        from=$(pg_data "$name")/$file
        to=$SCRATCH/copy/$file
        [ -e "$from" ] || [ -e "$to" ] || continue
        [[ $file == *_vm ]] || [[ $file == *_fsm ]] || note "$what: ${file##*/}: $(stat -c %s "$from" "$to" 2>/dev/null | tr '\n' ' ')"
        # (An increment may lack bits of the visibility map: 193-visibility-map.)
        [[ $file == *_vm ]] || ok "$what: ${file##*/} is the same" cmp "$from" "$to"
    done
}

edge() {
    local how=$2 step n=0 transfer
    major=$1
    name=pg$major$how
    pg_init "$name" "$major" || bail initdb
    pg_conf "$name" 'autovacuum = off' 'max_wal_size = 4GB' 'wal_compression = on' 'wal_keep_size = 0'
    [ "$how" != always ] || pg_conf "$name" 'summarize_wal = on'
    w_init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_start "$name" || bail 'no server'
    b_sql "$name" 'create role rep login replication' 'create table t (i bigint, x text)' \
        'alter table t alter x set storage plain'
    for step in 131072 131073 130000 131072 131700 0 200; do
        n=$((n + 1))
        what="$major, $how, step $n"
        to $step
        # And a page is changed in the middle: a row is locked, which leaves its mark.
        [ "$step" -lt 130000 ] || b_sql "$name" "select 1 from t where ctid = '(77,1)' for update" checkpoint >/dev/null
        [ "$how" = always ] && [ "$n" -gt 1 ] && transfer=incremental || transfer=full
        ok "$what: a backup" b_backup "$name" "$name" --wal=stream --incremental=$([ $transfer = full ] && echo never || echo always)
        is "$(b_value transfer)" $transfer "$what: $transfer"
        check
    done
    pg_adopt back "$major" "$SCRATCH/copy"
    ok "$what: a server starts from it" pg_start back
    is "$(pg_sql back 'select count(*), sum(length(x)) from t')" "$(pg_sql "$name" 'select count(*), sum(length(x)) from t')" \
        "$what: with the same rows"
    pg_drop back
    pg_drop "$name"
    rm -rf "$SCRATCH/copy" "$(w_repo "$name")"
}

mapfile -t majors < <(pg_majors)
edge "${majors[-1]}" never
for major in "${majors[@]}"; do
    [ "$major" -lt 17 ] || edge "$major" always
done
done_testing
