#!/bin/bash
# Goal: `walden run` does its jobs when they are due and no more often, one at a time, over restarts,
# kill -9, downtime and failures; it ends a job gently when it is told to stop, keeps its log in
# lines, takes a changed configuration, and two of them never work at once.
# also: dev long
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# The jobs here need no server: they look at a repository, which a directory makes.
major=$(pg_majors | tail -n 1)
pg_init srv "$major" || bail initdb
w_init a "$(pg_data srv)" || bail 'walden init'
mkdir "$SCRATCH/state"
base=$(cat "$(w_conf a)")
# conf LINE...: the configuration with these lines behind it.
conf() { printf '%s\n' "$base" "state_dir = $SCRATCH/state" "$@" >"$SCRATCH/conf.new" && mv "$SCRATCH/conf.new" "$(w_conf a)"; }
w_run() { walden run --config "$(w_conf a)" "$@"; }
state=$SCRATCH/state/run-main
# recorded JOB KEY: what the state file says; record JOB KEY VALUE changes it.
recorded() { sed -n "s/^job $1 .*\\b$2=\\([^ ]*\\).*/\\1/p" "$state"; }
record() { sed -i "/^job $1 /s/\\b$2=[^ ]*/$2=$3/" "$state"; }
# overdue JOB: as if it had not been done for days.
overdue() {
    record "$1" since "$(ago 300000)"
    record "$1" taken "$(ago 300000)"
}
ago() { echo $(($(date +%s) * 1000000 - $1 * 1000000)); }
query() { w_run --list --json | jq -r "$1"; }
# daemon [ARGUMENT...]: starts it, waits until it waits.
daemon() {
    rm -f "$SCRATCH/log.err"
    walden run --config "$(w_conf a)" "$@" >"$SCRATCH/log" 2>"$SCRATCH/log.err" &
    DAEMON=$!
    wait_for 20 grep -sq "jobs;" "$SCRATCH/log.err" || bail "no daemon: $(cat "$SCRATCH/log.err")"
}
# stop SIGNAL: ends it; RC.
stop() {
    RC=0
    kill "-$1" "$DAEMON"
    wait "$DAEMON" || RC=$?
}
helper() { printf '#!/bin/bash\n%s\n' "$2" >"$SCRATCH/$1" && chmod +x "$SCRATCH/$1"; }
# What hooks see.
helper note "echo \"\$1 \$HOOK_WHEN \$HOOK_JOB \$HOOK_RESULT \$HOOK_STATUS\" >>'$SCRATCH/noted'"
noted() { tr '\n' ';' <"$SCRATCH/noted"; : >"$SCRATCH/noted"; }

# ---- configuration -------------------------------------------------------------------------------

conf
exits 2 'without a job there is nothing to run' w_run
like "$ERR" '\[run nightly\]' 'and it says what to write'
conf '[run x]' 'do = list' 'at = noon'
exits 2 'a wrong time' w_run --list
like "$ERR" "walden.conf:[0-9]+: at: \"noon\"" 'is named with its line'
conf '[run x]' 'do = lsit' 'at = 02:00'
exits 2 'a wrong command' w_run --list
like "$ERR" 'Did you mean "list"' 'with a suggestion'
conf '[run x]' 'do = run x' 'at = 02:00'
exits 2 'it does not run itself' w_run --list
conf '[run x]' 'do = list &&' 'at = 02:00'
exits 2 'a command that is missing' w_run --list
conf '[run x]' 'do = list'
exits 2 'a job without a time' w_run --list
conf '[run x]' 'do = list' 'at = 02:00' 'catchup = off'
exits 2 'a wrong key' w_run --list
like "$ERR" 'Did you mean catch_up' 'with a suggestion'
conf '[run x]' 'do = list' 'at = 02:00' 'pre = "x'
exits 2 'a hook that cannot be read' w_run --list
printf '%s\n' "$base" '[run x]' 'do = list' 'at = 02:00' >"$(w_conf a)"
exits 2 'without state_dir' w_run
like "$ERR" 'state_dir' 'it asks for one'

# ---- what is due ---------------------------------------------------------------------------------

conf '[run nightly]' 'do = list && check --no-server' 'at = 02:30' 'jitter = 10min' '[run often]' 'do = list' 'at = every 15min'
ok 'a list' w_run --list
like "$OUT" 'next +20..-..-.. 02:3.:.. UTC \(\+00:00\), 20..-..-..T02:3.:..Z' 'shows local time and UTC'
like "$OUT" 'nobody waits' 'and that nobody waits'
is "$(awk 'length > 80' <<<"$OUT")" '' 'in 80 columns'
w_run --list --json >"$SCRATCH/json"
ok 'the JSON is what its schema says' "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/run.json" "$SCRATCH/json"
[ ! -e "$state" ] && pass '--list writes nothing' || fail '--list wrote'
ok '--once' w_run --once
is "$OUT" '' 'a new job has missed nothing'
first=$(recorded nightly since)
ok '--once again' w_run --once
is "$(recorded nightly since)" "$first" 'and since when it is there stays'
winter=$(TZ=CET-1CEST,M3.5.0,M10.5.0/3 w_run --list --json | jq -r '.jobs[0].next_for')
like "$winter" 'T0[01]:30:00Z' 'times are local'

