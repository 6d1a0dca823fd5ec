#!/bin/bash
# Goal: the sizes and the memory that are promised, on every target: a hook has at most 300,000 bytes and takes at
# most 3 MB, whatever the segment holds, plain or sealed; all programs have at most 2,000,000 bytes; a base
# backup and a restore of a small cluster take at most 12 MB.
#
# Root, because programs that hold keys let nobody else look at them.
# needs: root
# also: cross
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
command -v strace >/dev/null || skip_all 'no strace here'
strace -o /dev/null true 2>/dev/null || skip_all 'strace may not trace here'
w_is_dev && skip_all 'the product alone is small'

for p in walden-archive walden-restore; do
    ok "$p: $(size_of "$TEST_BIN/$p") bytes" test "$(size_of "$TEST_BIN/$p")" -le 300000
done
sum=$(stat -c %s "$TEST_BIN"/walden{,-archive,-restore} | awk '{ s += $1 } END { print s }')
ok "all programs: $sum bytes" test "$sum" -le 2000000

MAJOR=$(pg_majors | tail -n 1)
pg_init s "$MAJOR" || bail initdb
pg_conf s 'wal_level = replica' 'archive_mode = on' "archive_command = 'false'"
pg_start s || bail 'no server'
# A segment of page images, one of small records, one of what does not compress.
pg_sql s 'create table t as select g, md5(g::text) from generate_series(1, 60000) g' || bail 'no table'
pg_sql s checkpoint
pg_sql s "update t set md5 = 'x' where g % 30 = 0"
first=$(pg_sql s 'select pg_walfile_name(pg_switch_wal())')
pg_sql s "insert into t select g, 'y' from generate_series(1, 90000) g"
second=$(pg_sql s 'select pg_walfile_name(pg_switch_wal())')
pg_sql s "alter table t alter md5 set storage external" && pg_sql s "insert into t select g, string_agg(md5(random()::text), '')
    from generate_series(1, 80) g, generate_series(1, 3000) h group by g" || bail 'no table'
third=$(pg_sql s 'select pg_walfile_name(pg_switch_wal())')

KB=
# within KB WHAT COMMAND...: the command goes well and takes so much at most; KB is what it took.
within() {
    local most=$1 what=$2
    shift 2
    rm -f "$SCRATCH/kb"
    run "$ROOT/tests/tools/memory" "$SCRATCH/kb" "$@"
    KB=$(cat "$SCRATCH/kb" 2>/dev/null)
    if [ "$RC" != 0 ] || [ -z "$KB" ] || [ "$KB" -eq 0 ] || [ "$KB" -gt "$most" ]; then
        fail "$what: ${KB:-no answer} kB of $most" "exit status $RC"$'\n'"$ERR"
    else
        pass "$what: $KB kB of $most"
    fi
}

w_init plain "$(pg_data s)" && w_init_sealed sealed "$(pg_data s)" || bail 'walden init'
cd "$(pg_data s)" || bail cd
for repo in plain sealed; do
    for segment in "$first" "$second" "$third"; do
        within 3072 "$repo: archive $segment" "$TEST_BIN/walden-archive" --config "$(w_conf $repo)" "pg_wal/$segment"
        within 3072 "$repo: fetch it" "$TEST_BIN/walden-restore" --config "$(w_open_conf $repo)" "$segment" "$SCRATCH/fetched"
        ok '  the same' cmp "pg_wal/$segment" "$SCRATCH/fetched"
    done
    pg_env s within 12288 "$repo: base backup" "$TEST_BIN/walden" backup --config "$(w_conf $repo)" --fast --wal=stream
    within 12288 "$repo: restore" "$TEST_BIN/walden" restore --config "$(w_open_conf $repo)" -D "$SCRATCH/$repo.copy" \
        --target-immediate
done
hook=$KB
# A check of the ruler: it sees what a program takes.
cat >"$SCRATCH/eat.pl" <<'PERL'
my $x = "x" x 40_000_000;
print length $x;
PERL
TEST_ON='' within 200000 'the ruler: 40 MB' perl "$SCRATCH/eat.pl"
ok '  are seen' test "$KB" -gt 39000
ok '  a restore takes more than nothing' test "$hook" -gt 200
done_testing
