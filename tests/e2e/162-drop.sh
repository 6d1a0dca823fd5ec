#!/bin/bash
# Goal: on_trouble = drop-and-record gives up what the server offers while the repository cannot be
# reached, on record, and nothing else: not what nobody offered, not what is refused, not where the
# record cannot be written.  check is red until what was dropped does no harm any more: a segment until
# it is stored after all or a newer backup is there, a timeline's history until it is stored.
#
# when: quick
# also: dev
# also: cross
# timeout: 120
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
keep=$SCRATCH/keep
state=$SCRATCH/state
pg_init -f main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail init
pg_archive main "$(w_keep_command main "$keep")"
pg_start main || bail 'no server'
first=$(pg_step main 1)
second=$(pg_step main 2)
new_timeline main && pg_step main 3 >/dev/null && pg_stop main || bail 'no timeline'
mkdir "$state"
echo "state_dir = $state" >>"$(w_conf main)"

push() { w_push main main "$@" --on-trouble=drop-and-record; }
dropped() { (cd "$state" && find . -type f -printf '%f ' | sort); }
# check STATE WHAT
check() {
    run walden check --no-server --config "$(w_conf main)"
    like "$OUT" "^$1 +dropped: .*$2" "check: ${3:-$1}"
}
history=$keep/00000002.history
objects=("$(w_object main 00000002.history)" "$(w_object main "$second")")
repo=$(w_repo main)

ok 'while all is well it is stored' push "$keep/$first"
cp "$keep/$first" "$SCRATCH/$second"
exits 4 'and what is refused is not dropped' push "$SCRATCH/$second"
is "$(dropped)" '' 'nothing is on record'

rm "${objects[@]}"
mv "$repo" "$SCRATCH/away"
exits 3 'without the repository: a name that is none' push "$keep/foo"
: >"$SCRATCH/0000000100000000000000F0"
for file in "$SCRATCH/0000000100000000000000F1" "$SCRATCH/0000000100000000000000F0"; do
    exits 3 'a file that is not there, or empty' push "$file"
done
exits 2 'a state_dir that is not there' push "$keep/$second" --state-dir="$SCRATCH/nowhere"
is "$(dropped)" '' 'nothing is on record'
exits 3 'nothing is dropped that nobody wants dropped' w_push main main "$keep/$second"
ok 'a segment' push "$keep/$second"
like "$ERR" "warning: .*$second.* was DROPPED.*does not exist.*base backup" 'is told'
ok 'a history' push "$history"
like "$ERR" 'warning: .*00000002.history.* was DROPPED.*archive it by hand' 'is told'
is "$(dropped)" "00000002.history $second " 'both are on record'
mv "$SCRATCH/away" "$repo"

check CRITICAL 00000002.history 'the history'
ok 'stored by hand' push "$history"
check CRITICAL "1 segment" 'then the segment'
ok 'stored by hand, too' push "$keep/$second"
run walden check --no-server --config "$(w_conf main)"
unlike "$OUT" '^CRITICAL +dropped' 'check: no more'
done_testing
