#!/bin/bash
# Goal: README.md is true.  Its transcript is what the demo prints today, and every command in its
# blocks runs, in their order, on real servers, with only the paths moved below the scratch directory.
# What the machine would do is answered here: sudo, systemctl and chown; docker, ssh and scp stand for
# a container and a host that are not there (their commands run here instead).
#
# timeout: 900
# shellcheck disable=SC2034 # read by lib.sh
TEST_FSYNC=on
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

readme() { "$ROOT/tests/tools/readme" "$@"; }
MAJOR=17
M=$SCRATCH/machine

# ---- the transcript -----------------------------------------------------------------------------

touch "$SCRATCH/start"
TEST_MAJORS=$MAJOR exits 0 'the demo runs' env WALDEN_TEST_TMP="$SCRATCH" "$ROOT/tests/demo/demo.sh"
readme words <<<"$OUT" >"$SCRATCH/now"
readme transcript | readme words >"$SCRATCH/then"
is "$(diff "$SCRATCH/then" "$SCRATCH/now")" '' \
    'README.md has what it prints (tests/demo/transcript puts it there)'
isnt "$(readme transcript | sed 's/has 4000 rows/has 3999 rows/' | readme words | diff - "$SCRATCH/now")" '' \
    'one row less would be seen'
is "$(find "$SCRATCH" -maxdepth 1 -name 'demo.*'; find /tmp -maxdepth 1 -user "$(id -u)" -name 'walden-run.*' -newer "$SCRATCH/start")" '' \
    'the demo leaves nothing'

# ---- a machine for the commands -----------------------------------------------------------------

mkdir -p "$M"/{mnt/backup,mnt/usb,lib,srv,build/aarch64,pi,usr}
ln -s "$TEST_BIN" "$M/build/bin"
ln -s "$TEST_BIN" "$M/build/aarch64/bin"
server() { # NAME
    pg_init "$1" $MAJOR -k || bail initdb
    pg_conf "$1" 'autovacuum = off'
    pg_start "$1" || bail 'the server does not start'
}
server host
export M ROOT TEST_BIN PG_CTL
PG_CTL=$(pg_bin $MAJOR)/pg_ctl
HOST_DATA=$(pg_data host)
export HOST_DATA
cat >"$SCRATCH/machine.sh" <<'SHIMS'
set -eu -o pipefail
cd "$M"
sudo() { [ "$1" != -u ] || shift 2; "$@"; }
systemctl() { [ "$*" = 'restart postgresql' ] && restart "$HOST_DATA"; }
restart() { "$PG_CTL" -D "$1" -w -s -l "$1/../log" -m fast restart; }
chown() { [[ $1 =~ ^[0-9]+:[0-9]+$ ]] && [ -e "$2" ]; }
# install as the Makefile does it; the other targets are only looked up.
make() {
    command make -n -C "$ROOT" "$@" DESTDIR="$M/usr" >"$M/make" 2>&1 || { cat "$M/make"; return 1; }
    [ "${1-}" = install ] || return 0
    grep -E "^(install -d|install -m 755|ln -sfn walden $M/usr)" "$M/make" >"$M/make.install"
    sed -i "s| build/bin/| $TEST_BIN/|g" "$M/make.install"
    bash -e "$M/make.install"
}
scp() { cp "${@:1:$#-1}" "$M/pi/"; }
ssh() { shift; (cd "$M/pi" && "${@//\/usr\/local/$M\/pi}"); }
docker() {
    case "$*" in
    'compose up -d') ;;
    'compose restart db') restart "$DB_DATA" ;;
    'compose exec -u postgres db '*) shift 5; PGPORT=$DB_PORT "$@" ;;
    *) echo "docker $*: not known here"; return 1 ;;
    esac
}
SHIMS

# block N LANGUAGE [SERVER]: runs a block beside that server.
ran=0
block() {
    ran=$((ran + 1))
    {
        cat "$SCRATCH/machine.sh"
        readme block sh "$1" | perl -pe '
            s{(?<![\w.])(/mnt/|/srv/)}{$ENV{M}$1}g; s{/var/lib/postgresql}{$ENV{M}/lib}g;
            s{(?<=[ =])/walden/}{$ENV{M}/walden/}g; s{(?<=[ =])/backup/}{$ENV{M}/backup/}g'
    } >"$SCRATCH/block.sh"
    pg_env host env PATH="$(dirname "$(pg_prog pg_dump)"):$PATH" WALDEN_PG_BIN="$(pg_bin $MAJOR)" \
        bash "$SCRATCH/block.sh"
}
like "$(readme block sh 1)" '^make demo .*' 'first of all, two commands'
exits 0 'make demo and make test are there' block 1
ok '  and start the demo' grep -q 'tests/demo/demo.sh' <(make -n -C "$ROOT" demo 2>&1)

