#!/bin/bash
# Goal: where backups and commits are later than this host's clock, so that one of the clocks is wrong,
# `walden expire` removes nothing: it names what is in doubt and the command that accepts the clock, which
# then decides; by clocks that agree the same rule removes the same without being asked.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

labels() { find "$(w_repo "$1")" -path '*/backup/*' -type f -printf '%f\n' | sort; }
expire() { walden expire --config "$(w_conf "$1")" --keep-backups within=30d "${@:2}"; }

# make NAME FIRST-TIME: 30 segments and three backups from then on.
make() {
    w_init "$1" "$(pg_data big)" || bail 'walden init'
    WALDEN_CONFIG=$(w_conf "$1") "$SCRATCH/bigrepo" 30 1 10 "$2" "$SCRATCH/files" || bail bigrepo
}

build_bigrepo
pg_init big 17 --wal-segsize=1 || bail initdb
mkdir -p "$SCRATCH/files"

# The negative control: a year ago, by clocks that agree.  (The newest two are the floor.)
make past $(($(date +%s) - 400 * 86400))
ok 'old backups go' expire past
is "$(labels past | wc -l)" 2 'down to the floor'

make future $(($(date +%s) + 400 * 86400))
tree=$(w_tree future | grep -v /index/)
exits 4 'backups from the future: nothing goes' expire future
like "$OUT$ERR" "$(labels future | head -n 1)" 'a backup in doubt is named'
like "$OUT$ERR" "$(w_names future | tail -n 1)" 'and the segment with the newest commit'
like "$ERR" 'hint: .*walden expire --accept-clock' 'and what to type when this clock is right'
is "$(w_tree future | grep -v /index/)" "$tree" 'nothing was changed'
exits 4 'a dry run says the same' expire future --dry-run
ok 'accepted: the rule decides by this clock' expire future --accept-clock
is "$(labels future | wc -l)" 3 'for which they are as new as can be'
ok 'and it is not asked again' expire future
done_testing
