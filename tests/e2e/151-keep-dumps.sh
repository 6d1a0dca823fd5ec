#!/bin/bash
# Goal: a pinned dump stays whatever the rules say, and so does one that somebody reads, also when pin and
# lease were made in another lineage of the cluster; a dump that verify found damaged pushes no sound one
# out; a pin that cannot be read stops expire and can be removed.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

keep() { walden keep --config "$(w_conf a)" "$@"; }
expire() { walden expire --config "$(w_conf a)" "$@"; }
# shop SERVER: one more dump of its shop; the label in LABEL.
shop() {
    d_walden "$1" a dump -d shop >"$SCRATCH/.dump" 2>&1 || bail "dump: $(cat "$SCRATCH/.dump")"
    LABEL=$(d_labels a | tail -n 1)
}
labels() { d_labels a | tr '\n' ' '; }

test_pins() {
    exits 1 'a dump that is not there' keep 20260101T000000Z-99
    like "$ERR" 'there is no backup or dump' 'is said'
    ok 'a pin by the label alone' keep "$A" --reason 'before the move'
    like "$OUT" "^shop/$A is pinned" 'says what was meant'
    ok 'a pin by the job: its newest' keep shop
    like "$OUT" "^shop/$D is pinned" 'which is said, too'
    ok 'both are listed' keep
    like "$OUT" "^dump shop/$A\$" 'the first'
    ok 'the second is released' keep --release "$D"
    ok 'expire' expire --keep-dumps last=1
    like "$OUT" 'pinned until it is released: before the move' 'names the pin'
    # Nothing was verified, so the newest two stay as well.
    is "$(labels)" "$A $C $D " 'the pinned one stays'
    ok 'the pin is released' keep --release "shop/$A"
    ok 'now' expire --keep-dumps last=1
    is "$(labels)" "$C $D " 'it goes'
}

# Somebody reads $C from a pipe that is not emptied, so that it takes long.
test_lease() {
    local reader
    ok 'all dumps are verified' walden verify --config "$(w_open_conf a)"
    mkfifo "$SCRATCH/pipe"
    walden get "$C" --config "$(w_open_conf a)" -o - >"$SCRATCH/pipe" 2>"$SCRATCH/get.err" &
    reader=$!
    exec 8<"$SCRATCH/pipe"
    wait_for 20 test_any "$(w_repo a)/main/*/lease/lease-*" || bail "no lease: $(cat "$SCRATCH/get.err")"
    ok 'expire beside a reader' expire --keep-dumps last=1 --dry-run
    like "$OUT" "process $reader is reading it" 'sees who reads'
    cat <&8 >"$SCRATCH/got.dump"
    exec 8<&-
    wait "$reader"
    is "$?" 0 'the reader gets all of it'
    nok 'its lease is gone' test_any "$(w_repo a)/main/*/lease/lease-*"
    ok 'expire' expire --keep-dumps last=1 --dry-run
    like "$OUT" "^  REMOVE shop/$C" 'would remove it now'
}
test_any() { compgen -G "$1" >/dev/null; }

test_damaged() {
    local file
    file=$(d_object a "$D")
    flip_byte "$file" "$(($(stat -c %s "$file") / 2))"
    ok 'control: nobody knows of the damage yet' expire --keep-dumps last=1 --dry-run
    like "$OUT" "^  REMOVE shop/$C" 'the sound one would go'
    exits 1 'verify finds it' walden verify --config "$(w_open_conf a)"
    ok 'expire' expire --keep-dumps last=1
    is "$(labels)" "$C $D " 'and then the sound one stays'
    like "$OUT" "^  keep   shop/$C" 'by the rule'
    flip_byte "$file" "$(($(stat -c %s "$file") / 2))"
    ok 'mended and verified again' walden verify --config "$(w_open_conf a)"
    ok 'expire' expire --keep-dumps last=1 --dry-run
    like "$OUT" "^  REMOVE shop/$C" 'it may go'
}

# A pin in the old lineage, expire in the new one, as after an upgrade.
test_lineages() {
    local first second
    first=$(basename "$(find "$(w_repo a)/main" -maxdepth 1 -name '[0-9]*')")
    pg_init new "$major" || bail initdb
    run walden init --repo "$(w_repo a)" --config "$SCRATCH/new.conf" --pgdata "$(pg_data new)" \
        --key-dir "$(w_keys a)"
    [ "$RC" = 0 ] || bail "init of the second: $ERR"
    second=$(basename "$(find "$(w_repo a)/main" -maxdepth 1 -name '[0-9]*' ! -name "$first")")
    isnt "$second" "$first" 'there are two lineages'
    ok 'a pin in the first' keep "$C" --system-id "$first"
    ok 'expire in the second' walden expire --config "$SCRATCH/new.conf" --system-id "$second" \
        --keep-dumps last=1 --dry-run
    like "$OUT" "^  keep   shop/$C" 'sees it'
    like "$OUT" 'pinned until it is released' 'and says so'
    ok 'released' keep --release "$C" --system-id "$first"
    ok 'expire in the second' walden expire --config "$SCRATCH/new.conf" --system-id "$second" \
        --keep-dumps last=1 --dry-run
    unlike "$OUT" 'pinned' 'sees that, too'
}

test_unreadable() {
    local pin
    ok 'a pin' keep "$D"
    pin=$(basename "$(find "$(w_repo a)" -name 'pin-*' | head -n 1)")
    flip_byte "$(find "$(w_repo a)" -name "$pin")" 60
    exits 1 'that cannot be read: nothing expires' expire --keep-dumps last=1
    like "$ERR" "hint: .*walden keep --release $pin" 'and it says what to type'
    exits 1 'the label does not help' keep --release "$D"
    ok 'its name does' keep --release "$pin"
    exits 1 'only once' keep --release "$pin"
    ok 'expire goes on' expire --keep-dumps last=1 --dry-run
}

major=$(pg_majors | tail -n 1)
d_tools "$major"
pg_init srv "$major" --wal-segsize=1 || bail initdb
w_init_sealed a "$(pg_data srv)" || bail 'walden init'
pg_archive srv "$(w_archive_command a)"
pg_start srv || bail 'no server'
d_data srv shop || bail 'no data'
shop srv && A=$LABEL
shop srv && B=$LABEL
shop srv && C=$LABEL
shop srv && D=$LABEL
isnt "$B" "$C" 'four dumps'
test_pins
test_lease
test_damaged
test_unreadable
test_lineages
done_testing
