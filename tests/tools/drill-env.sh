# shellcheck shell=bash
# drill-env.sh: what the tests of drills share, on top of lib.sh, walden-env.sh and dump-env.sh.

# dr_place MAJOR: a place for scratch servers, and programs of that major first in PATH.
dr_place() {
    d_tools "$1"
    PATH=$TEST_BIN:$(pg_bin "$1"):${PATH#"$TEST_BIN:"}
    PLACE=$(mktemp -d /tmp/wd.XXXXXX) || bail 'no place for the scratch servers'
    at_exit "rm -rf --one-file-system $PLACE"
    [ ${#pg_as[@]} -eq 0 ] || chown --reference="$SCRATCH" "$PLACE"
}

# dr NAME COMMAND ARGUMENT...: walden with the configuration that can read, and no server to be found.
dr() {
    local name=$1 command=$2
    shift 2
    if [ "$command" = drill ]; then
        walden drill --config "$(w_open_conf "$name")" --scratch "$PLACE" "$@"
    else
        walden "$command" --config "$(w_open_conf "$name")" "$@"
    fi
}

# json COMMAND...: its JSON is kept for query.
json() {
    run "$@" --json
    printf '%s\n' "$OUT" >"$SCRATCH/json"
    [ "$RC" = 0 ] || diag "$ERR"
    ok 'the JSON is what its schema says' "$ROOT/tests/tools/json-schema" \
        "$ROOT/catalog/schema/drill.json" "$SCRATCH/json"
}
query() { jq -r "$1" "$SCRATCH/json"; }

# No directory, server or key of a drill is left.
is_clean() { [ -z "$(ls "$PLACE")" ] && no_server; }
no_server() { ! pgrep -f "postgres -D $PLACE/" >/dev/null; }

# look_at_proc WORD: from now on, command lines that hold it go into $SCRATCH/seen.
look_at_proc() {
    : >"$SCRATCH/seen"
    WORD=$1 perl -e '
        open(my $seen, ">>", $ARGV[0]) or die; $seen->autoflush(1);
        while (1) {
            for my $file (glob "/proc/[0-9]*/cmdline") {
                open(my $f, "<", $file) or next;
                local $/; my $line = <$f> // "";
                print $seen $line =~ tr/\0/ /r, "\n" if index($line, $ENV{WORD}) >= 0;
            }
            select(undef, undef, undef, 0.02);
        }' "$SCRATCH/seen" &
    at_exit "kill $! 2>/dev/null"
}
