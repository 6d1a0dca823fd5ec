#!/bin/bash
# Goal: somebody goes back twice, the second time further than the first, and leaves
# recovery_target_timeline at its default "latest".  The server then writes a history whose last switch
# point lies below the one before.  It is archived like any other, what the new timeline needs follows
# from it, and a recovery along it finds its rows.
#
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
declare -a at segment

# back NAME [SETTING...]: from the archive, writing into it.
back() {
    local name=$1
    shift
    recovery "$name" "$major" "$SCRATCH/backup" "$(w_restore_command main)" 'recovery_target_action = promote' \
        'archive_mode = on' "archive_command = $(pg_quote "$(w_archive_command main)")" "$@" &&
        pg_start "$name" && pg_wait_promoted "$name"
}

pg_init -f main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail init
pg_archive main "$(w_archive_command main)"
pg_start main || bail 'no server'
pg_backup_hot main "$SCRATCH/backup" || bail backup
for i in 1 2 3 4 5 6; do
    segment[i]=$(pg_step main "$i")
    at[i]=$(pg_sql main 'select pg_current_wal_lsn()')
done
pg_stop main

ok 'back to step 4' back first "recovery_target_lsn = '${at[4]}'"
is "$(pg_steps first)" '4|400' 'it is there'
pg_step first 14 >/dev/null || fail 'the new timeline is archived'
pg_stop first
ok 'and then to step 2' back second "recovery_target_lsn = '${at[2]}'"
is "$(pg_steps second)" '2|200' 'it is there, too'
history=$(pg_data second)/pg_wal/00000003.history
is "$(sed -n 's/^\([0-9][0-9]*\)\t.*/\1/p' "$history" | tr '\n' ' ')" '1 2 ' 'the server names both timelines'
pg_step second 22 >/dev/null || fail 'the third timeline is archived'
pg_step second 23 >/dev/null || fail 'the third timeline is archived'
pg_stop second
w_fetch main main 00000003.history "$SCRATCH/history"
ok 'its history is in the archive' cmp "$SCRATCH/history" "$history"
ok 'no hole, no damage' walden list --config "$(w_conf main)"
ok 'and none when all is read' walden verify --config "$(w_conf main)"

ok 'the newest timeline' back third
is "$(pg_steps third)" '23|400' 'has its own rows, and those before it left'
pg_stop third

# What the third timeline has of the first, and what it has not.
object=$(w_object main "${segment[2]}")
mv "$object" "$SCRATCH/away"
exits 200 'a segment that all timelines need' w_fetch main main "${segment[2]}" "$SCRATCH/got"
exits 1 'list tells' walden list --config "$(w_conf main)"
mv "$SCRATCH/away" "$object"
ok 'all is there again' walden list --config "$(w_conf main)"
done_testing
