#!/bin/bash
# Goal: no number of a server or of a file is too wide, on targets of 32 bits neither: positions in the WAL above
# 4 GB and segment numbers above 2^32, a clock of the server in 2039 and in 2107.  Archived, listed, backed up,
# verified and restored to the very commit.
#
# The server's clock is a library before the system's: programs of Walden have this host's.
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

cat >"$SCRATCH/clock.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t later(void)
{
    const char *text = getenv("TEST_CLOCK_AHEAD");

    return text == NULL ? 0 : (time_t)strtoll(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, ts);

    if (clock == CLOCK_REALTIME)
        ts->tv_sec += later();
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);

    (void)zone;
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *out)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
C
cc -O1 -shared -fPIC -o "$SCRATCH/clock.so" "$SCRATCH/clock.c" -ldl || bail 'clock.c'

major=$(pg_majors | tail -n 1)
rows_sql="select coalesce(string_agg(id::text, ',' order by id), '') from rows"

# commit SERVER ID: a commit; sets its XID, LSN and TIME (as the server's clock says).
commit() {
    XID=$(pg_sql "$1" "insert into rows values ($2) returning pg_current_xact_id()")
    LSN=$(pg_sql "$1" 'select pg_current_wal_insert_lsn()')
    TIME=$(pg_sql "$1" "select to_char(pg_xact_commit_timestamp('$XID'::xid) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

# restored NAME WHAT ROWS ARGUMENT...: a restore by these arguments has these rows.
restored() {
    local name=$1 what=$2 rows=$3
    shift 3
    exits 0 "$what: restore" walden restore --config "$(w_open_conf "$name")" -D "$SCRATCH/copy" "$@"
    pg_adopt back "$major" "$SCRATCH/copy" 'archive_mode = off'
    ok "$what: recovers" pg_start back
    ok "$what: to the end" pg_wait_promoted back
    is "$(pg_sql back "$rows_sql")" "$rows" "$what: its rows"
    pg_stop back
    pg_drop back
    rm -rf "$SCRATCH/copy"
}

# wide YEAR AT W_INIT: a cluster whose clock is in that year and whose WAL goes on at AT/A00000.
wide() {
    local year=$1 at=$2 init=$3 name=s$1 data first segment
    segment=$(printf '00000001%08X0000000A' "0x$at")
    pg_init "$name" "$major" --wal-segsize=1 -k || bail initdb
    data=$(pg_data "$name")
    "${pg_as[@]}" "$(pg_prog pg_resetwal)" -f -l "$segment" "$data" >/dev/null || bail pg_resetwal
    $init "$name" "$data" || bail 'no repository'
    pg_archive "$name" "$(w_keep_command "$name" "$SCRATCH/$name.kept")"
    pg_conf "$name" 'track_commit_timestamp = on' 'autovacuum = off'
    export LD_PRELOAD=$SCRATCH/clock.so
    TEST_CLOCK_AHEAD=$(($(date -u -d "$year-02-08" +%s) - $(LD_PRELOAD='' date +%s)))
    export TEST_CLOCK_AHEAD
    pg_start "$name" || bail 'no server'
    unset LD_PRELOAD TEST_CLOCK_AHEAD
    pg_sql "$name" 'create table rows (id int)'
    like "$(pg_sql "$name" 'select now()')" "^$year-" "$year: the server's clock"
    commit "$name" 1
    first=$(pg_sql "$name" 'select pg_walfile_name(pg_current_wal_lsn())')
    like "$first" "^${segment:0:16}" "$year: the segment"
    ok "$year: it is archived" pg_switch "$name"
    ok "$year: backup" pg_env "$name" walden-basebackup --config "$(w_conf "$name")" --fast
    commit "$name" 2
    local xid=$XID lsn=$LSN time=$TIME
    commit "$name" 3
    ok "$year: more is archived" pg_switch "$name"
    pg_stop "$name"

    run walden list --config "$(w_open_conf "$name")" --json
    is "$RC" 0 "$year: list $ERR"
    like "$OUT" "\"$year-02-0[78]T" "$year: with the year"
    like "$OUT" "\"start\":\"$at/A00000\"" "$year: and the position"
    exits 0 "$year: verify" walden verify --config "$(w_open_conf "$name")"
    ok "$year: a segment comes back" w_fetch "$name" "$name" "$first" "$SCRATCH/fetched"
    ok "$year: the same" cmp "$SCRATCH/fetched" "$SCRATCH/$name.kept/$first"
    restored "$name" "$year, to a time" 1,2 --target-time "$time" --target-action promote
    restored "$name" "$year, to a position" 1,2 --target-lsn "$lsn" --target-action promote
    restored "$name" "$year, to a transaction" 1,2 --target-xid "$xid" --target-action promote
    restored "$name" "$year, to the end" 1,2,3
}
wide 2039 1 w_init
wide 2107 80000000 w_init_sealed
done_testing
