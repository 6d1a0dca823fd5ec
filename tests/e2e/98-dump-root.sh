#!/bin/bash
# Goal: a repository that is full when a dump is written, or has no room at all, gets a clear error and no
# half dump, and keeps the last good one.
# when: quick
# needs: root
# timeout: 200
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=$(pg_majors | tail -n 1)
d_tools "$major"
pg_init srv "$major" || bail initdb
pg_start srv || bail 'no server'
d_data srv shop || bail 'no data'
mkdir "$SCRATCH/small" && mount -t tmpfs -o size=3m none "$SCRATCH/small" || skip_all 'no mounts here'
at_exit "umount '$SCRATCH/small'"
mkdir "$SCRATCH/small/repo"
run walden init --repo "$SCRATCH/small/repo" --config "$(w_conf srv)" --pgdata "$(pg_data srv)"
[ "$RC" = 0 ] || bail "init: $ERR"
ok 'control: the first dump has room' d_walden srv srv dump -d shop
label=$(d_walden srv srv list --json | jq -r '.dumps[-1].label')
head -c 1300000 /dev/urandom >"$SCRATCH/small/ballast"
exits 4 'a disk with less room than the last dump took' d_walden srv srv dump -d shop
like "$ERR" 'has .* left, and dump .* took' 'is known beforehand'
exits 1 'a dump that fills the disk fails' d_walden srv srv dump -d shop --accept
like "$ERR" 'No space left on device' 'and says why'
is "$(d_walden srv srv list --json | jq -r '.dumps | map(.label) | join(",")')" "$label" 'the last good one is listed alone'
ok 'and verifies' d_walden srv srv verify
rm "$SCRATCH/small/ballast"
ok 'with room again the next one works' d_walden srv srv dump -d shop
is "$(find "$SCRATCH/small/repo" -name '.tmp.*')" '' 'and nothing of the failed one is left'
done_testing
