#!/bin/bash
# Goal: everything, from the C library to the packages, is built twice from the sources in different
# folders and surroundings, and is the same bytes.
# when: long
# alone
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

[ -f "$ROOT/build/deps/src/.unpacked" ] || skip_all 'the sources of the libraries are not in this copy of the tree'
target=$(. "$ROOT/cross/target" native && echo "$target_name")
exits 0 'make repro, packages too' "$ROOT/cross/repro" --packages "$target"
like "$OUT" 'files, the same bytes both times' 'all are the same'
for f in bin/walden bin/walden-archive bin/walden-restore "packages/walden-.*-$target.tar.gz" 'packages/walden_.*.deb' packages/SHA256SUMS; do
    like "$OUT" "^[0-9a-f]{64}  build/(.*/)?$f\$" "  $f"
done
done_testing
