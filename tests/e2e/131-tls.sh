#!/bin/bash
# Goal: with TLS=1 (build/bin-tls) a base backup crosses a network encrypted or not at all: nothing said,
# it insists on TLS; verify-full takes exactly the server whose certificate is signed by a known
# authority, is in date and bears the host's name, and says which of these is not so; root certificates
# are found where libpq's users put them and, with sslrootcert=system, where the system has them; SCRAM
# binds itself to the channel; a client certificate opens the door.  The hooks have none of it.
# when: long
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/tcp-env.sh
. "$ROOT/tests/tools/tcp-env.sh"

if [ -n "${TEST_ON-}" ]; then
    TLS_BIN=${TEST_TLS_BIN:-$ROOT/build/$TEST_ON-tls/bin}
    [ -x "$TLS_BIN/walden" ] || skip_all "no programs with TLS for it here (make cross TARGET=$TEST_ON TLS=1)"
else
    TLS_BIN=${TEST_TLS_BIN:-$ROOT/build/bin-tls}
    [ -x "$TLS_BIN/walden" ] || bail "no $TLS_BIN/walden; run make TLS=1"
fi
PATH=$TLS_BIN:$PATH
keys=$SCRATCH/keys

# authority NAME: a root certificate of its own.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext keyUsage=keyCertSign -keyout "$keys/$1.key" -out "$keys/$1.crt" 2>/dev/null
}

