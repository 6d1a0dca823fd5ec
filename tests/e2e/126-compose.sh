#!/bin/bash
# Goal: the compose files of cross/deploy/compose and the commands of the page beside them: an image of
# Debian's kind (uid 999) and one of Alpine's (busybox, uid 70) get the static programs by volumes and no
# other change; archive, back up on their own, restore beside the database, and come back on a new machine
# from the repository and the recovery key alone.
#
# Docker is not needed: tests/tools/compose does what the files say with mount namespaces and chroot; the
# server is one of ours in a root like the image's, started as the image's entrypoint does it.
#
# needs: root
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/package-env.sh
. "$ROOT/tests/tools/package-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
perl -MYAML::XS -e 1 2>/dev/null || skip_all 'no YAML::XS here (package libyaml-libyaml-perl)'
command -v busybox >/dev/null || skip_all 'no busybox here'
unshare -m true 2>/dev/null || skip_all 'no mount namespaces here'
package_tree || skip_all 'the sources of the libraries are not in this copy of the tree'
package 0.1.0 "$SCRATCH/packages" || bail package

page() { "$ROOT/tests/tools/readme" -f "$ROOT/cross/deploy/compose/README.md" "$@"; }
# Short: sockets lie in it.
S=$(mktemp -d /tmp/wc.XXXXXX) || bail mktemp
chmod 755 "$S"
at_exit 'rm -rf --one-file-system "$S"'

# ---- the images ---------------------------------------------------------------------------------

# image NAME UID MAJOR PGDATA VOLUME: what both kinds share.
image() {
    local i=$S/images/$1 uid=$2
    mkdir -p "$i/root"/{etc,tmp,proc,dev,run/postgresql,var/lib/postgresql,docker,opt} "$i/root$5"
    ln -s ../run "$i/root/var/run"
    chmod 1777 "$i/root/tmp"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' "postgres:x:$uid:$uid::/var/lib/postgresql:/bin/sh" >"$i/root/etc/passwd"
    printf '%s\n' 'root:x:0:' "postgres:x:$uid:" >"$i/root/etc/group"
    chown -R "$uid:$uid" "$i/root/run/postgresql" "$i/root/var/lib/postgresql"
    chmod 3777 "$i/root/run/postgresql"
    echo "$(dirname "$(pg_bin "$3")") /opt/pg" >"$i/binds"
    printf '%s\n' "PGDATA=$4" PATH=/opt/pg/bin:/docker:/usr/local/bin:/usr/bin:/bin LANG=C HOME=/ >"$i/env"
    echo "$5" >"$i/volumes"
    printf '%s\n' /bin/sh /docker/entrypoint.sh >"$i/entrypoint"
    printf '%s\n' postgres -c listen_addresses= -c unix_socket_directories=/var/run/postgresql -c jit=off >"$i/command"
    echo INT >"$i/stopsignal"
    printf '#!/bin/sh\nsed -n 8p "$PGDATA/postmaster.pid" 2>/dev/null | grep -q "^ready"\n' >"$i/root/docker/pg_isready"
    chmod 755 "$i/root/docker/pg_isready"
    # What the image's entrypoint does on the way to the server.
    cat >"$i/root/docker/entrypoint.sh" <<'SH'
set -e
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" && chmod 700 "$PGDATA" && chown -R postgres "$PGDATA"
    [ -z "$POSTGRES_PASSWORD_FILE" ] || { cp "$POSTGRES_PASSWORD_FILE" /tmp/pw && chown postgres /tmp/pw; }
    exec BECOME /bin/sh /docker/entrypoint.sh "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile=/tmp/pw -D "$PGDATA" >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
SH
}
# Debian's programs and libraries are those of this machine.
image postgres:18 999 18 /var/lib/postgresql/18/docker /var/lib/postgresql
i=$S/images/postgres:18
mkdir "$i/root/usr" && ln -s usr/bin usr/lib usr/lib64 usr/sbin "$i/root/"
echo '/usr /usr' >>"$i/binds"
sed -i 's/BECOME/setpriv --reuid=999 --regid=999 --clear-groups/' "$i/root/docker/entrypoint.sh"
# Alpine has busybox; only the server of ours needs the libraries.
image postgres:17-alpine 70 17 /var/lib/postgresql/data /var/lib/postgresql/data
i=$S/images/postgres:17-alpine
mkdir -p "$i/root"/{bin,usr/bin,lib,lib64}
cp "$(command -v busybox)" "$i/root/bin/busybox"
for p in $(busybox --list); do
    case $p in busybox) ;; env | id | start-stop-daemon) ln -sf ../../bin/busybox "$i/root/usr/bin/$p" ;; *) ln -sf busybox "$i/root/bin/$p" ;; esac
done
ldd "$(pg_bin 17)/postgres" "$(command -v busybox)" |
    awk '$3 ~ "^/" { print $3 } $1 ~ "^/.*ld-" { print $1 }' | grep -vF "$ROOT" | sort -u |
    while read -r f; do
        mkdir -p "$i/root$(dirname "$f")" && cp -L "$f" "$i/root$f"
    done
sed -i 's#BECOME#start-stop-daemon -S -p /docker/none -c 70:70 -x#; s#/bin/sh /docker#/bin/sh -- /docker#' "$i/root/docker/entrypoint.sh"
sed -i 's#^exec "\$@"$#[ "$1" != -- ] || shift; exec "$@"#' "$i/root/docker/entrypoint.sh"

# ---- a machine for the commands -----------------------------------------------------------------

