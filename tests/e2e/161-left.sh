#!/bin/bash
# Goal: a standby with archive_mode = always follows another standby that is promoted.  It archives what
# it has of the old timeline's last segment, which ends where that was left.  Nothing is missing there,
# and nobody is told that something is; but a segment that is broken elsewhere still is.
#
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)

# standby NAME OF MODE
standby() {
    pg_from_backup -s "$1" "$major" "$SCRATCH/backup" false "primary_conninfo = $(pg_quote "$(pg_connstr "$2")")" \
        "archive_mode = $3" "archive_command = $(pg_quote "$(w_archive_command main)")" && pg_start "$1"
}
archived() { [ "$(pg_sql "$1" "select last_archived_wal >= '$2' from pg_stat_archiver")" = t ]; }

pg_init -f main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail init
pg_archive main "$(w_archive_command main)"
pg_start main && pg_backup_hot main "$SCRATCH/backup" || bail 'no server'
pg_step main 1 >/dev/null
standby middle main on && standby last middle always || bail 'no standby'
pg_step main 2 >/dev/null
pg_sql main "insert into steps select 3, 'x' from generate_series(1, 100)"
cut=$(pg_sql main 'select pg_walfile_name(pg_current_wal_lsn())')
lsn=$(pg_sql main 'select pg_current_wal_insert_lsn()')
ok 'the last standby has it all' pg_wait_replay last "$lsn"
pg_stop main immediate
pg_promote middle && pg_wait_promoted middle
newest=$(pg_step middle 4)
ok 'it follows the promoted one, and archives' wait_for 30 archived last "$newest"
ok 'the segment that was left is there' test -e "$(w_object main "$cut")"
for command in list verify; do
    ok "$command: nothing is missing" walden $command --config "$(w_conf main)"
done
run walden check --no-server --config "$(w_conf main)"
like "$OUT" '^ok +damage: ' 'check: no damage'
pg_stop last
pg_stop middle

ok 'recovery of the newest timeline' recovery back "$major" "$SCRATCH/backup" "$(w_restore_command main)"
ok 'ends' pg_start back
ok 'by promotion' pg_wait_promoted back
is "$(pg_steps back)" '4|400' 'with all rows'
pg_stop back
done_testing
