#!/bin/bash
# Goal: the programs need nothing but themselves: in a root that holds the files, a data directory and
# a repository, without /etc, /proc, /dev, a home or a shell, as the users that the postgres images
# use (999 and 70, of whom no passwd file knows), they archive, fetch, list, back up, restore.
#
# when: quick
# needs: root
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

mapfile -t majors < <(pg_majors)
major=${majors[-1]}

# in_root USER DIRECTORY COMMAND...: in $root, from DIRECTORY, with an empty environment.  The change
# of directory needs a program; env of a static busybox would be a second one, so perl does it.
in_root() {
    perl -e 'my ($root, $id, $dir, @command) = @ARGV;
        chroot($root) && chdir($dir) or die "chroot: $!\n";
        $) = "$id $id"; $( = $id; ($<, $>) = ($id, $id);
        die "still root\n" if $> != $id;
        %ENV = ();
        exec { $command[0] } @command or die "$command[0]: $!\n"' "$root" "$@"
}

for id in 999 70; do
    root=$SCRATCH/root$id
    mkdir -p "$root/data" "$root/run" "$root/backup" "$root/conf" "$root/copy"
    cp "$TEST_BIN/walden" "$TEST_BIN/walden-archive" "$TEST_BIN/walden-restore" "$root/"
    ln -s walden "$root/walden-basebackup"
    pg_init "s$id" "$major" --wal-segsize=1 || bail initdb
    pg_conf "s$id" "unix_socket_directories = '$SOCKETS, $root/run'" 'wal_level = replica' 'archive_mode = on' \
        "archive_command = 'false'"
    chmod 777 "$root/run"
    pg_start "s$id" || bail 'no server'
    pg_sql "s$id" 'create table t as select generate_series(1, 20000) i'
    pg_sql "s$id" 'select pg_switch_wal()' >/dev/null
    # What the image would have at /data: the server's directory, owned by that user.
    cp -a "$(pg_data "s$id")/global" "$(pg_data "s$id")/pg_wal" "$(pg_data "s$id")/PG_VERSION" "$root/data/"
    chown -R "$id:$id" "$root/data" "$root/backup" "$root/conf" "$root/copy"
    chmod 700 "$root/data"

    run in_root "$id" / /walden init --repo /backup/repo --config /conf/walden.conf --pgdata /data --encrypt
    is "$RC" 0 "$id: init --encrypt $ERR"
    file=$(cd "$root/data/pg_wal" && printf '%s\n' 0* | grep -Ex '[0-9A-F]{24}' | sed -n 1p)
    run in_root "$id" /data /walden-archive --config /conf/walden.conf "pg_wal/$file"
    is "$RC" 0 "$id: archived $ERR"
    run in_root "$id" /data /walden-restore --config /conf/walden.conf --secret-key /conf/recovery.key "$file" pg_wal/RECOVERYXLOG
    is "$RC" 0 "$id: fetched $ERR"
    ok "$id: the same bytes" cmp "$root/data/pg_wal/RECOVERYXLOG" "$root/data/pg_wal/$file"
    run in_root "$id" / /walden list --config /conf/walden.conf
    is "$RC" 0 "$id: list $ERR"
    like "$OUT" "$file|0/" "$id: shows the WAL"
    port=$(pg_port "s$id")
    run in_root "$id" / /walden-basebackup --config /conf/walden.conf --state-dir /conf --fast --wal=stream -h /run -p "$port" -U postgres
    is "$RC" 0 "$id: base backup through the socket $ERR"
    run in_root "$id" / /walden restore --config /conf/walden.conf --secret-key /conf/recovery.key -D /copy/data \
        --target-immediate
    is "$RC" 0 "$id: restored $ERR"
    ok "$id: a data directory" test -s "$root/copy/data/global/pg_control"
    is "$(find "$root/backup" "$root/copy" ! -uid "$id" | wc -l)" 0 "$id: all belongs to that user"
    run in_root "$id" / /walden verify --config /conf/walden.conf --secret-key /conf/recovery.key
    is "$RC" 0 "$id: verify $ERR"
    is "$(cd "$root" && ls -A | tr '\n' ' ')" 'backup conf copy data run walden walden-archive walden-basebackup walden-restore ' \
        "$id: nothing else was made"
    pg_stop "s$id"
done
done_testing
