#!/bin/bash
# Goal: a backup that is held up when it is about to publish (a slow disk, the lock of another run) is not
# taken for dead by two runs that remove packs meanwhile; and one that slept so long that it was, so that
# its packs are gone, says so and leaves no manifest that names them.
# when: full
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# remover SECONDS: one run that looks 15 times, so many seconds apart, for who does not move.
remover() { "$PACKREMOVE" --config "$(w_conf main)" --system-id "$SYSTEM" "$1"; }

# held NUMBER: a backup of something new, which has stored all and waits for the lineage's lock.
held() {
    b_sql main "create table new$1 as select i, md5((i + $1 * 1000000)::text) as x from generate_series(1, 20000) i" checkpoint
    exec {LOCK}<"$LINEAGE"
    flock "$LOCK" || bail 'no lock'
    pg_env main exec env PGUSER=rep walden-basebackup --config "$(w_conf main)" --fast --json --wal=stream \
        --no-relation-map --incremental=never >"$SCRATCH/held.out" 2>"$SCRATCH/held.err" {LOCK}<&- &
    HELD=$!
    wait_for "$TEST_WAIT" waits || bail "the backup does not wait: $(cat "$SCRATCH/held.err")"
}
waits() { grep -q -- "-> FLOCK  ADVISORY  WRITE $HELD " /proc/locks; }
release() {
    exec {LOCK}<&-
    RC=0
    wait "$HELD" || RC=$?
    OUT=$(cat "$SCRATCH/held.out") ERR=$(cat "$SCRATCH/held.err")
}

b_build_packremove
b_server main "$(pg_majors | tail -n 1)" -k || bail 'no server'
w_init main "$(pg_data main)" || bail 'no repository'
SYSTEM=$(pg_sql main 'select system_identifier from pg_control_system()')
LINEAGE=$(w_repo main)/main/$SYSTEM
ok 'a backup' b_backup main main --wal=stream

held 1
ok 'held up: a run beside it' remover 2
like "$OUT" '^condemned [1-9][0-9]* removed 0 busy 1$' 'held up: is seen alive, what it stored is condemned'
ok 'held up: the next run' remover 2
like "$OUT" 'removed 0 busy 1$' 'held up: is seen alive, nothing goes'
release
is "$RC" 0 'held up: is taken in the end'
ok 'held up: whole' walden verify --config "$(w_conf main)"

before=$(b_labels main)
held 2
kill -STOP "$HELD"
ok 'asleep: a run beside it' remover 0
ok 'asleep: the next run' remover 0
like "$OUT" 'removed [1-9][0-9]* busy 0$' 'asleep: what it stored is gone'
kill -CONT "$HELD"
release
is "$RC" 4 'asleep: gives up'
like "$ERR" 'error: .*taken for dead' 'asleep: and says why'
is "$(b_labels main)" "$before" 'asleep: nothing of it is visible'
ok 'asleep: all is whole' walden verify --config "$(w_conf main)"
ok 'asleep: the next backup' b_backup main main --wal=stream
ok 'asleep: and that is whole' walden verify --config "$(w_conf main)"
done_testing
