#!/bin/bash
# Goal: the folder that a server of `restore --start` has beside its data: it stays while the server lives,
# and its log can be read on the day after that; then the next restore removes it.
#
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
bin=$(pg_bin "$major")
pg_init srv "$major" || bail initdb
pg_start srv || bail 'no server'
w_init srv "$(pg_data srv)" || bail 'walden init'
ok 'a backup' pg_env srv walden backup --config "$(w_conf srv)" --fast --wal=stream

# A place of its own, where nobody else's restores look.
TMPDIR=$(mktemp -d /tmp/wr.XXXXXX) || bail mktemp
export TMPDIR
at_exit 'rm -rf "$TMPDIR"'
starts() { walden restore --config "$(w_conf srv)" -D "$SCRATCH/$1" --target-immediate --start --pg-bin "$bin" "${@:2}"; }
folders() { find "$TMPDIR" -mindepth 1 -maxdepth 1 -name 'walden-run.*' | wc -l; }
long_ago() { find "$TMPDIR" -mindepth 1 -maxdepth 2 -exec touch -d '2 days ago' {} +; }

exits 0 'a first copy' starts one
is "$(folders)" 1 'has a folder'
log=$(sed -n 's/^log  *//p' <<<"$OUT")
ok '  with its log' test -s "$log"
long_ago
exits 0 'a second one, two days later' starts two
is "$(folders)" 2 'has one, too: the first server lives'
"$bin/pg_ctl" -D "$SCRATCH/one" -s -m immediate stop
"$bin/pg_ctl" -D "$SCRATCH/two" -s -m immediate stop

# (A line or two is written when a server ends.)
exits 0 'a third one' starts three
is "$(folders)" 3 'the first two have ended, but today'
long_ago
exits 0 'a fourth one, two days later' starts four
is "$(folders)" 2 'the folders of the dead are gone, that of the living is not'
ok '  which can be asked' "$(pg_prog psql)" -XAtq -h "$(sed -n 5p "$SCRATCH/three/postmaster.pid")" \
    -p "$(sed -n 4p "$SCRATCH/three/postmaster.pid")" -U postgres -d postgres -c 'select 1'

"$bin/pg_ctl" -D "$SCRATCH/three" -s -m immediate stop
"$bin/pg_ctl" -D "$SCRATCH/four" -s -m immediate stop
done_testing
