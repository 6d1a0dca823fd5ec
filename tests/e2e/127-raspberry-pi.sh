#!/bin/bash
# Goal: cross/deploy/raspberry-pi.md is true: its commands on two disks, an "SD card" with the server and a
# "USB disk" with the repository.  The disk is pulled and comes back: nothing is lost, nothing lands on the
# card, nobody has to help.  The card dies: the database comes back from the disk, the key and the copies.
#
# The disks are loop devices with ext4, where there are none (in the namespaces for other processors) folders;
# all mounts are made in a namespace of the test's own.
#
# needs: root
# also: cross
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1 TEST_FSYNC=on
if [ -z "${PI_NAMESPACE-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    PI_NAMESPACE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
[ -n "${PI_NAMESPACE-}" ] || skip_all 'no mount namespaces here'
MAJOR=$(pg_majors | tail -n 1)
M=$SCRATCH/pi
mkdir -p "$M"/{mnt,etc/walden,media/stick,run,card} "$SCRATCH/disks"
for disk in card usb; do
    truncate -s 400M "$SCRATCH/disks/$disk"
done
# plug DISK DIR
plug() {
    mount -o loop,noatime "$SCRATCH/disks/$1" "$2" 2>/dev/null && return
    mkdir -p "$SCRATCH/disks/$1.d" && mount --bind "$SCRATCH/disks/$1.d" "$2"
}
mkfs.ext4 -q -F "$SCRATCH/disks/card" && plug card "$M/card" || bail 'no disk'
at_exit 'cd /; umount -l "$M/mnt/backup" 2>/dev/null; umount -l "$M/card"'
chown "$TEST_USER" "$M/card" "$M/etc/walden"

# The server and everything of the Pi is on the card.
pg_init pi "$MAJOR" || bail initdb
mv "$(pg_data pi)" "$M/card/data" && ln -s "$M/card/data" "$(pg_data pi)" || bail 'no data directory'
pg_start pi || bail 'the server does not start'
export M SCRATCH DATA PORT
DATA=$M/card/data PORT=$(pg_port pi)
export PI_USER=$TEST_USER PI_GROUP PSQL PI_SOCKETS=$SOCKETS CTL
PI_GROUP=$(id -gn "$TEST_USER")
PSQL=$(pg_prog psql)
CTL=$(pg_bin "$MAJOR")/pg_ctl
cat >"$SCRATCH/shims.sh" <<'SHIMS'
set -eu -o pipefail
cd "$M"
sudo() {
    [ "$1" = -u ] || { "$@"; return; }
    shift 2
    setpriv --reuid="$(id -u "$PI_USER")" --regid="$(id -g "$PI_USER")" --clear-groups -- \
        env HOME="$M" PGHOST="$PI_SOCKETS" PGPORT="$PORT" PGUSER=postgres PGDATABASE=postgres \
        WALDEN_CONFIG="$M/etc/walden/walden.conf" "${@/#psql/$PSQL}"
}
install() { command install -o "$PI_USER" -g "$PI_GROUP" "${@:5}"; } # behind -o postgres -g postgres
chown() { command chown "${@/#postgres:postgres/$PI_USER}"; }
mount() { plug usb "$1"; }
systemctl() { sudo -u postgres "$CTL" -D "$DATA" -s -w -l "$SCRATCH/pg/pi/log" "$1"; }
SHIMS
{
    declare -f plug | sed 's/mount -/command mount -/'
    cat "$SCRATCH/shims.sh"
} >"$SCRATCH/all.sh" && mv "$SCRATCH/all.sh" "$SCRATCH/shims.sh"
page() { "$ROOT/tests/tools/readme" -f "$ROOT/cross/deploy/raspberry-pi.md" "$@"; }
block() { # N
    {
        cat "$SCRATCH/shims.sh"
        page block sh "$1" | perl -pe '
            s{/dev/sda1}{$ENV{SCRATCH}/disks/usb}g; s{DATA_DIRECTORY}{$ENV{DATA}}g;
            s{(?<=[ =])/(mnt|etc|media|run)/}{$ENV{M}/$1/}g; s{mkfs.ext4}{mkfs.ext4 -F}'
    } >"$SCRATCH/block.sh"
    bash "$SCRATCH/block.sh"
}
archived() { [ "$(pg_sql pi "select last_archived_wal >= '$1' from pg_stat_archiver" 2>/dev/null)" = t ]; }
segment() { pg_sql pi "insert into t select generate_series(1, 100)" >/dev/null && pg_sql pi 'select pg_walfile_name(pg_switch_wal())'; }

exits 0 'the disk' block 1
like "$(cat "$M/etc/fstab")" '^LABEL=walden .*nofail' '  may be missing when the Pi starts'
exits 0 'set up' block 2
exits 0 'less for the card' block 3
is "$(pg_sql pi 'show archive_timeout') $(pg_sql pi 'show wal_compression')" '30min pglz' '  says the server'
is "$(find "$M/card" -path "$DATA" -prune -o -type f -print)" '' 'nothing of the backups is on the card'
pg_sql pi 'create table t (i int)' || bail 'no table'
last=$(segment)
ok 'a segment is archived' wait_for 30 archived "$last"

# ---- the disk is pulled -------------------------------------------------------------------------

umount -l "$M/mnt/backup"
last=$(segment)
failing() { [ "$(pg_sql pi 'select failed_count > 0 from pg_stat_archiver')" = t ]; }
ok 'without the disk nothing is archived' wait_for 60 failing
like "$(cat "$(pg_log pi)")" 'walden-archive: error: .*(not there|mounted|does not exist|no repository)' '  and the log says why'
is "$(find "$M/mnt" -type f)" '' '  nothing is written into the empty mount point'
printf '%s\n' "$(cat "$SCRATCH/shims.sh")" 'sudo -u postgres walden check' >"$SCRATCH/check.sh"
exits 1-3 '  and so is walden check' bash "$SCRATCH/check.sh"
plug usb "$M/mnt/backup" || bail 'the disk does not come back'
ok 'the disk is back: the server catches up by itself' wait_for 90 archived "$last"
pg_sql pi 'insert into t values (4711)'
last=$(segment)
ok '  and goes on' wait_for 60 archived "$last"

# ---- the card dies ------------------------------------------------------------------------------

mv "$M/etc/walden/recovery.key" "$M/media/stick/" && cp -a "$M/etc/walden" "$M/copies" || bail 'no keys'
count=$(pg_sql pi 'select count(*) from t')
pg_stop pi immediate
umount -l "$M/mnt/backup" && umount "$M/card" || umount -l "$M/card"
rm -rf "$M/etc/walden" && cp -a "$M/copies" "$M/etc/walden" && chown -R root "$M/etc/walden" || bail 'no new card'
rm -rf "$SCRATCH/disks/card.d" && mkfs.ext4 -q -F "$SCRATCH/disks/card" && plug card "$M/card" || bail 'no new card'
install -d -o "$TEST_USER" -m 700 "$DATA"
plug usb "$M/mnt/backup" || bail 'no disk'
exits 0 'a new card' block 4
writable() { [ "$(pg_sql pi 'select pg_is_in_recovery()' 2>/dev/null)" = f ]; }
ok '  the server opens' wait_for 90 writable
is "$(pg_sql pi 'select count(*) from t')" "$count" '  with all that was archived'
ok '  the key is gone' test ! -e "$M/run/recovery.key"
last=$(segment)
ok '  and it archives' wait_for 60 archived "$last"
is "$(page blocks sh)" 4 'that were all blocks'
done_testing
