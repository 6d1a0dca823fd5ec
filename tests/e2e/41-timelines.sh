#!/bin/bash
# Goal: from a tree of promotions with branches and more than ten timelines, recoveries to the tip of
# each branch and to points on it bring back exactly the rows that were there at that moment (the
# oracle has one line per commit); what is normally not in the archive does not disturb them; a hole
# stops those recoveries that need it and no other; a partial segment is never served as a whole one.
#
# also: dev long
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# ---- the tree -----------------------------------------------------------------------------------
#
#   1 - 2 - 3 - 4 - 5 ........................................ 15      trunk
#   |   +------------ 6 - 7 - 8 - 9                                    a
#   |                     +------------------ 12 - 13                  c
#   +---------------------------- 10 - 11                              b
#                                      +-------------- 14              d

# commit SERVER COUNT: so many commits of one row each; each becomes a line of the oracle:
# BRANCH ROW TIMELINE LSN ROWS, where ROWS is all that is in the table then.
commit() {
    local i out timeline
    timeline=$(timeline_of "$1")
    for ((i = 0; i < $2; i++)); do
        row=$((row + 1))
        out=$(pg_sql "$1" "select pg_current_wal_insert_lsn(), string_agg(id::text, ',' order by id) from rows" \
            -c "insert into rows values ($row, repeat('walden', 100))") &&
            pg_sql "$1" "select pg_create_restore_point('row$row')" >/dev/null || return 1
        echo "$1 $row $timeline ${out/|/ }" >>"$oracle"
    done
}

# grow SERVER TIMELINE: what happens on each timeline: commits in two segments, the second one left
# unfinished.
grow() {
    is "$(timeline_of "$1")" "$2" "$1 is on timeline $2"
    if ! { commit "$1" 2 && pg_switch "$1" >/dev/null && commit "$1" 2; }; then
        bail "$1 does not grow"
    fi
}

# branch NAME ROW TIMELINE: a new server, recovered to just after the commit of ROW on TIMELINE, which
# archives from then on.
branch() {
    local lsn
    lsn=$(awk -v row="$2" '$2 == row { print $4; exit }' "$oracle")
    forks+="$2 "
    recovery "$1" "$major" "$backup" "$(w_restore_command tree)" \
        'archive_mode = on' "archive_command = $(pg_quote "$(w_archive_command tree)")" \
        "recovery_target_timeline = '$3'" "recovery_target_lsn = '$lsn'" \
        'recovery_target_inclusive = off' 'recovery_target_action = promote' 'autovacuum = off'
    if ! { pg_start "$1" && pg_wait_promoted "$1"; }; then
        bail "branch $1"
    fi
    is "$(rows_of "$1")" "$(rows_after "$2")" "branch $1 begins with the rows of commit $2"
    # What the new server inherits of the old one's history is in the oracle already.
    local first
    first=$(awk -v row="$2" '$2 == row { print $1; exit }' "$oracle")
    awk -v name="$1" -v from="$first" -v row="$2" '$1 == from && $2 <= row { $1 = name; print }' \
        "$oracle" >"$oracle.new"
    cat "$oracle.new" >>"$oracle"
    sed -i '/^recovery_target/d' "$(pg_data "$1")/postgresql.conf"
    pg_conf "$1" "recovery_target_timeline = 'current'"
}

rows_of() { pg_sql "$1" "select string_agg(id::text, ',' order by id) from rows"; }
rows_after() { awk -v row="$1" '$2 == row { print $5; exit }' "$oracle"; }

# tip SERVER: its last segment is archived, and it is stopped.
tip() {
    if ! { pg_switch "$1" >/dev/null && pg_stop "$1"; }; then
        bail "the tip of $1"
    fi
}

