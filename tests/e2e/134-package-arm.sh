#!/bin/bash
# Goal: the packages for arm64 and armhf in fresh Debian roots of their architecture: installed by its own
# dpkg, the programs run there as the server's user, they are upgraded, removed and purged, and
# configuration, keys and repository stay as they are; on armhf the package for ARMv6 takes the place of
# the other one.  All of it under qemu; what is archived is WAL of this machine's server.
#
# needs: root
# when: long
# timeout: 3600
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/package-env.sh
. "$ROOT/tests/tools/package-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
command -v debootstrap >/dev/null || skip_all 'no debootstrap here (package debootstrap)'
package_tree || skip_all 'the sources of the libraries are not in this copy of the tree'
for t in aarch64 armv7 armv6; do
    [ -x "$TREE/build/$t/bin/walden" ] || skip_all "no programs of other targets were built (make cross-all)"
done
run "$ROOT/tests/tools/foreign" aarch64 true
[ "$RC" = 0 ] || skip_all "programs of other processors do not run here: $ERR"

# ---- a Debian of another architecture -----------------------------------------------------------

# inside ARCH COMMAND...: in it, with mounts and processes of its own, which go with the command.  CPU is
# the processor that qemu is to be.
inside() {
    local target=aarch64
    D=$SCRATCH/$1
    [ "$1" = arm64 ] || target=armv7
    shift
    # shellcheck disable=SC2016 # it is for the inner shell
    "$ROOT/tests/tools/foreign" $target unshare -p -f bash -c '
        D=$1; shift
        mount -t proc proc "$D/proc" || exit 99
        for d in null zero full random urandom; do
            [ -c "$D/dev/$d" ] && mount --bind "/dev/$d" "$D/dev/$d" || exit 99
        done
        exec chroot "$D" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C DEBIAN_FRONTEND=noninteractive \
            ${CPU:+QEMU_CPU=$CPU} PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' bash "$D" "$@"
}
as_postgres() {
    local arch=$1
    shift
    inside "$arch" setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/var/lib/postgresql "$@"
}

# debian ARCH SUITE: in two steps, the second of which its own programs do.  TEST_ARM_ROOTS holds such
# roots, ARCH by ARCH, that were made before, for whoever works on this test.
debian() {
    local arch=$1 suite=$2 mirror target=aarch64
    D=$SCRATCH/$arch
    [ "$arch" = arm64 ] || target=armv7
    if [ -n "${TEST_ARM_ROOTS-}" ]; then
        cp -a "$TEST_ARM_ROOTS/$arch" "$D"
        return
    fi
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    debootstrap --foreign --arch="$arch" --variant=minbase "$suite" "$D" "${mirror:-http://deb.debian.org/debian}" \
        >"$SCRATCH/debootstrap.log" 2>&1 || {
        diag "$(tail -n 5 "$SCRATCH/debootstrap.log")"
        grep -q 'Failed getting release file\|Invalid Release file\|Couldn.t download' "$SCRATCH/debootstrap.log" &&
            skip_all 'the Debian mirror cannot be reached'
        return 1
    }
    # In a user namespace no device can be made: those of the first step are there.
    "$ROOT/tests/tools/foreign" "$target" unshare -p -f env -i container=lxc HOME=/root LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$D" /debootstrap/debootstrap --second-stage >"$SCRATCH/debootstrap.log" 2>&1 || {
        diag "$(tail -n 5 "$SCRATCH/debootstrap.log")"
        return 1
    }
}

# ---- WAL ----------------------------------------------------------------------------------------

