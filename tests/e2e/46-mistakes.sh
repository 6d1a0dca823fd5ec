#!/bin/bash
# Goal: what a tired person does wrong, once each: nothing is silently wrong, nothing is stored that
# stands in the way later, and the message says what happened and what to do.  Odd paths, masks,
# zones and closed descriptors are no mistakes and just work.
#
# when: quick
# also: dev
# also: cross
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
keep=$SCRATCH/keep

# refused STATUS ERROR HINT WHAT COMMAND...: with one error line and a hint that match.
refused() {
    local status=$1 error=$2 hint=$3 what=$4 program
    shift 4
    exits "$status" "$what: $status" "$@"
    program=$(sed -n 's/: error: .*//p' <<<"$ERR" | head -n 1)
    is_one_message "$ERR" "$program" || fail "$what: is said in one line" "$ERR"
    like "$ERR" "error: .*$error" "$what: says what"
    [ -z "$hint" ] || like "$ERR" "hint: .*$hint" "$what: says what to do"
}

push() { in_data main walden-archive --config "$(w_conf main)" "$@"; }
fetch() { in_data main walden-restore --config "$(w_conf main)" "$@"; }

server() {
    pg_init -f main "$major" --wal-segsize=1 || bail initdb
    w_init main "$(pg_data main)" || bail init
    pg_archive main "$(w_keep_command main "$keep")"
    pg_start main || bail 'no server'
    segments=("$(pg_step main 1)" "$(pg_step main 2)")
}

# The segment that the server is writing, archived by hand: stored, it would block the finished one.
test_unfinished() {
    local now
    pg_sql main 'create table half as select generate_series(1, 1000)' -c checkpoint
    now=$(pg_sql main 'select pg_walfile_name(pg_current_wal_insert_lsn())')
    refused 4 'has not finished' 'pg_switch_wal' 'the segment that is being written' push "pg_wal/$now"
    like "$ERR" 'Nothing was stored' 'and that nothing was stored'
    is "$(find "$(w_repo main)" -name "*$now*")" '' 'nothing was stored'
    pg_step main 3 >/dev/null
    ok 'the finished one is archived' pg_wait_archived main "$now"
    ok 'and is the same' fetch "$now" "$SCRATCH/got"
    ok 'as the server wrote' cmp "$SCRATCH/got" "$keep/$now"
    pg_stop main
}

test_arguments() {
    local file=$keep/${segments[0]}
    refused 2 'not the name of a WAL file' '%p' 'no %p' push '%p'
    refused 2 'does not exist' '%p' '%f in the place of %p' push "${segments[0]}"
    refused 2 'too few' 'help' 'no argument' push
    refused 2 'too many' 'help' 'a path with a blank that nobody quoted' push "$SCRATCH/a" b
    refused 2 'not the name' '%p' 'an empty path' push ''
    refused 2 'absolute' 'from "/" on' 'a relative repository' in_data main walden-archive --repo x "$file"
    refused 2 'absolute' 'from "/" on' 'a relative configuration' \
        in_data main walden-archive --config walden.conf "$file"
    refused 2 'does not exist' '' 'no such configuration' \
        in_data main walden-archive --config "$SCRATCH/no.conf" "$file"
    refused 205 'not the name' '' 'restore without %f' fetch '%f' "$SCRATCH/got"
    refused 205 'too few' 'help' 'restore without %p' fetch "${segments[0]}"
    refused 205 'does not exist' '' 'restore into a missing directory' fetch "${segments[0]}" "$SCRATCH/no/x"
    refused 2 'no unit' '' 'a deadline without a unit' push --deadline 30 "$file"
    cp "$file" "$SCRATCH/0000000100000000000000FE"
    refused 4 'the name that of' 'Nothing was stored' 'a renamed segment' push "$SCRATCH/0000000100000000000000FE"
    head -c 1000 "$file" >"$SCRATCH/0000000100000000000000FE"
    refused 4 'has 1000 bytes' 'Nothing was stored' 'a cut one' push "$SCRATCH/0000000100000000000000FE"
    ok 'the same again' push "$file"
    ok 'from another directory, with one lineage' bash -c "cd / && walden-archive --config '$(w_conf main)' '$file'"
}

