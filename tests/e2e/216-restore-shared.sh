#!/bin/bash
# Goal: a data directory that was copied with its links shares the original's tablespaces; --delta brings
# such a copy up to date without touching them, whether the original runs or not, and refuses where the
# copy's links are all that says whose they are. The original itself is brought up to date in place.
# A half-done restore of a backup that is gone says so.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_start main || bail 'no server'
mkdir "$SCRATCH/space"
pg_sql main "create tablespace far location '$SCRATCH/space'"
pg_sql main 'create table t tablespace far as select generate_series(1, 10000) i'
pg_env main walden-basebackup --config "$(w_conf main)" --fast --wal=stream >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
pg_sql main 'update t set i = -i'
pg_sql main checkpoint
pg_wal_stop() { rm -f "$1/postmaster.pid" "$1/postmaster.opts"; }
cp -a "$(pg_data main)" "$SCRATCH/copy"
pg_wal_stop "$SCRATCH/copy"
sums() { (cd "$SCRATCH/space" && find . -type f -exec sha256sum {} + | sort); }
restore() { walden restore --config "$(w_conf main)" --target-immediate --delta --yes "$@"; }

before=$(sums)
exits 4 'the original runs' restore -D "$SCRATCH/copy"
like "$ERR" 'error: tablespace directory .* is in use by a running server' 'it says why'
like "$ERR" "hint: .*--tablespace-mapping $SCRATCH/space=NEW" 'and what to do'
is "$(sums)" "$before" "the original's tablespace is untouched"
ok 'nor is the copy changed' test -e "$SCRATCH/copy/global/pg_control" -a ! -e "$SCRATCH/copy/walden-restore.plan"
pg_stop main
before=$(sums)
exits 4 'the original is stopped' restore -D "$SCRATCH/copy" --pgdata "$(pg_data main)"
is "$(sums)" "$before" "the original's tablespace is untouched"
ok 'with a place of its own' restore -D "$SCRATCH/copy" -T "$SCRATCH/space=$SCRATCH/own"
is "$(sums)" "$before" "the original's tablespace is untouched"
ok 'the copy is whole' "$(pg_prog pg_verifybackup)" -n "$SCRATCH/copy"
is "$(readlink "$SCRATCH"/copy/pg_tblspc/*)" "$SCRATCH/own" 'its link leads to its own'
ok 'the original itself, in place' restore -D "$(pg_data main)" --pgdata "$(pg_data main)"
ok 'it is whole' "$(pg_prog pg_verifybackup)" -n "$(pg_data main)"

# ---- a standby beside the original, whose next tablespace would be emptied ----

pg_init next "$major" --wal-segsize=1 || bail initdb
w_init next "$(pg_data next)" || bail 'no repository'
pg_archive next "$(w_archive_command next)"
pg_start next || bail 'no server'
pg_env next walden-basebackup --config "$(w_conf next)" --fast >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
mkdir "$SCRATCH/more"
pg_sql next "create tablespace more location '$SCRATCH/more'"
pg_sql next 'create table m tablespace more as select 1 i'
pg_switch next >/dev/null
standby() { walden restore --config "$(w_conf next)" --standby -D "$SCRATCH/standby"; }
exits 4 'a standby that would replay CREATE TABLESPACE' standby
like "$ERR" "CREATE TABLESPACE at \"$SCRATCH/more\"" 'it says why'
nok 'nothing is made' test -e "$SCRATCH/standby"
pg_sql next 'drop table m'
pg_sql next 'drop tablespace more'
rmdir "$SCRATCH/more"
ok 'where the place is not there it may' standby
pg_stop next

# ---- half-done, and the backup is gone ----

mkdir "$SCRATCH/half"
printf 'walden-restore 1\nbackup 00000001-0000000000200028-abcdef\n' >"$SCRATCH/half/walden-restore.plan"
exits 4 'half-done, of a backup that is gone' restore -D "$SCRATCH/half" -T "$SCRATCH/space=$SCRATCH/none"
like "$ERR" 'hint: That backup is not in the repository any more' 'it says so'
done_testing
