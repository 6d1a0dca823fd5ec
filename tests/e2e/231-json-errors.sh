#!/bin/bash
# Goal: with --json every command prints one JSON object, whatever goes wrong: its own, or what failed, as
# catalog/schema/error.json says, with the words that are on standard error. And Nagios has a line of its own.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

schema() { "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/$1.json" <<<"$OUT"; }
field() { perl -MJSON::PP -e 'local $/; print JSON::PP->new->decode(<STDIN>)->{error}{$ARGV[0]} // ""' "$1" <<<"$OUT"; }

# The commands with --json, with what they need beside it, so that only the mistake stops them.
commands=(
    'list' 'window' 'find' 'find --drop orders' 'verify' 'check --no-server' 'doctor' 'expire' 'expire --dry-run'
    'keep' 'keep nosuch' 'restore -D /nowhere/at/all --dry-run' 'drill nosuch' 'dump -d postgres' 'undump nosuch'
    'copy /nowhere/at/all' 'backup'
)

# fails STATUS CODE WHAT ARGUMENT...: each command ends so, and says so twice.
fails() {
    local status=$1 code=$2 what=$3 command bad=''
    shift 3
    for command in "${commands[@]}"; do
        # These two are asked what is wrong, and answer.
        [[ $code != unreachable || $command != @(check|doctor)* ]] || continue
        # shellcheck disable=SC2086 # words
        run walden $command --json "$@"
        if [ "$RC" != "$status" ]; then
            bad+="$command: exit $RC: $ERR$OUT"$'\n'
        elif ! schema error >"$SCRATCH/faults" 2>&1; then
            bad+="$command: $(cat "$SCRATCH/faults"): $OUT"$'\n'
        elif [ "$(field code)" != "$code" ] || ! grep -qF "error: $(field message | head -c 200)" <<<"$ERR"; then
            bad+="$command: $OUT: $ERR"$'\n'
        fi
    done
    is "$bad" '' "$what: each command exits $status with one JSON object, $code"
}

fails 2 usage 'an unknown option' --nosuch
fails 2 configuration 'no configuration' --config /nowhere/walden.conf
fails 2 configuration 'nothing is configured'
echo 'rpeo = /x' >"$SCRATCH/typo.conf"
fails 2 configuration 'a misspelt key' --config "$SCRATCH/typo.conf"
like "$(field hint)" 'repo' 'a misspelt key: the hint has what was meant'
fails 3 unreachable 'no such directory' --repo "$SCRATCH/nowhere"
mkdir "$SCRATCH/empty"
fails 3 unreachable 'an empty mount point' --repo "$SCRATCH/empty"

exits 2 'an unknown command' walden lisst --json
is "$(schema error 2>&1)" '' 'an unknown command: is told'
is "$(field hint)" 'Did you mean "list"?' 'an unknown command: with what was meant'
exits 2 'the word behind "--"' walden list -- --json
is "$OUT" '' 'the word behind "--" is no option'
exits 2 'without --json' walden list --nosuch
is "$OUT" '' 'without --json nothing is on standard output'

exits 3 'Nagios, an unknown option' walden check --nagios --nosuch
like "$OUT" '^WALDEN UNKNOWN - ' 'Nagios, an unknown option: a line to show'
exits 3 'Nagios, no configuration' walden check --nagios --config /nowhere/walden.conf
like "$OUT" '^WALDEN UNKNOWN - .*/nowhere/walden.conf' 'Nagios, no configuration: a line to show'
is "$(wc -l <<<"$OUT")" 1 'Nagios, no configuration: one line'
done_testing
