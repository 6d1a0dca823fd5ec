#!/bin/bash
# Goal: a backup that is killed at any moment is not there, the next one takes over what it stored and is
# whole; so is one of two at once, one during which the server restarts or is promoted, and one after
# verify found a rotten entry, which stores that entry's pages afresh, increments included.  No right, no
# walsender, no slot: said in one line, nothing visible.
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# slow [ARGUMENT...]: a slow backup of main in the background; SLOW is its process.
slow() {
    pg_env main exec env PGUSER=rep walden-basebackup --config "$(w_conf main)" --fast --json --wal=stream \
        --no-relation-map --max-rate 8MB "$@" >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
    SLOW=$!
    wait_for "$TEST_WAIT" sends "${1-}"
}
sends() {
    [ "$(pg_sql main "select count(*) from pg_stat_progress_basebackup where phase like 'streaming%'" 2>/dev/null)" = 1 ]
}
ended() {
    RC=0
    wait "$SLOW" || RC=$?
    OUT=$(cat "$SCRATCH/slow.out") ERR=$(cat "$SCRATCH/slow.err")
}

# grow: something new to store.
grow() {
    b_sql main "create table grown$1 as select i, md5((i + $1)::text) as x from generate_series(1, 150000) i" checkpoint
}

check_killed() {
    local i before after wrong=0 killed=0
    before=$(b_labels main)
    for i in 0.005 0.02 0.05 0.1 0.2 0.3 0.45 0.6 0.8 1.0 1.3; do
        [ "$i" != 0.3 ] || grow 1
        pg_env main exec env PGUSER=rep walden-basebackup --config "$(w_conf main)" --fast --json --wal=stream \
            --max-rate 30MB >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
        SLOW=$!
        sleep "$i"
        kill -KILL "$SLOW" 2>/dev/null
        ended 2>/dev/null
        after=$(b_labels main)
        if [ "$RC" = 0 ]; then
            is "$(grep -c . <<<"$after")" $(($(grep -c . <<<"$before") + 1)) "killed after $i s: too late, it is there"
        else
            killed=$((killed + 1))
            [ "$after" = "$before" ] || wrong=$((wrong + 1))
        fi
        before=$after
    done
    is "$wrong" 0 'killed: nothing of a killed backup is visible'
    ok "killed: $killed were, at least six" test "$killed" -ge 6
    ok 'killed: the next one' b_backup main main
    ok 'killed: is whole' b_sound main main newest whole
    is "$(w_leftovers main)" '' 'killed: temporary files of the dead are gone'
    # The marks of the dead stay until somebody looks who wants to remove packs.
    find "$(w_repo main)" -path '*/lease/*' -type f -delete
    grow 2
    slow
    sleep 1
    kill -TERM "$SLOW"
    ended
    is "$RC" 130 'stopped: 130'
    ok 'stopped: nothing stays behind' b_clean main
    ok 'stopped: the next one' b_backup main main
    isnt "$(b_value packs_adopted)" 0 'stopped: takes over what was stored'
    ok 'stopped: is whole' b_sound main main newest whole
}

check_two() {
    local labels
    labels=$(b_labels main | wc -l)
    slow
    ok 'two at once: one' b_backup main main --wal=stream
    ended
    is "$RC" 0 'two at once: the other'
    is "$(b_labels main | wc -l)" $((labels + 2)) 'two at once: both are there'
    ok 'two at once: verified' walden verify --config "$(w_conf main)"
}

# refused STATUS WHAT REGEX [ARGUMENT...]
refused() {
    local status=$1 what=$2 regex=$3 before
    shift 3
    before=$(b_labels main)
    exits "$status" "$what: $status" b_backup main main "$@"
    like "$ERR" "$regex" "$what: says why"
    is "$(grep -c '^walden-basebackup: error: ' <<<"$ERR")" 1 "$what: once"
    is "$(b_labels main)" "$before" "$what: nothing is visible"
    ok "$what: nothing stays behind" b_clean main
}