# As somebody who may not: says as whom it ran.
test_denied() {
    local dir file=$keep/${segments[0]} repo
    repo=$(w_repo main)
    chmod 000 "$(w_conf main)"
    refused 2 'configuration file.*walden.conf": Permission denied' "uid $(id -u)" 'a configuration that cannot be read' push "$file"
    refused 205 'configuration file.*walden.conf": Permission denied' "uid" 'for restore, too' fetch "${segments[0]}" "$SCRATCH/got"
    refused 2 'walden.conf": Permission denied' 'uid' 'for list' walden list --config "$(w_conf main)"
    chmod 644 "$(w_conf main)"
    refused 2 'configuration file' '' 'a directory in its place' in_data main walden-archive --config "$SCRATCH" "$file"
    chmod 000 "$repo"
    refused 3 'Permission denied' "uid" 'a repository of somebody else' push "$file"
    refused 3 'Permission denied' "uid" 'for list, too' walden list --config "$(w_conf main)"
    chmod 700 "$repo"
    dir=$(dirname "$(w_object main "${segments[1]}")")
    rm -f "$(w_object main "${segments[1]}")"
    chmod 500 "$dir"
    refused 1 'Permission denied' "uid" 'a directory that cannot be written' push "$keep/${segments[1]}"
    chmod 700 "$dir"
    ok 'when it can' push "$keep/${segments[1]}"
    mkdir "$SCRATCH/locked"
    chmod 500 "$SCRATCH/locked"
    refused 1 'Permission denied' 'uid' 'init where nobody may write' walden init \
        --repo "$SCRATCH/locked/r" --config "$SCRATCH/locked.conf" -D "$(pg_data main)"
    if [ ! -e /etc/walden ] && [ ! -w /etc ]; then
        refused 1 '/etc/walden' 'Give --config' 'init without --config' walden init \
            --repo "$SCRATCH/r2" -D "$(pg_data main)"
    else
        skip 3 'this user may write /etc/walden'
    fi
}

test_unmounted() {
    local repo
    repo=$(w_repo main)
    mv "$repo" "$SCRATCH/away"
    refused 3 'does not exist' 'mount it' 'no directory' push "$keep/${segments[0]}"
    mkdir "$repo"
    refused 3 'walden-repo" is missing' 'mount it' 'an empty mount point' push "$keep/${segments[0]}"
    refused 203 'walden-repo" is missing' 'mount it' 'restore from there' fetch "${segments[0]}" "$SCRATCH/got"
    refused 203 'walden-repo" is missing' 'mount it' 'even of what is nowhere' \
        fetch 0000000900000000000000FE "$SCRATCH/got"
    exits 3 'list' walden list --config "$(w_conf main)"
    is "$(ls -A "$repo")" '' 'nothing was made there'
    rmdir "$repo"
    mv "$SCRATCH/away" "$repo"
    # WAL on a disk of its own.
    repo=$(dirname "$(dirname "$(dirname "$(w_object main "${segments[0]}")")")")
    mv "$repo" "$SCRATCH/away"
    exits 1 "where WAL was never archived, the end" fetch "${segments[0]}" "$SCRATCH/got"
    mkdir "$repo"
    refused 203 'holds nothing, not even a timeline' 'mount it' 'an empty mount point for WAL' \
        fetch "${segments[0]}" "$SCRATCH/got"
    refused 203 'not even a timeline' 'mount it' 'for a history, too' fetch 00000002.history "$SCRATCH/got"
    rmdir "$repo"
    mv "$SCRATCH/away" "$repo"
}

# A directory of the archive that is something else, and a segment that comes while it is looked for.
test_strange() {
    local group timeline object away=$SCRATCH/away.d
    object=$(w_object main "${segments[0]}")
    group=$(dirname "$object")
    timeline=$(dirname "$group")
    for dir in "$group" "$timeline"; do
        mv "$dir" "$away"
        : >"$dir"
        refused 203 '[Nn]ot a directory' '' "a file in the place of $(basename "$dir")" \
            fetch 0000000100000000000000F0 "$SCRATCH/got"
        rm "$dir"
        mv "$away" "$dir"
    done
    : >"$(dirname "$timeline")/00000002"
    refused 203 '[Nn]ot a directory' '' 'a file in the place of the next timeline' \
        fetch 00000002.history "$SCRATCH/got"
    rm "$(dirname "$timeline")/00000002"
    [ -z "$TEST_ON" ] && ! w_is_dev || return 0
    # It was not there at the first look; while the rest is looked through it comes, and more behind it.
    mv "$object" "$SCRATCH/late"
    refused 200 'missing from the archive' '' 'a hole' fetch "${segments[0]}" "$SCRATCH/got"
    (cd "$(pg_data main)" && exec strace -f -qq -o /dev/null -e trace=getdents64 \
        -e inject=getdents64:delay_enter=2000000:when=1 "$TEST_BIN/walden-restore" \
        --config "$(w_conf main)" "${segments[0]}" "$SCRATCH/late.got") &
    sleep 1
    mv "$SCRATCH/late" "$object"
    wait $!
    is $? 0 'a segment that came meanwhile is no hole'
    ok 'and is delivered' cmp "$SCRATCH/late.got" "$keep/${segments[0]}"
}

