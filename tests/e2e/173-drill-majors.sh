#!/bin/bash
# Goal: on every major `walden drill` rehearses the newest base backup with its WAL, and a dump, in servers
# of its own: the rows that were counted are there, nothing is left behind, and the evidence is on record.
# when: long
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

for major in $(pg_majors); do
    srv=s$major
    dr_place "$major"
    pg_init "$srv" "$major" --wal-segsize=1 || bail initdb
    w_init "$srv" "$(pg_data "$srv")" || bail 'no repository'
    pg_archive "$srv" "$(w_archive_command "$srv")"
    pg_conf "$srv" 'autovacuum = off'
    pg_start "$srv" || bail 'no server'
    pg_sql "$srv" 'create database shop'
    d_sql "$srv" shop 'create table orders as select i, md5(i::text) as t from generate_series(1, 2000) i'
    d_conf "$srv" "count_tables = 'shop.public.orders'" \
        '[drill newest]' 'of = backup' 'database = shop' 'sql = select count(*) from orders' 'expect = 2500' \
        '[drill dumped]' 'of = shop' 'database = shop' 'sql = select count(*) from orders' 'expect = 2000'
    ok "$major: a backup" pg_env "$srv" walden backup --config "$(w_conf "$srv")" --fast
    ok "$major: a dump" d_walden "$srv" "$srv" dump shop -d shop
    d_sql "$srv" shop 'insert into orders select i, md5(i::text) from generate_series(1, 500) i'
    pg_switch "$srv" >/dev/null
    for what in --latest '--dump shop'; do
        # shellcheck disable=SC2086 # two words
        json dr "$srv" drill $what
        is "$(query '.result')" ok "$major: drill $what"
        is "$(query '[.checks[] | select(.result == "failed") | .name] | join(" ")')" '' "$major: every check passed"
    done
    is "$(query '[.checks[] | select(.name == "dumped").found] | join(" ")')" 2000 "$major: the dump's rows"
    is "$(dr "$srv" list --json | jq -r '[.drills[] | .result] | join(" ")')" 'ok ok' "$major: both are on record"
    ok "$major: nothing is left" is_clean
    pg_stop "$srv"
done
done_testing
