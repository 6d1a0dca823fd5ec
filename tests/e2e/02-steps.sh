#!/bin/bash
# Goal: from a running server to the first backup that can be restored it takes the four steps of
# README.md, and nobody edits a file: postgresql.conf, pg_hba.conf and all others that were there
# before keep every byte, but for the one that ALTER SYSTEM writes.  The backup is restored, with what
# was written after it.
# when: quick
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

MAJOR=$(pg_majors | tail -n 1)
steps=0
step() { # DESCRIPTION COMMAND...
    steps=$((steps + 1))
    exits 0 "step $steps: $1" "${@:2}"
}
# files DATA: the configuration, and what it says.
files() { (cd "$1" && sha256sum postgresql.conf pg_hba.conf pg_ident.conf); }
can_restore() { walden restore --config "$SCRATCH/walden.conf" -D "$SCRATCH/copy" --dry-run; }

pg_init shop "$MAJOR" || bail initdb
pg_start shop || bail 'the server does not start'
data=$(pg_data shop)
files "$data" >"$SCRATCH/before"
env=(pg_env shop)

install_them() {
    mkdir -p "$SCRATCH/bin" && cp -P "$TEST_BIN"/walden* "$SCRATCH/bin/"
}
step 'install' install_them
PATH=$SCRATCH/bin:$PATH
step 'walden init --apply' "${env[@]}" walden init --repo "$SCRATCH/repo" --config "$SCRATCH/walden.conf" --apply
exits 1-4 'nothing can be restored yet' can_restore
step 'restart' pg_restart shop
exits 1-4 'still nothing' can_restore
step 'walden backup' "${env[@]}" walden backup --config "$SCRATCH/walden.conf" --fast
exits 0 'now it can' can_restore
is "$steps" 4 'four steps'
is "$(files "$data")" "$(cat "$SCRATCH/before")" 'no file of the server was edited'
like "$(pg_sql shop 'show archive_command')" "^$SCRATCH/bin/walden-archive .*--config $SCRATCH/walden.conf" \
    'the server archives with what was installed'
is "$(sed -n '/^[a-z]/s/ = .*//p' "$data/postgresql.auto.conf" | sort | paste -sd' ')" \
    'archive_command archive_mode archive_timeout' 'and only three settings were made'

pg_sql shop 'create table later as select g from generate_series(1, 300) g' || bail 'no table'
pg_switch shop >/dev/null || bail 'nothing is archived'
at_exit '"$(pg_bin "$MAJOR")/pg_ctl" -D "$SCRATCH/copy" -s -m immediate stop >/dev/null 2>&1 || true'
exits 0 'restored' walden restore --config "$SCRATCH/walden.conf" -D "$SCRATCH/copy" --start \
    --pg-bin "$(pg_bin "$MAJOR")"
# The copy's own socket, and no other server whatever happens.
read_copy() {
    local file=$SCRATCH/copy/postmaster.pid
    [ -f "$file" ] && "$(pg_prog psql)" -XAtq -h "$(sed -n 5p "$file")" -p "$(sed -n 4p "$file")" -U postgres -d postgres -c "$1"
}
run=$(sed -n 5p "$SCRATCH/copy/postmaster.pid")
[[ ${run##*/} != walden-run.* ]] || at_exit "rm -rf '$run'"
is "$(read_copy 'select count(*) from later')" 300 'with what was written after the backup'
done_testing
