# shellcheck shell=bash
# lib.sh: what the shell tests share.  A test begins with
#
#     #!/bin/bash
#     . "$(dirname "$0")/../lib.sh"
#
# and ends with done_testing.  It prints TAP, works as any user and from any directory, and leaves
# nothing behind: servers are stopped and the scratch directory is removed however it ends.
#
# Started by root it starts itself again as $TEST_USER (default nobody), because PostgreSQL refuses
# root.  A test that must stay root (mounts) says "# needs: root" in its first 30 lines, as for
# tests/run, or sets TEST_ROOT=1 before it reads this file; its servers then run as $TEST_USER.
#
# The caller may set: TEST_BIN (folder of the programs under test, default build/bin), TEST_MAJORS
# (default "13 14 15 16 17 18"), TEST_WAIT (seconds until a wait gives up, default 60), TEST_FSYNC
# (the servers' fsync, default off), SERVER_MACHINE (servers of another machine type than this one's, as
# in tests/servers/versions), TEST_KEEP=1 (keep the scratch directory), WALDEN_TEST_TMP
# (where the scratch directory is made).  A script that borrows the servers but is no test (the
# demo, the bench) sets NO_TAP=1.
#
# A test finds: $ROOT (the repository), $SCRATCH (its own directory), $TEST_BIN (also first in
# PATH).

