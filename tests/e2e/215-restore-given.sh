#!/bin/bash
# Goal: as root, directories that are there already and belong to root are given to the owner as well, or
# the server would refuse them; and what a dry run lists is what a restore then makes, and nothing else.
#
# needs: root
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

owners() { find "$@" ! -type l -printf '%U:%G\n' | sort -u; }
user=$(id -u "$TEST_USER"):$(id -g "$TEST_USER")
mapfile -t majors < <(pg_majors)
major=${majors[-1]}
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_start main || bail 'no server'
mkdir "$SCRATCH/space"
chown "$user" "$SCRATCH/space"
pg_sql main "create tablespace far location '$SCRATCH/space'"
pg_sql main 'create table t tablespace far as select generate_series(1, 1000) i'
pg_env main walden-basebackup --config "$(w_conf main)" --fast --wal=stream >/dev/null 2>"$SCRATCH/.err" ||
    bail "no backup: $(cat "$SCRATCH/.err")"
pg_stop main
chmod 755 "$SCRATCH"

restore() { walden restore --config "$(w_conf main)" --target-immediate -D "$SCRATCH/copy" -T "$SCRATCH/space=$SCRATCH/copy.space" "$@"; }
mkdir "$SCRATCH/copy" "$SCRATCH/copy.space"
ok 'into directories of root, with --owner' restore --owner "$TEST_USER"
is "$(owners "$SCRATCH/copy" "$SCRATCH/copy.space")" "$user" 'everything is theirs, the directories too'
rm -rf "$SCRATCH/copy" "$SCRATCH/copy.space"
mkdir "$SCRATCH/copy" "$SCRATCH/copy.space"
ok 'and started' restore --owner "$TEST_USER" --start --pg-bin "$(pg_bin "$major")"
"${pg_as[@]}" "$(pg_bin "$major")/pg_ctl" -D "$SCRATCH/copy" -s -w -m fast stop
rm -rf "$SCRATCH/copy" "$SCRATCH/copy.space"

# ---- what a dry run lists ----

made() {
    (cd "$SCRATCH/copy" && find . -mindepth 1 \( -type d -printf 'dir %P\n' -o -type l -printf 'link %P\n' -o -printf 'file %P\n' \)
        cd "$SCRATCH/copy.space" && find . -mindepth 1 \( -type d -printf 'dir pg_tblspc/OID/%P\n' -o -printf 'file pg_tblspc/OID/%P\n' \)) | sort
}
ok 'a dry run' restore --owner "$TEST_USER" --dry-run
sed -nE 's/^  (dir|file|link|wal) +([0-9]+ +)?([^ ]+)( .*)?$/\1 \3/p' <<<"$OUT" | sed -E 's,^wal ,file ,; s,pg_tblspc/[0-9]+/,pg_tblspc/OID/,' | sort -u >"$SCRATCH/listed"
sed -n '/^  \(dir\|file\|link\)/p' <<<"$OUT" | head -5 | while read -r line; do note "$line"; done
ok 'the restore' restore --owner "$TEST_USER"
made >"$SCRATCH/made"
run diff "$SCRATCH/listed" "$SCRATCH/made"
is "$OUT" '' 'it made what was listed'
done_testing
