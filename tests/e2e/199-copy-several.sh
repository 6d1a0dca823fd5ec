#!/bin/bash
# Goal: of several copies one that is not mounted keeps no other from being made, wherever it stands among
# them, and expire in a copy names the rules that it goes by.
# also: dev
# timeout: 100
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

w() { walden "$1" --config "$(w_conf a)" "${@:2}"; }
pg_init a 17 --wal-segsize=1 || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
mkdir -p "$SCRATCH/state"
d_conf a "state_dir = $SCRATCH/state" 'keep_dumps = last=7' '[repo one]' "path = $SCRATCH/one" \
    '[repo two]' "path = $SCRATCH/two" 'keep_dumps = last=1' '[repo three]' "path = $SCRATCH/three"
for name in one two three; do ok "the copy $name" w copy $name --new; done
for name in one two three; do
    mv "$SCRATCH/$name" "$SCRATCH/away"
    exits 3 "without $name" w copy
    like "$ERR" "\[repo $name\]" 'which is named'
    is "$(grep -c '^copied to' <<<"$OUT")" 2 'the others are copied'
    mv "$SCRATCH/away" "$SCRATCH/$name"
done
mv "$SCRATCH/two" "$SCRATCH/two.away"
mv "$SCRATCH/three" "$SCRATCH/three.away"
exits 3 'without two of them' w copy
is "$(grep -c '^copied to' <<<"$OUT")" 1 'one is copied'
mv "$SCRATCH/two.away" "$SCRATCH/two"
ok 'expire in a copy' w expire --copy two --dry-run
like "$OUT" 'keep_dumps +last=1' 'says its rules'
ok 'in one without' w expire --copy one --dry-run
like "$OUT" 'keep_dumps +all' 'says that'
run w expire --copy two --dry-run --json
is "$(jq -r .keep_dumps <<<"$OUT")" 'last=1' 'in JSON, too'
done_testing