# ---- set-up -------------------------------------------------------------------------------------

exits 0 'the set-up on a host' block 2
is "$(readme block sh 2 | wc -l)" 4 '  is four steps'
ok '  the programs are installed' test -x "$M/usr/usr/local/bin/walden-archive" -a -x "$M/usr/usr/local/bin/walden-basebackup"
is "$(find "$M"/mnt/backup/walden/main/*/backup -type f ! -name '.*' | wc -l)" 1 '  and there is a backup'
pg_sql host 'create table orders as select g as id from generate_series(1, 500) g' || bail 'no table'
exits 0 'from then on: backup, expire, check, doctor' block 3
unlike "$OUT" '^CRITICAL' '  all is well'

# ---- compose ------------------------------------------------------------------------------------

added=$(readme block yaml 1 | grep -c '# added')
ok 'the compose block has at most five added lines' test "$added" -ge 1 -a "$added" -le 5
is "$(readme block yaml 1 | sed -n 's|^ *- \./\([a-z]*\):/\1.*# added|\1|p' | paste -sd' ')" 'walden backup' \
    '  which mount what the commands use'
server db
DB_DATA=$(pg_data db) DB_PORT=$(pg_port db)
export DB_DATA DB_PORT
exits 0 'the commands for compose' block 4
like "$(pg_sql db 'show archive_command')" "^$M/walden/walden-archive .*--config $M/backup/walden.conf" \
    '  archive with the mounted program'
is "$(find "$M"/backup/repo/main/*/backup -type f ! -name '.*' | wc -l)" 1 '  and there is a backup'
pg_stop db

# ---- Raspberry Pi -------------------------------------------------------------------------------

mkdir -p "$M/pi/bin"
exits 0 'the commands for a Pi' block 5
ok '  install the programs' "$M/pi/bin/walden" --version

run=

# ---- recovery -----------------------------------------------------------------------------------

pg_switch host >/dev/null
pg_sql host 'drop table orders' || bail 'no accident'
sleep 1
pg_switch host >/dev/null || bail 'nothing is archived'
at_exit '[[ ${run##*/} != walden-run.* ]] || rm -rf "$run"'
at_exit '"$PG_CTL" -D "$M/srv/copy" -s -m immediate stop >/dev/null 2>&1 || true'
exits 0 'recovery under stress' block 6
run=$(sed -n 5p "$M/srv/copy/postmaster.pid")
is "$(readme block sh 6 | grep -c '# [1-5]\. ')" 5 '  is five lines'
like "$OUT" '^proven +table public.orders' '  the table is there'
is "$("$(pg_prog pg_restore)" -a -f - "$M/srv/orders.dump" 2>/dev/null | grep -cE '^[0-9]+$')" 500 '  and in the dump'

# ---- without Walden -----------------------------------------------------------------------------

if command -v lz4 >/dev/null; then
    export WALDEN_CONFIG=$M/lib/walden.conf
    exits 0 'without Walden' block 7
    unset WALDEN_CONFIG
    for file in "$M"/srv/plain.wal/0*; do
        [[ ${file##*/} =~ ^[0-9A-F]{24}$ ]] || continue
        ok "  lz4 gives the segment ${file##*/}" cmp "$file" "$M/srv/wal/${file##*/}"
    done
    "$PG_CTL" -D "$M/srv/copy" -s -m immediate stop
    pg_stop host
    cp -a "$M/srv/plain" "$SCRATCH/stock"
    pg_adopt stock $MAJOR "$SCRATCH/stock" 'archive_mode = off'
    sed -i '/restore_command/d' "$SCRATCH/stock/postgresql.auto.conf"
    echo "restore_command = 'cp $M/srv/wal/%f %p'" >>"$SCRATCH/stock/postgresql.auto.conf"
    touch "$SCRATCH/stock/recovery.signal"
    ok '  PostgreSQL recovers from it' pg_start stock
    ok '  to its end' pg_wait_promoted stock
    is "$(pg_sql stock "select to_regclass('orders') is null")" t '  behind the accident'
else
    ran=$((ran + 1))
    skip 1 'no lz4 here'
fi
is "$ran" "$(readme blocks sh)" 'that were all blocks with commands'
done_testing
