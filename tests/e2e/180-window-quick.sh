#!/bin/bash
# Goal: `window` asks the file system for nothing of each segment in a directory that has not changed since
# the index knew it; and still names what was deleted there, replaced there, or is in a copy of the
# repository.  `list` looks at each.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

command -v strace >/dev/null || skip_all 'no strace here'
strace -o /dev/null true 2>/dev/null || skip_all 'strace may not trace here'

# A directory holds 4,096 segments of 1 MB: the first is full, in the second recent ones are looked at.
first=4096
second=500
build_bigrepo
pg_init big 17 --wal-segsize=1 || bail 'initdb'
w_init big "$(pg_data big)" || bail 'walden init'
conf=$(w_conf big)
mkdir -p "$SCRATCH/files"
WALDEN_CONFIG=$conf "$SCRATCH/bigrepo" $((first + second)) 1 1000 "$(date -u -d '2026-06-01 00:00' +%s)" \
    "$SCRATCH/files" || bail 'bigrepo'
wal=$(echo "$(w_repo big)"/main/*/wal/00000001/00000000)
sleep 0.2 # what happens in the same moment as the storing goes unseen

# looks COMMAND: how many files it asks for their size, in $LOOKS; its output is in $SCRATCH/out.
looks() {
    strace -f -qq -o "$SCRATCH/trace" -e trace=newfstatat,fstatat64,statx,stat,lstat walden "$1" \
        ${2+"${@:2}"} --config "$conf" >"$SCRATCH/out" 2>&1
    RC=$?
    LOOKS=$(grep -cE '"[0-9A-F]{24}"' "$SCRATCH/trace")
}
w() { walden window --offline --config "$conf"; }

looks window --offline
is "$RC" 0 'window is 0'
ok "it looked at $LOOKS segments, those of the last directory" test "$LOOKS" -le $((second + 10))
ok 'of which it looks at all' test "$LOOKS" -ge $((second - 10))
# The negative control: this count can see a look at each.
looks list
is "$RC" 0 'list is 0'
ok "list looks at each ($LOOKS)" test "$LOOKS" -ge $((first + second))

segment=000000010000000000000400
cp -p "$wal/$segment" "$SCRATCH/kept"
rm "$wal/$segment"
exits 1 'a segment of the full directory is deleted' w
like "$OUT" "$segment" 'and named'
looks window --offline
ok "a directory that has changed is looked at ($LOOKS)" test "$LOOKS" -ge "$first"
head -c 300 "$SCRATCH/kept" >"$SCRATCH/short"
cp "$SCRATCH/short" "$wal/$segment"
exits 1 'a file that is cut short takes its place' w
like "$OUT" "$segment" 'and is named'
cp -p "$SCRATCH/kept" "$wal/$segment"
ok 'put back, all is well' w
ok 'and again' w

# The copy of a tree keeps the times of modification, whoever was in the way of the copying.
sleep 0.2
mv "$(w_repo big)" "$SCRATCH/moved"
cp -a "$SCRATCH/moved" "$(w_repo big)"
rm -r "$SCRATCH/moved"
head -c 300 "$SCRATCH/kept" >"$wal/$segment"
exits 1 'in a copy of the repository each segment is looked at' w
like "$OUT" "$segment" 'and what is wrong is named'
done_testing
