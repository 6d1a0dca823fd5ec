#!/bin/bash
# Goal: a file of more than 4 GB in the data directory is backed up, listed with its size, verified and restored
# as it was, by programs of 32 bits too.
#
# A server has no file above 1 GB, but takes into a backup whatever lies in its directory.  Nearly all of this one is
# a hole; what is not lies on both sides of 4 GB.
# when: long
# also: cross
# timeout: 900
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
pg_init big "$major" --wal-segsize=1 || bail initdb
big=$(pg_data big)/large
pg_conf big 'wal_level = replica'
truncate -s $(((1 << 32) + 123456)) "$big"
for at in 0 4294959104 4294967296 4295083008; do
    echo "here is $at" | dd of="$big" bs=1 seek=$at conv=notrunc status=none
done
chown --reference="$(pg_data big)" "$big"
pg_start big || bail 'no server'
w_init big "$(pg_data big)" || bail 'no repository'
ok 'a file above 4 GB: backup' pg_env big walden-basebackup --config "$(w_conf big)" --fast --wal=stream
pg_stop big
run walden list --config "$(w_conf big)" --json
like "$OUT" '"bytes":4[3-9][0-9]{8},' '  its size is told'
exits 0 '  verify' walden verify --config "$(w_conf big)"
exits 0 '  restore' walden restore --config "$(w_conf big)" -D "$SCRATCH/copy" --target-immediate
ok '  the same' cmp "$big" "$SCRATCH/copy/large"
note "restored, it takes $(du -k "$SCRATCH/copy/large" | cut -f 1) kB"
done_testing
