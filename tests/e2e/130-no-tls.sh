#!/bin/bash
# Goal: a build without TLS sends nothing to another machine in the clear: whatever names that machine
# (an option, a connection string, the environment, a service file, a list of hosts), the connection is
# refused before a byte has left, with the reason and the way out; sockets and loopback work, and so
# does whoever says sslmode=disable.
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/tcp-env.sh
. "$ROOT/tests/tools/tcp-env.sh"

mapfile -t majors < <(pg_majors)
pg_init s "${majors[-1]}" --wal-segsize=1 || bail initdb
pg_conf s 'wal_level = replica'
tcp_listen s || bail 'no port'
pg_start s || bail 'no server'
pg_sql s 'create role rep login replication'
w_init s "$(pg_data s)" || bail 'no repository'
port=$(pg_port s)

# backup ARGUMENT...: as the role rep; words like PGHOST=x before the arguments go into the environment.
backup() {
    local env=(PGPORT="$port" PGUSER=rep)
    while [[ ${1-} == [A-Z]*=* ]]; do
        env+=("$1")
        shift
    done
    env "${env[@]}" walden-basebackup --config "$(w_conf s)" --fast --wal=stream --no-relation-map "$@"
}

# refused HOST WHAT ARGUMENT...: names that host, tells the way out, and never got as far as the network.
refused() {
    local host=$1 what=$2
    shift 2
    pg_log_reset s
    exits 4 "$what: refused" backup "$@"
    like "$ERR" "error: the connection to \"$host\" would not be encrypted: this build has no TLS" "$what: says why"
    unlike "$(cat "$(pg_log s)")" 'connection received' "$what: nobody called at the server"
}

# allowed WHAT ARGUMENT...
allowed() {
    ok "$@"
}

far=192.0.2.1 # of the range for documentation: nobody is there
refused $far 'an address' -h $far
like "$ERR" 'hint: Use a socket, an SSH tunnel.*sslmode=disable' 'an address: and the ways out'
refused db.example.org 'a name' -h db.example.org
refused $far 'a connection string' -d "host=$far"
refused $far 'a URI' -d "postgresql://$far/"
refused $far 'PGHOST' PGHOST=$far
refused $far 'PGHOSTADDR' PGHOSTADDR=$far
refused $far 'dsn of the configuration' WALDEN_DSN="host=$far"
refused $far 'hostaddr beside a name' -d "host=localhost hostaddr=$far"
refused $far 'the second of two hosts' -d "host=$SOCKETS,$far"
refused db.example.org 'a host whose address is not given, beside one whose is' \
    -d 'host=db.example.org,localhost hostaddr=,127.0.0.1'
refused 127.0.0.1.example.org 'a name that begins like a loopback address' -h 127.0.0.1.example.org
refused localhost.example.org 'a name that begins with localhost' -h localhost.example.org
refused db.example.org 'a long list of hosts' -d "host=$(printf 'localhost,%.0s' {1..200})db.example.org"
refused $far 'sslmode=prefer, which may end in the clear' -d "host=$far sslmode=prefer"
refused $far 'sslmode=allow' PGSSLMODE=allow -h $far
printf '[far]\nhost=%s\n[near]\nhost=%s\nsslmode=disable\n[clear]\nhost=0.0.0.0\nsslmode=disable\n' $far "$SOCKETS" \
    >"$SCRATCH/services"
refused $far 'a service' PGSERVICEFILE="$SCRATCH/services" PGSERVICE=far
refused $far 'a service of the connection string' PGSERVICEFILE="$SCRATCH/services" -d service=far
# A way to loopback that is not known to be one stands for a server that does answer.
refused 0.0.0.0 'a server that would answer' -h 0.0.0.0

for mode in require verify-ca verify-full; do
    exits 4 "sslmode=$mode: refused" backup -d "host=127.0.0.1 sslmode=$mode"
    like "$ERR" 'hint: This build has no TLS: ' "sslmode=$mode: says why"
done
exits 3 'channel_binding=require' backup -d 'host=127.0.0.1 channel_binding=require'
like "$ERR" 'hint: Channel binding needs TLS' 'channel_binding=require: says why'

allowed 'a socket' backup -h "$SOCKETS"
allowed 'a loopback address' backup -h 127.0.0.1
allowed 'localhost' backup -h localhost
allowed 'a name, with a loopback address' backup -d 'host=db.example.org hostaddr=127.0.0.1'
allowed 'a list of sockets and loopback' backup -d "host=$SCRATCH/nowhere,127.0.0.1"
allowed 'sslmode=disable in the connection string' backup -d 'host=0.0.0.0 sslmode=disable'
allowed 'sslmode=disable in the environment' backup PGSSLMODE=disable -h 0.0.0.0
allowed 'sslmode=disable in a service' backup PGSERVICEFILE="$SCRATCH/services" PGSERVICE=clear
allowed 'a service on a socket' backup PGSERVICEFILE="$SCRATCH/services" -d service=near
like "$(cat "$(pg_log s)")" 'connection received' 'the log shows who called'
done_testing
