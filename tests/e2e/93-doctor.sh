#!/bin/bash
# Goal: `walden doctor` proves the loop on a real server with a real segment, and when the set-up is
# broken names what is wrong: a program that is not there, a wrong configuration, another program's
# archive_command, no archiving, a repository that is not mounted or cannot be written, an archiver
# that hangs; it says what it could not see instead of calling it well.
# also: dev
# timeout: 600
TEST_FSYNC=on
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

doctor() {
    local name=$1
    shift
    pg_env "$name" walden doctor --config "$(w_conf "$name")" --wait 3s "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/err"
    RC=$?
    "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/doctor.json" "$SCRATCH/json" >&2 ||
        fail "doctor $*: the JSON is not what its schema says" "$(cat "$SCRATCH/err")"
}
state() { jq -r ".findings[] | select(.name == \"$1\") | .state" "$SCRATCH/json"; }
text() { jq -r ".findings[] | select(.name == \"$1\") | .text" "$SCRATCH/json"; }
setting() {
    pg_sql a "alter system set $1 = $2" >/dev/null && pg_reload a >/dev/null
    sleep 0.5
}
# settle: the right command again, and nothing waits.
settle() {
    pg_sql a 'alter system reset all' >/dev/null && pg_reload a >/dev/null
    # It waits up to a minute before it tries again, unless there is something new.
    pg_sql a 'create table if not exists again (i int)' >/dev/null
    pg_sql a 'insert into again values (1)' >/dev/null
    pg_sql a 'select pg_switch_wal()' >/dev/null
    wait_for 90 eval '[ "$(pg_sql a "select count(*) from pg_ls_archive_statusdir() where name like '"'%.ready'"'")" = 0 ]' ||
        fail 'the archiver recovers'
}

major=$(pg_majors | tail -n 1)
pg_init a "$major" --wal-segsize=1 || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'archive_timeout = 10min' 'full_page_writes = on'
pg_start a || bail 'the server does not start'

# ---- all is well --------------------------------------------------------------------------------

doctor a
is "$RC $(state archived) $(state fetched)" '0 ok ok' 'a segment goes round'
like "$(text fetched)" 'byte for byte' 'and comes back byte for byte'
segment=$(jq -r .segment "$SCRATCH/json")
ok 'it is in the repository' test -f "$(w_object a "$segment")"
is "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'walden-doctor-*' -user "$(id -u)" | wc -l)" 0 'nothing is left behind'
pg_env a walden doctor --config "$(w_conf a)" >"$SCRATCH/out"
is "$? $(tail -n 1 "$SCRATCH/out")" '0 the loop is proven; see the warnings' 'the text says it in one line'
is "$(awk 'length > 80' "$SCRATCH/out")" '' 'and fits 80 columns'

# ---- what it may not see ------------------------------------------------------------------------

pg_sql a 'create role nobody_special login' >/dev/null
doctor a -U nobody_special
is "$RC $(state loop)" '3 unknown' 'a role that may not switch: cannot tell'
like "$(jq -r '.findings[] | select(.name == "loop").next' "$SCRATCH/json")" 'GRANT EXECUTE' 'and is told what it needs'
pg_sql a 'grant pg_monitor to nobody_special; grant execute on function pg_switch_wal to nobody_special' >/dev/null
doctor a -U nobody_special
is "$RC $(state fetched)" '0 ok' 'with pg_monitor and that right it needs no superuser'
walden doctor --config "$(w_conf a)" -h "$SOCKETS" -p 1 --json >"$SCRATCH/json"
is "$? $(state server)" '3 unknown' 'without the server: cannot tell'

# ---- broken -------------------------------------------------------------------------------------

setting archive_command "'/nowhere/walden-archive %p'"
doctor a
is "$RC $(state program)" '1 critical' 'a program that is not there'
like "$(text program)" '/nowhere/walden-archive' 'is named'

