#!/bin/bash
# Goal: what an older version wrote stays readable: every golden file of every format version is
# listed, verified and delivered, byte for byte, plain and sealed.
# when: quick
# also: dev
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

found=0
for dir in "$ROOT"/tests/vectors/*/; do
    found=$((found + 1))
    version=$(basename "$dir")
    golden=$SCRATCH/$version
    cp -r "$dir" "$golden"
    chmod -R go-rwx "$golden"
    chmod -R u+w "$golden"
    system_id=$(basename "$(echo "$golden"/plain/main/*/)")
    for kind in plain sealed; do
        how=(--config /dev/null --repo "$golden/$kind" --system-id "$system_id")
        [ $kind = plain ] || how+=(--secret-key "$golden/keys/recovery.key")
        ok "$version $kind: list" walden list "${how[@]}"
        ok "$version $kind: verify" walden verify "${how[@]}"
        while read -r sum name; do
            ok "$version $kind: $name comes back" walden-restore "${how[@]}" "$name" "$SCRATCH/dest"
            is "$(sum_of "$SCRATCH/dest")" "$sum" "$version $kind: $name is as it was"
        done <"$golden/files.sha256"
    done
    how=(--config /dev/null --repo "$golden/sealed" --system-id "$system_id" --recipients "$golden/keys/recovery.pub")
    ok "$version sealed, with the public key alone: list" walden list "${how[@]}"
    # The negative control: one changed byte is seen.
    victim=$(find "$golden/plain" -type f -size +300c -path '*/wal/*' | head -1)
    flip_byte "$victim" 200
    exits 1 "$version: a changed byte is seen" walden verify --config /dev/null --repo "$golden/plain"
done
isnt "$found" 0 "there are golden files"
done_testing
