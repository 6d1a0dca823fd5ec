#!/bin/bash
# A repository that hangs for real: a frozen filesystem puts whoever writes into uninterruptible
# sleep, as a dead disk does, and no signal ends it.  walden-archive gives up at its deadline (6),
# walden-restore too (206), and a fast shutdown of the server is not held up.  What was left behind
# goes on when the disk is back, and does no harm.
# needs: root
# timeout: 600
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/fault/common.bash"
. "$ROOT/tests/fault/loop.bash"

WORK=$SCRATCH
use_memory
build_tool faults
build_tool powercut
loop_need ext4
make_pool

DEADLINE=1000 # the least there is, in milliseconds
SLACK=1500    # the moment that a killed child is waited for, and a busy machine

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# freeze, thaw [WHERE]
freeze() { "$SCRATCH/powercut" -f "${1:-$MNT}" || bail 'cannot freeze a filesystem'; }
thaw() { "$SCRATCH/powercut" -t "${1:-$MNT}"; }

# timed COMMAND...: like run; sets MS too.
timed() {
    local begin
    begin=$(milliseconds)
    run "$@"
    MS=$(($(milliseconds) - begin))
}

# asleep PATTERN: processes of this test in uninterruptible sleep.
asleep() {
    local pid
    for pid in $(pgrep -f -- "$1"); do
        ! grep -q '^State:.D' "/proc/$pid/status" 2>/dev/null || echo "$pid"
    done
}
nobody_left() { [ -z "$(pgrep -f -- "$1")" ]; }

# in_time DESCRIPTION
in_time() {
    if [ "$MS" -ge $((DEADLINE - 100)) ] && [ "$MS" -le $((DEADLINE + SLACK)) ]; then
        pass "$1"
    else
        fail "$1" "it took $MS ms, with a deadline of $DEADLINE ms"
    fi
}

loop_make fs ext4 24 && loop_mount fs || bail 'no ext4'
make_repo "$MNT/repo" plain
ARCHIVE+=(--deadline 1s)
ME="config $WORK/repo.conf"

# ---- frozen before it begins ----------------------------------------------------------------------

FILE=${FULL[0]}
TARGET=$(target)
STORE=("${ARCHIVE[@]}" "$POOL/$FILE")
freeze
timed "${STORE[@]}"
is "$RC" 6 'walden-archive on a frozen disk exits with 6'
in_time 'in the time of its deadline'
like "$ERR" 'deadline' 'and says why'
isnt "$(asleep "$ME")" '' 'what it left sleeps and cannot be killed (so the disk really hangs)'
timed "${STORE[@]}"
is "$RC" 6 'the next run on it as well'
in_time 'in the time of its deadline'

# A server that is shut down sends SIGTERM.
timed timeout --preserve-status -s TERM 0.3 "${STORE[@]}"
is "$RC" 7 'SIGTERM on a frozen disk: exits with 7'
[ "$MS" -lt 1200 ] && pass 'at once' || fail 'at once' "$MS ms"
thaw
ok 'what was left behind ends when the disk is back' wait_for 20 nobody_left "$ME"
[ ! -e "$TARGET" ] || judge_stored 'after the thaw' 'absent or'
judge_rerun 'after the thaw'
verdict 'and did no harm'

# ---- frozen in between ----------------------------------------------------------------------------

# sweep_freezes: before each call that changes something.  It thaws when walden-archive has ended.
sweep_freezes() {
    local where name seen=' '
    BEFORE=
    reset_subject
    list_points 0 "${STORE[@]}"
    POINTS=0
    while read -r where name; do
        [[ $name =~ ^(mkdirat|openat|openat2|write|pwrite64|fsync|renameat2|fchmod)$ ]] || continue
        [ "${where%.*}" = 2 ] && [ "${where#*.}" -ge "$1" ] || continue
        [ -n "${EVERY-}" ] || [[ $seen != *" $name "* ]] || continue
        seen+="$name "
        reset_subject
        AFTER="$SCRATCH/powercut -t $MNT" inject "$where" "exec=$SCRATCH/powercut -f $MNT" \
            "${STORE[@]}"
        POINTS=$((POINTS + 1))
        [ "$HITS $HOW" = '1 exit' ] || problem "$where $name: $HITS hits, $HOW"
        case $CODE in # the last flush can find nothing to do
        0 | 6) [ "$MS" -le $((DEADLINE + SLACK)) ] || problem "$where $name: took $MS ms" ;;
        *) problem "$where $name: exits with $CODE" ;;
        esac
        [ "$CODE" != 6 ] || SIXES=$((SIXES + 1))
        judge_archiver "$where $name"
    done <"$SCRATCH/points"
}
reset_subject
list_points 0 "${STORE[@]}"
first=$(awk '$2 == "mkdirat" && sub(/^2[.]/, "", $1) { print $1; exit }' "$SCRATCH/points")
SIXES=0
sweep_freezes "${first:-1}"
[ "$SIXES" -ge 3 ] || problem "only $SIXES of them met the deadline"
verdict "a disk that freezes at one of $POINTS calls: 6 in time, and no harm"

