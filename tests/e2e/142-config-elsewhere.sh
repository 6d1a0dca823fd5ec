#!/bin/bash
# Goal: a cluster whose configuration lies outside its data directory, as Debian's pg_createcluster makes
# them, comes back: its files of configuration are in the backup and are written where they are wanted, a
# copy is started without them, and root restores the lost cluster into its own place, where its own
# configuration starts it.  The same layout made by hand, of the oldest and the newest major.
#
# needs: root
# timeout: 300
# shellcheck source=tests/lib.sh
# Debian's places are made anew for this process and its children alone.
if [ -x /usr/bin/pg_createcluster ] && [ -z "${ELSEWHERE-}" ] && unshare -m --propagation private true; then
    ELSEWHERE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# comes_back WHAT REPO DATA ETC USER BIN: the cluster runs; SQL, START and STOP are how to use it.
comes_back() {
    local what=$1 repo=$2 data=$3 etc=$4 user=$5 bin=$6 conf before
    conf=$(w_conf "$repo")
    before=$(find "$etc" -type f -exec sha256sum {} + | sort)
    walden init --repo "$(w_repo "$repo")" --config "$conf" --pgdata "$data" >"$SCRATCH/.init" 2>&1 ||
        bail "walden init: $(cat "$SCRATCH/.init")"
    chmod 755 "$SCRATCH" "$(dirname "$conf")"
    # The server's superuser may see where its configuration lies, and the files are readable.
    ok "$what: a backup" as "$user" env "${WHERE[@]}" walden-basebackup --config "$conf" --fast --json --wal=stream
    is "$(sed -n 's/.*"config_missing":\([a-z]*\).*/\1/p' <<<"$OUT")" false "$what: no file of the configuration is missing"
    ok "$what: a copy, and the configuration elsewhere" walden restore --config "$conf" -D "$SCRATCH/$repo.copy" \
        --owner "$user" --config-files "$SCRATCH/$repo.etc" --target-immediate --target-action promote \
        --start --pg-bin "$bin"
    like "$OUT" '^state    open for reading and writing' "$what: it runs without its configuration"
    # (Some of Debian's own files lie beside the server's.)
    is "$(cd "$SCRATCH/$repo.etc$etc" && find . -type f -exec sha256sum {} + | sort)" \
        "$(cd "$etc" && find . -name '*.conf' ! -name start.conf ! -name pg_ctl.conf -exec sha256sum {} + | sort)" \
        "$what: the files of the configuration are as they were"
    as "$user" "$bin/pg_ctl" -D "$SCRATCH/$repo.copy" -s -w -m fast stop >/dev/null 2>&1
    is "$(find "$SCRATCH/$repo.copy" ! -user "$user" ! -type l | wc -l)" 0 "$what: nothing belongs to root"

    # The data directory is lost.
    $STOP || bail "$what: does not stop"
    rm -rf "$data"
    mkdir "$data"
    chown "$user" "$data"
    ok "$what: root restores it into its place" walden restore --config "$conf" -D "$data" --become-primary
    is "$(find "$etc" -type f -exec sha256sum {} + | sort)" "$before" "$what: the configuration was not touched"
    ok "$what: its own configuration starts it" $START
    ok "$what: it is open" wait_for 30 is_open
    is "$($SQL 'select count(*) from t')" 1000 "$what: with its rows"
    $STOP
}
as() { setpriv "--reuid=$(id -u "$1")" "--regid=$(id -g "$1")" --clear-groups "${@:2}"; }
is_open() { [ "$($SQL 'select not pg_is_in_recovery()' 2>/dev/null)" = t ]; }

# ---- by hand ------------------------------------------------------------------------------------

by_hand() {
    local name=hand$1 etc=$SCRATCH/hand$1.conf.d data
    pg_init "$name" "$1" || bail initdb
    data=$(pg_data "$name")
    mkdir "$etc"
    mv "$data/postgresql.conf" "$data/pg_hba.conf" "$data/pg_ident.conf" "$etc/"
    printf '%s\n' "data_directory = '$data'" "hba_file = '$etc/pg_hba.conf'" "ident_file = '$etc/pg_ident.conf'" \
        "include 'more.conf'" >>"$etc/postgresql.conf"
    echo "work_mem = '5MB'" >"$etc/more.conf"
    chown -R --reference="$SCRATCH" "$etc"
    ETC=$etc NAME=$name
    START=hand_start STOP=hand_stop SQL="pg_sql $name"
    hand_start || bail 'no server'
    $SQL 'create table t as select generate_series(1, 1000) i'
    WHERE=("PGHOST=$SOCKETS" "PGPORT=$(pg_port "$name")" PGUSER=postgres)
    comes_back "$1 by hand" "$name" "$data" "$etc" "$TEST_USER" "$(pg_bin "$1")"
}
hand_start() { pg_ctl "$NAME" -l "$(pg_log "$NAME")" -o "-c config_file='$ETC/postgresql.conf'" start; }
hand_stop() { pg_stop "$NAME"; }

# ---- by pg_createcluster ------------------------------------------------------------------------

by_debian() {
    local major=$1 dir bin=/usr/lib/postgresql/$1/bin
    for dir in /etc/postgresql /var/lib/postgresql /var/log/postgresql /var/run/postgresql; do
        [ -d "$dir" ] && mount -t tmpfs -o mode=755 none "$dir" || skip_debian "$dir cannot be made anew" || return 0
        chown postgres:postgres "$dir"
    done
    pg_createcluster "$major" walden -p 54999 -- -A trust >"$SCRATCH/.create" 2>&1 || bail "pg_createcluster: $(cat "$SCRATCH/.create")"
    START="pg_ctlcluster --skip-systemctl-redirect $major walden start"
    STOP="pg_ctlcluster --skip-systemctl-redirect $major walden stop"
    SQL=debian_sql
    $START || bail 'no cluster'
    $SQL 'create table t as select generate_series(1, 1000) i' || bail 'no table'
    WHERE=(PGHOST=/var/run/postgresql PGPORT=54999 PGUSER=postgres)
    comes_back "pg_createcluster $major" debian "/var/lib/postgresql/$major/walden" "/etc/postgresql/$major/walden" postgres "$bin"
}
debian_sql() { as postgres psql -X -q -A -t -h /var/run/postgresql -p 54999 -d postgres -c "$1"; }
skip_debian() { skip 10 "$1"; }

mapfile -t majors < <(pg_majors)
by_hand "${majors[0]}"
by_hand "${majors[-1]}"
if [ -z "${ELSEWHERE-}" ]; then
    skip_debian 'no pg_createcluster here'
else
    for dir in /usr/lib/postgresql/*/bin; do
        [ ! -x "$dir/initdb" ] || by_debian "$(basename "$(dirname "$dir")")"
    done
fi
done_testing
