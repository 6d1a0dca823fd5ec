#!/bin/bash
# Goal: the demo is safe beside a live PostgreSQL.  A cluster of the same major, on a TCP port, with
# archiving on, has the same files, settings, processes and archive afterwards as before, but for what
# a server does of its own accord (its statistics, its own WAL position); and a client that works on it
# all the time sees no error.
#
# timeout: 600
# alone
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

MAJOR=17
# A free port; not PostgreSQL's own, where somebody's cluster may be.
free_port() {
    perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die;
        print $s->sockport, "\n"'
}
pg_init live $MAJOR -k || bail initdb
port=$(free_port)
mkdir "$SCRATCH/archive"
pg_archive_cp live "$SCRATCH/archive"
pg_conf live "listen_addresses = '127.0.0.1'" 'autovacuum = off' 'checkpoint_timeout = 1h' 'bgwriter_lru_maxpages = 0'
sed -i "s/^port = .*/port = $port/" "$(pg_data live)/postgresql.conf"
echo "$port" >"$SCRATCH/pg/live/port"
pg_start live || bail 'the live server does not start'
pg_sql live 'create table t as select g from generate_series(1, 1000) g' || bail 'no table'
pg_switch live >/dev/null || bail 'nothing is archived'
pg_sql live 'checkpoint'

# What must stay: content of all files (but pg_stat* and the file that is its shared memory), settings,
# processes, archive.
files() {
    (cd "$(pg_data live)" && find . -type f ! -path './pg_stat*' ! -path './pg_dynshmem/*' ! -path './pg_wal/*' -print0 |
        sort -z | xargs -0 sha256sum)
}
wal() { (cd "$(pg_data live)/pg_wal" && find . -type f ! -path '*/archive_status/*' -printf '%P\n' | sort); }
settings() { pg_sql live 'select name, setting, source, sourcefile, pending_restart from pg_settings order by 1'; }
processes() { pg_sql live "select pid, backend_start, backend_type from pg_stat_activity where backend_type <> 'client backend' order by 1"; }
archive() { pg_sql live 'select archived_count, failed_count, last_archived_wal from pg_stat_archiver'; ls -l --time-style=full-iso "$SCRATCH/archive"; }
roles() { pg_sql live 'select rolname from pg_roles order by 1; select datname from pg_database order by 1; select slot_name from pg_replication_slots'; }
look() { # DIR
    mkdir "$1"
    local what
    for what in files wal settings processes archive roles; do
        $what >"$1/$what" || return 1
    done
    head -1 "$(pg_data live)/postmaster.pid" >"$1/postmaster"
}

look "$SCRATCH/before" || bail 'could not look'
(while :; do
    pg_sql live 'select count(*) from t' -h 127.0.0.1 >>"$SCRATCH/client" 2>&1 || echo error >>"$SCRATCH/client"
    sleep 0.2
done) &
client=$!
# As a person who has a live server would have it: its place in the environment.
exits 0 'the demo runs beside it' env PGHOST=127.0.0.1 PGPORT="$port" PGUSER=postgres PGDATA="$(pg_data live)" \
    TEST_MAJORS=$MAJOR WALDEN_TEST_TMP="$SCRATCH" "$ROOT/tests/demo/demo.sh"
kill "$client"
wait "$client" 2>/dev/null
like "$OUT" '^== Proven' 'to its end'
look "$SCRATCH/after" || fail 'the live server does not answer any more'
for what in files wal settings processes archive roles postmaster; do
    is "$(diff "$SCRATCH/before/$what" "$SCRATCH/after/$what")" '' "its $what: not touched"
done
is "$(sort -u "$SCRATCH/client")" 1000 'a client of it saw no error'
ok 'it did work' test "$(wc -l <"$SCRATCH/client")" -ge 5

# The control: each thing, touched on purpose, is seen.
pg_sql live 'alter system set work_mem = 100' && pg_reload live && pg_sql live 'create role other' &&
    pg_switch live >/dev/null && sleep 1
look "$SCRATCH/touched" || bail 'could not look'
for what in files settings archive roles; do
    isnt "$(diff "$SCRATCH/before/$what" "$SCRATCH/touched/$what")" '' "the control: its $what, touched, are seen"
done
is "$(find "$SCRATCH" -maxdepth 1 -name 'demo.*')" '' 'the demo leaves nothing'
done_testing
