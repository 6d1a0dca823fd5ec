#!/bin/bash
# Goal: everything, from the C library to the packages, is built twice from the sources in different
# folders and surroundings, and is the same bytes: for this machine and for every other target.
# when: long
# alone
# timeout: 7200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

[ -f "$ROOT/build/deps/src/.unpacked" ] || skip_all 'the sources of the libraries are not in this copy of the tree'
native=$(. "$ROOT/cross/target" native && echo "$target_name")
targets=()
for target in x86_64 aarch64 armv7 armv6; do
    if [ "$target" = "$native" ] || [ -z "$("$ROOT/tests/setup" --list "build:$target")" ]; then
        targets+=("$target")
    else
        skip 1 "no compiler for $target here"
    fi
done
exits 0 "make repro, packages too, of ${targets[*]}" "$ROOT/cross/repro" --packages "${targets[@]}"
said=$OUT
[[ $said =~ from\ nothing\ ([0-9]+).*changed\ ([0-9]+) ]] || BASH_REMATCH=('' 0 1)
note "processor time: ${BASH_REMATCH[1]} s from nothing, ${BASH_REMATCH[2]} s again with nothing changed"
ok 'what is there is not built again' test $((BASH_REMATCH[2] * 20)) -lt "${BASH_REMATCH[1]}"
like "$said" 'files, the same bytes both times' 'all are the same'
for target in "${targets[@]}"; do
    for f in "build/$target/bin/walden" "build/$target/bin/walden-archive" "build/$target/bin/walden-restore" \
        "build/packages/walden-.*-$target.tar.gz"; do
        like "$said" "^[0-9a-f]{64}  $f\$" "  $f"
    done
done
for f in packages/walden_.*.deb packages/SHA256SUMS; do
    like "$said" "^[0-9a-f]{64}  build/$f\$" "  build/$f"
done
done_testing
