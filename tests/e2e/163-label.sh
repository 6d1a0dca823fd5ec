#!/bin/bash
# Goal: whoever may take a backup chooses its label, and the server writes it into the note that it
# archives.  No label stops the archiver, and the note comes back as it was.
#
# also: cross
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

test_major() {
    local start=pg_backup_start stop='pg_backup_stop(false)' name label
    [ "$1" -ge 15 ] || start=pg_start_backup stop='pg_stop_backup(false, false)'
    [ "$1" -ge 15 ] || label=', false'
    pg_init -f main "$1" --wal-segsize=1 || bail initdb
    w_init main "$(pg_data main)" || bail init
    pg_archive main "$(w_archive_command main)"
    pg_start main || bail 'no server'
    for name in "''" "repeat('x', 1024)" "E'a\\nb'" "E'a\\nSTART TIMELINE: 7'" "E'a\\nSTOP WAL LOCATION: z\\n'" \
        "E'a\\nSTART WAL LOCATION: 0/5 (file 000000010000000000000005)'"; do
        pg_sql main "select $start($name, true${label-}); select $stop" >/dev/null || fail "$1: a backup called $name"
        ok "$1: called $name" pg_step main 1
    done
    is "$(pg_sql main 'select failed_count from pg_stat_archiver')" 0 "$1: nothing failed"
    for name in $(w_names main | grep backup); do
        ok "$1: $name is fetched" w_fetch main main "$name" "$SCRATCH/got"
        [ ! -e "$(pg_data main)/pg_wal/$name" ] || ok "$1: and is the same" cmp "$SCRATCH/got" "$(pg_data main)/pg_wal/$name"
    done
    ok "$1: list" walden list --config "$(w_conf main)"
    ok "$1: verify" walden verify --config "$(w_conf main)"
    pg_drop main
    rm -rf "$(w_repo main)" "$(w_keys main)"
}

mapfile -t majors < <(pg_majors)
for m in $(printf '%s\n' "${majors[0]}" "${majors[-1]}" | uniq); do
    test_major "$m"
done
done_testing
