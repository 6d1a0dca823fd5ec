#!/bin/bash
# Goal: `walden check` warns while there is time: a repository's disk and a pg_wal that fill up are red
# before they are full, with the time that is left.
# when: quick
# needs: root
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
TEST_FSYNC=on
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'

check() {
    pg_env a "${pg_as[@]}" "$TEST_BIN/walden" check --config "$(w_conf a)" --drill-max-age 0 "$@" --json \
        >"$SCRATCH/json" 2>"$SCRATCH/err"
    RC=$?
}
state() { jq -r ".checks[] | select(.name == \"$1\") | .state" "$SCRATCH/json"; }
text() { jq -r ".checks[] | select(.name == \"$1\") | .text" "$SCRATCH/json"; }

major=$(pg_majors | tail -n 1)
pg_init a "$major" --wal-segsize=1 || bail initdb
mkdir -p "$(w_repo a)" "$SCRATCH/a.state"
mount -t tmpfs -o size=40m none "$(w_repo a)" || skip_all 'no tmpfs can be mounted here'
at_exit 'umount "$(w_repo a)"'
chown "$TEST_USER:" "$(w_repo a)" "$SCRATCH/a.state"
chmod 700 "$(w_repo a)"
"${pg_as[@]}" mkdir -p "$(w_keys a)" 2>/dev/null || { mkdir -p "$(w_keys a)" && chown "$TEST_USER:" "$(w_keys a)"; }
"${pg_as[@]}" "$TEST_BIN/walden" init --repo "$(w_repo a)" --config "$(w_conf a)" --pgdata "$(pg_data a)" \
    >"$SCRATCH/init" 2>&1 || bail "walden init: $(cat "$SCRATCH/init")"
echo "state_dir = $SCRATCH/a.state" >>"$(w_conf a)"

# pg_wal on a disk of its own.
pg_wal=$(pg_data a)/pg_wal
mv "$pg_wal" "$SCRATCH/wal.old"
mkdir "$pg_wal"
mount -t tmpfs -o size=30m none "$pg_wal" || bail 'no second tmpfs'
at_exit 'umount "$pg_wal"'
cp -a "$SCRATCH/wal.old/." "$pg_wal"
chown -R "$TEST_USER:" "$pg_wal"
chmod 700 "$pg_wal"
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'archive_timeout = 10min' 'full_page_writes = on' 'min_wal_size = 2MB' 'max_wal_size = 4MB'
pg_start a || bail 'the server does not start'
pg_switch a >/dev/null || bail 'nothing is archived'

check
is "$(state space) $(state pg_wal)" 'ok ok' 'there is room'
is "$(state placement)" ok 'and the repository is on a disk of its own'

dd if=/dev/zero of="$(w_repo a)/filler" bs=512k count=73 status=none
check
isnt "$(state space)" ok 'a disk that is nearly full is red'
dd if=/dev/zero of="$(w_repo a)/filler" bs=1M count=38 status=none
check
is "$RC $(state space)" '1 critical' 'less than half the limit is critical'
dd if=/dev/zero of="$(w_repo a)/filler2" bs=1M count=10 status=none 2>/dev/null
pg_sql a 'create table t as select i from generate_series(1, 30000) i' >/dev/null
pg_sql a 'select pg_switch_wal()' >/dev/null
wait_for 30 eval '[ "$(pg_sql a "select failed_count > 0 from pg_stat_archiver")" = t ]' || fail 'archiving fails'
check
is "$RC $(state archiver)" '1 warning' 'a full repository: archive_command fails, and that is counted'

# Nothing leaves pg_wal: it grows.
for i in $(seq 30); do
    pg_sql a "create table g$i as select i from generate_series(1, 15000) i" >/dev/null 2>&1
    check
    [ "$(state pg_wal)" = ok ] || break
done
isnt "$(state pg_wal)" ok 'a pg_wal that fills up is red'
like "$(pg_sql a 'select 1')" 1 'while the server still runs'
rm "$(w_repo a)"/filler*
pg_stop a
done_testing
