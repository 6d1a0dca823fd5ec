#!/bin/bash
# Goal: `walden rescue` leaves a dump in the repository, from which the table comes back with all its rows:
# also a table in a tablespace of its own, a partitioned one with all its parts, and when root runs it, with or without
# -o; nothing else is left, and nothing in the repository belongs to root.
# needs: root
# timeout: 500
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=$(pg_majors | tail -n 1)
d_tools "$major"
user=$(id -u "$TEST_USER"):$(id -g "$TEST_USER")
PLACE=$(mktemp -d /tmp/wr.XXXXXX) || bail 'no place for the scratch servers'
at_exit "rm -rf --one-file-system $PLACE"
chown "$user" "$PLACE"

# as_user COMMAND...: as who the repository belongs to.
as_user() { "${pg_as[@]}" env PATH="$PATH" "$@"; }
rescue() { walden rescue --config "$(w_open_conf a)" --pg-bin "$(pg_bin "$major")" --scratch "$PLACE" "$@"; }
is_clean() { [ -z "$(ls "$PLACE")" ]; }
owners() { find "$@" ! -type l -printf '%U:%G\n' | sort -u; }

pg_init a "$major" --wal-segsize=1 || bail initdb
w_init_sealed a "$(pg_data a)" || bail 'walden init'
chown -R "$user" "$(w_repo a)" "$(w_keys a)" "$(dirname "$(w_open_conf a)")"
pg_archive a "$(w_archive_command a)"
pg_start a || bail 'no server'
mkdir "$SCRATCH/space" && chown "$user" "$SCRATCH/space"
pg_sql a "create tablespace far location '$SCRATCH/space'"
pg_sql a 'create database app'
pg_sql a 'create table far (id int primary key, t text) tablespace far;
    insert into far select i, md5(i::text) from generate_series(1, 500) i;
    create table split (id int, t text) partition by range (id);
    create table split1 partition of split for values from (0) to (200);
    create table "Split 2" partition of split for values from (200) to (400) partition by range (id);
    create table split2a partition of "Split 2" for values from (200) to (400) tablespace far;
    insert into split select i, md5(i::text) from generate_series(1, 300) i' -d app
pg_env a "${pg_as[@]}" env PATH="$PATH" walden-basebackup --config "$(w_conf a)" --fast >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
pg_sql a 'drop table far' -d app
pg_sql a 'drop table split' -d app
pg_switch a >/dev/null
pg_switch a >/dev/null

ok 'a table in a tablespace' as_user "$TEST_BIN/walden" rescue --config "$(w_open_conf a)" \
    --pg-bin "$(pg_bin "$major")" --scratch "$PLACE" far --before-drop
like "$OUT" '^rescued  dump rescue/[0-9TZ-]+: 1 table, 500 rows, ' 'is a dump'
ok 'nothing is left' is_clean
first=$(d_labels a | tail -n 1)
ok 'a partitioned table' as_user "$TEST_BIN/walden" rescue --config "$(w_open_conf a)" \
    --pg-bin "$(pg_bin "$major")" --scratch "$PLACE" split --before-drop
like "$OUT" '^rescued  dump rescue/[0-9TZ-]+: [0-9]+ tables?, 300 rows, ' 'has all its rows'
command=$(sed -n 's/^put back //p' <<<"$OUT")
like "$command" '^walden get .* -o - \| pg_restore -d app$' 'and how to put it back is said'
second=$(d_labels a | tail -n 1)
ok 'list shows both' as_user "$TEST_BIN/walden" list --config "$(w_conf a)"
like "$OUT" "dump $first of job rescue, \"xid-[0-9]+\"" 'with their transactions'
as_user "$TEST_BIN/walden" get "$second" --config "$(w_open_conf a)" -o - 2>"$SCRATCH/.err" |
    pg_env a pg_restore -d app >"$SCRATCH/.out" 2>&1
is "${PIPESTATUS[*]}" '0 0' 'it is put back' || diag "$(cat "$SCRATCH/.err" "$SCRATCH/.out")"
is "$(pg_sql a 'select count(*), sum(id) from split' -d app)" '300|45150' 'with every row'
is "$(pg_sql a 'select count(*) from split2a' -d app)" 101 'in its parts'

ok 'root, too, into the repository' rescue far --before-drop --owner "$TEST_USER"
is "$(d_labels a | wc -l)" 3 'is listed'
ok 'nothing is left beside it' is_clean
is "$(owners "$(w_repo a)")" "$user" 'and it belongs to the repository'"'"'s owner'
ok 'as root into a file' rescue far --before-drop --owner "$TEST_USER" -o "$SCRATCH/far.dump"
is "$(pg_restore -a -f - "$SCRATCH/far.dump" | awk '/^COPY/ { on = 1; next } /^\\\.$/ { on = 0 } on' | wc -l)" 500 \
    'all rows are in it'
ok 'nothing is left' is_clean
is "$(owners "$(w_repo a)")" "$user" 'nothing in the repository belongs to root'
done_testing