# ---- a disk that does not even answer reads -------------------------------------------------------
#
# The repository's filesystem lies in a file of another one, which is frozen; a write that waits for
# it holds up the reads behind it.

OUTER=$SCRATCH/outer
loop_unmount || bail 'cannot unmount'
loop_make outer ext4 64 && loop_mount outer "$OUTER" && mv "$WORK/fs" "$OUTER/fs" &&
    ln -s "$OUTER/fs" "$WORK/fs" && loop_mount fs || bail 'no filesystem in a filesystem'
"${ARCHIVE[@]}" "$POOL/$IDLE" >/dev/null 2>&1
loop_unmount && loop_mount fs || bail 'cannot mount again' # nothing is in memory now
freeze "$OUTER"
dd if=/dev/zero of="$MNT/jam" bs=4096 count=1 oflag=direct status=none 2>/dev/null &
sleep 0.3
rm -f "$WORK/back"
timed "${RESTORE[@]}" --deadline 1s "$IDLE" "$WORK/back"
is "$RC" 206 'walden-restore on a disk that does not answer exits with 206'
in_time 'in the time of its deadline'
isnt "$(asleep "$ME")" '' 'what it left sleeps and cannot be killed'
[ ! -e "$WORK/back" ] && pass 'nothing is at DEST' || fail 'nothing is at DEST'
timed "${ARCHIVE[@]}" "$POOL/$FILE"
is "$RC" 6 'walden-archive there exits with 6'
in_time 'in the time of its deadline'
thaw "$OUTER"
wait
ok 'what was left behind ends when the disk is back' wait_for 20 nobody_left "$ME"
rm -f "$WORK/back"
exits 0 'walden-restore succeeds then' "${RESTORE[@]}" "$IDLE" "$WORK/back"
loop_unmount && rm "$WORK/fs" && mv "$OUTER/fs" "$WORK/fs" && loop_unmount "$OUTER" && loop_mount fs ||
    bail 'cannot unmount'

# ---- a server that is to be shut down -------------------------------------------------------------

# shutdown_ms SECONDS: how long a fast shutdown takes, or the limit.
shutdown_ms() {
    local begin
    begin=$(milliseconds)
    TEST_WAIT=$1 pg_ctl pool -m fast stop || return 1
    MS=$(($(milliseconds) - begin))
}

# The cycle that is running makes three attempts, a second apart, and so does the last one.
BOUND=$((6 * (DEADLINE + 300) + 5000 + SLACK))

# It runs as another user.
chown -R --reference="$SCRATCH" "$MNT/repo" "$WORK/repo.conf"
chmod 755 "$WORK"
pg_conf pool "archive_command = $(pg_quote "$(command -v walden-archive) ${ARCHIVE[*]:1} %p")"
pg_start pool || bail 'no server'
pg_switch pool >/dev/null || bail 'the server does not archive'
freeze
pg_sql pool "select pg_logical_emit_message(false, 'test', 'hang'); select pg_switch_wal()" >/dev/null
wait_for 20 test -n "$(asleep "$ME")" || sleep 1.5
shutdown_ms 30 || MS=30000
[ "$MS" -le $BOUND ] && pass "a fast shutdown with a hanging disk is bounded: $MS ms" ||
    fail 'a fast shutdown with a hanging disk is bounded' "$MS ms, expected at most $BOUND"
thaw
wait_for 20 nobody_left "$ME"
pg_start pool || bail 'no server'
ok 'and after it the server archives again' pg_switch pool
FILE=$(cd "$(pg_data pool)/pg_wal/archive_status" && ls -- *.done | tail -n 1)
ok 'what was archived then comes back' "${RESTORE[@]}" "${FILE%.done}" "$WORK/back"

# The negative control: a command without a deadline holds the shutdown up.
pg_as_dir=$MNT/cp
mkdir "$pg_as_dir" && chown --reference="$SCRATCH" "$pg_as_dir"
pg_conf pool "archive_command = $(pg_quote "cp %p $pg_as_dir/%f")"
pg_reload pool
pg_switch pool >/dev/null || bail 'cp does not archive'
freeze
pg_sql pool "select pg_logical_emit_message(false, 'test', 'hang'); select pg_switch_wal()" >/dev/null
wait_for 10 eval '[ -n "$(asleep "$pg_as_dir")" ]' || diag 'cp does not hang'
if shutdown_ms $((BOUND / 1000 + 1)); then
    fail 'with cp a hanging disk holds the shutdown up' "$MS ms"
else
    pass 'with cp a hanging disk holds the shutdown up'
fi
thaw
ok 'until it is back' wait_for 30 pg_is_stopped pool
loop_unmount || bail 'cannot unmount'

done_testing
