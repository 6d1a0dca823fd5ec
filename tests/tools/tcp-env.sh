# shellcheck shell=bash
# tcp-env.sh: what the tests of connections over TCP share, on top of lib.sh.

# free_port: a TCP port that nobody listens on.
free_port() {
    perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!;
        print $s->sockport, "\n"'
}

# tcp_listen NAME: the server, not started yet, will listen on loopback, on a port that is free.
tcp_listen() {
    free_port >"$SCRATCH/pg/$1/port" || return 1
    pg_conf "$1" "listen_addresses = '127.0.0.1'" "port = $(pg_port "$1")" 'log_connections = on'
}
