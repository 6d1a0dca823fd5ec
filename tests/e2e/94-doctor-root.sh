#!/bin/bash
# Goal: run as root, `walden doctor` looks with the eyes of the server's user: it runs the server's own
# archive_command as him, leaves nothing that belongs to root, and names the owner and mode that stand
# in his way.
# when: quick
# needs: root
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
TEST_FSYNC=on
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'

doctor() {
    pg_env a walden doctor --config "$(w_conf a)" --wait 5s "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/err"
    RC=$?
}
state() { jq -r ".findings[] | select(.name == \"$1\") | .state" "$SCRATCH/json"; }
text() { jq -r ".findings[] | select(.name == \"$1\") | .text" "$SCRATCH/json"; }
next() { jq -r ".findings[] | select(.name == \"$1\") | .next" "$SCRATCH/json"; }

major=$(pg_majors | tail -n 1)
pg_init a "$major" --wal-segsize=1 || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'archive_timeout = 10min' 'full_page_writes = on'
pg_start a || bail 'the server does not start'
uid=$(id -u "$TEST_USER")

doctor
is "$RC $(state archived) $(state fetched) $(state rights)" '0 ok ok ok' 'as root the loop is proven'
is "$(find "$(w_repo a)" ! -user "$TEST_USER" | wc -l)" 0 'and nothing in the repository belongs to root'

wal=$(dirname "$(dirname "$(dirname "$(w_object a "$(jq -r .segment "$SCRATCH/json")")")")")
chown -R root:root "$(w_repo a)"
doctor
is "$RC $(state rights)" '1 critical' 'a repository of root, as a bind mount makes one'
like "$(text rights)" "runs as uid $uid" "the server's user is named"
like "$(next rights)" "^chown -R $uid:" 'and the command that mends it'
chown -R "$TEST_USER:" "$(w_repo a)"

chown root:root "$(w_conf a)"
chmod 600 "$(w_conf a)"
doctor
is "$RC $(state config)" '1 critical' "a configuration that the server's user cannot read"
chown "$TEST_USER:" "$(w_conf a)"
pg_stop a
done_testing
