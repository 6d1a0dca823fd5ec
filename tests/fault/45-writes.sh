#!/bin/bash
# needs: root
# timeout: 300
# Goal: what one archived segment costs a disk and a memory, on the programs that users get: at most
# 4 flushes and 60 kB of writes beyond the payload per 16 MB segment on ext4, at most 3 MB of memory,
# plain and sealed.  Counted by the block layer, so nothing that the filesystem adds is left out.
# shellcheck source=tests/fault/own-mounts.bash
. "$(dirname "$0")/own-mounts.bash"
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/fault/common.bash
. "$ROOT/tests/fault/common.bash"
WORK=$SCRATCH/work
mkdir "$WORK"
# shellcheck source=tests/fault/loop.bash
. "$ROOT/tests/fault/loop.bash"
loop_need ext4

COUNT=10

# Segments of 16 MB, half of them full of page images, made by a real server.
pg_init writer 17
pg_archive_cp writer "$SCRATCH/archive"
pg_start writer || bail 'no server'
pg_sql writer "create table t as select i, md5(i::text) from generate_series(1, 900000) i" || bail 'no table'
pg_sql writer "checkpoint" && pg_sql writer "update t set md5 = 'x' where i % 7 = 0" >/dev/null
pg_switch writer >/dev/null || bail 'no WAL'
pg_stop writer
mapfile -t segments < <(cd "$SCRATCH/archive" && printf '%s\n' 0* | tail -n "$COUNT")
is "${#segments[@]}" "$COUNT" "there are $COUNT segments to archive"

# device: the loop device below $MNT.
device() { basename "$(awk -v where="$MNT" '$2 == where { print $1 }' /proc/self/mounts)"; }
# counters: sectors written and flushes so far.
counters() { awk '{ print $7, $16 }' "/sys/block/$(device)/stat"; }

# peak COMMAND...: the largest memory in kB of any process of the command.
peak() {
    perl -e '
        my $pid = fork // die;
        exec @ARGV or die unless $pid;
        waitpid $pid, 0;
        exit 1 if $?;
        my %call = (x86_64 => 98, aarch64 => 165);
        require POSIX;
        my $usage = "\0" x 144;
        syscall($call{(POSIX::uname())[4]}, -1, $usage) == 0 or die;
        print +(unpack "q*", $usage)[4], "\n";' -- "$@"
}

cd "$(pg_data writer)" || bail 'no data directory'
for kind in plain sealed; do
    loop_make fs ext4 320 && loop_mount fs || bail "no ext4: $(cat "$SCRATCH/mount.log")"
    how=()
    [ $kind = plain ] || how=(--encrypt)
    walden init --repo "$MNT/repo" --config "$WORK/$kind.conf" --key-dir "$WORK" --pgdata . "${how[@]}" \
        >/dev/null || bail 'walden init'
    walden-archive --config "$WORK/$kind.conf" "$SCRATCH/archive/${segments[0]}" || bail 'archiving'
    sync
    read -r sectors flushes < <(counters)
    for name in "${segments[@]:1}"; do
        walden-archive --config "$WORK/$kind.conf" "$SCRATCH/archive/$name" || bail 'archiving'
    done
    read -r flushes_after < <(counters | cut -d' ' -f2)
    sync
    read -r sectors_after < <(counters | cut -d' ' -f1)
    payload=0
    for name in "${segments[@]:1}"; do
        payload=$((payload + ($(size_of "$(echo "$MNT"/repo/main/*/wal/*/*/"$name")") + 511) / 512))
    done
    extra=$(((sectors_after - sectors - payload) / 2 / (COUNT - 1)))
    per=$(((flushes_after - flushes) * 10 / (COUNT - 1)))
    ok "$kind: at most 60 kB written beyond the payload ($extra kB)" test "$extra" -le 60
    ok "$kind: at most 4 flushes ($((per / 10)).$((per % 10)))" test "$per" -le 40
    rm -f "$MNT"/repo/main/*/wal/*/*/"${segments[1]}"
    memory=$(peak "$TEST_BIN/walden-archive" --config "$WORK/$kind.conf" "$SCRATCH/archive/${segments[1]}")
    ok "$kind: walden-archive needs at most 3 MB ($memory kB)" test "$memory" -le 3072
    memory=$(peak "$TEST_BIN/walden-archive" --config "$WORK/$kind.conf" "$SCRATCH/archive/${segments[1]}")
    ok "$kind: and not more to find the same content there ($memory kB)" test "$memory" -le 3072
    key=()
    [ $kind = plain ] || key=(--secret-key "$WORK/recovery.key")
    memory=$(peak "$TEST_BIN/walden-restore" --config "$WORK/$kind.conf" "${key[@]}" "${segments[1]}" "$WORK/dest")
    ok "$kind: walden-restore needs at most 3 MB ($memory kB)" test "$memory" -le 3072
    loop_unmount || bail 'cannot unmount'
done
# The negative control: a program that writes each segment twice is seen.
loop_make fs ext4 320 && loop_mount fs || bail 'no ext4'
sync
read -r sectors _ < <(counters)
cp "$SCRATCH/archive/${segments[0]}" "$MNT/a" && sync && cp "$SCRATCH/archive/${segments[0]}" "$MNT/b" && sync
read -r sectors_after _ < <(counters)
ok 'the counters see a second copy' test $(((sectors_after - sectors) / 2 - 16384)) -gt 60
loop_unmount
done_testing
