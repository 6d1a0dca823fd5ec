#!/bin/bash
# Goal: memory does not grow with the cluster beyond what is promised: a backup of 1,000,000 files and
# 106 GB, and the next one on top of it, take at most 32 MB, and so does the plan of a restore, which
# names all of the files.
#
# No server and no disk is large enough, so tests/tools/ceiling stands in the receiving thread's place
# and sends what a server would; all behind it is the product, as it is delivered: static, with musl.
# when: long
# alone
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# shellcheck source=tests/tools/ceiling-env.sh
. "$ROOT/tests/tools/ceiling-env.sh"
files=1000000
build_ceiling

# plan REPO: sets RC, KB and FILES of a restore that is only planned.
plan() {
    run "$SCRATCH/launch" "exec walden restore --config '$(w_open_conf "$1")' -D '$SCRATCH/nowhere' \
        --target-immediate --dry-run >'$SCRATCH/plan'"
    KB=$(tail -n 1 <<<"$ERR" | cut -d ' ' -f 3)
    FILES=$(grep -c '^  file .*base/' "$SCRATCH/plan")
}

pg_init s 17
w_init plain "$(pg_data s)" && w_init_sealed sealed "$(pg_data s)" || bail 'walden init'

# A check of the ruler: it grows with what is measured.
backup plain 0x1000028 1000 13 0
small=$(value memory)
ok "a small backup takes little: $small kB" test "$small" -lt 8192
rm -rf "$(w_repo plain)"/main/*/pack "$(w_repo plain)"/main/*/backup

for repo in plain sealed; do
    backup $repo 0x1000028 $files 13 0
    is "$(value files) $(value stored)" "$((files + 2)) $((files * 13 + 2))" "$repo: all of it is stored"
    within "$repo: the first backup of 1,000,000 files, 106 GB" "$(value memory)"
    backup $repo 0x2000028 $files 13 100
    is "$(value stored)" $((files * 13 / 100 + 1)) "$repo: then what changed, and the label"
    next=$(value memory)
    within "$repo: the next one, which compares with it" "$next"
    ok "$repo: it took more than a small one" test "${next:-0}" -gt "$small"
    plan $repo
    ok "$repo: a restore of it is planned, or there is no room" test "$RC" = 0 -o "$RC" = 4
    within "$repo: the plan of its restore" "$KB"
    rm -rf "$(w_repo $repo)"/main/*/pack "$(w_repo $repo)"/main/*/backup
done

# Small enough for the disk, so that every file is named.
backup plain 0x3000028 $files 1 0
plan plain
is "$RC $FILES" "0 $files" 'a restore of 1,000,000 small files names each of them'
within 'its plan' "$KB"
done_testing
