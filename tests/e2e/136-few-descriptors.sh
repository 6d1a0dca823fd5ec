#!/bin/bash
# Goal: no program needs many open files: hooks, backup and restore, and the questions a person asks, do with
# 24 descriptors, whatever the number of segments, tablespaces and tables; where there are too few the
# program says so and leaves nothing.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

FEW=24
few() { (ulimit -n $FEW && "$@"); }

major=$(pg_majors | tail -n 1)
pg_init s "$major" --wal-segsize=1 || bail initdb
w_init_sealed s "$(pg_data s)" || bail 'no repository'
pg_archive s "ulimit -n $FEW; $(w_archive_command s)"
pg_start s || bail 'no server'
for n in {1..30}; do
    mkdir "$SCRATCH/space$n"
    pg_sql s "create tablespace space$n location '$SCRATCH/space$n'" &&
        pg_sql s "create table t$n tablespace space$n as select i, md5(i::text) as x from generate_series(1, 300) i" ||
        bail 'no tablespaces'
done
ok 'a segment is archived' pg_switch s
ok 'base backup' pg_env s few walden-basebackup --config "$(w_conf s)" --fast
pg_sql s 'create table late as select i from generate_series(1, 100) i'
for n in {1..60}; do pg_sql s 'select pg_logical_emit_message(true, '\'x\'', repeat(md5(random()::text), 900)); select pg_switch_wal()'; done >/dev/null
ok 'segments are archived' pg_switch s
for question in list verify window check; do
    run pg_env s few walden $question --config "$(w_open_conf s)"
    is "$(("$RC" <= 1))$(grep -E 'open files|No file desc' <<<"$OUT$ERR")" 1 "$question"
done
pg_stop s
maps=()
for n in {1..30}; do maps+=(--tablespace-mapping "$SCRATCH/space$n=$SCRATCH/back/space$n"); done
mkdir "$SCRATCH/back"
exits 0 'restore' few walden restore --config "$(w_open_conf s)" -D "$SCRATCH/copy" "${maps[@]}"
pg_adopt back "$major" "$SCRATCH/copy" "restore_command = 'ulimit -n $FEW; $(w_restore_command s)'" 'archive_mode = off'
ok 'a server recovers from it' pg_start back
ok '  to the end' pg_wait_promoted back
is "$(pg_sql back 'select (select count(*) from late) + (select count(*) from t30)')" 400 '  with its rows'
pg_stop back

# ---- fewer than it takes ------------------------------------------------------------------------

FEW=5
before=$(w_tree s)
segment=$(find "$(pg_data s)/pg_wal" -maxdepth 1 -name '0000*' ! -name '*.*' -printf '%f\n' | sort | tail -n 1)
exits 1-3 'control: with 5 the hook fails' few w_push s s "pg_wal/$segment"
like "$ERR" 'open files|No file descriptors' '  and says why'
is "$(w_tree s)$(w_leftovers s)" "$before" '  and leaves nothing'
exits 1-3 '  so does list' few walden list --config "$(w_conf s)"
like "$ERR" 'open files|No file descriptors' '  and says why'
done_testing
