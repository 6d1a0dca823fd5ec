# shellcheck shell=bash
# common.bash: what the fault tests share, read after lib.sh.
#
# A fault test lets one thing go wrong at every place where it can, and judges what came of it.  What
# is wrong goes through `problem`; `verdict` turns the problems of a sweep into one line of TAP, and
# `caught` demands them, for the negative controls: a harness that finds nothing wrong with a
# program that is broken on purpose proves nothing.

# Whoever can write to memory saves most of the time, which goes into fsync.
use_memory() {
    local dir
    [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || return 0
    dir=$(mktemp -d "/dev/shm/$TEST_NAME.XXXXXX" 2>/dev/null) || return 0
    WORK=$dir
    at_exit "rm -rf '$dir'"
}

# build_tool NAME: tests/tools/NAME.c as $SCRATCH/NAME.
build_tool() {
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -o "$SCRATCH/$1" \
        "$ROOT/tests/tools/$1.c" >"$SCRATCH/cc.log" 2>&1 ||
        bail "tests/tools/$1.c does not compile: $(head -n 5 "$SCRATCH/cc.log")"
}

# make_pool: real WAL of 1 MB segments in $POOL, and the data directory of its server, stopped, in
# $PGDATA_OF_POOL.  FULL: names of segments full of records; IDLE: of a segment with two records, and
# IDLE2; HISTORY: of a timeline that leaves in the last.
make_pool() {
    POOL=$SCRATCH/pool
    pg_init pool 18 --wal-segsize=1 || bail 'no server'
    pg_archive_cp pool "$POOL"
    pg_start pool || bail 'no server'
    pg_sql pool "create table t as select i, md5(i::text) from generate_series(1, 40000) i" ||
        bail 'no table'
    pg_switch pool >"$SCRATCH/pool.0" || bail 'no WAL'
    IDLE=$(pg_switch pool) || bail 'no WAL'
    IDLE2=$(pg_switch pool) || bail 'no WAL'
    pg_stop pool || bail 'the server does not stop'
    PGDATA_OF_POOL=$(pg_data pool)
    mapfile -t FULL < <(cd "$POOL" && printf '%s\n' 0* | head -n 4)
    HISTORY=00000002.history
    printf '1\t0/%X\tno recovery target specified\n' $((16#${IDLE2:16} << 20)) >"$POOL/$HISTORY"
}

# make_repo DIR [plain|sealed]: a repository for the pool's server; its configuration and keys are
# in $WORK.  ARCHIVE and RESTORE are set to the commands that use it.
make_repo() {
    local base how=()
    base=$WORK/$(basename "$1")
    [ "${2-plain}" = plain ] || how=(--encrypt)
    walden init --repo "$1" --config "$base.conf" --pgdata "$PGDATA_OF_POOL" \
        --key-dir "$base.keys" "${how[@]}" >"$SCRATCH/init.log" 2>&1 ||
        bail "walden init: $(cat "$SCRATCH/init.log")"
    # As root the programs become the repository's owner, who has to reach his keys.
    chown -R --reference="$1/walden-repo" "$base.conf" $([ "${2-plain}" = plain ] || echo "$base.keys")
    chmod a+x "$SCRATCH" "$WORK"
    REPO=$1
    ARCHIVE=(walden-archive --config "$base.conf")
    RESTORE=(walden-restore --config "$base.conf")
    [ "${2-plain}" = plain ] || RESTORE+=(--secret-key "$base.keys/recovery.key")
    LINEAGE=$(echo "$1"/main/*)
}

# object_path NAME: where an archived file is, in a repository of the pool's server.
object_path() {
    case $1 in
    *.history) echo "$LINEAGE/wal/${1:0:8}/$1" ;;
    *) echo "$LINEAGE/wal/${1:0:8}/${1:8:8}/$1" ;;
    esac
}

# ---- faults --------------------------------------------------------------------------------------

# list_points STATUS COMMAND...: runs it, which must end in STATUS, and lists its system calls as
# "P.N NAME" in $SCRATCH/points.
list_points() {
    local want="end exit $1" end
    shift
    "$SCRATCH/faults" -o "$SCRATCH/list" "$@" >"$SCRATCH/said" 2>&1 ||
        bail "faults does not work here: $(cat "$SCRATCH/said")"
    end=$(tail -n 1 "$SCRATCH/list")
    [ "$end" = "$want" ] || problem "without a fault: $end: $(head -n 1 "$SCRATCH/said")"
    grep -v '^end' "$SCRATCH/list" >"$SCRATCH/points"
    [ "$(wc -l <"$SCRATCH/points")" -gt 10 ] || problem 'nothing to fail'
    # What the C library does before the program's first own call, and until its signals are set.
    STARTED=$(awk '/^1\./ { n++; if ($2 == "rt_sigaction") last = n; else if (last && $2 != "rt_sigprocmask") exit }
        END { print last + 0 }' "$SCRATCH/points")
}

# inject WHERE ACTION COMMAND...: sets HITS, HIT (name), HOW (exit, signal or hang), CODE and
# MS, the milliseconds until process 1 ended.  AFTER is a command that is run then.
inject() {
    local where=$1 action=$2
    shift 2
    "$SCRATCH/faults" -o "$SCRATCH/report" -w "$where" -a "$action" ${AFTER:+-x "$AFTER"} "$@" \
        >"$SCRATCH/said" 2>&1 || bail "faults failed: $(cat "$SCRATCH/said")"
    # shellcheck disable=SC2034 # for the tests
    read -r HITS HIT HOW CODE MS <"$SCRATCH/report"
}

# is_startup WHERE: process 1 before its signals are set.
is_startup() { [ "${1%.*}" = 1 ] && [ "${1#*.}" -le "$STARTED" ]; }

# errors_of NAME: the ways in which a call can fail.  Calls that cannot fail have none.
errors_of() {
    case $1 in
    openat | openat2 | open) echo EIO EACCES EINTR EMFILE ENFILE ENOMEM ENOSPC ESTALE ;;
    stat | lstat | newfstatat | fstat | statx | statfs | fstatfs) echo EIO EACCES ENOMEM ESTALE ;;
    read | pread64 | readv) echo EIO EINTR ESTALE ;;
    write | pwrite64 | writev) echo EIO EINTR ENOSPC EDQUOT ;;
    fsync | fdatasync) echo EIO EINTR ENOSPC EDQUOT ;;
    sync_file_range | fadvise | madvise) echo EIO EINVAL ;;
    fallocate | ftruncate) echo EIO EINTR ENOSPC EDQUOT EINVAL ;;
    mkdirat) echo EIO EACCES ENOSPC EDQUOT EROFS ;;
    renameat | renameat2 | linkat) echo EIO EACCES EINTR EINVAL ENOSPC EROFS ;;
    unlinkat) echo EIO EACCES EROFS ;;
    fchmod | fchmodat) echo EIO EPERM EROFS ;;
    flock) echo EIO EINTR ENOLCK ;;
    fcntl | dup | dup3) echo EMFILE EINVAL ;;
    getdents64 | lseek) echo EIO ENOMEM ;;
    brk | mmap | mremap | mprotect | munmap | mlock) echo ENOMEM ;;
    fork | clone) echo EAGAIN ENOMEM ;;
    pipe2) echo EMFILE ENFILE ENOMEM ;;
    getrandom) echo EINTR ENOSYS ;;
    close) echo EIO EINTR ;;
    wait4) echo EINTR ;;
    ppoll | poll) echo EINTR ENOMEM ;;
    rt_sigtimedwait) echo EINTR EAGAIN ;;
    prctl | ioctl | rt_sigaction | rt_sigprocmask | prlimit64 | arch_prctl | kill) echo EINVAL ;;
    readlink | readlinkat) echo EIO ;;
    *) ;;
    esac
}

# sample KEEP WORD...: what of the words is taken, in TAKEN: in a quick run KEEP of them and one in
# $STEP of the others, in a long run (EVERY=1) all.  Where it begins goes on from call to call, so
# similar sweeps together see nearly all.
ROUND=0
SEEN=0
STEP=${STEP:-6}
sample() {
    local keep=$1 i n=$(($# - 1))
    shift
    TAKEN=("$@")
    [ -z "${EVERY-}" ] && [ $n -gt 0 ] || return 0
    TAKEN=()
    ROUND=$((ROUND + 1))
    for ((i = 0; i < n; i++)); do
        SEEN=$((SEEN + 1))
        if [ "$i" -lt "$keep" ] || [ $((SEEN % STEP)) -eq 0 ]; then
            TAKEN+=("${@:(ROUND + i) % n + 1:1}")
        fi
    done
}

# ---- what was wrong ------------------------------------------------------------------------------

PROBLEMS=()

problem() { PROBLEMS+=("$*"); }

# verdict DESCRIPTION: ok when there were no problems; forgets them.
verdict() {
    if [ ${#PROBLEMS[@]} -eq 0 ]; then
        pass "$1"
    else
        fail "$1" "${#PROBLEMS[@]} problems:"$'\n'"$(printf '%s\n' "${PROBLEMS[@]}" | head -n 20)"
    fi
    PROBLEMS=()
}

# caught REGEX... DESCRIPTION: the negative control: there must be such problems, of each kind.
caught() {
    local regex missing='' found
    found=$(printf '%s\n' "${PROBLEMS[@]-}")
    for regex in "${@:1:$#-1}"; do
        grep -Eq -e "$regex" <<<"$found" || missing+=" \"$regex\""
    done
    if [ -z "$missing" ]; then
        pass "${*: -1}"
    else
        fail "${*: -1}" "the harness saw nothing like$missing:"$'\n'"$(head -n 20 <<<"$found")"
    fi
    PROBLEMS=()
}

# ---- judging an archiver --------------------------------------------------------------------------
#
# A subject is what is tested: a command that stores $POOL/$FILE, and how it is found again.
#   FILE            the file that is archived
#   STORE           the command, an array
#   reset_subject   makes the state before
#   fetch TO        0 when the stored file is back in TO, 1 when it is not there, more: damaged
#   target          its final name

reset_subject() { rm -rf "${LINEAGE:?}/wal" && { [ -z "${BEFORE-}" ] || cp -a "$BEFORE" "$LINEAGE/wal"; }; }
target() { object_path "$FILE"; }
fetch() {
    rm -f "$WORK/back"
    "${RESTORE[@]}" "$FILE" "$WORK/back" >"$SCRATCH/said.back" 2>&1
}

# leftovers: temporary files beside the target.
leftovers() {
    local dir
    dir=$(dirname "$(target)")
    [ ! -d "$dir" ] || find "$dir" -name '.tmp.*'
}

# judge_stored POINT WHAT: the target must be absent or whole; WHAT is "absent or" or "".
judge_stored() {
    if [ -e "$TARGET" ]; then
        if ! fetch; then
            problem "$1: torn: $(head -n 1 "$SCRATCH/said.back")"
        elif ! cmp -s "$WORK/back" "$POOL/$FILE"; then
            problem "$1: torn: other content under the final name"
        fi
    elif [ -z "$2" ]; then
        problem "$1: lost: not there"
    fi
}

# judge_rerun POINT: without a fault it must end in 0 with the right content and no temporary file.
judge_rerun() {
    local rc=0 left
    "${STORE[@]}" >"$SCRATCH/said" 2>&1 || rc=$?
    if [ $rc -ne 0 ]; then
        problem "$1: stuck: the next run exits with $rc: $(head -n 1 "$SCRATCH/said")"
        return
    fi
    judge_stored "$1, next run" ''
    left=$(leftovers)
    [ -z "$left" ] || problem "$1: left: $left"
}

# judge_archiver POINT: after inject.
judge_archiver() {
    local must='absent or'
    if [ "$HOW" = hang ]; then
        problem "$1: hangs"
    elif [ "$HOW" = signal ]; then
        is_startup "${1%% *}" || [ "$CODE" = 9 ] || problem "$1: dies by signal $CODE"
    elif [ "$CODE" -gt 125 ]; then
        problem "$1: exits with $CODE"
    elif [ "$CODE" -eq 0 ]; then
        must=
    elif [ "$HITS" -eq 0 ]; then
        problem "$1: exits with $CODE without a fault: $(head -n 1 "$SCRATCH/said")"
    fi
    judge_stored "$1" "$must"
    judge_rerun "$1"
}
