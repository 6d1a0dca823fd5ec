#!/bin/bash
# Goal: when root restores, nothing belongs to root: the files become the directory's owner's or
# --owner's, the server is run as that user, and where nobody can tell whose they should be root is
# refused before anything is made.
#
# when: quick
# needs: root
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# (A link's owner means nothing.)
owners() { find "$@" ! -type l -printf '%U:%G\n' | sort -u; }
user=$(id -u "$TEST_USER"):$(id -g "$TEST_USER")

mapfile -t majors < <(pg_majors)
major=${majors[-1]}
pg_init root "$major" --wal-segsize=1 || bail initdb
w_init_sealed root "$(pg_data root)" || bail 'no repository'
pg_archive root "$(w_archive_command root)"
pg_start root || bail 'no server'
mkdir "$SCRATCH/space"
chown "$user" "$SCRATCH/space"
pg_sql root "create tablespace far location '$SCRATCH/space'"
pg_sql root 'create table t tablespace far as select generate_series(1, 1000) i'
pg_env root walden-basebackup --config "$(w_conf root)" --fast >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
pg_switch root >/dev/null

mkdir "$SCRATCH/theirs" "$SCRATCH/mine"
chown "$user" "$SCRATCH/theirs"
conf=$(w_open_conf root)
exits 2 'in a directory of root'"'"'s: refused' walden restore --config "$conf" -D "$SCRATCH/mine" \
    -T "$SCRATCH/space=$SCRATCH/mine.space"
like "$ERR" '--owner' 'the way out is named'
exits 2 'an owner whom nobody knows' walden restore --config "$conf" -D "$SCRATCH/mine" --owner nosuchuser \
    -T "$SCRATCH/space=$SCRATCH/mine.space"
is "$(find "$SCRATCH/mine" | wc -l)" 1 'nothing was made'
ok 'with --owner' walden restore --config "$conf" -D "$SCRATCH/mine/data" --owner "$TEST_USER" \
    -T "$SCRATCH/space=$SCRATCH/mine/space"
is "$(owners "$SCRATCH/mine/data" "$SCRATCH/mine/space")" "$user" 'everything is theirs'
rm -f "$(grep -oE '/[^ ]*/walden-key\.[0-9a-f]+' "$SCRATCH/mine/data/postgresql.auto.conf" | head -n 1)"
ok 'in a directory of theirs, started' walden restore --config "$conf" -D "$SCRATCH/theirs" \
    -T "$SCRATCH/space=$SCRATCH/theirs.space" --start --target-action promote --target-immediate \
    --pg-bin "$(pg_bin "$major")"
is "$(owners "$SCRATCH/theirs" "$SCRATCH/theirs.space")" "$user" 'everything is theirs, also what the server made'
read -r pid <"$SCRATCH/theirs/postmaster.pid"
is "$(stat -c %u "/proc/$pid")" "${user%:*}" 'the server runs as them'
ok 'it stops' "${pg_as[@]}" "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/theirs" -s -w -m fast stop
pg_stop root
done_testing