cat >"$S/shims.sh" <<'SHIMS'
set -eu -o pipefail
sudo() { "$@"; }
docker() {
    [ "$1" = compose ] || return 2
    shift
    local words=() w
    for w; do case $w in -d | --rm | --no-deps) [ "${words[*]-}" != "${words[*]#exec}" ] || [ "$w" = -d ] || continue ;; esac; words+=("$w"); done
    "$ROOT/tests/tools/compose" "$FILE" "$S/images" "$STATE" "${words[@]}"
}
SHIMS
export ROOT S FILE STATE

# block N: of the page, as this variant has it.
block() {
    {
        cat "$S/shims.sh"
        echo "cd '$(dirname "$FILE")'"
        page block sh "$1" | sed "s/x86_64/$OWN/; s/\b999\b/$ID/g; s#DATA_DIRECTORY#$PGDATA#"
    } >"$S/block.sh"
    timeout -k 5 150 bash "$S/block.sh" || { local status=$?; tail -n 5 "$STATE/logs/"* >&2; return $status; }
}
compose() { "$ROOT/tests/tools/compose" "$FILE" "$S/images" "$STATE" "$@"; }
sql() { "$(pg_prog psql)" -XAtq -h "$STATE/volumes/db_var_run_postgresql" -U postgres -d postgres -c "$1" 2>/dev/null; }
answers() { [ "$(sql "select 1")" = 1 ]; }
archived() { [ "$(sql "select last_archived_wal >= '$1' from pg_stat_archiver")" = t ]; }
at_exit 'for STATE in "$S"/state.*; do FILE=$(cat "$STATE/file"); compose down; done'

for kind in debian alpine; do
    case $kind in
    debian) ID=999 PGDATA=/var/lib/postgresql/18/docker ;;
    alpine) ID=70 PGDATA=/var/lib/postgresql/data ;;
    esac
    FILE=$S/$kind/compose.yaml STATE=$S/state.$kind
    mkdir "$S/$kind" "$STATE"
    echo "$FILE" >"$STATE/file"
    cp "$ROOT/cross/deploy/compose/$kind.yaml" "$FILE"
    cp "$SCRATCH/packages/walden-0.1.0-$OWN.tar.gz" "$S/$kind/"
    echo secret >"$S/$kind/db_password.txt"
    chmod 600 "$S/$kind/db_password.txt"
    is "$(compose added)" 5 "$kind: five added lines"

    exits 0 "$kind: set up" block 1
    like "$(sql 'show archive_command')" '^/walden/walden-archive %p$' '  the server archives with the mounted program'
    is "$(cd "$S/$kind" && find backup walden/etc ! -uid "$ID" | wc -l)" 0 '  all that was written belongs to the image'\''s user'
    nok '  who cannot write where the programs are' compose exec -u postgres db /bin/sh -c 'echo >/walden/x'
    like "$ERR" 'Read-only' '    for they are mounted read-only'
    is "$(stat -c %a "$S/$kind/walden/etc/host.key")" 600 '  the key is a file that nobody else reads'
    like "$(compose run --entrypoint /bin/sh walden -c 'id -u')" "^$ID\$" '  the second service is the same user'

    sql 'create table orders as select g from generate_series(1, 500) g' || bail 'no table'
    last=$(sql 'select pg_walfile_name(pg_switch_wal())')
    ok '  a segment is archived' wait_for 30 archived "$last"

    mv "$S/$kind/walden/etc/recovery.key" "$S/$kind/recovery.key"
    if "$TEST_BIN/walden" run --help >/dev/null 2>&1; then
        exits 0 "$kind: the clock" block 2
        like "$OUT" 'nightly' '  knows its jobs'
    else
        skip 2 'these programs have no clock (walden run)'
    fi
    exits 0 "$kind: a copy of it beside the database" block 3
    ok '  is there' test -s "$S/$kind/copy/data/global/pg_control"

    # The machine burns.
    compose down
    rm -rf "$STATE/containers" "$STATE/volumes" "$S/$kind/copy"
    mkdir "$S/$kind/safe" && mv "$S/$kind/walden/etc"/{host.key,recovery.pub,walden.conf} "$S/$kind/safe/" || bail 'no keys'
    rm -rf "$S/$kind/walden/etc" && mv "$S/$kind/safe" "$S/$kind/walden/etc"
    chown root "$S/$kind/walden/etc" "$S/$kind/walden/etc"/*
    exits 0 "$kind: on a new machine" block 4
    ok '  the database comes back' wait_for 60 answers ||
        diag "$(tail -n 5 "$STATE/logs/db")"
    is "$(sql 'select count(*) from orders')" 500 '  with what was archived last'
    rm "$S/$kind/recovery.key"
    writable() { [ "$(sql 'select pg_is_in_recovery()')" = f ]; }
    ok '  it opens' wait_for 60 writable
    is "$(ls "$S/$kind/walden/etc" | sort | paste -sd' ')" 'host.key recovery.pub walden.conf' '  and the key that recovery needed is gone'
    sql 'create table after as select 1' || bail 'no table'
    last=$(sql 'select pg_walfile_name(pg_switch_wal())')
    ok '  and archives as before' wait_for 30 archived "$last"
    exits 0 '  a backup of it' compose exec -u postgres db /walden/walden backup --fast
    compose down
done
is "$(page blocks sh)" 4 'that were all blocks'

# A file with a line that is not understood is refused, so none goes untried.
sed 's/restart:/restrat:/' "$ROOT/cross/deploy/compose/debian.yaml" >"$S/debian/compose.yaml"
FILE=$S/debian/compose.yaml STATE=$S/state.debian
exits 1-255 'a key that is not known is refused' compose down
cp "$ROOT/cross/deploy/compose/debian.yaml" "$FILE"
done_testing