overdue nightly
is "$(query '.jobs[0] | [.due, .why] | join(",")')" 'true,missed' 'after three days without anybody it is due'
exits 1 'and is made up for' w_run --once # no backup is there, so check finds a problem
is "$(grep -c 'begin do' <<<"$OUT")" 1 'once'
like "$OUT" '^20[-0-9T:]+Z nightly: result=failed status=1 seconds=[0-9.]+ due=20[-0-9T:]+Z try=1 next=20[-0-9T:]+Z do="list && check --no-server"$' \
    'with one line that says it all'
ok 'afterwards nothing is due' w_run --once
is "$OUT" '' 'a problem that check found is not looked for again'

# ---- retries, steps, hooks, pings ----------------------------------------------------------------

mv "$(w_repo a)" "$SCRATCH/away"
conf '[run j]' 'do = list && backup' 'at = every 1d' 'retry = 2 1s' "pre = $SCRATCH/note a" "post = $SCRATCH/note b" \
    "ping = $SCRATCH/note c" "ping_failed = $SCRATCH/note d" "ping_start = $SCRATCH/note e"
: >"$SCRATCH/noted"
w_run --once >/dev/null
overdue j
exits 1 'a job that cannot reach its repository' w_run --once
like "$OUT" 'result=unreachable status=3 .* try=1 retry=' 'is to be tried again'
is "$(noted)" 'a pre j  ;e ping_start j  ;b post j unreachable 3;' 'its hooks know what it is about, and nobody is told yet'
sleep 1.2
mv "$SCRATCH/away" "$(w_repo a)"
exits 1 'the second try' w_run --once
is "$(recorded j step),$(recorded j tries)" '1,2' 'goes on behind what went well'
is "$(grep -c 'cluster main' <<<"$OUT")" 1 'which was done now'
: >"$SCRATCH/noted"
sleep 2.2
exits 1 'the third' w_run --once
is "$(grep -c 'cluster main' <<<"$OUT")" 0 'does the rest only'
like "$OUT" 'try=3 next=' 'and is the last'
is "$(noted)" 'a pre j  ;e ping_start j  ;b post j unreachable 3;d ping_failed j unreachable 3;' 'now somebody is told'
ok 'until its next time' w_run --once
conf '[run j]' 'do = list' 'at = every 1d' "ping = $SCRATCH/note c" 'post = sh -c "exit 9"'
exits 1 'a hook after it that fails' w_run j
like "$OUT" 'post hook failed with exit status 9' 'is said'
conf '[run j]' 'do = list' 'at = every 1d' "ping = $SCRATCH/note c" "pre = sh -c 'echo busy >&2; exit 7'"
exits 1 'one before it that fails is a gate' w_run j
like "$OUT" 'error: the pre hook failed with exit status 7: busy' 'and says why'
unlike "$OUT" 'cluster main' 'nothing was done'
is "$(noted)" '' 'nobody was told that it went well'
conf '[run j]' 'do = list' 'at = every 1d' "ping = $SCRATCH/note c" 'ping_start = sh -c "exit 22"'
ok 'a ping that fails is no failure' w_run j
like "$OUT" 'warning: the ping_start hook failed with exit status 22' 'but said'
is "$(noted)" 'c ping j ok 0;' 'and the other one was sent'

# A hook that takes too long is ended with all that it started.
helper deep "bash -c 'trap \"\" TERM; echo \$\$ >\"$SCRATCH/deep.pid\"; while :; do sleep 1; done' & echo started >&2; wait"
conf '[run j]' 'do = list' 'at = every 1d' "pre = timeout=1s $SCRATCH/deep"
exits 1 'a hook that hangs' w_run j
like "$OUT" 'pre hook did not end within 1s and was stopped' 'is stopped'
ok 'with its children' wait_for 5 bash -c "! kill -0 \$(cat '$SCRATCH/deep.pid') 2>/dev/null"
# One that leaves something running is not waited for.
helper leaves 'sleep 8 & exit 0'
conf '[run j]' 'do = list' 'at = every 1d' "pre = $SCRATCH/leaves"
began=$SECONDS
ok 'a hook that starts something' w_run j
[ $((SECONDS - began)) -lt 6 ] && pass 'is not waited for' || fail "it took $((SECONDS - began)) s"

# ---- the clock -----------------------------------------------------------------------------------

conf '[run j]' 'do = list' 'at = every 1d'
w_run --once >/dev/null
daemon
exits 4 'a second one is refused' w_run
ok 'but does a job that is named' w_run j
is "$(query '.running')" true '--list sees the one that waits'
stop TERM
is "$RC" 0 'SIGTERM while nothing runs: 0'
like "$(cat "$SCRATCH/log.err")" 'ended by a signal' 'it says so'

