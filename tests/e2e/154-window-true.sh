#!/bin/bash
# Goal: what `walden window` claims is so on real servers: the first and the last moment of each window, and
# the one at which a gap ends, are restored with exactly the rows that had been committed; moments in the gap
# are refused.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# note NAME: one commit; its place in time goes to $SCRATCH/truth, as the server tells it.
note_row() {
    pg_sql "$1" 'insert into log default values; select pg_sleep(0.05)' >/dev/null
}
backup() {
    pg_env "$1" walden-basebackup --config "$(w_conf "$1")" --fast >"$SCRATCH/.backup" 2>&1 ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
}
query() { jq -r "$1" "$SCRATCH/json"; }
micros() { date -u -d "$1" +%s%6N; }
utc() { date -u -d "@${1:0:-6}.${1: -6}" +%Y-%m-%dT%H:%M:%S.%6NZ; }

# rows_at TIME: how many rows had been committed then.
rows_at() { awk -v t="$(micros "$1")" '$1 <= t { n++ } END { print n + 0 }' "$SCRATCH/truth"; }

# comes_back NAME TIME: the rows of a copy that was restored to then.
comes_back() {
    rm -rf "$SCRATCH/copy"
    run walden restore --config "$(w_conf "$1")" -D "$SCRATCH/copy" --target-time "$2" --target-action promote \
        --start --pg-bin "$(pg_bin "$major")"
    [ "$RC" = 0 ] || { echo "restore: $RC $ERR"; return; }
    psql -XAtq -d "$(sed -n 's/^connect  psql -h \([^ ]*\) -p \([0-9]*\) -U \([^ ]*\) .*/host=\1 port=\2 user=\3 dbname=postgres/p' <<<"$OUT")" \
        -c 'select count(*) from log'
    "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/copy" -m immediate -s -w stop
}
true_at() { is "$(comes_back a "$1")" "$(rows_at "$1")" "$2 ($1) comes back with the rows of then"; }

major=17
pg_prog psql 17 >/dev/null
PATH=$PATH:$(dirname "$(pg_prog psql 17)")
pg_init a $major --wal-segsize=1 || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'max_wal_senders = 5' 'track_commit_timestamp = on'
pg_start a || bail 'no server'
pg_sql a 'create table log (n serial)' >/dev/null
note_row a
backup a
for _ in 1 2 3 4 5 6; do
    note_row a
    note_row a
    pg_switch a >/dev/null
done
sleep 1
backup a
for _ in 1 2 3; do
    note_row a
    note_row a
    pg_switch a >/dev/null
done
pg_sql a "select (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::bigint from log order by 1" >"$SCRATCH/truth"
is "$(wc -l <"$SCRATCH/truth")" 19 'all commits are known'
walden window --offline --json --config "$(w_conf a)" >"$SCRATCH/json" || bail 'window'
is "$(query '.windows | length')" 1 'without a hole there is one window'
true_at "$(query '.windows[0].start_time')" 'its beginning'
true_at "$(utc $(($(micros "$(query '.windows[0].end_time')") - 1)))" 'its end'

# The third segment behind the first backup: commits before, in and behind it.
file=$(w_object a "$(w_names a | grep -E '^[0-9A-F]{24}$' | tail -n 9 | head -n 3 | tail -n 1)")
mv "$file" "$SCRATCH/away"
walden window --offline --json --config "$(w_conf a)" >"$SCRATCH/json"
is "$(query '.windows | length')" 2 'with a hole there are two'
is "$(query '.gaps | length')" 1 'and a gap'
from=$(micros "$(query '.gaps[0].from_time')")
to=$(micros "$(query '.gaps[0].to_time')")
ok 'which takes some time' test "$to" -gt "$from"
true_at "$(query '.windows[0].start_time')" 'the beginning of the first'
true_at "$(utc $(($(micros "$(query '.windows[0].end_time')") - 1)))" 'its end'
true_at "$(utc "$to")" 'the end of the gap'
true_at "$(query '.windows[1].start_time')" 'the beginning of the second'
true_at "$(utc $(($(micros "$(query '.windows[1].end_time')") - 1)))" 'its end'
for i in 1 2 3 4 5 6 7 8 9; do
    exits 1 "$i tenths into the gap are refused" walden restore --config "$(w_conf a)" -D "$SCRATCH/never" --dry-run \
        --target-time "$(utc $((from + (to - from) * i / 10)))"
done
exits 1 'its last microsecond, too' walden restore --config "$(w_conf a)" -D "$SCRATCH/never" --dry-run \
    --target-time "$(utc $((to - 1)))"
done_testing
