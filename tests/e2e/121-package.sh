#!/bin/bash
# Goal: the packages hold what make install would install, are the same bytes whoever makes them, start
# nothing, and leave configuration, keys and repository alone when they are installed, upgraded, removed
# and purged.  dpkg works on a folder here; 122-package-debian.sh does it in a real Debian.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/package-env.sh
. "$ROOT/tests/tools/package-env.sh"

command -v dpkg-deb >/dev/null || skip_all 'no dpkg here'
package_tree || skip_all 'the sources of the libraries are not in this copy of the tree'

# ---- what is in them ----------------------------------------------------------------------------

foreign=()
for t in aarch64 armv7 armv6 x86_64; do
    [ "$t" = "$OWN" ] || [ ! -x "$TREE/build/$t/bin/walden" ] || foreign+=("$t")
done
exits 0 'packages' package 1.0 "$SCRATCH/one" "$OWN" "${foreign[@]}"
deb=$SCRATCH/one/walden_1.0_$ARCH.deb
tarball=$SCRATCH/one/walden-1.0-$OWN.tar.gz
ok 'a package' test -s "$deb"
ok 'a tarball' test -s "$tarball"
(cd "$SCRATCH/one" && sha256sum -c SHA256SUMS) >/dev/null 2>&1
is "$?" 0 'the sums are right'
is "$(wc -l <"$SCRATCH/one/SHA256SUMS")" "$(find "$SCRATCH/one" -name 'walden*' | wc -l)" 'and cover everything'
is "$(dpkg-deb -f "$deb" Package Version Architecture Depends Pre-Depends)" \
    "Package: walden"$'\n'"Version: 1.0"$'\n'"Architecture: $ARCH" 'it depends on nothing'
dpkg-deb -x "$deb" "$SCRATCH/x" && dpkg-deb -e "$deb" "$SCRATCH/control" || bail 'dpkg-deb'
for p in walden walden-archive walden-restore; do
    ok "the very program: $p" cmp "$TEST_BIN/$p" "$SCRATCH/x/usr/bin/$p"
done
is "$(dpkg-deb -c "$deb" | awk '$2 != "root/root"')" '' 'all belongs to root'
is "$(dpkg-deb -c "$deb" | grep -E '^-.{4}w|^-.{7}w|^-..s')" '' 'nobody else may write'
is "$(cd "$SCRATCH/x" && md5sum -c --quiet "$SCRATCH/control/md5sums" 2>&1)" '' 'its sums are right'
is "$(cat "$SCRATCH/control/conffiles")" /etc/walden/walden.conf 'the configuration is a conffile'
for name in musl libsodium lz4 postgresql-17; do
    like "$(cat "$SCRATCH/x/usr/share/doc/walden/copyright")" "these programs: $name [0-9]" "the licence of $name"
    like "$(dpkg-deb -f "$deb" Static-Built-Using)" "$name \(= [0-9]" "and which $name"
done
unlike "$(cat "$SCRATCH"/control/p*)" 'systemctl (enable|start|restart)|update-rc.d|invoke-rc.d' \
    'its scripts start and enable nothing'
for f in "$SCRATCH"/control/{postinst,prerm,postrm}; do
    ok "${f##*/} is shell" sh -n "$f"
done
mkdir "$SCRATCH/t" && tar -C "$SCRATCH/t" --strip-components=1 -xzf "$tarball" || bail tar
ok 'the tarball has the programs' cmp "$TEST_BIN/walden" "$SCRATCH/t/bin/walden"
like "$("$SCRATCH/t/bin/walden-basebackup" --help)" Usage '  which run'
diff <(cd "$SCRATCH/x/usr" && find . ! -path '*/lintian*' ! -name changelog.gz ! -name copyright | sed 's/\.gz$//' | sort) \
    <(cd "$SCRATCH/t" && find . ! -name walden.conf ! -name LICENSE | sed 's#^\./lib\b#./lib#' | sort) >"$SCRATCH/diff"
is "$(cat "$SCRATCH/diff")" '' '  and the same files as the package'

# ---- the same bytes -----------------------------------------------------------------------------

touch -d '2001-02-03' "$TREE/build/man"/*.1 "$TREE/README.md"
(
    umask 077
    export TZ=Asia/Tokyo LC_ALL=C.UTF-8 HOME=/nowhere
    package 1.0 "$SCRATCH/again"
) || bail 'the second time'
is "$(cd "$SCRATCH/again" && sha256sum walden*)" "$(cd "$SCRATCH/one" && sha256sum "walden-1.0-$OWN.tar.gz" "walden_1.0_$ARCH.deb")" \
    'made again, with other times, umask, zone: the same bytes'
echo >>"$TREE/README.md"
package 1.0 "$SCRATCH/again" || bail 'the third time'
isnt "$(sum_of "$SCRATCH/again/walden_1.0_$ARCH.deb")" "$(sum_of "$deb")" '  (a blank line more would show)'

# ---- other targets ------------------------------------------------------------------------------

machine() { readelf -h "$1" | sed -n 's/^ *Machine: *//p'; }
[ ${#foreign[@]} -gt 0 ] || skip 1 'no programs of other targets were built (make packages)'
for t in "${foreign[@]}"; do
    case $t in
    x86_64) name=walden arch=amd64 want=X86-64 ;;
    aarch64) name=walden arch=arm64 want=AArch64 ;;
    armv7) name=walden arch=armhf want=ARM ;;
    armv6) name=walden-armv6 arch=armhf want=ARM ;;
    esac
    f=$SCRATCH/one/${name}_1.0_$arch.deb
    is "$(dpkg-deb -f "$f" Package Architecture)" "Package: $name"$'\n'"Architecture: $arch" "$t: $name for $arch"
    dpkg-deb -x "$f" "$SCRATCH/$t" || bail dpkg-deb
    like "$(machine "$SCRATCH/$t/usr/bin/walden")" "$want" '  with its programs'
    ok '  a tarball' test -s "$SCRATCH/one/walden-1.0-$t.tar.gz"
