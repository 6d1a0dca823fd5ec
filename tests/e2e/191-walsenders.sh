#!/bin/bash
# Goal: where the server has no walsender left, at the first connection of a backup or at the second one
# for the WAL, the backup fails at once with status 3, says in one line what is short and how to mend it,
# and leaves nothing behind, no slot either; when one is free again the same command works.  Where the
# WAL is archived one walsender is enough.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# occupy COUNT: that many walsenders, until release.
occupy() {
    local i
    HOLDERS=()
    for ((i = 0; i < $1; i++)); do
        rm -f "$SCRATCH/hold$i" && mkfifo "$SCRATCH/hold$i"
        pg_env "$srv" exec env PGUSER=rep "$psql" -XAtq 'dbname=replication replication=true' \
            <"$SCRATCH/hold$i" >"$SCRATCH/held$i" 2>&1 &
        HOLDERS+=($!)
        exec {fd}>"$SCRATCH/hold$i"
        HOLD_FDS+=("$fd")
        echo 'IDENTIFY_SYSTEM;' >&"$fd"
    done
    wait_for "$TEST_WAIT" occupied "$1" || bail "no walsenders: $(cat "$SCRATCH"/held*)"
}
occupied() { [ "$(pg_sql "$srv" "select count(*) from pg_stat_activity where backend_type = 'walsender'")" = "$1" ]; }
release() {
    local fd
    for fd in "${HOLD_FDS[@]}"; do
        exec {fd}>&-
    done
    HOLD_FDS=()
    wait "${HOLDERS[@]}"
    wait_for "$TEST_WAIT" occupied 0
}

# refused WHAT REGEX [ARGUMENT...]
refused() {
    local what=$1 regex=$2 before
    shift 2
    before=$(b_labels main)
    exits 3 "$what: 3" b_backup "$srv" main "$@"
    like "$ERR" "$regex" "$what: says why"
    like "$ERR" 'hint: .*max_wal_senders' "$what: and what to do"
    is "$(grep -c 'error: ' <<<"$ERR")" 1 "$what: in one line"
    is "$(b_labels main)" "$before" "$what: nothing is visible"
    ok "$what: nothing stays behind" b_clean main
    is "$(pg_sql "$srv" 'select count(*) from pg_replication_slots')" 0 "$what: no slot either"
}

HOLD_FDS=()
psql=$(pg_prog psql)
for major in $(pg_majors | sed -n '1p;$p'); do
    srv=main$major
    b_server "$srv" "$major" -k || bail 'no server'
    pg_conf "$srv" 'max_wal_senders = 3'
    w_init main "$(pg_data "$srv")" || bail 'no repository'
    pg_archive "$srv" "$(w_archive_command main)"
    pg_restart "$srv"
    for mode in auto stream; do
        occupy 3
        refused "$major: none left, --wal=$mode" 'could not connect to the server: .*(max_wal_senders|standby connections)' --wal=$mode
        release
    done
    occupy 2
    refused "$major: one left, and WAL to stream" 'second connection, for the backup.s WAL' --wal=stream
    ok "$major: one left, and WAL is archived" b_backup "$srv" main
    release
    occupy 1
    ok "$major: two left" b_backup "$srv" main --wal=stream
    release
    ok "$major: all is whole" walden verify --config "$(w_conf main)"
    # Not by the number: none are allowed at all.
    pg_conf "$srv" 'max_wal_senders = 0' 'archive_mode = off' 'wal_level = minimal'
    pg_restart "$srv"
    refused "$major: none at all" 'could not connect to the server' --wal=stream
    pg_stop "$srv"
    rm -rf "$(w_repo main)" "$(w_keys main)"
done
done_testing
