#!/bin/bash
# Goal: whatever moment on whatever timeline is asked for, at random, by time, LSN, transaction or name,
# inclusive or exclusive, the restored copy holds exactly the rows that an oracle kept outside says were
# committed then: after a promotion, a restore that went on as the primary, and a branch that was given up.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
TARGETS=${TARGETS:-10}

# The oracle: a line per commit, ROW TIMELINE XID LSN_BEFORE LSN_BEHIND TIME.  BRANCH has for each timeline
# "TIMELINE PARENT ROW": the last row of the parent that it has, too.
commit() {
    local i xid lsn behind time tli
    tli=$(timeline_of main)
    for ((i = 0; i < ${1:-1}; i++)); do
        row=$((row + 1))
        read -r xid lsn < <(pg_sql main "insert into rows values ($row)
            returning pg_current_xact_id()::text || ' ' || pg_current_wal_insert_lsn()")
        read -r behind time < <(pg_sql main "select pg_current_wal_insert_lsn() || ' ' ||
            to_char(pg_xact_commit_timestamp('$xid'::text::xid) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
        echo "$row $tli $xid $lsn $behind $time" >>"$oracle"
        pg_sql main "select pg_create_restore_point('after$row')" >/dev/null
        [ $((RANDOM % 4)) != 0 ] || pg_switch main >/dev/null
    done
}
field() { awk -v row="$1" -v field="$2" '$1 == row { print $field }' "$oracle"; } # ROW FIELD

# rows_of TIMELINE: all that were committed on the way to it, oldest first.
rows_of() {
    local parent last
    read -r parent last < <(awk -v t="$1" '$1 == t { print $2, $3 }' "$branches")
    [ -z "$parent" ] || rows_of "$parent" | awk -v last="$last" '$1 <= last'
    awk -v t="$1" '$2 == t { print $1 }' "$oracle"
}
# up_to TIMELINE ROW: as the copy prints them.
up_to() { rows_of "$1" | awk -v row="$2" '$1 <= row' | paste -sd,; }
# before TIMELINE ROW: the row before it on the way to that timeline.
before() { rows_of "$1" | awk -v row="$2" '$1 < row' | tail -n 1; }

branch() { echo "$(timeline_of main) $1 $2" >>"$branches"; } # PARENT ROW

backup() {
    pg_env main walden-basebackup --config "$(w_conf "$repo")" --fast --json >"$SCRATCH/.backup" 2>&1 ||
        bail "no backup: $(cat "$SCRATCH/.backup")"
}
restore() { walden restore --config "$(w_open_conf "$repo")" "$@"; }

# build MAJOR KIND: five stretches of rows on four timelines.
build() {
    local kind=$2 last
    repo=r$1 row=0
    oracle=$SCRATCH/$repo.oracle branches=$SCRATCH/$repo.branches
    : >"$oracle"
    : >"$branches"
    pg_init main "$1" --wal-segsize=1 -k || bail initdb
    if [ "$kind" = sealed ]; then w_init_sealed "$repo" "$(pg_data main)"; else w_init "$repo" "$(pg_data main)"; fi ||
        bail 'no repository'
    pg_archive main "$(w_archive_command "$repo")"
    pg_conf main 'track_commit_timestamp = on' 'autovacuum = off'
    pg_start main || bail 'no server'
    pg_sql main 'create table rows (id int)'
    commit 2
    backup
    commit 6
    # Promoted, like a standby that takes over.
    last=$row
    new_timeline main || bail 'no timeline 2'
    branch 1 "$last"
    commit 6
    backup
    commit 5
    pg_switch main >/dev/null
    # Gone back to the middle of timeline 2, and on from there as the primary: the rest of it is given up.
    last=$((row - 3))
    pg_stop main
    restore -D "$SCRATCH/$repo.third" --target-xid "$(field "$last" 3)" --target-action promote --become-primary \
        >"$SCRATCH/.restore" 2>&1 || bail "no restore: $(cat "$SCRATCH/.restore")"
    rm -rf "$SCRATCH/pg/main"
    pg_adopt main "$1" "$SCRATCH/$repo.third" 'track_commit_timestamp = on' 'autovacuum = off'
    pg_start main && pg_wait_promoted main || bail 'no timeline 3'
    branch 2 "$last"
    commit 5
    backup
    commit 4
    last=$row
    # The settings of the recovery that is over would steer the next one.
    sed -i '/^# walden restore: begin/,/^# walden restore: end/d' "$(pg_data main)/postgresql.auto.conf"
    new_timeline main || bail 'no timeline 4'
    branch 3 "$last"
    commit 6
    pg_switch main >/dev/null
    pg_stop main
}

# try MAJOR: one target.
try() {
    local tli n how what rows prior
    tli=$((1 + RANDOM % 4))
    # Not the last one of its timeline: a time needs a later commit, and what lies before the first backup
    # cannot be had.
    mapfile -t rows < <(rows_of $tli | awk '$1 > 4' | head -n -1)
    n=${rows[RANDOM % ${#rows[@]}]}
    prior=$(before $tli "$n")
    case $((RANDOM % 8)) in
    0) how=(--target-time "$(field "$n" 6)Z") what=$n ;;
    1) how=(--target-time "$(field "$n" 6)Z" --target-exclusive) what=$prior ;;
    2) how=(--target-xid "$(field "$n" 3)") what=$n ;;
    3) how=(--target-xid "$(field "$n" 3)" --target-exclusive) what=$prior ;;
    4) how=(--target-lsn "$(field "$n" 5)" --target-exclusive) what=$n ;;
    5) how=(--target-lsn "$(field "$n" 4)" --target-exclusive) what=$prior ;;
    6) how=(--target-lsn "$(field "$n" 5)") what=$n ;; # what is there is the restore point
    7) how=(--target-name "after$n") what=$n ;;
    esac
    # The restore point behind the last row that a branch took along was left behind.
    ! awk -v row="$n" '$3 == row { found = 1 } END { exit !found }' "$branches" || how=(--target-xid "$(field "$n" 3)") what=$n
    what=$(up_to $tli "$what")
    ok "$1: timeline $tli, row $n, ${how[*]}: restored" restore -D "$SCRATCH/back.data" --target-timeline $tli "${how[@]}" ||
        return
    pg_adopt back "$1" "$SCRATCH/back.data"
    pg_start back
    is "$(pg_outcome back) $(pg_sql back "select string_agg(id::text, ',' order by id) from rows" 2>/dev/null)" \
        "paused $what" "$1: timeline $tli, row $n, ${how[*]}: exactly its rows" || diag "$(tail -n 20 "$(pg_log back)")"
    pg_drop back
    rm -f "$(grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$SCRATCH/back.data/postgresql.auto.conf" | head -n 1)"
    rm -rf "$SCRATCH/back.data"
}

