#!/bin/bash
# Goal: no password and no key is ever on a command line, in a log or in the state of the scheduler:
# /proc is looked at all the time while dump, undump, drill and the scheduler's jobs run, through a runner
# and without one.
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"
# shellcheck source=tests/tools/runbook-env.sh
. "$ROOT/tests/tools/runbook-env.sh"

rb_begin 17
rb_container docker 'exec -i db'
sed -i 's/^exec /sleep 0.5; exec /' "$SCRATCH/bin/docker" # long enough to be seen
rb_program app sleep\ 0.5
pg_sql srv "create role keeper superuser login password 'hush-7781'"
d_data srv shop || bail 'no data'
pg_env srv walden init --repo "$(w_repo srv)" --config "$(w_conf srv)" --encrypt >/dev/null 2>&1 || bail 'no repository'
w_take_key srv || bail 'no key'
for file in "$(w_conf srv)" "$(w_open_conf srv)"; do sed -i "1i state_dir = $SCRATCH/state" "$file"; done
{
    echo 'local all postgres trust'
    echo 'local all all scram-sha-256'
} >"$(pg_data srv)/pg_hba.conf"
pg_conf srv 'log_connections = on' 'log_statement = all'
pg_reload srv
export PGPASSFILE=$HOME/pgpass PGUSER=keeper PGHOST=$SOCKETS PGPORT
PGPORT=$(pg_port srv)
echo '*:*:*:keeper:hush-7781' >"$PGPASSFILE"
chmod 600 "$PGPASSFILE"
# The job through the runner takes long enough to be looked at.
d_conf srv '[dump shop]' 'databases = shop' '[dump boxed]' 'databases = shop' 'runner = docker exec -i db' 'dsn = user=keeper' \
    '[run nightly]' 'do = dump boxed && dump shop' 'at = every 1d' "pre = app stop" "post = app start" \
    '[hook undump]' 'pre = app stop' 'post = app start'
cp -p "$(w_conf srv)" "$SCRATCH/conf"

# look COMMAND...: runs it; every command line that is seen meanwhile is kept.
: >"$SCRATCH/cmdlines"
look() {
    perl -e '
        my ($stop, %seen) = (shift);
        while (!-e $stop) {
            for my $path (glob("/proc/[0-9]*/cmdline")) {
                open(my $f, "<", $path) or next;
                local $/;
                my $line = <$f> // "";
                next if $line eq "" || $seen{$line}++;
                $line =~ tr/\0\n/  /;
                print "$line\n";
            }
            select undef, undef, undef, 0.01;
        }' "$SCRATCH/stop" >>"$SCRATCH/cmdlines" &
    local watch=$! rc=0
    "$@" >>"$SCRATCH/said" 2>&1 || rc=$?
    touch "$SCRATCH/stop"
    wait $watch
    rm "$SCRATCH/stop"
    return $rc
}
w() { walden "$1" --config "$(w_open_conf srv)" "${@:2}"; }
ok 'a dump with a password' look w dump shop
ok 'restored beside the original' look w undump shop --database beside
ok 'in its place' look w undump shop --replace --yes
ok 'one schema' look w undump shop --schema app --yes
ok 'the jobs of the scheduler' look w run nightly
ok 'a drill' look w drill --dump shop --scratch "$PLACE" --no-amcheck
nok 'a password that is wrong' look env PGPASSFILE=/dev/null walden dump shop --config "$(w_conf srv)"
exits 2 'one on the command line is refused before anything runs' w dump shop -d 'user=keeper password=hush-7781 dbname=shop'
cp -p "$(w_open_conf srv)" "$SCRATCH/conf.spare"
sed -i 's/^dsn = user=keeper/dsn = user=keeper password=hush-7781/' "$(w_open_conf srv)"
exits 2 'and one in the configuration' w dump boxed
unlike "$ERR" 'hush-7781' 'without being repeated'
cp -p "$SCRATCH/conf.spare" "$(w_open_conf srv)"

for program in pg_dump pg_restore psql 'walden dump boxed' 'docker exec -i db pg_dump' 'bin/app stop'; do
    ok "control: $program was seen" grep -q "$program" <(sed 's/ *$//' "$SCRATCH/cmdlines")
done
keys=$(sed -n 's/^\(sign\|write\|box\) //p' "$SCRATCH"/srv.walden/host.key "$SCRATCH"/srv.safe/recovery.key | cut -c1-32)
is "$(($(wc -w <<<"$keys") >= 2))" 1 'control: there are keys to look for'
hidden() { ! grep -qF -e "$1" "${@:2}"; }
grep -v 'password=hush-7781 dbname' "$SCRATCH/cmdlines" >"$SCRATCH/seen"
grep -v 'create role keeper' "$(pg_log srv)" >"$SCRATCH/server.log"
for secret in hush-7781 $keys; do
    ok "not on a command line (${secret:0:4})" hidden "$secret" "$SCRATCH/seen"
    ok "not in what was said, nor in the state (${secret:0:4})" hidden "$secret" "$SCRATCH/said" "$SCRATCH/state/run-main" "$SCRATCH/conf"
    ok "not in the server's log (${secret:0:4})" hidden "$secret" "$SCRATCH/server.log"
done
# Nor for others to read in the environment of a hook or a job: libpq's file is all they get.
rb_program app "env >>'$SCRATCH/env'"
ok 'a hook' w run nightly
unlike "$(cat "$SCRATCH/env")" 'hush-7781' 'finds no password in its environment'
done_testing
