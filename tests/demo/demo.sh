#!/bin/bash
# demo: the main job on a throw-away server, in about a minute: archive, back up, accident, recover,
# proof; then a hole in the archive, with Walden and with cp side by side.
#
# Servers listen on private sockets below one temporary directory; when the demo ends, however it
# ends, nothing is left.
# shellcheck source=tests/lib.sh
NO_TAP=1
MAJOR=17
# Nothing else is fetched for it.
export TEST_MAJORS=$MAJOR TEST_TOOLS=18
. "$(dirname "$0")/../lib.sh"

bold=$'\033[1m' plain=$'\033[0m'
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || bold='' plain=''
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
die() {
    printf '\nThe demo failed: %s\n' "$*" >&2
    exit 1
}
# try COMMAND...: shows it (the scratch directory as "..."), runs it, sets RC.
try() {
    printf '$ %s\n' "${*//$SCRATCH/...}"
    RC=0
    "$@" 2>&1 | sed "s|$SCRATCH|...|g" || RC=${PIPESTATUS[0]}
}

repo=$SCRATCH/repo
conf=$SCRATCH/walden.conf

step "1. A server, a repository, archiving on"
pg_init shop $MAJOR || die "no server"
try walden init --repo "$repo" --config "$conf" --pgdata "$(pg_data shop)"
[ "$RC" -eq 0 ] || die "walden init"
archive="$TEST_BIN/walden-archive --config $conf %p"
restore="$TEST_BIN/walden-restore --config $conf %f \"%p\""
mkdir "$SCRATCH/cp"
# The same files also go to a plain directory, for the comparison at the end.
pg_archive shop "$archive && cp %p $SCRATCH/cp/%f"
pg_start shop || die "the server did not start"
say "archive_command = 'walden-archive --config .../walden.conf %p'"

step "2. A base backup, then work"
pg_sql shop "create table orders (id int primary key, what text, at timestamptz default now())"
try pg_env shop walden backup --config "$conf" --fast
[ "$RC" -eq 0 ] || die "walden backup"
pg_backup_hot shop "$SCRATCH/base" || die "no base backup for the comparison with cp"
for i in 1 2 3 4; do
    pg_sql shop "insert into orders select i, 'order ' || i from generate_series($i * 1000 + 1, $i * 1000 + 1000) i"
    pg_switch shop >/dev/null || die "archiving"
done
say "$(pg_sql shop "select count(*) from orders") orders; the base backup was taken before the first."

step "3. The accident"
before=$(pg_sql shop "select clock_timestamp()")
sleep 1
show "DROP TABLE orders;      -- at $(pg_sql shop "select to_char(clock_timestamp(), 'HH24:MI:SS')")"
pg_sql shop "drop table orders"
pg_sql shop "create table later (n int); insert into later values (1)"
pg_switch shop >/dev/null || die "archiving"
try walden list --config "$conf"
[ "$RC" -eq 0 ] || die "walden list"

step "4. Back to the moment before"
try walden restore --config "$conf" -D "$SCRATCH/back" --target-time "$before" --target-action promote --start \
    --pg-bin "$(pg_bin $MAJOR)"
[ "$RC" -eq 0 ] || die "walden restore"
at_exit "'$(pg_bin $MAJOR)/pg_ctl' -D '$SCRATCH/back' -m immediate stop >/dev/null 2>&1 || true"
socket=$(sed -n 5p "$SCRATCH/back/postmaster.pid")
rows=$("$(pg_prog psql)" -XAtq -h "$socket" -p "$(sed -n 4p "$SCRATCH/back/postmaster.pid")" -U "$(pg_sql shop 'select current_user')" \
    -d postgres -c "select count(*) from orders")
say "orders is back with $rows rows."
[ "$rows" = 4000 ] || die "4000 rows were expected"
"$(pg_bin $MAJOR)/pg_ctl" -D "$SCRATCH/back" -m fast stop >/dev/null

step "5. A hole in the archive: one segment is lost"
lost=$(cd "$SCRATCH/cp" && printf '%s\n' 0*[0-9A-F] | sed -n '/^[0-9A-F]\{24\}$/p' | tail -4 | head -1)
rm "$SCRATCH/cp/$lost" "$repo"/main/*/wal/*/*/"$lost"
try walden list --config "$conf"
[ "$RC" -eq 1 ] || die "the hole was not seen"
say "exit status $RC: a script, or cron, sees it today and not on the day of the restore."

step "6. Recovery over the hole: with cp, and with Walden"
pg_from_backup withcp $MAJOR "$SCRATCH/base" "$(pg_restore_cp "$SCRATCH/cp")"
pg_start withcp && pg_wait_promoted withcp || die "the control"
cprows=$(pg_sql withcp "select count(*) from orders" 2>/dev/null || echo 0)
say "cp:     the server opened for business, without a word, with $cprows of 4000 rows."
pg_stop withcp
pg_from_backup withwalden $MAJOR "$SCRATCH/base" "$restore"
pg_start_expect_fail withwalden || die "the server opened over a hole"
say "Walden: the server refused to open, and says why:"
grep -h -E 'walden-restore: (error|hint)' "$(pg_log withwalden)" | tail -2 | sed "s|$SCRATCH|...|g; s/^/           /"

step "Proven"
cat <<END
   Every segment was checked record by record when it was archived, and was on stable storage
   before the server was told so.
   A dropped table came back whole, at the moment asked for.
   A hole was named before anybody needed the archive.
   No server opened over it; with cp $((4000 - cprows)) rows were lost in silence.

   Next, on a server of your own:
       walden init --repo /mnt/backup/walden --apply
       walden backup
       walden list
END