# Another server with the configuration of this one.
test_other_server() {
    local file
    pg_init -f other "$major" --wal-segsize=1
    file=$(find "$(pg_data other)/pg_wal" -maxdepth 1 -type f -name '0000*' -printf '%f\n' | head -n 1)
    refused 4 'does not know system identifier' 'walden init.*another server.s disk may be mounted' 'another server, in its data directory' \
        in_data other walden-archive --config "$(w_conf main)" "pg_wal/$file"
    refused 4 'is of system identifier' 'disk mounted, or pg_wal linked' "its segment, in this server's" \
        push "$(pg_data other)/pg_wal/$file"
    ok 'init for it' w_init main "$(pg_data other)"
    refused 4 'cannot tell which of 2' 'system-id' 'two servers, called from elsewhere' \
        bash -c "cd / && walden-archive --config '$(w_conf main)' '$keep/${segments[0]}'"
    refused 204 'cannot tell which of 2' 'system-id' 'restore, too' \
        bash -c "cd / && walden-restore --config '$(w_conf main)' ${segments[0]} '$SCRATCH/got'"
    ok 'each in its own directory' push "$keep/${segments[0]}"
    pg_drop other
}

# shut COMMAND...: with an umask that takes every right away.
shut() { (umask 0777 && "$@"); }

# No mistakes at all.
test_odd() {
    local odd="$SCRATCH/it's 50% of a \"disk\" \$HOME \`id\`" long deep file back
    mkdir "$odd"
    pg_init -f odd "$major" --wal-segsize=1
    pg_start odd
    ok 'init with an odd path' pg_env odd walden init --repo "$odd/r/" --config "$odd/w.conf" --apply
    back=$(sed -n "s/.*restore_command = '\(.*\)'\$/\1/p" <<<"$OUT")
    pg_restart odd
    file=$(pg_step odd 1)
    ok 'the server archives with it' test -n "$file"
    pg_stop odd
    like "$(sed -n 's/.*"\(wal\)".*/\1/p' <<<"$(walden list --json --config "$odd/w.conf")")" wal 'and list reads it'
    # The line that init shows is for a restore_command; the shell gets it with its placeholders filled.
    back=${back//%f/$file}
    back=${back//%p/$SCRATCH/got}
    back=${back//%%/%}
    rm -f "$SCRATCH/got"
    ok 'the restore_command that init shows works' in_data odd sh -c "$back"
    ok 'and brings the segment' test -s "$SCRATCH/got"

    umask 0
    ok 'with umask 0' walden init --repo "$SCRATCH/mask" --config "$SCRATCH/mask.conf" -D "$(pg_data main)"
    umask 077
    ok 'archiving with umask 077' in_data main walden-archive --config "$SCRATCH/mask.conf" "$keep/${segments[0]}"
    mkdir "$SCRATCH/shut"
    ok 'archiving with umask 0777' in_data main shut walden-archive --config "$SCRATCH/mask.conf" "$keep/${segments[1]}"
    ok 'init with umask 0777' shut walden init --repo "$SCRATCH/shut/r" --config "$SCRATCH/shut/c/w.conf" -D "$(pg_data main)"
    ok 'and archiving into new directories' in_data main shut walden-archive --config "$SCRATCH/shut/c/w.conf" "$keep/${segments[0]}"
    umask 022
    is "$(find "$SCRATCH/shut/r" "$SCRATCH/mask" -type d ! -perm 700 -printf '%m %p\n')" '' 'directories are private, not shut'
    is "$(find "$SCRATCH/shut/r" "$SCRATCH/mask" -type f ! -perm 600 -printf '%m %p\n')" '' 'files, too'
    is "$(find "$SCRATCH/mask" -printf '%y%m\n' | sort -u | paste -sd' ')" 'd700 f600' 'modes do not depend on it'
    # shellcheck disable=SC2094
    ok 'without descriptors' bash -c "exec <&- >&- 2>&-
        cd '$(pg_data main)' && walden-archive --config '$SCRATCH/mask.conf' '$keep/${segments[1]}'"
    ok 'what was stored then is whole' in_data main walden-restore --config "$SCRATCH/mask.conf" \
        "${segments[1]}" "$SCRATCH/got"
    ok 'and the same' cmp "$SCRATCH/got" "$keep/${segments[1]}"
    is "$(TZ=Asia/Kolkata LANG=de_DE.UTF-8 walden list --json --config "$SCRATCH/mask.conf")" \
        "$(env -u HOME TZ=nonsense walden list --json --config "$SCRATCH/mask.conf")" \
        'json depends neither on zone nor on language'

    long=$(printf 'd%.0s' {1..200})
    deep=$SCRATCH/$long/$long/$long
    mkdir -p "$deep"
    ok 'a long path' walden init --repo "$deep/r" --config "$deep/w.conf" -D "$(pg_data main)"
    ok 'is archived to' in_data main walden-archive --config "$deep/w.conf" "$keep/${segments[0]}"
    refused 1-2 'too long' '' 'a path that is too long' walden init --repo \
        "/$(printf "$long/%.0s" {1..25})r" --config "$SCRATCH/x.conf" -D "$(pg_data main)"
    exits 1 'a full standard output' bash -c "walden list --config '$SCRATCH/mask.conf' >/dev/full"
}

server
test_unfinished
test_arguments
test_denied
test_unmounted
test_strange
test_other_server
test_odd
done_testing