build_tree() {
    local i
    oracle=$SCRATCH/oracle
    : >"$oracle"
    row=0
    forks=' '
    pg_init trunk "$major" --wal-segsize=1 || bail 'initdb'
    backup=$(pg_template "$major" --wal-segsize=1)
    w_init tree "$(pg_data trunk)" || bail 'no repository'
    pg_archive trunk "$(w_archive_command tree)"
    pg_conf trunk 'autovacuum = off' "restore_command = $(pg_quote "$(w_restore_command tree)")" \
        "recovery_target_timeline = 'current'"
    pg_start trunk
    pg_sql trunk 'create table rows (id int, filler text)'
    grow trunk 1
    for i in 2 3 4 5; do
        new_timeline trunk || bail "timeline $i"
        grow trunk $i
    done
    pg_switch trunk >/dev/null
    branch a 6 2
    for i in 6 7 8 9; do
        [ $i = 6 ] || new_timeline a || bail "timeline $i"
        grow a $i
    done
    tip a
    branch b 2 1
    grow b 10
    new_timeline b || bail 'timeline 11'
    grow b 11
    tip b
    branch c "$(awk '$1 == "a" && $3 == 7 { print $2; exit }' "$oracle")" 7
    grow c 12
    new_timeline c || bail 'timeline 13'
    grow c 13
    tip c
    branch d "$(awk '$1 == "b" && $3 == 11 { n = $2 } END { print n }' "$oracle")" 11
    grow d 14
    tip d
    # The trunk was promoted long before all that, and goes on now.
    new_timeline trunk || bail 'timeline 15'
    grow trunk 15
    tip trunk
}

# ---- recoveries ---------------------------------------------------------------------------------

# reaches WHAT ROWS SETTING...: a recovery with these settings ends promoted, with these rows.
reaches() {
    local what=$1 rows=$2 outcome got
    shift 2
    recovery back "$major" "$backup" "$(w_restore_command tree)" "$@" || bail 'no recovery'
    pg_start back
    outcome=$(pg_outcome back)
    got=$(rows_of back)
    is "$outcome $got" "promoted $rows" "$major: $what" || diag "$(tail -n 20 "$(pg_log back)")"
    unlike "$(cat "$(pg_log back)")" '^walden-restore: ' "$major: $what: nothing to complain about"
    pg_drop back
}

tip_timeline() { awk -v name="$1" '$1 == name && $3 > t { t = $3 } END { print t }' "$oracle"; }
tip_rows() { awk -v name="$1" '$1 == name { r = $5 } END { print r }' "$oracle"; }

# The order of a branch's lines is that of its commits, the inherited ones first.
branch_rows() { awk -v name="$1" '$1 == name { print $2 }' "$oracle" | sort -n; }

test_tips() {
    local name
    for name in trunk a b c d; do
        reaches "the tip of $name, timeline $(tip_timeline $name)" "$(tip_rows $name)" \
            "recovery_target_timeline = '$(tip_timeline $name)'"
    done
    reaches 'the latest timeline' "$(tip_rows trunk)" "recovery_target_timeline = 'latest'"
}

# test_points STEP: every STEP-th commit of each branch, by LSN and by name in turn.  The restore point
# of a commit where a branch begins is not on that branch.
test_points() {
    local name n i=0 lsn
    for name in trunk a b c d; do
        for n in $(branch_rows $name | awk -v step="$1" 'NR % step == 1'); do
            i=$((i + 1))
            if [ $((i % 2)) = 0 ] || [[ $forks == *" $n "* ]]; then
                lsn=$(awk -v row="$n" '$2 == row { print $4; exit }' "$oracle")
                reaches "$name, commit $n by LSN" "$(rows_after "$n")" "recovery_target_lsn = '$lsn'" \
                    'recovery_target_inclusive = off' 'recovery_target_action = promote' \
                    "recovery_target_timeline = '$(tip_timeline $name)'"
            else
                reaches "$name, commit $n by name" "$(rows_after "$n")" "recovery_target_name = 'row$n'" \
                    'recovery_target_action = promote' \
                    "recovery_target_timeline = '$(tip_timeline $name)'"
            fi
        done
    done
}

# ---- what is not there --------------------------------------------------------------------------

