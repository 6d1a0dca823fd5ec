#!/bin/bash
# Goal: walden init is killed at each of its calls that change something, one call a round, and the
# same command, run again, completes it; a third run finds nothing left to do.  Once for a new sealed
# repository, once while encryption is switched on in one that holds plain objects.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

MAJOR=17

tree() {
    find "$@" -printf '%m %y %p %l\n' | sort
    find "$@" -type f -print0 | sort -z | xargs -0 -r sha256sum
}

# round CALL NUMBER COMMAND...: runs the command and kills it at that call.
round() {
    local call=$1 number=$2
    shift 2
    strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=KILL:when=$number" "$@"
}

# killed WHAT CALLS COMMAND...: $DIR.start holds the state before.
killed() {
    local what=$1 calls=$2 call n text rounds=0 broken=''
    shift 2
    for call in $calls; do
        for ((n = 1; n < 60; n++)); do
            rm -rf "$DIR" && cp -a "$DIR.start" "$DIR"
            { round "$call" "$n" "$@"; } >/dev/null 2>&1 && break
            rounds=$((rounds + 1))
            text=$("$@" 2>&1) || broken+="killed at $call $n: $text"$'\n'
            [ -z "$(find "$DIR" -name '.tmp.*')" ] ||
                broken+="left ($call $n): $(find "$DIR" -name '.tmp.*')"$'\n'
            text=$(tree "$DIR")
            "$@" >/dev/null 2>&1 || broken+="the third run fails ($call $n)"$'\n'
            [ "$text" = "$(tree "$DIR")" ] || broken+="the third run changes something ($call $n)"$'\n'
        done
    done
    note "$rounds rounds"
    is "$broken" '' "$what: killed anywhere, it is completed"
    if [ "$rounds" -gt 5 ]; then pass "$what: it was killed"; else fail "$what: it was killed"; fi
}

strace -qq -o /dev/null -e trace=fsync true 2>/dev/null || skip_all 'no strace here'
DIR=$SCRATCH/killed
pg_init source "$MAJOR"
DATA=$(pg_data source)

mkdir "$DIR.start"
killed 'a new repository' 'mkdirat renameat2 renameat unlinkat write' \
    walden init --repo "$DIR/r" --config "$DIR/etc/w.conf" -D "$DATA" --encrypt

rm -rf "$DIR" "$DIR.start" && mkdir "$DIR"
walden init --repo "$DIR/r" --config "$DIR/w.conf" -D "$DATA" >/dev/null
pg_archive source "walden-archive --config $DIR/w.conf %p"
pg_start source
SEGMENT=$(pg_step source 1)
pg_stop source
mv "$DIR" "$DIR.start"
killed 'encryption comes later' 'renameat2 renameat' \
    walden init --config "$DIR/w.conf" -D "$DATA" --encrypt
ok 'and what was plain opens' walden key check --config "$DIR/w.conf" --repo "$DIR/r" \
    --secret-key "$DIR/recovery.key" "$SEGMENT"
done_testing