setting archive_command "'$TEST_BIN/walden-archive --config /nowhere/walden.conf %p'"
doctor a
is "$RC $(state config) $(state archiver)" '1 critical critical' 'a configuration that is not there'
like "$(text archiver)" 'configuration file "/nowhere/walden.conf" does not exist' "the hook's own words are told"

cp "$TEST_BIN/walden-archive" "$SCRATCH/walden-archive" && chmod 644 "$SCRATCH/walden-archive"
setting archive_command "'$SCRATCH/walden-archive %p'"
doctor a
is "$RC $(state program)" '1 critical' 'a program that may not be run'
rm -f "$SCRATCH/walden-archive"

setting archive_command "'cp %p /tmp/%f'"
doctor a
is "$RC $(state settings) $(state loop)" '1 critical unknown' "another program's archive_command"
settle

mv "$(w_repo a)" "$SCRATCH/away" && mkdir "$(w_repo a)"
doctor a
is "$RC $(state repository)" '1 critical' 'an empty mount point'
rmdir "$(w_repo a)" && mv "$SCRATCH/away" "$(w_repo a)"

wal=$(dirname "$(dirname "$(dirname "$(w_object a "$segment")")")")
chmod -R a-w "$wal"
doctor a
is "$RC $(state rights) $(state archiver)" '1 critical critical' 'a repository that cannot be written'
like "$(text archiver)" 'ermission' 'with the reason'
chmod -R u+w "$wal"
settle

# The first call hangs, every later one works.
mkdir "$SCRATCH/hang"
cat >"$SCRATCH/hang/walden-archive" <<END
#!/bin/sh
if mkdir "$SCRATCH/hang/once" 2>/dev/null; then echo "\$\$" >"$SCRATCH/hang/pid"; exec sleep 600; fi
exec "$TEST_BIN/walden-archive" "\$@"
END
chmod +x "$SCRATCH/hang/walden-archive"
setting archive_command "'$SCRATCH/hang/walden-archive --config $(w_conf a) %p'"
doctor a
is "$RC $(state archiver)" '1 critical' 'an archiver that hangs'
like "$(text archiver)" 'by hand did it' 'while the same command works by hand'
kill "$(cat "$SCRATCH/hang/pid")"
settle

cat >"$SCRATCH/hang/walden-archive" <<END
#!/bin/sh
echo "\$\$" >"$SCRATCH/hang/pid.\$\$"
exec sleep 30
END
setting archive_command "'$SCRATCH/hang/walden-archive --config $(w_conf a) %p'"
doctor a
is "$RC $(text archiver)" "1 $(jq -r .segment "$SCRATCH/json") was not archived: archive_command hangs" \
    'a command that hangs by hand as well'
cat "$SCRATCH"/hang/pid.* | xargs -r kill 2>/dev/null
settle
doctor a
is "$RC $(state fetched)" '0 ok' 'all is well again'

pg_stop a
pg_conf a 'archive_mode = off'
pg_start a
doctor a
is "$RC $(state settings) $(state loop)" '1 critical unknown' 'archive_mode = off'
pg_stop a

# ---- sealed -------------------------------------------------------------------------------------

pg_init b "$major" --wal-segsize=1 || bail initdb
w_init_sealed b "$(pg_data b)" || bail 'walden init'
pg_archive b "$(w_archive_command b)"
pg_conf b 'autovacuum = off' 'archive_timeout = 10min' 'full_page_writes = on'
pg_start b || bail 'the server does not start'
doctor b
is "$RC $(state fetched)" '0 ok' 'sealed, without the secret key'
like "$(text fetched)" 'keyed digest' 'proven by the keyed digest, and what stayed unproven is said'
doctor b --secret-key "$SCRATCH/b.safe/recovery.key"
is "$RC $(text fetched | grep -c 'byte for byte')" '0 1' 'with the secret key byte for byte'
chmod 644 "$(w_keys b)/host.key"
doctor b
is "$RC $(state keys)" '1 critical' 'a host key that others can read'
pg_stop b

done_testing
