#!/bin/bash
# Goal: at 5 GB of a real server's data a backup, the next one, a restore and --delta keep within the
# memory that is promised, plain and sealed, and what is restored is what pg_verifybackup expects.
# when: long
# alone
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
CEILING_KB=$((32 * 1024))
${CC:-cc} -O1 -o "$SCRATCH/launch" "$ROOT/bench/launch.c" || bail 'launch.c'

# measured WHAT COMMAND: within the ceiling.
measured() {
    local kb
    run "$SCRATCH/launch" "exec $2 >'$SCRATCH/said'"
    kb=$(tail -n 1 <<<"$ERR" | cut -d ' ' -f 3)
    is "$RC" 0 "$1: done" || diag "$ERR"
    note "$1: $(tail -n 1 <<<"$ERR")"
    ok "$1: $kb kB of $CEILING_KB" test "$kb" -le $CEILING_KB
}

major=$(pg_majors | tail -n 1)
pg_init big "$major" -k || bail initdb
pg_conf big 'autovacuum = off' 'max_wal_size = 8GB'
pg_start big || bail 'no server'
# One table of 1 GB, by the server; its first file, which is whole, stands for four more.
pg_env big "$(pg_prog pgbench)" -i -q -s "${SCALE:-85}" -I dtg >"$SCRATCH/.out" 2>&1 || bail "pgbench: $(cat "$SCRATCH/.out")"
pg_sql big checkpoint
file=$(pg_data big)/$(pg_sql big "select pg_relation_filepath('pgbench_accounts')")
for i in 1 2 3 4; do
    cp "$file" "$(dirname "$file")/9999$i"
done
export PGHOST=$SOCKETS PGUSER=postgres PGDATABASE=postgres
PGPORT=$(pg_port big)
export PGPORT
note "$(du -sm "$(pg_data big)/base" | cut -f 1) MB"
for kind in plain sealed; do
    init=w_init
    [ $kind = plain ] || init=w_init_sealed
    $init $kind "$(pg_data big)" || bail 'no repository'
    measured "$kind: a backup" "walden-basebackup --config '$(w_conf $kind)' --fast"
    measured "$kind: the next one" "walden-basebackup --config '$(w_conf $kind)' --fast"
    restore="walden restore --config '$(w_open_conf $kind)' -D '$SCRATCH/copy' --target-immediate --jobs 2"
    measured "$kind: a restore" "$restore"
    ok "$kind: pg_verifybackup is content" "$(pg_prog pg_verifybackup)" -q -n "$SCRATCH/copy"
    measured "$kind: --delta" "$restore --delta --yes"
    rm -f "$(grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$SCRATCH/copy/postgresql.auto.conf" | head -n 1)"
    rm -rf "$SCRATCH/copy" "$(w_repo $kind)"
done
pg_stop big
done_testing