done
# A Pi Zero calls itself armhf.
guard=$TREE/cross/debian/preinst
mkdir "$SCRATCH/cpu" && printf '#!/bin/sh\necho $CPU\n' >"$SCRATCH/cpu/uname" && chmod 755 "$SCRATCH/cpu/uname"
cpu() { CPU=$1 PATH=$SCRATCH/cpu:$PATH sh "$guard" "$2"; }
exits 1 'armv7 on an ARMv6 processor is refused' cpu armv6l install
like "$ERR" 'install walden-armv6_' '  and what to install is said'
exits 0 '  not on an ARMv7 one' cpu armv7l install
exits 0 '  nor on a 64-bit kernel' cpu aarch64 upgrade
is "$(for f in "$SCRATCH"/one/*.deb; do dpkg-deb -I "$f" preinst >/dev/null 2>&1 && echo "${f##*/}"; done)" \
    "$([[ " ${foreign[*]} $OWN " != *' armv7 '* ]] || echo walden_1.0_armhf.deb)" '  that package alone asks'

# ---- installed, upgraded, removed ---------------------------------------------------------------

R=$SCRATCH/root
mkdir -p "$R"/var/lib/dpkg/{info,updates,triggers} "$R/var/lib/postgresql/17/main" "$R/mnt/backup"
: >"$R/var/lib/dpkg/status"
PATH=$PATH:/usr/sbin:/sbin
dpkg_root() { dpkg --root="$R" --force-not-root --force-script-chrootless --force-bad-path --log=/dev/null "$@"; }
state() { dpkg-query --admindir="$R/var/lib/dpkg" -W -f '${db:Status-Status} ${Version}' walden 2>/dev/null; }
exits 0 'installed' dpkg_root -i "$deb"
is "$(state)" 'installed 1.0' '  says dpkg'
ok '  the programs' test -x "$R/usr/bin/walden-archive" -a -x "$R/usr/bin/walden-basebackup"
is "$(find "$R/etc" -path '*systemd*')" '' '  nothing is enabled'

pg_init s "$(pg_majors | tail -n 1)" || bail initdb
exits 0 'a repository' "$R/usr/bin/walden" init --repo "$R/mnt/backup/walden" --config "$R/etc/walden/walden.conf" \
    -D "$(pg_data s)" --encrypt
echo '# mine' >>"$R/etc/walden/walden.conf"
cp "$R/etc/walden/walden.conf" "$SCRATCH/mine.conf"
ours() { (cd "$R" && find mnt etc -type f ! -name '*.dpkg-*' -printf '%p %i %T@ %m\n' | sort); }
before=$(ours)
exits 0 'installed again' dpkg_root -i "$deb"
is "$(ours)" "$before" '  configuration, keys and repository are untouched'

# The next version explains a key more; dpkg asks, and is told to keep what is there (apt's default too).
echo '# new = here' >>"$TREE/build/share/walden.conf"
package 1.1 "$SCRATCH/two" || bail 'the next version'
exits 0 'upgraded' dpkg_root --force-confold -i "$SCRATCH/two/walden_1.1_$ARCH.deb" </dev/null
is "$(state)" 'installed 1.1' '  says dpkg'
is "$(ours)" "$before" '  configuration, keys and repository are untouched'
like "$(cat "$R/etc/walden/walden.conf.dpkg-dist")" 'new = here' '  the new explanations lie beside it'

echo "archive_command = 'walden-archive %p'" >"$R/var/lib/postgresql/17/main/postgresql.auto.conf"
exits 0 'removed' dpkg_root -r walden
like "$ERR" '17/main/postgresql.auto.conf still has walden-archive' '  and warns of a server that archives with it'
is "$(state)" 'config-files 1.1' '  says dpkg'
is "$(ours)" "$before" '  configuration, keys and repository are untouched'
is "$(find "$R/usr" -type f -o -type l 2>/dev/null)" '' '  nothing of the programs is left'
exits 0 'installed after that' dpkg_root --force-confold -i "$SCRATCH/two/walden_1.1_$ARCH.deb" </dev/null
is "$(ours)" "$before" '  everything is as it was'
ok '  and works' "$R/usr/bin/walden" list --config "$R/etc/walden/walden.conf"

mkdir -p "$R/etc/systemd/system/timers.target.wants"
ln -s /usr/lib/systemd/system/walden-check.timer "$R/etc/systemd/system/timers.target.wants/"
exits 0 'purged' dpkg_root --purge walden
is "$(state)" '' '  says dpkg'
is "$(ours)" "$(grep -v 'etc/walden/walden.conf' <<<"$before")" '  the keys and the repository are untouched'
like "$OUT$ERR" 'keys are never removed' '  and it says so'
is "$(find "$R/etc" -type l)" '' '  what the administrator had enabled is not'
done_testing
