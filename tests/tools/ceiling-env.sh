# shellcheck shell=bash
# ceiling-env.sh: what the tests of large backups share, on top of lib.sh and walden-env.sh: the product
# as it is delivered, static, with musl, behind tests/tools/ceiling, and a ruler for memory.

CEILING_KB=$((32 * 1024))

# build_ceiling: $SCRATCH/ceiling and $SCRATCH/launch.
build_ceiling() {
    local target objects=() f
    target=$(uname -m)
    for f in "$ROOT"/basebackup/*.c; do
        f=${f#"$ROOT/"}
        objects+=("$ROOT/build/$target/obj/${f%.c}.o")
    done
    [ -f "$ROOT/build/$target/libwalden.a" ] || bail "no build/$target/libwalden.a; run make"
    "$ROOT/build/deps/$target/bin/cc" -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Os -flto=auto -fPIE -w \
        -I"$ROOT/lib" -I"$ROOT" -static-pie -Wl,--gc-sections -o "$SCRATCH/ceiling" "$ROOT/tests/tools/ceiling.c" \
        "${objects[@]}" "$ROOT/build/$target/libwalden.a" -lpq -lpgcommon_shlib -lpgport_shlib -lsodium -llz4 \
        >"$SCRATCH/cc.log" 2>&1 || bail "ceiling.c: $(cat "$SCRATCH/cc.log")"
    ${CC:-cc} -O1 -o "$SCRATCH/launch" "$ROOT/bench/launch.c" || bail 'launch.c'
}

# backup REPO START FILES PAGES EVERY: OUT is the tool's report.
backup() {
    local repo=$1
    shift
    run "$SCRATCH/ceiling" --config "$(w_conf "$repo")" "$(pg_data s)/global/pg_control" "$@"
    [ "$RC" = 0 ] || diag "$ERR"
}
value() { sed -n "s/^$1 //p" <<<"$OUT"; }
# within DESCRIPTION KB
within() { ok "$1: ${2:-no answer} kB of $CEILING_KB" test "${2:-$((CEILING_KB + 1))}" -le $CEILING_KB; }
