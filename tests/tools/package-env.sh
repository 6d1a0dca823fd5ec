# shellcheck shell=bash
# package-env.sh: packages for the tests, on top of lib.sh.
#
# The tree may belong to somebody else, so they are made in a copy of what packing reads: $TREE.

# package_tree: makes $TREE.  Its x86_64 stands for the machine's own target, whatever that is.
package_tree() {
    local t
    TREE=$SCRATCH/tree
    [ -f "$ROOT/build/deps/MANIFEST" ] && [ -f "$ROOT/build/deps/src/musl/COPYRIGHT" ] || return 1
    mkdir -p "$TREE/build/share" "$TREE/build/man" "$TREE/build/deps" || return 1
    cp -a "$ROOT"/{Makefile,cross,lib,catalog,README.md,CHANGELOG.md,LICENSE} "$TREE/" || return 1
    ln -s "$ROOT/build/deps/MANIFEST" "$ROOT/build/deps/src" "$TREE/build/deps/" || return 1
    "$ROOT/cross/describe" "$TEST_BIN" man "$TREE/build/man" &&
        "$ROOT/cross/describe" "$TEST_BIN" completion >"$TREE/build/share/walden.bash" &&
        "$ROOT/cross/describe" "$TEST_BIN" config >"$TREE/build/share/walden.conf" || return 1
    OWN=$(. "$ROOT/cross/target" native && echo "$target_name")
    ARCH=$(dpkg --print-architecture)
    for t in x86_64 aarch64 armv7 armv6; do
        mkdir -p "$TREE/build/$t" || return 1
        if [ "$t" = "$OWN" ]; then
            ln -s "$TEST_BIN" "$TREE/build/$t/bin"
        elif [ -x "$ROOT/build/$t/bin/walden" ]; then
            ln -s "$ROOT/build/$t/bin" "$TREE/build/$t/bin"
        fi
    done
}

# package VERSION OUT [TARGET...]: default is the machine's own.
package() {
    local version=$1 out=$2
    shift 2
    [ $# -gt 0 ] || set -- "$OWN"
    VERSION=$version env -u MAKEFLAGS -u MAKELEVEL "$TREE/cross/package" "$out" "$@"
}
