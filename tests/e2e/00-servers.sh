#!/bin/bash
# Goal: the servers of all majors start here, archive segments and recover from them, and a recovery
# with cp from an archive with a hole promotes (the negative control of all other recovery tests).
# What the other tests lean on in lib.sh is tried too, with the newest major.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

test_major() {
    local major=$1 name=server$1 archive=$SCRATCH/archive$1 backup=$SCRATCH/backup$1 first
    ok "$major: initdb" pg_init "$name" "$major" -k
    pg_archive_cp "$name" "$archive"
    ok "$major: starts" pg_start "$name"
    note "PostgreSQL $(pg_sql "$name" 'show server_version')"
    like "$(pg_sql "$name" 'show server_version_num')" "^${major}00" "$major: is of that major"
    is "$(pg_sql "$name" 'show data_checksums')" on "$major: initdb's arguments are used"
    ok "$major: hot backup" pg_backup_hot "$name" "$backup"
    first=$(pg_step "$name" 1)
    is "$(size_of "$archive/$first")" 16777216 "$major: archives a segment"
    is "$(pg_step "$name" 2)" "$(wal_add "$first" 1)" "$major: archives the next one"
    ok "$major: stops" pg_stop "$name"

    ok "$major: recovery is prepared" \
        pg_from_backup "$name.back" "$major" "$backup" "$(pg_restore_cp "$archive")"
    ok "$major: recovery starts" pg_start "$name.back"
    ok "$major: recovery ends" pg_wait_promoted "$name.back"
    is "$(pg_steps "$name.back")" '2|200' "$major: recovery brings all rows back"
    ok "$major: stops again" pg_stop "$name.back"
    rm -rf "$backup" "$archive" "$SCRATCH"/pg/"$name"*/data
}

# The other ways a recovery can go, and small segments.
test_recovery() {
    local major=$1 archive=$SCRATCH/archive backup=$SCRATCH/backup last point adopted
    pg_init main "$major" --wal-segsize=1
    pg_archive_cp main "$archive"
    pg_start main
    ok 'a cold backup' pg_basebackup_cold main "$backup"
    ok 'the server runs again after it' pg_is_running main
    pg_step main 1 >/dev/null
    point=$(pg_sql main 'select pg_current_wal_lsn()')
    last=$(pg_step main 2)
    is "$(size_of "$archive/$last")" 1048576 'a segment of 1 MB'
    is "$(wal_name 1 "$point" 1048576)" "$last" 'wal_name agrees with the server'
    ok 'archiving is off' pg_conf main "archive_command = 'false'"
    pg_reload main
    nok 'what is not archived is not reported as archived' \
        pg_wait_archived main "$(wal_add "$last" 1 1048576)" 1
    pg_conf main "$(grep '^archive_command' "$(pg_data main)/postgresql.conf" | head -n 1)"
    pg_reload main
    ok 'a crash' pg_crash main
    nok 'nothing runs after it' pg_is_running main
    ok 'a start after the crash' pg_start main

    pg_from_backup target "$major" "$backup" "$(pg_restore_cp "$archive")" \
        "recovery_target_lsn = '$point'" 'recovery_target_action = pause'
    ok 'a recovery with a target starts' pg_start target
    is "$(pg_outcome target)" paused 'it is reported as paused'
    is "$(pg_steps target)" '1|100' 'it stands at the target'
    ok 'it can be promoted' pg_promote target
    is "$(pg_outcome target)" promoted 'it is reported as promoted'
    pg_stop target
    nok 'a server that starts is not reported as failed' pg_start_expect_fail target

    pg_from_backup -s standby "$major" "$backup" "$(pg_restore_cp "$archive")"
    ok 'a standby starts' pg_start standby
    ok 'it replays' pg_wait_replay standby "$point"
    is "$(pg_outcome standby 1)" recovering 'it is reported as recovering'

    # Status above 125: the server must stop.
    pg_from_backup broken "$major" "$backup" 'exit 126'
    ok 'a recovery that stops is seen' \
        pg_start_expect_fail broken 'restore_command|could not restore'
    nok 'for the expected reason only' pg_start_expect_fail broken 'no such line'

    pg_stop target
    adopted=$SCRATCH/adopted
    mv "$(pg_data target)" "$adopted"
    pg_adopt other "$major" "$adopted"
    ok 'a data directory made by others starts' pg_start other
    is "$(pg_steps other)" '1|100' 'and is that one'
    pg_init -f fresh "$major"
    isnt "$(od -An -tx8 -N8 "$(pg_data fresh)/global/pg_control")" \
        "$(od -An -tx8 -N8 "$(pg_data main)/global/pg_control")" 'a system identifier of its own'
}

test_files() {
    local file=$SCRATCH/file sum
    printf 'abcdef' >"$file"
    sum=$(sum_of "$file")
    flip_byte "$file" 0
    flip_byte "$file" -1 1
    is "$(od -An -tx1 "$file")" ' 9e 62 63 64 65 67' 'flip_byte changes one byte'
    isnt "$(sum_of "$file")" "$sum" 'sum_of sees it'
    flip_byte "$file" 0
    flip_byte "$file" 5 1
    is "$(sum_of "$file")" "$sum" 'and back'
    truncate_to "$file" -2
    is "$(cat "$file")" abcd 'truncate_to cuts off'
    truncate_to "$file" 1
    is "$(cat "$file")" a 'truncate_to cuts to'
    is "$(wal_name 3 1A/FF000028)" 000000030000001A000000FF 'wal_name, 16 MB'
    is "$(wal_name 1 2/C0000000 1073741824)" 000000010000000200000003 'wal_name, 1 GB'
    is "$(wal_add 0000000100000001000000FF 1)" 000000010000000200000000 'wal_add carries over'
    is "$(wal_add 000000010000000200000000 -1 1048576)" 000000010000000100000FFF 'wal_add goes back'
}

mapfile -t majors < <(pg_majors)
for major in "${majors[@]}"; do
    test_major "$major"
done
for major in $(printf '%s\n' "${majors[0]}" "${majors[-1]}" | uniq); do
    ok "$major: with cp, a hole in the archive ends promoted with rows lost" \
        control_cp_promotes "$major"
done
test_recovery "${majors[-1]}"
test_files
done_testing
