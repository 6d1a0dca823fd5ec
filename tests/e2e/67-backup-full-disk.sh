#!/bin/bash
# Goal: a repository that is full, at whatever point of the backup, is said in one line; nothing of the
# backup is visible, earlier backups are untouched, and once there is room the next backup is whole.  The same with the directory of temporary files.
#
# when: quick
# needs: root
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

disk=$SCRATCH/disk
mkdir "$disk"
mount -t tmpfs -o size=200m,mode=700 none "$disk" 2>"$SCRATCH/.mount" ||
    skip_all "tmpfs cannot be mounted here: $(cat "$SCRATCH/.mount")"
at_exit "umount '$disk'"
chown --reference="$SCRATCH" "$disk"
w_repo() { echo "$disk/repo"; }

# room MEGABYTES: of the disk, besides what is on it.
room() {
    local used
    used=$(df --output=used -k "$disk" | tail -n 1)
    mount -o "remount,size=$((used + $1))k" "$disk" || bail 'no remount'
}

major=$(pg_majors | tail -n 1)
mkdir "$SCRATCH/main space=1"
chown --reference="$SCRATCH" "$SCRATCH/main space=1"
b_server main "$major" -k || bail 'no server'
w_init main "$(pg_data main)" || bail 'no repository'
ok 'a backup while there is room' b_backup main main --wal=stream
first=$(b_value label)
b_sql main "create table noise as select i, sha256(i::text::bytea) as a, sha256((-i)::text::bytea) as b,
    sha256((i * 7)::text::bytea) as c, sha256((i * 13)::text::bytea) as d from generate_series(1, 150000) i" checkpoint
for kb in 16 300 2000 6000 12000; do
    room "$kb"
    exits 1 "$kb kB are left: 1" b_backup main main --wal=stream
    is "$(grep -c '^walden-basebackup: error: .*No space left' <<<"$ERR")" 1 "$kb kB: says so, once"
    is "$(b_labels main)" "$first" "$kb kB: nothing is visible"
    mount -o remount,size=200m "$disk"
    is "$(w_leftovers main)" '' "$kb kB: no temporary file stays behind"
done
ok 'what was there before is whole' walden verify --config "$(w_conf main)"
ok 'with room again' b_backup main main --wal=stream
like "$(b_value prior)" "$first" 'leans on the first one'
ok 'all of it is whole' walden verify --config "$(w_conf main)"

mkdir "$SCRATCH/small"
mount -t tmpfs -o size=64k none "$SCRATCH/small"
at_exit "umount '$SCRATCH/small'"
chown --reference="$SCRATCH" "$SCRATCH/small"
run env TMPDIR="$SCRATCH/small" bash -c "$(declare -f pg_env pg_port b_backup w_conf); SCRATCH='$SCRATCH' SOCKETS='$SOCKETS'
    b_backup main main --wal=stream"
is "$RC" 1 'temporary files have no room: 1'
like "$ERR" 'error: .*No space left' 'temporary files have no room: says so'
is "$(b_labels main | wc -l)" 2 'temporary files have no room: nothing is visible'
ok 'with another directory' b_backup main main --wal=stream
pg_stop main
done_testing
