#!/bin/bash
# Goal: the systemd units, timers and cron lines that come with Walden are right for the programs that
# come with them: systemd takes them, and every command line in them is one.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

mkdir "$SCRATCH/units"
for unit in "$ROOT"/catalog/systemd/*; do
    sed "s#/usr/bin/walden#$TEST_BIN/walden#" "$unit" >"$SCRATCH/units/${unit##*/}"
done
for timer in "$SCRATCH"/units/*.timer; do
    [ -e "${timer%.timer}.service" ] || fail "$timer has no service"
done
if command -v systemd-analyze >/dev/null; then
    # An instance is looked up by its own name.
    cp "$SCRATCH/units/walden-dump@.service" "$SCRATCH/units/walden-dump@shop.service"
    cp "$SCRATCH/units/walden-dump@.timer" "$SCRATCH/units/walden-dump@shop.timer"
    for unit in "$SCRATCH"/units/walden-[!d]* "$SCRATCH"/units/walden-drill* "$SCRATCH"/units/walden-dump@shop*; do
        run env SYSTEMD_UNIT_PATH="$SCRATCH/units:" systemd-analyze verify --man=no "$unit"
        is "$RC $(grep -F "${unit##*/}" <<<"$OUT$ERR")" '0 ' "systemd takes ${unit##*/}"
    done
    sed 's/^ExecStart=/ExecStrat=/' "$SCRATCH/units/walden-check.service" >"$SCRATCH/units/walden-wrong.service"
    run env SYSTEMD_UNIT_PATH="$SCRATCH/units:" systemd-analyze verify --man=no "$SCRATCH/units/walden-wrong.service"
    isnt "$RC $(grep -F walden-wrong.service <<<"$OUT$ERR")" '0 ' 'control: it does not take a wrong one'
else
    skip 1 'no systemd-analyze here'
fi

# Options before --help are looked at.
grep -h '^Exec' "$SCRATCH"/units/* | sed 's/^[A-Za-z]*=//' | sort -u >"$SCRATCH/lines"
sed -n 's/^\(# \)\{0,1\}[0-9*].* postgres  //p' "$ROOT/catalog/cron/walden" | sed 's/ && /\n/' | sort -u >>"$SCRATCH/lines"
is "$(($(wc -l <"$SCRATCH/lines") > 9))" 1 'there are command lines'
while read -r line; do
    # shellcheck disable=SC2086 # a command line
    ok "a command line: ${line##*/}" $line --help
done <"$SCRATCH/lines"
nok 'control: a wrong one' walden verify --smaple 1/7 --help

done_testing
