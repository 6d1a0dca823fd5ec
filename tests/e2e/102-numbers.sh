#!/bin/bash
# Goal: a dump and a backup of one host at the same time never take the same number in the chain of its
# records: whoever publishes holds the lineage's lock, and waits for it.
#
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=17
d_tools "$major"
pg_init srv "$major" --wal-segsize=1 || bail initdb
w_init srv "$(pg_data srv)" || bail 'no repository'
pg_archive srv "$(w_archive_command srv)"
pg_start srv || bail 'no server'
pg_sql srv 'create table t as select 1 as i'
ok 'a first dump' d_walden srv srv dump -d postgres
lineage=$(find "$(w_repo srv)/main" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*')
number() { walden list --config "$(w_conf srv)" --heads | cut -d' ' -f2; }
is "$(number)" 1 'is the first record'

wait_there() { [ "$(grep -c "^[0-9]*: *-> FLOCK .*:$(stat -c %i "$lineage") " /proc/locks)" = "$1" ]; }
exec 7<"$lineage"
flock 7
d_walden srv srv dump -d postgres >"$SCRATCH/dump.out" 2>&1 7<&- &
dump=$!
ok 'a dump waits for whoever publishes' wait_for 20 wait_there 1
pg_env srv walden backup --config "$(w_conf srv)" --fast >"$SCRATCH/backup.out" 2>&1 7<&- &
backup=$!
ok 'and so does a backup' wait_for 20 wait_there 2
is "$(d_labels srv | wc -l)" 1 'nothing is published meanwhile'
exec 7<&-
wait "$dump"
is "$?" 0 'then the dump goes on'
wait "$backup"
is "$?" 0 'and the backup'
is "$(number)" 3 'three records have three numbers'
ok 'and nothing is missing' d_walden srv srv list
done_testing
