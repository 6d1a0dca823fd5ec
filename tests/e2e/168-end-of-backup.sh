#!/bin/bash
# Goal: a backup that holds its own WAL is opened at its very end.  A server that is told to stop "as soon as
# a consistent state is reached" judges that when it sees the next record, so there must be one behind the
# backup's last, and where a standby cannot give one the server is told the last record instead.  Whether
# it is there was once a matter of how the WAL arrived.
#
# also: dev
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# opens WHAT SERVER MAJOR: a backup of SERVER into the repository `repo`, restored and started.
opens() {
    local what=$1 server=$2 bin dir=$SCRATCH/$2.copy
    bin=$(pg_bin "$3") || exit 1
    ok "$what: a backup with its own WAL" b_backup "$server" repo "$3" --wal=stream
    exits 0 "$what: its end is reached" walden restore --config "$(w_conf "repo$3")" -D "$dir" --target-immediate \
        --target-action promote --start --pg-bin "$bin"
    like "$OUT" '^state    open for reading and writing' "$what:   and it is open"
    "$bin/pg_ctl" -D "$dir" -s -w -m immediate stop >/dev/null 2>&1
}
b_backup() { # SERVER REPO MAJOR ARGUMENT...
    local server=$1 repo=$2$3
    shift 3
    pg_env "$server" env PGUSER=rep walden-basebackup --config "$(w_conf "$repo")" --fast "$@"
}

# The last segment in a backup, as its restored copy has it, is whole.
last_is_switched() { # DIR
    local dir=$1 last
    last=$(cd "$dir/pg_wal" && printf '%s\n' 0*[0-9A-F] | sort | tail -n 1)
    "$(pg_prog pg_waldump 15)" "$dir/pg_wal/$last" 2>/dev/null | tail -n 1 | grep -q 'desc: SWITCH'
}

test_major() {
    local major=$1 p=p$1 s=s$1 n dir=$SCRATCH/s$1.copy bin
    bin=$(pg_bin "$major")
    pg_init "$p" "$major" || bail initdb
    pg_conf "$p" 'autovacuum = off' 'wal_level = replica' 'hot_standby = on'
    echo 'local replication rep trust' >>"$(pg_data "$p")/pg_hba.conf"
    pg_start "$p" || bail 'no server'
    pg_sql "$p" 'create role rep replication login; create table t as select generate_series(1, 1000) i' || bail 'no table'
    w_init "repo$major" "$(pg_data "$p")" || bail 'walden init'
    for n in 1 2 3; do
        opens "$major, primary, $n" "$p" "$major"
        rm -rf "$SCRATCH/$p.copy"
        [ "$major" = 15 ] || continue
        ok '  unpacked' walden restore --config "$(w_conf "repo$major")" -D "$SCRATCH/$p.copy" --target-immediate
        ok '  a record follows the last one' last_is_switched "$SCRATCH/$p.copy"
        rm -rf "$SCRATCH/$p.copy"
    done

    # Nothing is written any more, so nothing will ever follow the standby's last record.
    pg_backup_hot "$p" "$SCRATCH/$s.base" || bail 'no base backup'
    pg_from_backup -s "$s" "$major" "$SCRATCH/$s.base" false "primary_conninfo = '$(pg_connstr "$p")'" 'hot_standby = on'
    pg_start "$s" || bail 'no standby'
    pg_sql "$p" checkpoint
    wait_for 30 caught_up "$p" "$s" || bail 'the standby does not follow'
    pg_sql "$s" checkpoint
    opens "$major, idle standby" "$s" "$major"
    like "$(cat "$dir/postgresql.auto.conf")" "recovery_target_lsn = '[0-9A-F]" '  it was told the last record'
    rm -rf "$dir"

    # The control: told what the primary's copies are told, the same copy does not open.
    ok "$major: the control: the same copy" walden restore --config "$(w_conf "repo$major")" -D "$dir" --target-immediate
    sed -i -E '/^recovery_target(_lsn|_time|_xid|_name)? =/d' "$dir/postgresql.auto.conf"
    echo "recovery_target = 'immediate'" >>"$dir/postgresql.auto.conf"
    pg_adopt "c$major" "$major" "$dir"
    ok '  told to stop at the end of the backup, does not open' \
        pg_start_expect_fail "c$major" 'recovery ended before configured recovery target was reached'
    pg_stop "$s"
    pg_stop "$p"
}
caught_up() { # PRIMARY STANDBY
    [ "$(pg_sql "$2" "select pg_last_wal_replay_lsn() >= '$(pg_sql "$1" 'select pg_current_wal_lsn()')'")" = t ]
}

for major in $(pg_majors); do
    case $major in 13 | 15 | 18) test_major "$major" ;; esac
done
done_testing
