#!/bin/bash
# Goal: the mark of a half-done restore that a crash left in a copy does no harm: a copy that a server
# has run on since is refused like any other directory that is not empty, --delta asks as ever, and a
# backup of such a copy, which holds the mark, is restored like any other.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

backup() { pg_env "$1" walden-basebackup --config "$(w_conf main)" --fast --json --wal=stream; }
restore() { walden restore --config "$(w_conf main)" --target-immediate "$@"; }
rows() { pg_sql "$1" 'select count(*) from t'; }
mark=walden-restore.plan

major=$(pg_majors | tail -n 1)
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_start main || bail 'no server'
pg_sql main 'create table t as select generate_series(1, 1000) i'
ok 'a backup' backup main

# Half done, and completed by the same command.
walden restore --config "$(w_conf main)" --target-immediate -D "$SCRATCH/copy" >"$SCRATCH/out" 2>&1 || bail 'no copy'
nok 'no mark stays behind' test -e "$SCRATCH/copy/$mark"
rm -rf "$SCRATCH/copy"
mkdir "$SCRATCH/copy"
walden restore --config "$(w_conf main)" --target-immediate -D "$SCRATCH/other" >/dev/null 2>&1 &
pid=$!
wait_for 20 test -s "$SCRATCH/other/$mark" -o -e "$SCRATCH/other/recovery.signal"
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
ok 'a half-done one is completed' test ! -e "$SCRATCH/other/$mark" -o "$(restore -D "$SCRATCH/other" >/dev/null 2>&1; echo $?)" = 0

# As after a crash just before the mark's removal: the copy is whole, and somebody starts it.
rmdir "$SCRATCH/copy"
ok 'a copy' restore -D "$SCRATCH/copy" --target-action promote
label=$(sed -n 's/^  backup   \([0-9A-F-]*-[0-9a-f]*\): .*/\1/p' <<<"$OUT" | head -n 1)
cat >"$SCRATCH/mark" <<MARK
walden-restore 1
MARK
cp "$SCRATCH/mark" "$SCRATCH/copy/$mark"
pg_adopt copy "$major" "$SCRATCH/copy"
pg_start copy && pg_wait_promoted copy || bail 'the copy does not start'
pg_sql copy 'insert into t values (0)' -c checkpoint
ok 'a backup of the copy, mark included' backup copy
marked=$(sed -n 's/.*"label":"\([^"]*\)".*/\1/p' <<<"$OUT")
exits 4 'a running copy' restore -D "$SCRATCH/copy"
pg_stop copy
rm -rf "$SCRATCH/pg/copy"
exits 4 'a copy that has lived' restore -D "$SCRATCH/copy"
like "$ERR" 'error: a server was started in .* since it was restored' 'it says why'
like "$ERR" 'hint: .*--delta' 'and what to do'
is_one_message "$ERR" 'walden restore' || fail 'in one message' "$ERR"
ok 'nothing was changed' cmp "$SCRATCH/mark" "$SCRATCH/copy/$mark"
exits 4 '--delta without a word' restore -D "$SCRATCH/copy" --delta --backup "$label" --target-timeline 1
ok '--delta, confirmed' restore -D "$SCRATCH/copy" --delta --yes --backup "$label" --target-timeline 1
nok '--delta: the mark is gone' test -e "$SCRATCH/copy/$mark"
ok '--delta: pg_verifybackup is content' "$(pg_prog pg_verifybackup)" -n "$SCRATCH/copy"

ok 'the backup that holds a mark is restored' restore -D "$SCRATCH/again" \
    --backup "$marked" --target-timeline current --target-action promote
nok 'without the mark' test -e "$SCRATCH/again/$mark"
pg_adopt again "$major" "$SCRATCH/again"
ok 'it starts' pg_start again
ok 'and recovers' pg_wait_promoted again
is "$(rows again)" 1001 'with its rows'
pg_stop again
rm -rf "$SCRATCH/pg/again"
ok '--delta onto it' restore -D "$SCRATCH/again" --delta --yes --backup "$marked" --target-timeline current --target-action promote
pg_adopt again "$major" "$SCRATCH/again"
pg_start again && pg_wait_promoted again
is "$(rows again)" 1001 '--delta: with its rows'
pg_stop again
pg_stop main
done_testing
