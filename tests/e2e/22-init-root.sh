#!/bin/bash
# Goal: walden init as root leaves nothing that the server's user cannot use: all it makes belongs to
# the owner of the data directory, also when a run was killed before it came to that.
# needs: root
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

MAJOR=17

# strangers DIR...: what does not belong to the test's user.
strangers() { find "$@" ! -user "$TEST_USER" -printf '%u %p\n'; }

[ "$EUID" -eq 0 ] || skip_all 'needs root'
pg_init source "$MAJOR"
DATA=$(pg_data source)
DIR=$SCRATCH/root
mkdir "$DIR"
chown root:root "$DIR"
ok 'as root' walden init --repo "$DIR/r" --config "$DIR/etc/w.conf" -D "$DATA" --encrypt
is "$(strangers "$DIR/r" "$DIR/etc")" '' 'all of it belongs to the owner of the data directory'
ok 'who can use it' "${pg_as[@]}" walden key check --config "$DIR/etc/w.conf" \
    --secret-key "$DIR/etc/recovery.key"
ok 'as himself, again' "${pg_as[@]}" walden init --config "$DIR/etc/w.conf" -D "$DATA"
like "$OUT" 'Nothing had to be changed' 'nothing is left to do'
ok 'a key for another host' walden key new --config "$DIR/etc/w.conf" --host b --out "$DIR/b.key"
is "$(strangers "$DIR/r")" '' 'the lineage still belongs to him'
chown root:root "$DIR"/r/main/*/cluster "$DIR/r/walden-repo" "$DIR/r/main"
ok 'after a run that was cut short' walden init --config "$DIR/etc/w.conf" -D "$DATA"
is "$(strangers "$DIR/r" "$DIR/etc")" '' 'the next one puts it right'
mkdir "$DIR/mount"
ok 'a mount point that belongs to root' walden init --repo "$DIR/mount" --config "$DIR/etc/m.conf" \
    -D "$DATA"
is "$(strangers "$DIR/mount" "$DIR/etc")" '' 'is given away'
sed -i '/^repo_id/d' "$DIR/etc/m.conf"
chown root:root "$DIR/etc/m.conf"
ok 'a file of root is completed' walden init --config "$DIR/etc/m.conf" -D "$DATA"
is "$(stat -c %U "$DIR/etc/m.conf")" root 'and stays his'
# The hook, called by hand as root in the server's repository.
segment=$(find "$DATA/pg_wal" -maxdepth 1 -type f -name '0000*' -printf '%f\n' | sort | head -n 1)
cp "$DATA/pg_wal/$segment" "$DIR/$segment"
chmod 644 "$DIR/$segment"
chmod 755 "$DIR"
(cd "$DATA" && walden-archive --config "$DIR/etc/w.conf" "$DIR/$segment") >"$SCRATCH/out" 2>&1
is "$?" 0 'the hook as root'
is "$(find "$DIR/r" -name "$segment" | wc -l)" 1 'stores the segment'
is "$(strangers "$DIR/r")" '' 'and leaves nothing of root there'
# The repository as the mount point of a disk: root owns the directory, the server's user the marker.
rm "$(find "$DIR/r" -name "$segment")"
chown root:root "$DIR/r"
chmod 777 "$DIR/r"
(cd "$DATA" && walden-archive --config "$DIR/etc/w.conf" "$DIR/$segment") >"$SCRATCH/out" 2>&1
is "$?" 0 'as root, where the directory is of root and the marker is not'
is "$(strangers "$DIR/r"/*)" '' 'what is stored belongs to the owner of the marker'
chown "$TEST_USER" "$DIR/r"
chmod 700 "$DIR/r"
rm "$(find "$DIR/r" -name "$segment")"
chmod 600 "$DIR/$segment"
chown root:root "$DIR/$segment"
(cd "$DATA" && walden-archive --config "$DIR/etc/w.conf" "$DIR/$segment") >"$SCRATCH/out" 2>&1
is "$?" 1 'a file that only root can read'
like "$(cat "$SCRATCH/out")" 'Permission denied' 'is not stored, and it says why'
is "$(strangers "$DIR/r")" '' 'and nothing of root is there'
done_testing