# A job that runs while it is told to stop.  The repository is behind a pre hook's back, so that the
# job itself is what takes long: a dump through a runner that waits.
pg_start srv || bail 'no server'
pg_sql srv 'create table t(a int); insert into t values (1)'
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
d_tools "$major"
export PGHOST=$SOCKETS PGPORT PGUSER=postgres
PGPORT=$(pg_port srv)
helper runner "[ \"\$2\" = --version ] || [ ! -e '$SCRATCH/slow' ] || { echo \$\$ >'$SCRATCH/runner.pid'; sleep 60; }; exec \"\$@\""
conf '[dump d]' "runner = $SCRATCH/runner" 'databases = postgres' "dsn = host=$SOCKETS" '[run j]' 'do = dump d' 'at = every 1d' "post = $SCRATCH/note b" '[run k]' 'do = list' 'at = every 1d'
w_run --once >/dev/null
overdue j
touch "$SCRATCH/slow"
rm -f "$SCRATCH/runner.pid"
: >"$SCRATCH/noted"
daemon
ok 'the job that was missed begins' wait_for 20 test -s "$SCRATCH/runner.pid"
timeout 2 walden run --config "$(w_conf a)" k >"$SCRATCH/k.out" 2>&1
like "$(cat "$SCRATCH/k.out")" 'another job is running; waiting' 'no other one runs beside it'
began=$SECONDS
stop TERM
is "$RC" 130 'SIGTERM while a job runs: 130'
[ $((SECONDS - began)) -lt 15 ] && pass 'soon' || fail "it took $((SECONDS - began)) s"
like "$(cat "$SCRATCH/log")" 'result=interrupted status=130' 'it is reported'
like "$(cat "$SCRATCH/log")" 'walden dump: error: interrupted by signal SIGTERM' 'the job could say its last words'
is "$(noted)" 'b post j interrupted 130;' 'its second hook was run'
ok 'nothing of it runs on' wait_for 5 bash -c "! kill -0 \$(cat '$SCRATCH/runner.pid') 2>/dev/null"
is "$(w_leftovers a)" '' 'and no half dump is there'
rm "$SCRATCH/slow"
daemon
ok 'the next start does it again' wait_for 20 grep -q 'result=ok' "$SCRATCH/log"
like "$(cat "$SCRATCH/log")" 'try=1' 'at once, as if for the first time'
stop HUP
is "$RC" 0 'SIGHUP is the same'
daemon
sleep 1
stop TERM
unlike "$(cat "$SCRATCH/log")" 'begin' 'a restart repeats nothing'

# kill -9 of the scheduler takes the job with it; the next start tries again, later.
overdue j
touch "$SCRATCH/slow"
rm -f "$SCRATCH/runner.pid"
daemon
ok 'a job begins' wait_for 20 test -s "$SCRATCH/runner.pid"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
ok 'killed, it takes its children along' wait_for 5 bash -c "! pgrep -f '^$TEST_BIN/walden [d]ump d' >/dev/null"
kill "$(cat "$SCRATCH/runner.pid")" 2>/dev/null
rm "$SCRATCH/slow"
is "$(query '.jobs[0] | [.why, .tries, .last_end] | map(tostring) | join(",")')" 'retry,1,null' 'the record says that it was cut off'
record j tried "$(ago 1000)"
ok 'and it is done again' w_run --once
is "$(query '.jobs[0].last_result')" ok 'well'

# A job that takes too long.
touch "$SCRATCH/slow"
conf '[dump d]' "runner = $SCRATCH/runner" 'databases = postgres' "dsn = host=$SOCKETS" '[run j]' 'do = dump d' 'at = every 1d' 'timeout = 2s'
exits 1 'a job that takes longer than its timeout' w_run j
like "$OUT" 'result=timeout status=130' 'is ended'
rm "$SCRATCH/slow"

# A changed configuration is taken, a wrong one is not.
conf '[run j]' 'do = list' 'at = every 1d'
daemon
conf '[run j]' 'do = list' 'at = evry 1d'
ok 'a wrong configuration is refused' wait_for 40 grep -q 'is not taken' "$SCRATCH/log.err"
conf '[run j]' 'do = list' 'at = every 1d' '[run l]' 'do = list' 'at = 02:00'
ok 'a right one is taken' wait_for 40 grep -q 'read again: 2 jobs' "$SCRATCH/log.err"
stop TERM
is "$(recorded l taken)" 0 'and the new job is known'

# Flags reach the jobs.
conf '[run j]' 'do = list' 'at = every 1d'
exits 1 'a setting that was given as a flag' w_run --repo "$SCRATCH/elsewhere" j
like "$OUT" "repository \"$SCRATCH/elsewhere\" does not exist" 'holds for the job, too'

done_testing
