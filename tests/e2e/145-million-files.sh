#!/bin/bash
# Goal: a backup of 1,000,000 files is restored whole, within the memory that is promised, and so is what
# --delta makes of it afterwards.  (Where the backup comes from: 66-ceiling.)
# when: long
# alone
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/ceiling-env.sh
. "$ROOT/tests/tools/ceiling-env.sh"
files=${FILES:-1000000}
copy=$SCRATCH/copy

# measured WHAT ARGUMENT...: walden restore; sets KB.
measured() {
    local what=$1
    shift
    run "$SCRATCH/launch" "exec walden restore --config '$(w_conf plain)' -D '$copy' --target-immediate $* >'$SCRATCH/said'"
    KB=$(tail -n 1 <<<"$ERR" | cut -d ' ' -f 3)
    is "$RC" 0 "$what: done" || diag "$ERR"
    note "$what: $(tail -n 1 <<<"$ERR")"
    within "$what" "$KB"
}

build_ceiling
pg_init s 17
w_init plain "$(pg_data s)" || bail 'walden init'
backup plain 0x1000028 "$files" 1 0
is "$(value files)" $((files + 2)) "a backup of $files files"
measured 'a restore'
# A page holds its file's number, so no two are the same.
is "$(find "$copy/base" -type f -size 8192c | wc -l)" "$files" 'all files are there'
some=$(find "$copy/base" -type f | head -n 500000 | tail -n 1)
sum=$(sum_of "$some")
printf x | dd of="$some" bs=1 seek=4000 conv=notrunc status=none
rm "$(find "$copy/base" -type f | head -n 1)"
touch "$copy/base/stranger"
measured '--delta' --delta --yes
is "$(find "$copy/base" -type f | wc -l) $(sum_of "$some")" "$files $sum" '--delta: what differed is as it was, what was too much is gone'
rm -rf "$copy"
done_testing
