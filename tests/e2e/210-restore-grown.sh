#!/bin/bash
# Goal: when the original was given more connections after the backup, `walden restore --start` does not
# take the pause or the end of the server in which that ends for the target: it gives the copy as much,
# goes on, and reaches what was asked for.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

restore() { walden restore --config "$(w_conf "$name")" -D "$SCRATCH/copy" --pg-bin "$(pg_bin "$major")" "$@"; }
ask() {
    "$(pg_prog psql)" -X -q -A -t -h "$(sed -n 's/^connect  psql -h \([^ ]*\) .*/\1/p' <<<"$OUT")" -p 5432 \
        -U postgres -d postgres -c "$1"
}
gone() { # the copy
    [ ! -e "$SCRATCH/copy/postmaster.pid" ] || "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/copy" -s -w -m immediate stop
    rm -rf "$SCRATCH/copy"
}
at_exit gone

grows() {
    name=pg$major
    pg_init "$name" "$major" --wal-segsize=1 || bail initdb
    w_init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_start "$name" || bail 'no server'
    ok "$major: a backup" pg_env "$name" walden-basebackup --config "$(w_conf "$name")" --fast
    pg_sql "$name" 'create table t as select 1 i'
    # Twice, so that the copy must be given more twice.
    pg_conf "$name" 'max_connections = 150' 'max_prepared_transactions = 20'
    pg_restart "$name"
    pg_sql "$name" 'insert into t values (2)'
    pg_conf "$name" 'max_connections = 170' 'max_locks_per_transaction = 100'
    pg_restart "$name"
    pg_sql "$name" 'insert into t values (3)'
    pg_sql "$name" "select pg_create_restore_point('grown')" >/dev/null
    pg_sql "$name" 'insert into t values (4)'
    pg_switch "$name" >/dev/null
    # The control: with what the backup has no server gets there.
    ok "$major: a copy" restore --target-name grown
    pg_adopt alone "$major" "$SCRATCH/copy"
    pg_start alone >/dev/null 2>&1
    ok "$major: with the settings of the backup it does not get there" \
        wait_for "$TEST_WAIT" grep -q 'hot standby is not possible' "$(pg_log alone)"
    unlike "$(cat "$(pg_log alone)")" 'recovery stopping at' "$major: and stops before"
    pg_stop alone immediate
    rm -rf "$SCRATCH/pg/alone" "$SCRATCH/copy"
    ok "$major: --start" restore --target-name grown --start
    like "$OUT" '^reached  recovery stopping at restore point "grown"' "$major: the target is reached"
    like "$OUT" '^state    paused at the target' "$major: and paused at"
    is "$(ask 'select string_agg(i::text, $$,$$ order by i) from t') $(ask 'show max_connections')" '1,2,3 170' \
        "$major: with its rows"
    gone
    ok "$major: --start, to the end" restore --start
    is "$(ask 'select count(*) from t')" 4 "$major: the end: with its rows"
    gone
    pg_drop "$name"
}

mapfile -t majors < <(pg_majors)
for major in "${majors[@]}"; do
    # 13 ends where the later ones pause.
    case $major in 13 | 14 | "${majors[-1]}") grows ;; esac
done
done_testing