# latest MAJOR: without a target, each timeline to its end.
latest() {
    local tli
    for tli in 1 2 3 4; do
        ok "$1: all of timeline $tli: restored" restore -D "$SCRATCH/back.data" --target-timeline $tli
        pg_adopt back "$1" "$SCRATCH/back.data"
        pg_start back
        is "$(pg_outcome back) $(pg_sql back "select string_agg(id::text, ',' order by id) from rows")" \
            "promoted $(up_to $tli 9999)" "$1: all of timeline $tli"
        if [ "$1" -ge 14 ] && [ $tli = 4 ]; then
            pg_sql back 'create extension amcheck'
            ok "$1: pg_amcheck is content" pg_env back "$(pg_prog pg_amcheck)" -d postgres --heapallindexed
        fi
        pg_drop back
        rm -rf "$SCRATCH/back.data"
    done
}

mapfile -t all < <(pg_majors)
majors=("${all[-1]}")
[ -z "${EVERY-}" ] || majors=("${all[@]}")
RANDOM=${SEED:-$$}
note "SEED=${SEED:-$$} repeats this"
kind=plain
for major in "${majors[@]}"; do
    build "$major" $kind
    latest "$major"
    for ((i = 0; i < TARGETS; i++)); do
        try "$major"
    done
    pg_drop main
    rm -rf "$SCRATCH"/*.third "$(w_repo "$repo")"
    if [ $kind = plain ]; then kind=sealed; else kind=plain; fi
done
done_testing