set -u -o pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TEST_NAME=$(basename "$0" .sh)
TEST_USER=${TEST_USER:-nobody}
TEST_WAIT=${TEST_WAIT:-60}
TEST_FSYNC=${TEST_FSYNC:-off}
TEST_BIN=${TEST_BIN:-$ROOT/build/bin}
[[ $TEST_BIN == /* ]] || TEST_BIN=$PWD/$TEST_BIN

# ---- TAP ----------------------------------------------------------------------------------------

tap_count=0
tap_failed=0
tap_planned=

note() { printf '# %s\n' "$@"; }
diag() { printf '%s\n' "$*" | sed 's/^/# /' >&2; }

# bail REASON: nothing more can be tested.  In a subshell, whose output somebody may catch, the
# reason is left for the end of the test; whoever called the subshell must end on its failure.
bail() {
    if [ "$BASHPID" = $$ ]; then echo "Bail out! $*"; else echo "Bail out! $*" >"$SCRATCH/.bail"; fi
    exit 1
}

pass() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

# fail DESCRIPTION [DETAIL...]: returns 1.
fail() {
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
    shift
    [ $# -eq 0 ] || diag "$@"
    return 1
}

# run COMMAND...: sets RC, OUT and ERR.  Returns 0 whatever the command did.
run() {
    RC=0
    "$@" >"$SCRATCH/.out" 2>"$SCRATCH/.err" || RC=$?
    OUT=$(tr -d '\0' <"$SCRATCH/.out")
    ERR=$(tr -d '\0' <"$SCRATCH/.err")
}

# ok DESCRIPTION COMMAND...: the command must succeed.
ok() { exits 0 "$@"; }

# nok DESCRIPTION COMMAND...: the command must fail with a status of 1 to 125.
nok() { exits 1-125 "$@"; }

# exits STATUS DESCRIPTION COMMAND...: the command must exit so.  STATUS is a number or FROM-TO.
# RC, OUT and ERR are set.
exits() {
    local want=$1 what=$2
    shift 2
    run "$@"
    if [ "$RC" -ge "${want%-*}" ] && [ "$RC" -le "${want#*-}" ]; then
        pass "$what"
    else
        # What it complained of first; of the rest the end tells most.
        fail "$what" "exit status $RC, expected $want: $*"$'\n'"$ERR"$'\n'"$(tail -n 15 <<<"$OUT")"
    fi
}

# is GOT EXPECTED DESCRIPTION
is() {
    if [ "$1" = "$2" ]; then pass "$3"; else fail "$3" "     got: $1"$'\n'"expected: $2"; fi
}

# isnt GOT UNEXPECTED DESCRIPTION
isnt() {
    if [ "$1" != "$2" ]; then pass "$3"; else fail "$3" "got the unexpected: $1"; fi
}

# like TEXT REGEX DESCRIPTION: extended regular expression, line by line.
like() {
    if grep -Eq -e "$2" <<<"$1"; then pass "$3"; else fail "$3" "no \"$2\" in:"$'\n'"$1"; fi
}

# unlike TEXT REGEX DESCRIPTION
unlike() {
    if grep -Eq -e "$2" <<<"$1"; then fail "$3" "found \"$2\" in:"$'\n'"$1"; else pass "$3"; fi
}

# skip COUNT REASON: counts COUNT tests as skipped.
skip() {
    local i
    for ((i = 0; i < $1; i++)); do
        tap_count=$((tap_count + 1))
        echo "ok $tap_count # SKIP $2"
    done
}

# skip_all REASON: nothing here can be tested; ends the test.
skip_all() {
    echo "1..0 # SKIP $*"
    tap_planned=0
    exit 0
}

# plan COUNT: says beforehand how many tests come; then done_testing is not needed.
plan() {
    tap_planned=$1
    echo "1..$1"
}

# done_testing: the test came to its end.  The exit status follows from the results.
done_testing() {
    if [ -z "$tap_planned" ]; then
        tap_planned=$tap_count
        echo "1..$tap_count"
    fi
}

# ---- start and end of a test --------------------------------------------------------------------

exit_commands=()

# at_exit COMMAND: run when the test ends, last one first, before the servers are stopped.
at_exit() { exit_commands+=("$1"); }

at_end() {
    local status=$? i jobs data
    trap - EXIT
    trap '' HUP INT TERM
    for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do
        eval "${exit_commands[$i]}" || diag "failed at the end: ${exit_commands[$i]}"
    done
    jobs=$(jobs -p)
    # shellcheck disable=SC2086 # a list of words
    [ -z "$jobs" ] || kill $jobs 2>/dev/null
    for data in "$SCRATCH"/pg/*/data; do
        [ -f "$data/postmaster.pid" ] && pg_stop "$(basename "$(dirname "$data")")" immediate
    done
    [ ! -f "$SCRATCH/.bail" ] || cat "$SCRATCH/.bail"
    cd /
    rm -rf "$ROOT/build/servers/templates/.new.$$".*
    if [ -n "${TEST_KEEP-}" ]; then
        note "kept $SCRATCH"
    else
        chmod -R u+rwX "$SCRATCH" 2>/dev/null
        rm -rf "$SCRATCH" "$SOCKETS"
    fi
    if [ "$tap_failed" -gt 0 ]; then
        diag "$tap_failed of $tap_count tests failed"
        [ "$status" -ne 0 ] || status=1
    elif [ "$status" -eq 0 ] && [ -z "${NO_TAP-}" ] && [ "$tap_planned" != "$tap_count" ]; then
        diag "the test ended early, or ran $tap_count tests instead of the planned"
        status=1
    fi
    exit "$status"
}

# The words to put before a command, one per line.
as_test_user() {
    printf '%s\n' setpriv "--reuid=$(id -u "$TEST_USER")" "--regid=$(id -g "$TEST_USER")" \
        --clear-groups
}

# Starts the test again as $TEST_USER.  The servers are fetched first, while the tree is writable.
drop_root() {
    local as
    mapfile -t as < <(as_test_user)
    # shellcheck disable=SC2086 # lists of words
    if ! { "$ROOT/tests/servers/fetch" ${TEST_MAJORS-} && "$ROOT/tests/servers/tools" ${TEST_TOOLS-}; } >&2; then
        diag "the servers or tools are not complete"
    fi
    if ! "${as[@]}" test -w "${WALDEN_TEST_TMP:-/tmp}"; then
        unset WALDEN_TEST_TMP
    fi
    "${as[@]}" test -w "${TMPDIR:-/tmp}" || unset TMPDIR
    "${as[@]}" test -r "$0" -a -x "$ROOT" || run_in_copy "${as[@]}" -- "$@"
    exec "${as[@]}" bash "$0" "$@"
}

# Root's checkout is closed to $TEST_USER: the test runs in a copy of it, which goes when it ends.
run_in_copy() {
    local as=() status=0 me
    me=$(realpath "$0")
    while [ "$1" != -- ]; do
        as+=("$1")
        shift
    done
    shift
    OPEN_COPY=$(mktemp -d /tmp/wt.XXXXXX) || exit 1
    trap 'rm -rf --one-file-system "$OPEN_COPY"' EXIT
    trap 'exit 130' INT TERM HUP
    chmod 755 "$OPEN_COPY"
    "$ROOT/tests/tools/open-copy" "$OPEN_COPY/tree" >&2 || exit 1
    TEST_BIN=${TEST_BIN/#"$ROOT"/"$OPEN_COPY/tree"} "${as[@]}" \
        bash "$OPEN_COPY/tree/${me#"$ROOT"/}" "$@" || status=$?
    exit $status
}

begin_test() {
    local name base=${WALDEN_TEST_TMP:-${TMPDIR:-/tmp}}
    while read -r name; do
        unset "$name"
    done < <(compgen -e | grep -E '^(PG|WALDEN_)')
    export LC_ALL=C TZ=UTC
    umask 022
    SCRATCH=$(mktemp -d "$base/$TEST_NAME.XXXXXX") || exit 1
    SCRATCH=$(cd "$SCRATCH" && pwd -P)
    # A socket's path has room for 107 bytes, so it may need a place of its own.
    SOCKETS=$SCRATCH
    [ ${#SOCKETS} -le 80 ] || SOCKETS=$(mktemp -d /tmp/ws.XXXXXX) || exit 1
    trap at_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    mkdir "$SCRATCH/pg" "$SCRATCH/home"
    export HOME=$SCRATCH/home PATH=$TEST_BIN:$PATH TMPDIR=$SCRATCH
    pg_as=()
    if [ "$EUID" -eq 0 ]; then
        mapfile -t pg_as < <(as_test_user)
        chown -R "$(id -u "$TEST_USER"):$(id -g "$TEST_USER")" "$SCRATCH" "$SOCKETS"
    fi
}

# wait_for SECONDS COMMAND...: until it succeeds; 1 when it does not in time.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || return 1
        sleep 0.05
    done
}

# ---- files --------------------------------------------------------------------------------------

# size_of FILE
size_of() { stat -c %s "$1"; }

# sum_of FILE...: SHA-256 of the content, one per line.
sum_of() { cat -- "$@" | sha256sum | cut -d' ' -f1; }

# flip_byte FILE OFFSET [MASK]: xors one byte (MASK: 255).  A negative OFFSET counts from the end.
flip_byte() {
    local offset=$2 byte
    [ "$offset" -ge 0 ] || offset=$(($(size_of "$1") + offset))
    byte=$(od -An -tu1 -j "$offset" -N 1 "$1" | tr -d ' ')
    [ -n "$byte" ] || bail "flip_byte: $1 has no byte $2"
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ ${3:-255})))" |
        dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
}