MAJOR=$(pg_majors | tail -n 1)
pg_init s "$MAJOR" --wal-segsize=1 || bail initdb
mkdir "$SCRATCH/wal" && chown "$TEST_USER" "$SCRATCH/wal"
pg_archive s "cp \"%p\" '$SCRATCH/wal/%f'"
pg_start s || bail 'no server'
pg_sql s 'create table t as select i, md5(i::text) as x from generate_series(1, 20000) i'
pg_switch s >/dev/null || bail 'no WAL'
pg_stop s
mapfile -t WAL < <(find "$SCRATCH/wal" -type f -printf '%f\n' | sort | head -n 2)
[ ${#WAL[@]} = 2 ] || bail 'not enough WAL'

# ---- packages -----------------------------------------------------------------------------------

package 0.1.0 "$SCRATCH/one" aarch64 armv7 armv6 && package 0.2.0 "$SCRATCH/two" aarch64 armv7 armv6 || bail package

PGDATA=/var/lib/postgresql/main
state() { inside "$1" dpkg-query -W -f '${db:Status-Status} ${Version}' "$2" 2>/dev/null; }
ours() { (cd "$D" && find mnt etc/walden -type f ! -name '*.dpkg-*' -printf '%p %i %T@ %m %U\n' | sort); }
kept() { is "$(ours)" "$before" "  configuration, keys and repository are untouched"; }

# works ARCH WHAT SEGMENT: it goes into the repository and comes out again as it was.
works() {
    local arch=$1 what=$2 segment=$3
    ok "$what: archives" as_postgres "$arch" env -C $PGDATA walden-archive "pg_wal/$segment"
    as_postgres "$arch" rm -f /tmp/back
    ok "$what: restores" as_postgres "$arch" env -C $PGDATA WALDEN_SECRET_KEY=/etc/walden/recovery.key \
        walden-restore "$segment" /tmp/back
    ok "  the same bytes" cmp "$D/tmp/back" "$D$PGDATA/pg_wal/$segment"
}

check() {
    local arch=$1 suite=$2 machine=$3
    debian "$arch" "$suite" || bail "debootstrap $arch $suite"
    pass "$arch: Debian $suite"
    is "$(inside "$arch" dpkg --print-architecture)" "$arch" '  of that architecture'
    like "$(readelf -h "$D/usr/bin/dpkg")" "Machine: +$machine" '  and for that processor'
    inside "$arch" useradd -r -m -d /var/lib/postgresql postgres || bail 'no user'
    cp -a "$(pg_data s)" "$D$PGDATA"
    cp "$SCRATCH/wal/${WAL[0]}" "$SCRATCH/wal/${WAL[1]}" "$D$PGDATA/pg_wal/"
    mkdir -p "$D/mnt/backup"
    inside "$arch" chown -R postgres:postgres /var/lib/postgresql /mnt/backup || bail chown
    cp "$SCRATCH"/one/walden*"_0.1.0_$arch.deb" "$SCRATCH"/two/walden*"_0.2.0_$arch.deb" "$D/root/"

    exits 0 "$arch: installed" inside "$arch" dpkg -i "/root/walden_0.1.0_$arch.deb"
    unlike "$OUT$ERR" '[Ww]arning|error' '  without a warning'
    is "$(state "$arch" walden)" 'installed 0.1.0' '  says dpkg'
    is "$(inside "$arch" stat -c %U /etc/walden /etc/walden/walden.conf | sort -u)" postgres \
        '  the configuration is the server'\''s'
    is "$(find "$D/etc/systemd" "$D/etc/cron.d" -name '*walden*' 2>/dev/null)" '' '  nothing was scheduled'
    is "$(inside "$arch" dpkg -V walden)" '' '  and every file is as it was packed'
    for p in walden walden-archive walden-restore walden-basebackup; do
        ok "  $p runs" inside "$arch" $p --help
    done
    ok "$arch: init" as_postgres "$arch" walden init --repo /mnt/backup/walden --encrypt -D $PGDATA
    works "$arch" "$arch" "${WAL[0]}"
    exits 0 "$arch: list" as_postgres "$arch" walden list
    exits 0 "$arch: verify" as_postgres "$arch" walden verify

    echo '# mine' >>"$D/etc/walden/walden.conf"
    before=$(ours)
    # An answer to dpkg is not needed: the shipped file is the same.
    exits 0 "$arch: upgraded" inside "$arch" dpkg -i "/root/walden_0.2.0_$arch.deb"
    kept
    is "$(state "$arch" walden)" 'installed 0.2.0' '  to the next version'
    works "$arch" '  it' "${WAL[1]}"
    before=$(ours)
    echo "archive_command = 'walden-archive %p'" >>"$D$PGDATA/postgresql.auto.conf"
    mkdir -p "$D/var/lib/postgresql/$MAJOR" && mv "$D$PGDATA" "$D/var/lib/postgresql/$MAJOR/main"
    if [ "$arch" = armhf ]; then
        mkdir -p "$D/etc/systemd/system/timers.target.wants"
        ln -s /usr/lib/systemd/system/walden-check.timer "$D/etc/systemd/system/timers.target.wants/"
        exits 0 "$arch: the package for ARMv6 takes its place" inside "$arch" dpkg -i "/root/walden-armv6_0.2.0_$arch.deb"
        is "$(state "$arch" walden-armv6)" 'installed 0.2.0' '  says dpkg'
        unlike "$OUT$ERR" 'still has walden-archive' '  and nobody is warned'
        unlike "$(state "$arch" walden)" '^installed' '  and the other one is gone'
        kept
        CPU=arm1176 exits 0 '  its programs run on an ARMv6 processor' inside "$arch" walden list --config /etc/walden/walden.conf
        exits 0 '  and back' inside "$arch" dpkg -i "/root/walden_0.2.0_$arch.deb"
        kept
        exits 0 '  what is left of it is purged' inside "$arch" dpkg -P walden-armv6
        kept
        ok '  the timers that were enabled still are' test -L "$D/etc/systemd/system/timers.target.wants/walden-check.timer"
    fi
    exits 0 "$arch: removed" inside "$arch" dpkg -r walden
    kept
    like "$OUT$ERR" 'still has walden-archive' '  and warns: the server archives with it'
    is "$(state "$arch" walden)" 'config-files 0.2.0' '  says dpkg'
    is "$(inside "$arch" find /usr -name 'walden*')" '' '  nothing of the programs is left'
    exits 0 "$arch: installed again" inside "$arch" dpkg -i "/root/walden_0.2.0_$arch.deb"
    kept
    exits 0 "$arch: and works" as_postgres "$arch" walden verify
    before=$(ours)
    exits 0 "$arch: purged" inside "$arch" dpkg -P walden
    before=$(grep -v etc/walden/walden.conf <<<"$before")
    kept
    like "$OUT$ERR" 'keys are never removed' '  and says so'
    is "$(inside "$arch" find /usr /etc /var/lib -name 'walden*' ! -path '/etc/walden*')" '' '  nothing else is left'
    rm -rf --one-file-system "$D"
}

check arm64 bookworm AArch64
check armhf trixie ARM
done_testing
