#!/bin/bash
# Goal: nothing that the original's configuration says of recoveries has its way in a copy: an old target,
# a delay, commands that clean another archive or announce a failover, a trigger file that is there,
# standbys that a commit waits for; whichever file says so, and however the line is written.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

restore() { walden restore --config "$(w_open_conf "$name")" "$@"; }
rows() { pg_sql "$1" 'select string_agg(i::text, $$,$$ order by i) from t'; }
at_exit 'rm -f "$(key_of "$SCRATCH/copy")"'
key_of() { grep -oE "/[^ ']*/walden-key\.[0-9a-f]{16}" "$1/postgresql.auto.conf" 2>/dev/null | head -n 1 | grep . || echo /nowhere; }

# build [SEALED]: rows 1 to 3, the second a restore point; everything that should not survive is in
# postgresql.conf and in postgresql.auto.conf.
build() {
    local init=w_init trigger=
    name=pg$major${1-}
    [ "${1-}" != sealed ] || init=w_init_sealed
    pg_init "$name" "$major" --wal-segsize=1 || bail initdb
    $init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_archive "$name" "$(w_archive_command "$name")"
    [ "$major" -ge 16 ] || trigger="promote_trigger_file = '$SCRATCH/trigger'"
    pg_start "$name" || bail 'no server'
    # (A running server has read its files before.)
    cat >>"$(pg_data "$name")/postgresql.conf" <<CONF
recovery_target_time = '2001-01-01 00:00:00+00'
recovery_target_action = 'shutdown'
recovery_min_apply_delay = '1h'
restore_command = 'touch $SCRATCH/ran.restore; false'
archive_cleanup_command = 'touch $SCRATCH/ran.cleanup'
recovery_end_command = 'touch $SCRATCH/ran.end'
$trigger
CONF
    cat >>"$(pg_data "$name")/postgresql.auto.conf" <<CONF
recovery_target_xid'77'
  Recovery_Target_Name ='nowhere'
archive_cleanup_command='touch $SCRATCH/ran.cleanup'
synchronous_standby_names = nobody
CONF
    pg_env "$name" walden-basebackup --config "$(w_conf "$name")" --fast >/dev/null 2>"$SCRATCH/.err" ||
        bail "no backup: $(cat "$SCRATCH/.err")"
    pg_sql "$name" 'create table t as select 1 i'
    pg_sql "$name" 'insert into t values (2)'
    pg_sql "$name" "select pg_create_restore_point('two')" >/dev/null
    pg_sql "$name" 'insert into t values (3)'
    pg_sql "$name" checkpoint
    pg_switch "$name" >/dev/null
    pg_stop "$name"
}

copies() {
    touch "$SCRATCH/trigger"
    ok "$name: a copy" restore -D "$SCRATCH/copy" --target-name two
    unlike "$(cat "$SCRATCH/copy/postgresql.auto.conf")" "2001|nowhere|xid.*77|touch" "$name: nothing old in postgresql.auto.conf"
    pg_adopt copy "$major" "$SCRATCH/copy"
    pg_start copy
    is "$(pg_outcome copy) $(rows copy)" 'paused 1,2' "$name: it pauses at its own target" || diag "$(tail -n 5 "$(pg_log copy)")"
    pg_sql copy checkpoint
    ok "$name: a trigger file that was there stays" test -e "$SCRATCH/trigger"
    pg_promote copy
    ok "$name: it opens" pg_wait_promoted copy
    is "$(ls "$SCRATCH"/ran.* 2>/dev/null)" '' "$name: no command of the original was run"
    nok "$name: no key is left" test -e "$(key_of "$SCRATCH/copy")"
    pg_drop copy
    rm -rf "$SCRATCH/copy"
}

# A commit would wait for a standby that is not there.
waits_for_nobody() {
    local at
    ok "$name: --start" restore -D "$SCRATCH/copy" --start --pg-bin "$(pg_bin "$major")"
    at=$(sed -n 's/^connect  psql -h \([^ ]*\) .*/\1/p' <<<"$OUT")
    ok "$name: a commit in it waits for nobody" timeout 20 "$(pg_prog psql)" -X -q -h "$at" -p 5432 -U postgres -d postgres \
        -c 'insert into t values (4)'
    "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/copy" -s -w -m immediate stop
    rm -rf "$SCRATCH/copy"
}

mapfile -t majors < <(pg_majors)
for major in "${majors[@]}"; do
    case $major in 13 | 15 | "${majors[-1]}") ;; *) continue ;; esac
    build
    copies
    if [ "$major" = "${majors[-1]}" ]; then
        waits_for_nobody
        build sealed
        copies
        # A key in a folder of an awkward name is removed as well.
        mkdir "$SCRATCH/it's 100%f"
        ok "$name: a copy, its key elsewhere" restore -D "$SCRATCH/copy" --target-name two --key-dir "$SCRATCH/it's 100%f"
        is "$(find "$SCRATCH/it's 100%f" -type f | wc -l)" 1 "$name: the key is there"
        pg_adopt copy "$major" "$SCRATCH/copy"
        pg_start copy && pg_promote copy
        ok "$name: it opens" pg_wait_promoted copy
        is "$(rows copy)" 1,2 "$name: with its rows"
        is "$(find "$SCRATCH/it's 100%f" -type f | wc -l)" 0 "$name: the key is removed"
        pg_drop copy
        rm -rf "$SCRATCH/copy"
    fi
done
done_testing