# truncate_to FILE SIZE: a negative SIZE cuts that many bytes off.
truncate_to() {
    local size=$2
    [ "$size" -ge 0 ] || size=$(($(size_of "$1") + size))
    truncate -s "$size" "$1"
}

# wal_name TIMELINE LSN [SEGMENT_BYTES]: the segment file that holds the byte at LSN (X/X).
wal_name() {
    local size=${3:-16777216} segment
    segment=$(((16#${2%/*} * 4294967296 + 16#${2#*/}) / size))
    wal_name_of "$1" "$segment" "$size"
}

# wal_add NAME COUNT [SEGMENT_BYTES]: the segment COUNT after (before, if negative) NAME.
wal_add() {
    local size=${3:-16777216} segment
    segment=$((16#${1:8:8} * (4294967296 / size) + 16#${1:16:8} + $2))
    wal_name_of "$((16#${1:0:8}))" "$segment" "$size"
}

wal_name_of() {
    printf '%08X%08X%08X\n' "$1" $(($2 / (4294967296 / $3))) $(($2 % (4294967296 / $3)))
}

# ---- servers ------------------------------------------------------------------------------------
#
# A server is known by a NAME of the test's choice.  Its files are below $SCRATCH/pg/NAME: data,
# log, port, major.  It listens on a socket in a private directory only, never on TCP.

# pg_majors: the majors to test on this machine.
pg_majors() {
    local major
    for major in ${TEST_MAJORS:-13 14 15 16 17 18}; do
        awk -v major="$major" -v machine="$(uname -m)" \
            '$1 == major && $2 == machine { print $1 }' "$ROOT/tests/servers/versions"
    done
}

# pg_bin MAJOR: the folder of initdb, pg_ctl and postgres.
pg_bin() {
    local dir=$ROOT/build/servers/${SERVER_MACHINE:+$SERVER_MACHINE/}$1
    [ -f "$dir/.stamp" ] || FETCH_MACHINE=${SERVER_MACHINE-} "$ROOT/tests/servers/fetch" "$1" >&2 ||
        bail "no PostgreSQL $1 in build/servers; run tests/servers/fetch as the owner of the tree"
    echo "$dir/bin"
}

# pg_prog PROGRAM [MAJOR]: path of a client program (psql, pgbench, pg_basebackup, pg_waldump,
# pg_verifybackup, pg_dump ...) of that major: 13, 15, 17 or 18, the default.
pg_prog() {
    local dir=$ROOT/build/tools/${2:-18} place=''
    [ ! -f "$dir/.stamp" ] || read -r _ place <"$dir/.stamp"
    [ "$place" = "$dir" ] || "$ROOT/tests/servers/tools" "${2:-18}" >&2 ||
        bail "no client programs of ${2:-18} in build/tools;" \
            "run tests/servers/tools as the owner of the tree"
    [ -x "$dir/bin/$1" ] || bail "build/tools has no $1 of PostgreSQL ${2:-18}"
    echo "$dir/bin/$1"
}

pg_data() { echo "$SCRATCH/pg/$1/data"; }  # NAME: the data directory
pg_log() { echo "$SCRATCH/pg/$1/log"; }    # NAME: the path of its log file
pg_major() { cat "$SCRATCH/pg/$1/major"; } # NAME
pg_port() { cat "$SCRATCH/pg/$1/port"; }   # NAME: the number in its socket's name

# pg_connstr NAME [DATABASE]: a libpq connection string.
pg_connstr() { echo "host=$SOCKETS port=$(pg_port "$1") user=postgres dbname=${2:-postgres}"; }

# pg_env NAME COMMAND...: runs the command with PGHOST, PGPORT, PGUSER and PGDATABASE set.
pg_env() {
    local port
    port=$(pg_port "$1")
    shift
    PGHOST=$SOCKETS PGPORT=$port PGUSER=postgres PGDATABASE=postgres "$@"
}

# Makes the server's folder and gives it a port of its own.
pg_new() {
    local port=54329
    mkdir "$SCRATCH/pg/$1" || bail "a server named $1 is there already"
    until mkdir "$SCRATCH/pg/.port.$port" 2>/dev/null; do
        port=$((port + 1))
    done
    echo "$port" >"$SCRATCH/pg/$1/port"
    echo "$2" >"$SCRATCH/pg/$1/major"
    : >"$SCRATCH/pg/$1/log"
    [ ${#pg_as[@]} -eq 0 ] || chown -R --reference="$SCRATCH" "$SCRATCH/pg/$1"
}

pg_base_conf() {
    cat >>"$(pg_data "$1")/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$SOCKETS'
port = $(pg_port "$1")
fsync = $TEST_FSYNC
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_wal_senders = 10
jit = off
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
timezone = 'UTC'
log_timezone = 'UTC'
CONF
}

# The folder with a fresh data directory for MAJOR and initdb's arguments; made at the first use and
# kept between runs where the tree is writable.  A half-made one never gets the name.
pg_template() {
    local major=$1 bin store key work
    shift
    bin=$(pg_bin "$major") || exit 1
    store=$ROOT/build/servers/templates
    "${pg_as[@]}" test -w "$store" || store=$SCRATCH/templates
    [ -d "$store" ] || "${pg_as[@]}" mkdir -p "$store"
    key=$(echo "$(cat "$bin/../.stamp") $*" | sha256sum)
    key=$store/$("${pg_as[@]}" id -u)-$major-${key:0:12}
    if [ ! -d "$key" ]; then
        work=$store/.new.$$.$BASHPID
        "${pg_as[@]}" mkdir "$work" || return 1
        if ! "${pg_as[@]}" "$bin/initdb" -N -U postgres -A trust -E UTF8 --locale=C "$@" \
            -D "$work/data" >"$SCRATCH/.initdb" 2>&1; then
            diag "$(cat "$SCRATCH/.initdb")"
            rm -rf "$work"
            return 1
        fi
        "${pg_as[@]}" cp -a --sparse=always "$work/data" "$work/sparse"
        "${pg_as[@]}" mv -T "$work/sparse" "$key" 2>/dev/null # another test may have been faster
        rm -rf "$work"
    fi
    [ "$(stat -c %u "$key")" = "$("${pg_as[@]}" id -u)" ] || bail "$key belongs to somebody else"
    echo "$key"
}

# pg_init [-f] NAME MAJOR [INITDB_ARGUMENT...]: a new server, not started.  Servers of one major and
# the same arguments are copies of one data directory, so they share a system identifier; -f makes
# one with its own.
pg_init() {
    local name major template bin
    if [ "$1" = -f ]; then
        shift
        name=$1 major=$2
        shift 2
        pg_new "$name" "$major"
        bin=$(pg_bin "$major") || exit 1
        "${pg_as[@]}" "$bin/initdb" -N -U postgres -A trust -E UTF8 --locale=C "$@" \
            -D "$(pg_data "$name")" >"$SCRATCH/.initdb" 2>&1 || {
            diag "$(cat "$SCRATCH/.initdb")"
            return 1
        }
    else
        name=$1 major=$2
        shift 2
        pg_new "$name" "$major"
        template=$(pg_template "$major" "$@") || return 1
        "${pg_as[@]}" cp -a "$template" "$(pg_data "$name")" || return 1
    fi
    pg_base_conf "$name"
}

# pg_conf NAME 'SETTING = VALUE'...: the last one of a name wins.  See pg_reload.
pg_conf() {
    local name=$1
    shift
    printf '%s\n' "$@" >>"$(pg_data "$name")/postgresql.conf"
}

# pg_quote TEXT: as a quoted value for pg_conf.
pg_quote() { echo "'${1//\'/\'\'}'"; }

# pg_archive NAME COMMAND: turns archiving on with this archive_command.
pg_archive() { pg_conf "$1" 'archive_mode = on' "archive_command = $(pg_quote "$2")"; }

# pg_archive_cp NAME DIR: archives with cp into DIR, which is made.
pg_archive_cp() {
    "${pg_as[@]}" mkdir -p "$2"
    pg_archive "$1" "test ! -f \"$2/%f\" && cp \"%p\" \"$2/%f\""
}

# pg_ctl NAME ARGUMENT...: of the server's major, quietly.
pg_ctl() {
    local name=$1 bin
    shift
    bin=$(pg_bin "$(pg_major "$name")") || exit 1
    "${pg_as[@]}" "$bin/pg_ctl" -D "$(pg_data "$name")" -s -w -t "$TEST_WAIT" "$@" \
        </dev/null >>"$(pg_log "$name")" 2>&1
}

# pg_start NAME: waits until it accepts connections (or, in recovery without hot standby, runs).
pg_start() {
    pg_ctl "$1" -l "$(pg_log "$1")" start && return 0
    diag "$1 does not start:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
    return 1
}

# pg_is_running NAME
pg_is_running() {
    local pid file
    file=$(pg_data "$1")/postmaster.pid
    [ -f "$file" ] && read -r pid 2>/dev/null <"$file" && ! is_gone "$pid"
}

pg_is_stopped() { ! pg_is_running "$1"; } # NAME

# pg_start_expect_fail NAME [REGEX]: 0 when the server does not start, or stops by itself before its
# recovery ends, and its log matches REGEX.
pg_start_expect_fail() {
    local outcome=stopped
    if pg_is_running "$1"; then
        outcome='running already'
    elif pg_ctl "$1" -l "$(pg_log "$1")" start; then
        outcome=$(pg_outcome "$1")
    fi
    if [ "$outcome" != stopped ]; then
        diag "$1 was expected to stop, but is $outcome"
        return 1
    fi
    [ $# -lt 2 ] || grep -Eq -e "$2" "$(pg_log "$1")" || {
        diag "no \"$2\" in the log of $1:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
        return 1
    }
}

# pg_stop NAME [smart|fast|immediate]: fast by default; a stopped server is fine.
pg_stop() {
    pg_is_running "$1" || return 0
    pg_ctl "$1" -m "${2:-fast}" stop && return 0
    diag "$1 does not stop:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
    return 1
}

pg_restart() { pg_stop "$1" && pg_start "$1"; } # NAME
pg_reload() { pg_ctl "$1" reload; }             # NAME

# pg_crash NAME: SIGKILL for the server and all its processes, archive_command included.
pg_crash() {
    local pid pids memory
    read -r pid 2>/dev/null <"$(pg_data "$1")/postmaster.pid" || return 1
    memory=$(sed -n '7s/.* //p' "$(pg_data "$1")/postmaster.pid")
    pids=$(process_tree "$pid")
    # shellcheck disable=SC2086 # a list of words
    kill -KILL $pids 2>/dev/null
    for pid in $pids; do
        wait_for "$TEST_WAIT" is_gone "$pid" || return 1
    done
    [ -z "$memory" ] || ipcrm -m "$memory" 2>/dev/null
    # The next start would take a process that nobody has waited for yet for a live server.
    rm -f "$(pg_data "$1")/postmaster.pid" "$SOCKETS/.s.PGSQL.$(pg_port "$1")"{,.lock}
}

# process_tree PID: it and all its descendants.
process_tree() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do
        process_tree "$child"
    done
}

# is_gone PID: a dead process that nobody has waited for yet counts as gone.
is_gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# pg_sql NAME SQL [PSQL_ARGUMENT...]: prints the rows, fields parted by |.
pg_sql() {
    local name=$1 sql=$2 psql
    psql=$(pg_prog psql) || exit 1
    shift 2
    pg_env "$name" "$psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@" -c "$sql"
}

# pg_switch NAME: ends the current segment, which is made to hold something, waits until it is
# archived and prints its name.
pg_switch() {
    local file
    file=$(pg_sql "$1" 'select pg_walfile_name(pg_switch_wal())' -o /dev/null \
        -c "select pg_logical_emit_message(false, 'test', 'switch')" -c '\o') || return 1
    pg_wait_archived "$1" "$file" || return 1
    echo "$file"
}

# pg_is_archived NAME FILE: done, or done so long ago that a checkpoint removed the trace.
pg_is_archived() {
    local status newest
    status=$(pg_data "$1")/pg_wal/archive_status/$2
    [ -f "$status.done" ] && return 0
    [ ! -f "$status.ready" ] || return 1
    newest="select coalesce(last_archived_wal >= '$2', false) from pg_stat_archiver"
    [ "$(pg_sql "$1" "$newest" 2>/dev/null)" = t ]
}

# pg_wait_archived NAME FILE [SECONDS]
pg_wait_archived() {
    wait_for "${3:-$TEST_WAIT}" pg_is_archived "$1" "$2" && return 0
    diag "$2 was not archived:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
    return 1
}

# pg_log_reset NAME: empties the log, so that pg_wait_log sees only what comes.
pg_log_reset() { : >"$(pg_log "$1")"; }

# pg_wait_log NAME REGEX [SECONDS]
pg_wait_log() {
    wait_for "${3:-$TEST_WAIT}" grep -Eq -e "$2" "$(pg_log "$1")" && return 0
    diag "no \"$2\" in the log of $1:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
    return 1
}

# pg_promote NAME: and waits until it is done.
pg_promote() { pg_ctl "$1" promote; }

# pg_outcome NAME [SECONDS]: waits for the end of a recovery and prints it: promoted, stopped (by
# itself), paused (at a target), or recovering when the time is over.
pg_outcome() {
    local end=$((SECONDS + ${2:-$TEST_WAIT})) state
    while pg_is_running "$1"; do
        state=$(pg_sql "$1" "select case when not pg_is_in_recovery() then 'promoted'
            when pg_is_wal_replay_paused() then 'paused' end" 2>/dev/null)
        if [ -n "$state" ]; then
            echo "$state"
            return
        fi
        if [ "$SECONDS" -gt "$end" ]; then
            echo recovering
            return
        fi
        sleep 0.05
    done
    echo stopped
}

# pg_wait_promoted NAME [SECONDS]
pg_wait_promoted() {
    local outcome
    outcome=$(pg_outcome "$@")
    [ "$outcome" = promoted ] && return 0
    diag "$1 was expected to be promoted, but is $outcome:"$'\n'"$(tail -n 20 "$(pg_log "$1")")"
    return 1
}

# pg_wait_replay NAME LSN [SECONDS]: until a server in recovery has replayed up to LSN.
pg_wait_replay() { wait_for "${3:-$TEST_WAIT}" pg_has_replayed "$1" "$2"; }

pg_has_replayed() {
    [ "$(pg_sql "$1" "select coalesce(pg_last_wal_replay_lsn() >= '$2', false)" 2>/dev/null)" = t ]
}

# ---- backup and recovery ------------------------------------------------------------------------

# pg_basebackup_cold NAME DEST: a copy of the data directory without WAL, as a base backup.  A
# running server is stopped for it and started again.
pg_basebackup_cold() {
    local was_running=no
    pg_is_running "$1" && was_running=yes
    pg_stop "$1" || return 1
    "${pg_as[@]}" cp -a "$(pg_data "$1")" "$2" || return 1
    find "$2/pg_wal" -type f -delete
    [ $was_running = no ] || pg_start "$1"
}

# pg_backup_hot NAME DEST [PG_BASEBACKUP_ARGUMENT...]: by pg_basebackup 18, plain, without WAL.
pg_backup_hot() {
    local name=$1 dest=$2 program
    program=$(pg_prog pg_basebackup) || exit 1
    shift 2
    pg_env "$name" "${pg_as[@]}" "$program" -D "$dest" -X none -c fast --no-sync "$@" \
        2>"$SCRATCH/.basebackup" && return 0
    diag "$(cat "$SCRATCH/.basebackup")"
    return 1
}

# pg_from_backup [-s] NAME MAJOR BACKUP RESTORE_COMMAND ['SETTING = VALUE'...]: a new server, not
# started, from a copy of a base backup, to be recovered from an archive; -s: as a standby.
# Archiving is off unless a setting turns it on.
pg_from_backup() {
    local signal=recovery.signal name major backup command data
    if [ "$1" = -s ]; then
        signal=standby.signal
        shift
    fi
    name=$1 major=$2 backup=$3 command=$4
    shift 4
    pg_new "$name" "$major"
    data=$(pg_data "$name")
    cp -a "$backup" "$data" || return 1
    chmod 700 "$data"
    [ ${#pg_as[@]} -eq 0 ] || chown -R --reference="$SCRATCH" "$data"
    rm -f "$data"/postmaster.{pid,opts} "$data"/{recovery,standby}.signal
    pg_base_conf "$name"
    pg_conf "$name" 'archive_mode = off' "restore_command = $(pg_quote "$command")" "$@"
    "${pg_as[@]}" touch "$data/$signal"
}

# pg_adopt NAME MAJOR DIR ['SETTING = VALUE'...]: a new server, not started, on a data directory
# that something else made; only its place of connection is set, below what is in its
# configuration.
pg_adopt() {
    local name=$1
    pg_new "$name" "$2"
    ln -s "$(cd "$3" && pwd)" "$(pg_data "$name")" || return 1
    pg_base_conf "$name"
    shift 3
    [ $# -eq 0 ] || pg_conf "$name" "$@"
}

# pg_restore_cp DIR: a restore_command that fetches with cp from DIR.
pg_restore_cp() { echo "cp \"$1/%f\" \"%p\""; }

# pg_step NAME NUMBER [ROWS]: writes rows of step NUMBER (100) into the table steps, ends the
# segment, waits until it is archived and prints its name.  What a recovery brought back is told by
# pg_steps.
pg_step() {
    pg_sql "$1" "create table if not exists steps (step int, filler text);
        insert into steps select $2, repeat(md5(i::text), 4) from generate_series(1, ${3:-100}) i" \
        2>/dev/null || return 1
    pg_switch "$1"
}

# pg_steps NAME: the greatest step and the number of rows, as STEP|ROWS; 0|0 when there are none.
pg_steps() {
    pg_sql "$1" "select coalesce(max(step), 0), count(*) from steps" 2>/dev/null || echo '0|0'
}

# control_cp_promotes MAJOR: the negative control of every recovery test.  Steps 1 to 3 are archived
# with cp, the segment of step 2 is removed, and a recovery with cp as its restore_command must end
# promoted with the rows of step 1 only: the silent loss that Walden is there to prevent.  0 when it
# does.  Leaves CONTROL_OUTCOME and CONTROL_STEPS.
control_cp_promotes() {
    local name=control$1 back=control$1.back archive=$SCRATCH/control$1.archive backup files=() i
    pg_init "$name" "$1" || return 1
    pg_archive_cp "$name" "$archive"
    pg_start "$name" || return 1
    for i in 1 2 3; do
        files+=("$(pg_step "$name" $i)") || return 1
    done
    pg_stop "$name" || return 1
    rm "$archive/${files[1]}" || return 1

    # What initdb left serves as the base backup.
    backup=$(pg_template "$1") || return 1
    pg_from_backup "$back" "$1" "$backup" "$(pg_restore_cp "$archive")" || return 1
    find "$(pg_data "$back")/pg_wal" -type f -delete
    pg_start "$back" || return 1
    CONTROL_OUTCOME=$(pg_outcome "$back")
    CONTROL_STEPS=$(pg_steps "$back")
    pg_stop "$back"
    rm -rf "$archive" "$SCRATCH/pg/$name/data" "$SCRATCH/pg/$back/data"
    [ "$CONTROL_OUTCOME" = promoted ] && [ "$CONTROL_STEPS" = '1|100' ]
}

if head -n 30 "$0" | grep -q '^# needs: root'; then
    TEST_ROOT=1
fi
[ "$EUID" -ne 0 ] || [ -n "${TEST_ROOT-}" ] || drop_root "$@"
begin_test