# signed NAME AUTHORITY SUBJECT ALTNAMES [FROM TO]: a key and a certificate; the times as openssl ca wants them.
signed() {
    local name=$1 by=$2 dir=$keys/$1.ca times=(-days 2)
    [ $# -lt 6 ] || times=(-startdate "$5" -enddate "$6")
    mkdir "$dir" && : >"$dir/index" && echo 01 >"$dir/serial" || return 1
    printf '%s\n' '[ca]' 'default_ca=d' '[d]' "database=$dir/index" "serial=$dir/serial" "new_certs_dir=$dir" \
        'default_md=sha256' 'policy=p' 'unique_subject=no' '[p]' 'commonName=supplied' '[x]' \
        "subjectAltName=$4" >"$dir/conf"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$3" \
        -keyout "$keys/$name.key" -out "$dir/req" 2>/dev/null || return 1
    openssl ca -batch -notext -config "$dir/conf" -extensions x -cert "$keys/$by.crt" -keyfile "$keys/$by.key" \
        -in "$dir/req" -out "$keys/$name.crt" "${times[@]}" 2>"$dir/log" || {
        diag "$(cat "$dir/log")"
        return 1
    }
    chmod 600 "$keys/$name.key"
}

mkdir "$keys"
now=$(date +%s)
stamp() { date -u -d "@$((now + $1))" +%Y%m%d%H%M%SZ; }
authority ca && authority other || bail 'no authority'
names='DNS:db.example.org,IP:127.0.0.1,IP:0.0.0.0'
signed good ca db.example.org "$names" || bail 'no certificate'
signed expired ca db.example.org "$names" "$(stamp -200000)" "$(stamp -100000)" || bail 'no expired certificate'
signed early ca db.example.org "$names" "$(stamp 100000)" "$(stamp 200000)" || bail 'no early certificate'
signed client ca rep 'DNS:none.example.org' || bail 'no certificate of the client'

# serve CERTIFICATE: the server uses it from now on.
serve() {
    pg_conf s "ssl_cert_file = '$keys/$1.crt'" "ssl_key_file = '$keys/$1.key'"
    pg_reload s
    wait_for 10 served "$1"
}
served() {
    openssl s_client -starttls postgres -connect "127.0.0.1:$port" </dev/null 2>/dev/null |
        openssl x509 -noout -fingerprint 2>/dev/null | cmp -s - <(openssl x509 -noout -fingerprint -in "$keys/$1.crt")
}

# backup ARGUMENT...: as the role rep; words like PGHOST=x before the arguments go into the environment.
backup() {
    local env=(PGPORT="$port" PGUSER=rep)
    while [[ ${1-} == [A-Z]*=* ]]; do
        env+=("$1")
        shift
    done
    env "${env[@]}" walden-basebackup --config "$(w_conf s)" --fast --wal=stream --no-relation-map "$@"
}

# allowed WHAT ARGUMENT...: and the server says that it was by TLS.
allowed() {
    local what=$1
    shift
    pg_log_reset s
    ok "$what" backup "$@"
    ok "$what: encrypted" pg_wait_log s 'replication connection authorized: user=rep.* SSL enabled \(protocol=TLSv1\.[23]' 5
}

# refused WHAT REGEX ARGUMENT...: no connection, and why.
refused() {
    local what=$1 why=$2
    shift 2
    exits 3 "$what: refused" backup "$@"
    like "$ERR" "$why" "$what: says why"
}

mapfile -t majors < <(pg_majors)
for major in "${majors[0]}" "${majors[-1]}"; do
    pg_init s "$major" --wal-segsize=1 || bail initdb
    tcp_listen s || bail 'no port'
    port=$(pg_port s)
    pg_conf s 'wal_level = replica' 'password_encryption = scram-sha-256' 'ssl = on' "ssl_ca_file = '$keys/ca.crt'" \
        "ssl_cert_file = '$keys/good.crt'" "ssl_key_file = '$keys/good.key'"
    printf '%s\n' 'local all,replication all trust' \
        'host replication rep 127.0.0.1/32 scram-sha-256' >"$(pg_data s)/pg_hba.conf"
    pg_start s || bail 'no server'
    pg_sql s "create role rep login replication password 'right'"
    w_init s "$(pg_data s)" || bail 'no repository'
    (umask 077 && echo '*:*:*:rep:right' >"$HOME/.pgpass")
    here=host=127.0.0.1

    # What nobody asked for.
    allowed "$major: another machine" -h 0.0.0.0
    allowed "$major: sslmode=prefer is not enough for it" -d 'host=0.0.0.0 sslmode=prefer'
    allowed "$major: loopback" -h 127.0.0.1
    ok "$major: a socket" backup -h "$SOCKETS"

    # verify-full
    full="$here sslmode=verify-full"
    refused "$major: verify-full without a root certificate" 'root certificate file ".*root.crt" does not exist' -d "$full"
    allowed "$major: verify-full" -d "$full sslrootcert=$keys/ca.crt"
    allowed "$major: verify-full by name" -d "$full hostaddr=127.0.0.1 host=db.example.org sslrootcert=$keys/ca.crt"
    allowed "$major: PGSSLROOTCERT" PGSSLMODE=verify-full PGSSLROOTCERT="$keys/ca.crt" -h 0.0.0.0
    mkdir "$HOME/.postgresql" && cp "$keys/ca.crt" "$HOME/.postgresql/root.crt"
    allowed "$major: ~/.postgresql/root.crt" -d "$full"
    cp "$keys/other.crt" "$HOME/.postgresql/root.crt"
    refused "$major: an unknown authority" 'certificate verify failed; the certificate is refused: (unable to get local issuer|self.signed)' \
        -d "$full"
    like "$ERR" 'hint: Put the certificate of the authority' "$major: an unknown authority: says what to do"
    refused "$major: sslmode=require heeds root.crt, too" 'the certificate is refused' -h 0.0.0.0
    rm -r "$HOME/.postgresql"
    refused "$major: another host's certificate" 'server certificate for "db.example.org" \(and 2 other names\) does not match host name "db2.example.org"' \
        -d "$full hostaddr=127.0.0.1 host=db2.example.org sslrootcert=$keys/ca.crt"
    like "$ERR" 'hint: Connect by a name that is in the certificate' "$major: another host's certificate: says what to do"
    ok "$major: verify-ca does not look at the name" backup \
        -d "$here sslmode=verify-ca hostaddr=127.0.0.1 host=db2.example.org sslrootcert=$keys/ca.crt"

    # The system's authorities.
    refused "$major: sslrootcert=system knows no such authority" 'the certificate is refused' -d "$full sslrootcert=system"
    allowed "$major: sslrootcert=system, SSL_CERT_FILE" SSL_CERT_FILE="$keys/ca.crt" -d "$here sslrootcert=system"
    mkdir "$SCRATCH/certs" && cp "$keys/ca.crt" "$SCRATCH/certs/$(openssl x509 -hash -noout -in "$keys/ca.crt").0"
    allowed "$major: sslrootcert=system, SSL_CERT_DIR" SSL_CERT_DIR="$SCRATCH/certs" -d "$here sslrootcert=system"
    refused "$major: sslrootcert=system is verify-full" 'does not match host name "db2.example.org"' \
        SSL_CERT_FILE="$keys/ca.crt" -d "hostaddr=127.0.0.1 host=db2.example.org sslrootcert=system"

    # SCRAM binds itself to the channel.
    allowed "$major: channel_binding=require" -d "$here channel_binding=require"
    refused "$major: channel_binding=require in the clear" 'channel binding required, but SSL not in use' \
        -d "$here sslmode=disable channel_binding=require"
    (umask 077 && echo '*:*:*:rep:wrong' >"$HOME/.pgpass")
    refused "$major: a wrong password" 'password authentication failed' -d "$here channel_binding=require"
    (umask 077 && echo '*:*:*:rep:right' >"$HOME/.pgpass")

    # A certificate of the client instead of a password.
    sed -i '1a hostssl replication rep 127.0.0.1\/32 cert' "$(pg_data s)/pg_hba.conf"
    pg_reload s
    refused "$major: without the client's certificate" 'certificate' -d "$here passfile=/dev/null"
    allowed "$major: with the client's certificate" -d "$here passfile=/dev/null sslcert=$keys/client.crt sslkey=$keys/client.key"
    sed -i 2d "$(pg_data s)/pg_hba.conf"
    pg_reload s

    # The dates.
    serve expired || bail 'the expired certificate is not served'
    refused "$major: an expired certificate" 'the certificate is refused: certificate has expired' -d "$full sslrootcert=$keys/ca.crt"
    like "$ERR" "hint: Compare the dates" "$major: an expired certificate: says what to do"
    serve early || bail 'the early certificate is not served'
    refused "$major: a certificate not yet valid" 'the certificate is refused: certificate is not yet valid' \
        -d "$full sslrootcert=$keys/ca.crt"

    # A server without TLS.
    pg_conf s 'ssl = off'
    pg_restart s || bail 'no server'
    pg_log_reset s
    refused "$major: a server without TLS" 'server does not support SSL, but SSL was required' -h 0.0.0.0
    like "$ERR" 'hint: Set ssl = on' "$major: a server without TLS: says what to do"
    unlike "$(cat "$(pg_log s)")" 'authorized' "$major: a server without TLS: nothing was sent"
    ok "$major: sslmode=disable" backup -d 'host=0.0.0.0 sslmode=disable'

    run walden list --config "$(w_conf s)"
    is "$RC" 0 "$major: list $ERR"
    pg_drop s
    rm -rf "$(w_repo s)" "$(w_keys s)" "$SCRATCH/certs"
done

ok 'the hooks are those of the build without TLS' cmp "$TLS_BIN/walden-archive" "$TEST_BIN/walden-archive"
done_testing
