#!/bin/bash
# Goal: cross/deploy/debian.md is true: its commands, in a fresh Debian with Debian's own PostgreSQL, lead
# from the package to a server that archives, a backup and a window; the package is upgraded while the
# server archives, removed and purged, and configuration, keys and repository are untouched.
#
# needs: root
# when: long
# timeout: 1800
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/package-env.sh
. "$ROOT/tests/tools/package-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
command -v debootstrap >/dev/null || skip_all 'no debootstrap here (package debootstrap)'
package_tree || skip_all 'the sources of the libraries are not in this copy of the tree'
page() { "$ROOT/tests/tools/readme" -f "$ROOT/cross/deploy/debian.md" "$@"; }

# ---- a fresh Debian -----------------------------------------------------------------------------

# TEST_DEBIAN: a root that was made before, for whoever works on this test.
D=$SCRATCH/debian
if [ -n "${TEST_DEBIAN-}" ]; then
    cp -a "$TEST_DEBIAN" "$D"
else
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    debootstrap --variant=minbase --include=postgresql,bash-completion bookworm "$D" "${mirror:-http://deb.debian.org/debian}" \
        >"$SCRATCH/debootstrap.log" 2>&1 || {
        diag "$(tail -n 5 "$SCRATCH/debootstrap.log")"
        grep -q 'Failed getting release file\|Invalid Release file\|Couldn.t download' "$SCRATCH/debootstrap.log" &&
            skip_all 'the Debian mirror cannot be reached'
        bail debootstrap
    }
fi
# inside COMMAND...: in it, with mounts of its own, which go with the command.
inside() {
    # shellcheck disable=SC2016 # it is for the inner shell
    unshare -m --propagation private bash -c '
        D=$1; shift
        mount -t proc proc "$D/proc" && mount --rbind /dev "$D/dev" || exit 99
        exec chroot "$D" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C DEBIAN_FRONTEND=noninteractive \
            PATH=/machine:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' bash "$D" "$@"
}
MAJOR=$(basename "$(ls -d "$D"/etc/postgresql/*)")
# No TCP, no default port: the real servers of this machine never notice.
mkdir -p "$D/etc/postgresql/$MAJOR/main/conf.d" "$D/machine" "$D/mnt/backup" "$D/media/stick"
printf '%s\n' "listen_addresses = ''" 'port = 54391' 'jit = off' \
    >"$D/etc/postgresql/$MAJOR/main/conf.d/test.conf"
cat >"$D/machine/sudo" <<'SH'
#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2
shift 2
exec setpriv --reuid="$user" --regid="$user" --init-groups -- env HOME=/var/lib/postgresql PGPORT=54391 "$@"
SH
cat >"$D/machine/systemctl" <<SH
#!/bin/sh
case "\$1" in
restart) exec pg_ctlcluster $MAJOR main restart ;;
enable)
    # Those that it names are in the package (as soon as that has any).
    shift 2
    ls /usr/lib/systemd/system/walden* >/dev/null 2>&1 || exit 0
    for unit; do ls "/usr/lib/systemd/system/\$unit" || exit 1; done
    ;;
esac
SH
chmod 755 "$D/machine"/*
as_postgres() { inside sudo -u postgres "$@"; }
sql() { as_postgres psql -XAtq -d postgres -c "$1"; }
server() { inside pg_ctlcluster "$MAJOR" main "$@"; }
at_exit 'server stop -m immediate >/dev/null 2>&1 || true'
exits 0 'a server' server start
is "$(sql 'select 1')" 1 '  which answers'

# ---- the page -----------------------------------------------------------------------------------

package 0.1.0 "$SCRATCH/one" && package 0.2.0 "$SCRATCH/two" || bail package
cp "$SCRATCH/one/walden_0.1.0_$ARCH.deb" "$SCRATCH/two/walden_0.2.0_$ARCH.deb" "$D/root/"
block() { # N
    { echo 'set -eu'; echo 'cd /root'; page block sh "$1" | sed "s/_amd64/_$ARCH/"; } >"$D/root/block.sh"
    inside bash /root/block.sh
}
exits 0 'set up' block 1
unlike "$OUT$ERR" '[Ww]arning|error' '  without a warning'
is "$(inside stat -c %U /etc/walden /etc/walden/walden.conf /etc/walden/host.key | sort -u)" postgres \
    '  all of it is the server'\''s'
is "$(find "$D/etc/systemd" "$D/etc/rc2.d" "$D/etc/cron.d" -name '*walden*' 2>/dev/null)" '' '  nothing was scheduled'
like "$(sql 'show archive_command')" '^/usr/bin/walden-archive %p$' '  the server archives with it'
exits 0 'the recovery key goes away' block 2
ok '  and is there' test -s "$D/media/stick/recovery.key" -a ! -e "$D/etc/walden/recovery.key"
exits 0 'by the clock' block 3
exits 0 'all is well' block 4
unlike "$OUT" '^CRITICAL' '  and nothing is critical'
like "$OUT" 'You can go back' '  and says until when'
is "$(page blocks sh)" 4 'that were all blocks'
ok 'a manual page' inside test -s /usr/share/man/man1/walden-window.1.gz
like "$(inside bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader walden-restore; complete -p walden-restore')" \
    '_walden' 'the completion is found by its name'

# ---- upgraded, removed, purged ------------------------------------------------------------------

# What the server archives meanwhile comes on top, and the index of it grows.
ours() { (cd "$D" && find mnt etc/walden -type f ! -name '*.dpkg-*' ! -path '*/index/*' -printf '%p %i %T@ %m %u\n' | sort); }
archive() { sql "create table if not exists t (i int); insert into t values (1); select pg_switch_wal()" >/dev/null; }
settled() {
    [ "$(sql "select coalesce(last_archived_wal, '') < pg_walfile_name(pg_current_wal_lsn()) and
        not exists (select from pg_ls_archive_statusdir() where name like '%.ready') from pg_stat_archiver")" = t ]
}
archive && wait_for 30 settled || bail 'nothing is archived'
echo '# mine' >>"$D/etc/walden/walden.conf"
before=$(ours)
kept() { is "$(comm -23 <(echo "$before") <(ours))" '' "  configuration, keys and repository are untouched"; }
exits 0 'upgraded' inside apt-get install -y "/root/walden_0.2.0_$ARCH.deb"
kept
is "$(inside dpkg-query -W -f '${Version}' walden)" 0.2.0 '  to the next version'
archive
ok '  the running server goes on archiving' wait_for 30 settled
failed=$(sql 'select failed_count from pg_stat_archiver')
is "$failed" 0 '  nothing failed meanwhile'
exits 0 'removed' inside apt-get remove -y walden
kept
like "$OUT$ERR" 'still has walden-archive' '  and warns: the server archives with it'
archive
sleep 3
nok '  the server keeps its WAL' settled
exits 0 'installed again' inside apt-get install -y "/root/walden_0.2.0_$ARCH.deb"
kept
ok '  the server catches up by itself' wait_for 90 settled
exits 0 '  a window without a hole' as_postgres walden window
exits 0 'purged' inside apt-get purge -y walden
before=$(grep -v etc/walden/walden.conf <<<"$before")
kept
like "$OUT$ERR" 'keys are never removed' '  and says so'
is "$(inside find /usr /etc /var/lib -name 'walden*' ! -path '/etc/walden*' ! -path '/var/lib/apt/*' ! -path '/var/lib/walden*')" '' '  nothing else is left'
done_testing
