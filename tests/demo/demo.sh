#!/bin/bash
# demo: the main job on a throw-away server, in about a minute: archive, back up under load, an accident,
# the way back, proof; then a hole in the archive, with Walden and with cp side by side.
#
# Servers listen on private sockets below one temporary directory; when the demo ends, however it
# ends, nothing is left.  What it prints is the transcript in README.md, where tests/e2e/01-readme.sh
# compares it; tests/demo/transcript puts a new one there.
# shellcheck source=tests/lib.sh
NO_TAP=1
MAJOR=17
TEST_FSYNC=on
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
# The scratch directory is /demo in what is shown, so that lines are as long as on a real host.
shorten() { sed "s|$SCRATCH|/demo|g; s|/tmp/walden-run|/demo/walden-run|g; s|$SOCKETS|/demo|g; s|$TEST_BIN/||g; s|$WALDEN_PG_BIN/||g"; }
# try STATUS COMMAND...: shows it, runs it beside the server, and ends the demo on another status.
try() {
    local want=$1 got=0
    shift
    printf '$ %s\n' "$*" | shorten
    pg_env shop "$@" 2>&1 | shorten || got=${PIPESTATUS[0]}
    [ "$got" -eq "$want" ] || die "$1 $2 ended with $got instead of $want"
}
orders() { psql_of "$1" "select count(*) || ' rows, ' || sum(cents) || ' cents' from orders"; }
# psql_of DATA_DIRECTORY SQL: asks the server that runs there.
psql_of() {
    "$(pg_prog psql)" -XAtq -h "$(sed -n 5p "$1/postmaster.pid")" -p "$(sed -n 4p "$1/postmaster.pid")" \
        -U postgres -d postgres -c "$2"
}
no_clients() { [ "$(pg_sql shop "select count(*) from pg_stat_activity where application_name = 'pgbench'")" = 0 ]; }
take_orders() { # BATCH: a thousand of them; prints the segment they are in
    pg_sql shop "insert into orders select n, n % 97 * 100 + 50 from generate_series($1 * 1000 + 1, $1 * 1000 + 1000) n" &&
        pg_switch shop
}

export WALDEN_CONFIG=$SCRATCH/walden.conf
WALDEN_PG_BIN=$(pg_bin $MAJOR) || exit 1
export WALDEN_PG_BIN
began=$SECONDS

step "1. A running server: make a repository, switch archiving on"
pg_init shop $MAJOR || die "no server"
# For the comparison at the end, where cp needs the segments, too.
pg_conf shop 'wal_keep_size = 1GB' 'autovacuum = off'
pg_start shop || die "the server did not start"
try 0 walden init --repo "$SCRATCH/repo" --apply
show pg_ctl restart
pg_restart shop || die "the server did not start again"

step "2. A base backup while clients write, then more work"
pg_sql shop "create table orders (id int primary key, cents int)" &&
    pg_sql shop "create table visits (at timestamptz default now())" || die "no tables"
echo "insert into visits default values" >"$SCRATCH/load.sql"
pg_env shop exec "$(pg_prog pgbench)" -n -c 2 -R 200 -T 300 -f "$SCRATCH/load.sql" >"$SCRATCH/load.log" 2>&1 &
load=$!
sleep 1
try 0 walden backup --fast
pg_backup_hot shop "$SCRATCH/base" || die "no base backup for the comparison with cp"
# The copies of the comparison shall not archive into the repository; ALTER SYSTEM's settings are here.
: >"$SCRATCH/base/postgresql.auto.conf"
for batch in 0 1 2 3; do
    segment=$(take_orders $batch) || die "nothing is archived: $(tail -n 3 "$(pg_log shop)")"
    [ $batch != 2 ] || lost=$segment
done
kill "$load"
wait "$load" 2>/dev/null
wait_for 10 no_clients || die "the clients do not end"
had=$(orders "$(pg_data shop)")
say "orders now has $had. The backup was taken before the first."

step "3. The accident"
say "shop=# DROP TABLE orders;"
pg_sql shop "drop table orders"
pg_switch shop >/dev/null || die "nothing is archived"
try 0 walden find --drop orders

step "4. Back to the moment just before it, beside the running server"
try 0 walden restore -D "$SCRATCH/back" --before-drop orders --start
at_exit "'$(pg_bin $MAJOR)/pg_ctl' -D '$SCRATCH/back' -m immediate stop >/dev/null 2>&1 || true"
# Its socket's directory: below /tmp where the scratch directory has too long a path.
run=$(sed -n 5p "$SCRATCH/back/postmaster.pid")
[[ ${run##*/} != walden-run.* ]] || at_exit "rm -rf '$run'"
has=$(orders "$SCRATCH/back")
say "orders had $had."
say "orders has $has, in the copy."
[ "$has" = "$had" ] || die "that is not the same"
"$(pg_bin $MAJOR)/pg_ctl" -D "$SCRATCH/back" -m fast stop >/dev/null

step "5. A hole: one archived segment is lost, on purpose"
mkdir "$SCRATCH/cp"
cp "$(pg_data shop)"/pg_wal/0*[0-9A-F] "$SCRATCH/cp/" || die "no segments for cp"
rm "$SCRATCH/cp/$lost" "$SCRATCH"/repo/main/*/wal/*/*/"$lost" || die "no segment $lost"
show "rm .../$lost"
try 1 walden check
try 1 walden window
say "Exit status 1: cron sees it today, not you on the day of the restore."

step "6. Recovery over that hole: with cp, and with Walden"
pg_from_backup withcp $MAJOR "$SCRATCH/base" "$(pg_restore_cp "$SCRATCH/cp")"
pg_start withcp && pg_wait_promoted withcp || die "the control"
cprows=$(pg_sql withcp "select count(*) from orders" 2>/dev/null || echo 0)
grep -qE '(ERROR|WARNING|PANIC):' "$(pg_log withcp)" && die "the control was not silent"
say "cp:     the server opened, without an error or a warning, with $cprows of 4000 orders."
pg_stop withcp
pg_from_backup withwalden $MAJOR "$SCRATCH/base" "\"$TEST_BIN/walden-restore\" --config $WALDEN_CONFIG %f \"%p\""
pg_start_expect_fail withwalden || die "the server opened over a hole"
say "Walden: the server refused to open. Its log says why:"
grep -h -E 'walden-restore: (error|hint)' "$(pg_log withwalden)" | tail -2 | shorten | fold -sw 76 | sed 's/^/   /'
[ "$cprows" = 2000 ] || die "2000 rows were expected with cp"

step "Proven"
cat <<END
   1. Every segment was on stable storage before the server was told so.
   2. Each of its records was checked when it was archived, not years later.
   3. The base backup was taken while clients wrote.
   4. The dropped table was found by its name; nobody had to know the time.
   5. Asked and reached were compared before the copy was called good.
   6. The table came back whole: $has.
   7. The live server was neither stopped nor written to for it.
   8. The hole was named before anybody needed the archive, with what it costs.
   9. With cp a server opened over it: $((4000 - cprows)) orders lost in silence.
  10. With Walden no server opens over it.

   Next, on a server of your own, as the user it runs as:
       walden init --repo /mnt/backup/walden --config ~/walden.conf --apply
       walden backup --config ~/walden.conf
       walden check --config ~/walden.conf
END
[ ! -t 1 ] || say "" "($((SECONDS - began)) seconds; nothing is left behind)"
