# shellcheck shell=bash
# bigrepo-env.sh: a repository of months, on top of lib.sh and walden-env.sh.

# build_bigrepo: the program that makes it (tests/tools/bigrepo.c).
build_bigrepo() {
    local library=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
    [ -f "$library" ] || bail "no $library; run make DEV=1"
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -O1 -Ilib -Itests \
        -fsanitize=address,undefined -fno-sanitize-recover=all -isystem /usr/include/postgresql \
        -o "$SCRATCH/bigrepo" tests/tools/bigrepo.c "$library" -lpq -lsodium -llz4) >"$SCRATCH/cc.log" 2>&1 ||
        bail "bigrepo.c: $(cat "$SCRATCH/cc.log")"
}

# many SEGMENTS: each question at this size, answered at once.
many() {
    local segments=$1 tlis=4 every=$(($1 / 50)) start what=$1
    start=$(date -u -d '2026-06-01 00:00' +%s)
    pg_init big 17 --wal-segsize=1 || bail 'initdb'
    for kind in plain sealed; do
        local conf
        "w_init$([ $kind = plain ] || echo _sealed)" $kind "$(pg_data big)" || bail 'walden init'
        conf=$(w_conf $kind)
        mkdir -p "$SCRATCH/files" "$SCRATCH/copy"
        WALDEN_CONFIG=$conf "$SCRATCH/bigrepo" "$segments" $tlis $every "$start" "$SCRATCH/files" ||
            bail 'bigrepo'
        diag "$kind: index of $(stat -c %s "$(echo "$(w_repo $kind)"/main/*/index/*)") bytes"
        swift "$what, $kind: window" 0 walden window --offline --config "$conf"
        ok "$what, $kind: window is 0" walden window --offline --config "$conf"
        like "$OUT" 'timeline 4, which left its parent' "$what, $kind: with its timelines"
        swift "$what, $kind: list" 0 walden list --config "$conf"
        conf=$(w_open_conf $kind)
        # The backups hold no cluster, which is seen after the plan is made.
        swift "$what, $kind: a time is planned" 1 walden restore --config "$conf" -D "$SCRATCH/copy" \
            --dry-run --target-timeline 2 --target-time "$(utc $((start + segments * 60 / 3)))"
        swift "$what, $kind: the latest is planned" 1 walden restore --config "$conf" -D "$SCRATCH/copy" --dry-run
        exits 1 "$what, $kind: by a plan" walden restore --config "$conf" -D "$SCRATCH/copy" --dry-run
        like "$ERR" 'the backup has no "global/pg_control"' "$what, $kind: which was made"
        swift "$what, $kind: what cannot be reached is refused" 1 walden restore --config "$conf" \
            -D "$SCRATCH/copy" --dry-run --target-time 2027-01-01T00:00:00Z
        # The negative control: without the index all objects are opened, which takes longer.
        rm -r "$(w_repo $kind)"/main/*/index
        exits 0 "$what, $kind: without an index the same is seen" walden window --offline --config "$(w_conf $kind)"
        swift "$what, $kind: and then the index is there again" 0 walden window --offline --config "$(w_conf $kind)"
        rm -r "$(w_repo $kind)"
    done
}

utc() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }

# swift NAME STATUS COMMAND...: it ends like this, and its processor time is below a second.  (Not the
# clock on the wall: other tests run beside this one.)
swift() {
    local what=$1 want=$2 used
    shift 2
    TIMEFORMAT='%U %S'
    used=$({ time run "$@" >&3 2>&3; } 3>/dev/null 2>&1; :)
    exits "$want" "$what" "$@"
    used=$(awk '{ printf "%d", ($1 + $2) * 1000 }' <<<"$used")
    diag "$what: $used ms"
    ok "$what: in less than a second of processor time ($used ms)" test "$used" -lt 1000
}
