#!/bin/bash
# Goal: whatever stands in the way of an increment leads to the whole stream by itself, with the reason,
# or with --incremental=always to a failure that says why: no summaries, or not far enough back, told by
# SQL or by the server alone; no, an incomplete or a damaged prior backup; a server that was put back to
# an older copy of its disk.  A new timeline is none.
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# whole WHAT REGEX [ARGUMENT...]: the next backup is sent whole for this reason, and is right.
whole() {
    local what=$1 regex=$2
    shift 2
    ok "$what: the backup is taken" b_backup main main "$@"
    is "$(b_value transfer)" full "$what: sent whole"
    like "$(sed -n 's/.*"transfer_reason":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$OUT")" "$regex" "$what: says why"
    ok "$what: whole" b_sound main main newest whole
}

check_obstacles() {
    local pack label
    # The server's own checks come first with a role that may not use SQL.
    sed -i '1i local all outsider reject' "$(pg_data main)/pg_hba.conf"
    b_sql main 'create role outsider login replication'
    pg_reload main
    ok 'by replication alone' b_backup main main -U outsider
    is "$(b_value transfer)" incremental 'by replication alone: only what changed'
    whole 'forbidden' '^--incremental=never$' --incremental=never
    whole 'stored anew' '^--whole$' --whole
    exits 2 'forbidden and wanted at once' b_backup main main --whole --incremental=always
    ok 'then again' b_backup main main --incremental=always

    pg_sql main 'alter system set summarize_wal = off'
    pg_reload main
    whole 'summarize_wal off' 'summarize_wal is off'
    exits 1 'summarize_wal off, an increment wanted' b_backup main main --incremental=always
    like "$ERR" 'error: .*summarize_wal is off' 'an increment wanted: says why there is none'
    like "$ERR" 'hint: .*--incremental=auto' 'an increment wanted: and what to do'
    b_sql main 'select pg_switch_wal()' 'insert into apart values (7)' checkpoint
    pg_sql main 'alter system reset summarize_wal'
    pg_reload main
    ok 'summaries again' b_backup main main
    forget_summaries
    whole 'summaries gone' 'no WAL summary from [0-9A-F/]+ on, where backup'
    b_sql main 'insert into apart values (8)' checkpoint
    ok 'increments go on after that' b_backup main main --incremental=always
    forget_summaries
    whole 'summaries gone, and only the server can tell' 'WAL summaries are required' -U outsider
    b_sql main 'insert into apart values (10)' checkpoint
    ok 'an increment again' b_backup main main --incremental=always
    forget_summaries
    exits 1 'the same, an increment wanted' b_backup main main -U outsider --incremental=always
    ok 'and nothing stays behind' b_clean main

    b_packs main >"$SCRATCH/packs"
    ok 'a backup to damage' b_backup main main --whole
    pack=$(b_packs main | comm -13 "$SCRATCH/packs" - | head -n 1)
    mv "$(find "$(w_repo main)" -path '*/pack/*' -name "$pack")" "$SCRATCH/pack"
    whole 'a pack is missing' 'not all of the earlier backup .* can be leaned on'
    ok 'increments go on after that' b_backup main main --incremental=always
    ok 'healed: whole' b_sound main main newest whole
    b_packs main >"$SCRATCH/packs"
    ok 'another backup to damage' b_backup main main --whole
    pack=$(b_packs main | comm -13 "$SCRATCH/packs" - | head -n 1)
    flip_byte "$(find "$(w_repo main)" -path '*/pack/*' -name "$pack")" -30
    whole 'a pack is damaged' 'not all of the earlier backup .* can be leaned on'
    label=$(b_labels main | tail -n 1)
    find "$(w_repo main)" -path '*/backup/*' -type f ! -name "$label" -delete
    flip_byte "$(find "$(w_repo main)" -path '*/backup/*' -name "$label")" 3000
    whole 'the only manifest is damaged' 'no earlier backup can be read'

    # An older copy of the disk, which goes on under the same timeline with other WAL.
    pg_stop main
    cp -a "$(pg_data main)" "$SCRATCH/old"
    pg_start main
    b_sql main 'create table lost as select i, md5(i::text) from generate_series(1, 1000) i' checkpoint
    ok 'put back: a backup before' b_backup main main --wal=stream
    pg_stop main
    rm -rf "$(pg_data main)"
    cp -a "$SCRATCH/old" "$(pg_data main)"
    pg_start main
    b_sql main "select pg_logical_emit_message(false, 'x', repeat('y', 30000000))" 'select pg_switch_wal()' checkpoint
    wait_for 20 summarized
    whole 'put back to an older disk' 'no WAL summary from [0-9A-F/]+ on' --wal=stream

    new_timeline main
    wait_for 20 test -n "$(find "$(pg_data main)/pg_wal/summaries" -name '00000002*')"
    ok 'a new timeline' b_backup main main --wal=stream
    note "on the new timeline: $(b_value transfer), $(b_value transfer_reason)"
    is "$(b_value timeline)" 2 'a new timeline: that one'
    ok 'a new timeline: whole' b_sound main main newest whole
}
# What happened since the last backup was summarized, and all summaries are lost.
forget_summaries() {
    b_sql main 'insert into apart values (7)' checkpoint
    wait_for 20 summarized
    rm -f "$(pg_data main)"/pg_wal/summaries/*
}
summarized() {
    [ "$(pg_sql main 'select count(*) > 0 from pg_available_wal_summaries() where end_lsn >=
        (select redo_lsn from pg_control_checkpoint())')" = t ]
}

build_unpack
major=$(pg_majors | tail -n 1)
if [ "$major" -ge 17 ]; then
    b_server main "$major" -k || bail 'no server'
    pg_conf main 'summarize_wal = on'
    w_init main "$(pg_data main)" || bail 'no repository'
    pg_archive main "$(w_archive_command main)"
    pg_restart main
    ok 'a first backup' b_backup main main
    check_obstacles
fi
done_testing