check_server() {
    b_sql main 'create role plain login'
    refused 3 'no REPLICATION' 'permission denied to start WAL sender' -U plain
    pg_sql main 'alter system set max_wal_senders = 1'
    pg_restart main
    refused 3 'one walsender, and WAL to stream' 'second connection.*max_wal_senders' --wal=stream
    pg_sql main 'alter system reset max_wal_senders'
    pg_sql main 'alter system set max_replication_slots = 0'
    pg_restart main
    ok 'no slot: the backup does without' b_backup main main --wal=stream
    like "$ERR" 'without a slot' 'no slot: and says so'
    pg_sql main 'alter system reset max_replication_slots'
    pg_restart main
    slow --incremental=never
    pg_restart main
    ended
    ok 'the server restarts: failed, or unreachable' test "$RC" -eq 1 -o "$RC" -eq 3
    is "$(grep -c '^walden-basebackup: error: ' "$SCRATCH/slow.err")" 1 'the server restarts: one line'
    ok 'the server restarts: nothing stays behind' b_clean main
    ok 'the server restarts: the next one' b_backup main main
    ok 'the server restarts: is whole' b_sound main main newest whole
}

check_rotten() {
    local pack
    b_packs main >"$SCRATCH/packs"
    ok 'rotten: a backup' b_backup main main --whole
    pack=$(b_packs main | comm -13 "$SCRATCH/packs" - | head -n 1)
    pack=$(find "$(w_repo main)" -path '*/pack/*' -name "$pack")
    flip_byte "$pack" 100000
    ok 'rotten, and nobody knows: an increment leans on it' b_backup main main --incremental=always
    exits 1 'rotten: verify finds it' walden verify --config "$(w_conf main)"
    ok 'rotten: the next backup' b_backup main main
    is "$(b_value transfer)" full 'rotten: has everything sent'
    isnt "$(b_value stored)" 0 'rotten: and stores afresh'
    ok 'rotten: is whole' b_sound main main newest whole
    ok 'rotten: then increments go on' b_backup main main --incremental=always
    ok 'rotten: whole, too' b_sound main main newest whole
    flip_byte "$pack" 100000
    ok 'rotten: mended, all is well' walden verify --config "$(w_conf main)"
}

# Last: main is stopped for it.
check_promotion() {
    pg_backup_hot main "$SCRATCH/seed" -T "${SCRATCH//=/\\=}/main space\\=1=$SCRATCH/seedspace" || bail 'no seed'
    pg_from_backup -s standby "$major" "$SCRATCH/seed" "$(w_restore_command main)" \
        "primary_conninfo = '$(pg_connstr main)'" || bail 'no standby'
    pg_start standby || bail 'the standby does not start'
    b_sql main 'insert into apart values (44)' checkpoint
    pg_wait_replay standby "$(pg_sql main 'select pg_current_wal_lsn()')"
    pg_sql standby checkpoint
    ok 'standby: a backup' b_backup standby main --wal=stream
    note "standby: $(b_value transfer), $(b_value transfer_reason)"
    ok 'standby: whole' b_sound main standby newest whole
    ok 'standby: another one, when nothing has happened' b_backup standby main --wal=stream
    note "idle standby: $(b_value transfer), $(b_value transfer_reason)"
    is "$(b_value transfer)" full 'idle standby: everything is sent'
    like "$OUT" '"transfer_reason":"[^"]*(starts at|no WAL summary)' 'idle standby: with the reason'
    ok 'idle standby: whole' b_sound main standby newest whole
    pg_env standby exec env PGUSER=rep walden-basebackup --config "$(w_conf main)" --fast --wal=stream \
        --no-relation-map --max-rate 8MB --incremental=never >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
    SLOW=$!
    sleep 1
    pg_promote standby
    ended
    is "$RC" 1 'promoted meanwhile: 1'
    like "$ERR" 'error: .*standby was promoted' 'promoted meanwhile: says so'
    ok 'promoted: the next one' b_backup standby main --wal=stream
    is "$(b_value timeline)" 2 'promoted: on the new timeline'
    ok 'promoted: whole' b_sound main standby newest whole
}

build_unpack
major=$(pg_majors | tail -n 1)
b_server main "$major" -k || bail 'no server'
pg_conf main 'summarize_wal = on'
w_init main "$(pg_data main)" || bail 'no repository'
pg_archive main "$(w_archive_command main)"
pg_restart main
check_killed
check_two
check_server
check_rotten
check_promotion
done_testing
