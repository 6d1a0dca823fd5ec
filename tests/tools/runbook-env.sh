# shellcheck shell=bash
# runbook-env.sh: what the tests of the runbooks share: a container program and an application, as
# local programs, on top of lib.sh, walden-env.sh, dump-env.sh and drill-env.sh.

# rb_begin MAJOR: a server that does not archive, named srv, and client programs for it.
rb_begin() {
    dr_place "$1"
    pg_init srv "$1" || bail initdb
    pg_conf srv 'wal_level = minimal' 'max_wal_senders = 0' 'archive_mode = off'
    pg_start srv || bail 'no server'
    mkdir "$SCRATCH/bin" "$SCRATCH/state"
    PATH=$SCRATCH/bin:$PATH
    : >"$SCRATCH/app.log"
    rb_app up
}

# rb_container PROGRAM 'WORDS': a program of that name that takes `exec` with these words and runs the
# rest where the server can be reached, like a container does, and only there.
rb_container() {
    cat >"$SCRATCH/bin/$1" <<SH
#!/bin/bash
words=($2)
for word in "\${words[@]}"; do
    [ "\$1" = "\$word" ] || { echo "$1: no such container or option: \$*" >&2; exit 125; }
    shift
done
export PGHOST='$SOCKETS' PGPORT=$(pg_port srv)
exec "\$@"
SH
    chmod +x "$SCRATCH/bin/$1"
}

# The application is a file that says whether it is up; health, stop and start are programs.
rb_app() { echo "$1" >"$SCRATCH/app"; }
rb_program() { # NAME LINE...
    local name=$1
    shift
    printf '%s\n' '#!/bin/bash' "$@" >"$SCRATCH/bin/$name" && chmod +x "$SCRATCH/bin/$name"
}
rb_programs() {
    rb_program app "echo \"\$1\" >'$SCRATCH/app'; echo \"\$* \$HOOK_WHEN \$HOOK_RESULT\" >>'$SCRATCH/app.log'"
    # Is the database that it is asked about one that the application could work with?
    rb_program health "psql -XAtc \"select json_build_object('status', 'ok', 'checks', json_build_object('db', 'ok'))\" ${1-}"
}
rb_log() { tr '\n' ';' <"$SCRATCH/app.log"; : >"$SCRATCH/app.log"; }

# rb COMMAND...: walden, away from the server: only the container program reaches it.
rb() { env PGHOST=/nowhere walden "$1" --config "$(w_conf srv)" "${@:2}"; }
rb_init() {
    pg_env srv env PGUSER="$1" walden init --repo "$(w_repo srv)" --config "$(w_conf srv)" >"$SCRATCH/init" 2>&1 ||
        bail "init: $(cat "$SCRATCH/init")"
    sed -i "1i state_dir = $SCRATCH/state" "$(w_conf srv)"
}