# misses DESCRIPTION NAME: normal: 1, nothing said, nothing made.
misses() {
    exits 1 "$major: $1: 1" w_fetch trunk tree "$2" "$SCRATCH/miss"
    is "$OUT$ERR" '' "$major: $1: silent"
    nok "$major: $1: nothing made" test -e "$SCRATCH/miss"
}

# newest TIMELINE: its last whole segment.
newest() { w_names tree | grep -E "^$(printf %08X "$1")[0-9A-F]{16}$" | tail -n 1; }

test_misses() {
    local partial first
    partial=$(w_names tree | grep -E '^00000003.*\.partial$')
    isnt "$partial" '' "$major: timeline 3 ends in a partial segment"
    misses 'a segment of which there is only a partial one' "${partial%.partial}"
    ok "$major: the partial segment under its own name" w_fetch trunk tree "$partial" "$SCRATCH/got"
    is "$(size_of "$SCRATCH/got")" 1048576 "$major: is a whole file"
    rm "$SCRATCH/got"
    first=$(w_names tree | grep -E '^00000005[0-9A-F]{16}$' | head -n 1)
    misses 'a segment before its timeline began' "$(wal_add "$first" -1 1048576)"
    misses 'another one, long before' "$(wal_add "$first" -3 1048576)"
    misses 'the segment after the newest' "$(wal_add "$(newest 15)" 1 1048576)"
    misses 'the segment after the newest of a branch' "$(wal_add "$(newest 13)" 1 1048576)"
    misses 'the first segment of a timeline to come' "$(wal_name_of 16 9 1048576)"
    misses 'the next history' 00000010.history
    misses 'a history far above' 0000007F.history
    misses 'a backup history' "$(newest 15).00000028.backup"
    ok "$major: a history in hexadecimal" w_fetch trunk tree 0000000E.history "$SCRATCH/got"
    like "$(cat "$SCRATCH/got")" '^11	' "$major: is that of timeline 14"
    rm "$SCRATCH/got"
}

# A hole in a branch stops those who need it, and no others.
test_holes() {
    local segment object
    # On timeline 1, after branch b left it: the trunk needs it.
    segment=$(newest 1)
    object=$(w_object tree "$segment")
    mv "$object" "$SCRATCH/hole"
    exits 200 "$major: a hole on timeline 1" w_fetch trunk tree "$segment" "$SCRATCH/miss"
    reaches 'branch b does not need it' "$(tip_rows b)" "recovery_target_timeline = '11'"
    mv "$SCRATCH/hole" "$object"
    # On timeline 8: only branch a passes there.
    segment=$(newest 8)
    object=$(w_object tree "$segment")
    mv "$object" "$SCRATCH/hole"
    recovery back "$major" "$backup" "$(w_restore_command tree)" "recovery_target_timeline = '9'"
    ok "$major: branch a stops at a hole on timeline 8" pg_start_expect_fail back \
        "walden-restore: error: .*$segment"
    pg_drop back
    reaches 'branch c does not need it' "$(tip_rows c)" "recovery_target_timeline = '13'"
    mv "$SCRATCH/hole" "$object"
    # The history of a timeline in between.
    object=$(w_object tree 00000008.history)
    mv "$object" "$SCRATCH/hole"
    exits 200 "$major: a missing history is a hole" w_fetch trunk tree 00000008.history "$SCRATCH/miss"
    mv "$SCRATCH/hole" "$object"
}

test_tree() {
    major=$1
    build_tree
    is "$(w_names tree | grep -c '\.history$')" 14 "$major: 15 timelines"
    unlike "$(cat "$SCRATCH"/pg/*/log)" 'archive command failed' "$major: no archive command failed"
    test_tips
    test_points "$2"
    test_misses
    test_holes
    for name in trunk a b c d; do
        pg_drop $name
    done
    rm -rf "$SCRATCH"/tree.{repo,walden}
}

mapfile -t majors < <(pg_majors)
test_tree "${majors[-1]}" "$(w_is_dev && echo 11 || echo 5)"
w_is_dev || [ "${#majors[@]}" = 1 ] || test_tree "${majors[0]}" 11
done_testing
