#!/bin/bash
# Goal: packs are removed beside a running backup and nothing that it uses goes: it does not lean on what
# was condemned before it began, and what is condemned while it works stays as long as its intent beats.
# Without the intent (the control) the same packs do go, and the backup notices and publishes nothing.
# when: long
# timeout: 1200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

WAIT=30 # seconds between two looks: more than the 20 between two beats

# remover SECONDS: one run.
remover() { "$PACKREMOVE" --config "$(w_conf main)" --system-id "$SYSTEM" "$1"; }

# slow RATE: a backup in the background that has begun to send.
slow() {
    pg_env main exec env PGUSER=rep walden-basebackup --config "$(w_conf main)" --fast --json --wal=stream \
        --no-relation-map --incremental=never --max-rate "$1" >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
    SLOW=$!
    wait_for "$TEST_WAIT" sends
}
sends() {
    [ "$(pg_sql main "select count(*) from pg_stat_progress_basebackup where phase like 'streaming%'" 2>/dev/null)" = 1 ]
}
ended() {
    RC=0
    wait "$SLOW" || RC=$?
    OUT=$(cat "$SCRATCH/slow.out") ERR=$(cat "$SCRATCH/slow.err")
}

# orphans: packs that no manifest names: a backup that was ended before it was whole, of new data.
orphans() {
    b_sql main "create table new$1 as select i, md5((i + $1 * 1000000)::text) as x from generate_series(1, 150000) i" checkpoint
    slow 8MB
    sleep 2.5
    kill -TERM "$SLOW"
    ended
    is "$RC" 130 "orphans $1: stopped"
}

build_unpack
b_build_packremove
major=$(pg_majors | tail -n 1)
b_server main "$major" -k || bail 'no server'
w_init main "$(pg_data main)" || bail 'no repository'
SYSTEM=$(pg_sql main 'select system_identifier from pg_control_system()')
ok 'a backup' b_backup main main --wal=stream

# What was condemned before a backup began is not leaned on, and goes.
orphans 1
ok 'condemned by a first run' remover 1
like "$OUT" '^condemned [1-9][0-9]* removed 0 busy 0$' 'condemned: and not removed'
slow 700kB
ok 'a second run, beside a backup' remover "$WAIT"
like "$OUT" 'removed 0 busy 1$' 'beside a backup: nothing is removed'
ended
is "$RC" 0 'the backup beside it is taken'
is "$(b_value packs_adopted)" 0 'it did not lean on what was condemned'
ok 'whole' walden verify --config "$(w_conf main)"
ok 'runs after it' remover 1
ok 'runs after it' remover 1
note "$OUT"
ok 'whole, still' walden verify --config "$(w_conf main)"

# What is condemned while a backup works, which leans on it, stays.
orphans 2
slow 600kB
ok 'condemned beside the backup' remover "$WAIT"
like "$OUT" '^condemned [1-9][0-9]* removed 0 busy 1$' 'beside it: condemned'
ok 'a second run beside the backup' remover "$WAIT"
like "$OUT" 'removed 0 busy 1$' 'beside it: nothing is removed'
ended
is "$RC" 0 'the backup is taken'
isnt "$(b_value packs_adopted)" 0 'it leans on what was condemned meanwhile'
ok 'a run after it' remover 1
like "$OUT" 'removed 0 busy 0$' 'after it: what its manifest names is not removed'
ok 'whole' walden verify --config "$(w_conf main)"
ok 'whole: read back' b_sound main main newest whole

# The control: nobody sees the intent.
before=$(b_labels main)
orphans 3
slow 2MB
find "$(w_repo main)" -path '*/lease/*' -type f -delete
ok 'control: condemned beside a backup without an intent' remover 1
like "$OUT" '^condemned [1-9][0-9]* removed 0 busy 0$' 'control: nobody is seen'
find "$(w_repo main)" -path '*/lease/*' -type f -delete
ok 'control: a second run' remover 1
like "$OUT" 'removed [1-9][0-9]* busy 0$' 'control: what the backup leans on is gone'
ended
is "$RC" 4 'control: the backup gives up'
like "$ERR" 'error: .*(dead|intent)' 'control: and says why'
is "$(b_labels main)" "$before" 'control: nothing of it is visible'
ok 'control: the next backup' b_backup main main --wal=stream
ok 'control: all is whole' walden verify --config "$(w_conf main)"
done_testing
