#!/bin/bash
# Goal: the same sources give the same bytes in every folder: the hook is built in two copies of the tree,
# with the libraries that are there, and is the one that make built.  125-repro-long.sh builds all of it.
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

target=${TEST_ON:-$(. "$ROOT/cross/target" native && echo "$target_name")}
bin=build/${TEST_ON:+$target/}bin
cc=$ROOT/build/deps/$target/bin/cc
[ -x "$cc" ] || skip_all 'the libraries are not in this copy of the tree'

again() { # TREE [ENVIRONMENT...]
    local tree=$1
    shift
    env -u MAKEFLAGS -u MAKELEVEL "$@" make -j2 -C "$tree" TARGET="${TEST_ON:-native}" CC="$cc" CORE_READY= PQ_READY= \
        "$bin/walden-archive"
}
build() { # TREE [ENVIRONMENT...]
    mkdir -p "$1" && cp -a "$ROOT"/{Makefile,cross,lib,archive_cmd} "$1/" && again "$@"
}
exits 0 'built' build "$SCRATCH/a" TZ=UTC
exits 0 'built elsewhere' build "$SCRATCH/a/longer/path" TZ=Asia/Tokyo LC_ALL=C.UTF-8 HOME=/nowhere
hook=$(sum_of "$SCRATCH/a/$bin/walden-archive")
is "$(sum_of "$SCRATCH/a/longer/path/$bin/walden-archive")" "$hook" 'the same bytes'
is "$(sum_of "$TEST_BIN/walden-archive")" "$hook" '  and those that make built here'
is "$(grep -acF "$SCRATCH" "$SCRATCH/a/build/$target/full/walden-archive")" 0 '  no path is in it'
sed -i '/WALDEN_VERSION/s/"[0-9.]*"/"0.0.0"/' "$SCRATCH/a/lib/base/version.h"
exits 0 'built with another version' again "$SCRATCH/a"
isnt "$(sum_of "$SCRATCH/a/$bin/walden-archive")" "$hook" '  other bytes'
done_testing
