#!/bin/bash
# Goal: the tables that only the start of a program writes (RELRO) are read-only when it works, which
# nobody does for a static program but itself.
# also: dev
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

mkfifo "$SCRATCH/pass"
for program in walden walden-archive walden-restore; do
    # RELRO from the file: its address, and its end, which is that of a page.
    read -r at size < <(readelf -lW "$TEST_BIN/$program" | awk '$1 == "GNU_RELRO" { print $3, $6 }')
    isnt "${size:-0}" 0 "$program: has RELRO"
    # It stops where it reads its configuration, a pipe that nobody writes to.
    case $program in
    walden) command=(walden list --config "$SCRATCH/pass") ;;
    walden-archive) command=(walden-archive --config "$SCRATCH/pass" 000000010000000000000001) ;;
    walden-restore) command=(walden-restore --config "$SCRATCH/pass" 000000010000000000000001 x) ;;
    esac
    "${command[@]}" >/dev/null 2>&1 &
    pid=$!
    wait_for 10 grep -q "$program" "/proc/$pid/maps"
    ok "$program: read-only in memory" wait_for 10 perl -e '
        my ($pid, $program, $at, $size) = @ARGV;
        open(my $f, "<", "/proc/$pid/maps") or exit 1;
        my (@maps) = map { /^(\w+)-(\w+) (\S+) .*\/\Q$program\E$/ ? [hex $1, hex $2, $3] : () } <$f> or exit 1;
        my $end = (hex($at) + hex($size)) & ~4095;
        for (@maps) {
            next unless $_->[0] - $maps[0][0] < $end && $_->[1] - $maps[0][0] >= $end;
            exit($_->[2] =~ /^r--/ ? 0 : 1);
        }
        exit 1' "$pid" "$program" "$at" "$size"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
done
done_testing
