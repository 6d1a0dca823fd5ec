#!/bin/bash
# Goal: a standby whose restore_command is walden-restore stays up when the archive has a hole or a
# damaged object or is away, says so, and catches up by streaming; but stops at a wrong key,
# repository or system identifier.  A standby with archive_mode = always shares the archive with its
# primary.  pg_rewind fetches what it needs from the archive.
#
# also: dev long
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# primary MAJOR: archives plain and sealed; steps 1 to 4 after a backup; it keeps its WAL, so that
# streaming can fill any hole.
primary() {
    local i
    major=$1
    pg_init main "$major" --wal-segsize=1 || bail 'initdb'
    w_init plain "$(pg_data main)" || bail 'no repository'
    w_init_sealed sealed "$(pg_data main)" || bail 'no sealed repository'
    pg_archive main "$(w_archive_command plain) && $(w_archive_command sealed)"
    pg_conf main 'wal_keep_size = 1GB' 'autovacuum = off'
    pg_start main || bail 'no primary'
    pg_backup_hot main "$SCRATCH/backup" || bail 'no backup'
    segments=()
    for i in 1 2 3 4; do
        segments+=("$(pg_step main $i)")
    done
}

# standby NAME RESTORE_COMMAND [SETTING...]: made, not started.
standby() {
    local name=$1 command=$2
    shift 2
    pg_from_backup -s "$name" "$major" "$SCRATCH/backup" "$command" \
        "primary_conninfo = $(pg_quote "$(pg_connstr main)")" 'wal_retrieve_retry_interval = 200ms' "$@"
}

# catches_up WHAT REPOSITORY [REGEX]: a new standby reaches the primary; its log matches.
catches_up() {
    local lsn
    standby back "$(w_restore_command "$2")"
    ok "$major: $1: starts" pg_start back
    lsn=$(pg_sql main 'select pg_current_wal_insert_lsn()')
    ok "$major: $1: catches up" pg_wait_replay back "$lsn"
    is "$(pg_steps back)" "$(pg_steps main)" "$major: $1: has all rows"
    is "$(pg_outcome back 0)" recovering "$major: $1: is a standby still"
    if [ $# -gt 2 ]; then
        like "$(cat "$(pg_log back)")" "^walden-restore: warning: .*$3" "$major: $1: warns"
    else
        unlike "$(cat "$(pg_log back)")" '^walden-restore: ' "$major: $1: has nothing to say"
    fi
    pg_drop back
}

# patient WHAT REGEX: by hand, in a standby's data directory: 1, after at most 5 seconds (and what a
# busy machine adds), with a warning.
patient() {
    local began=$SECONDS
    standby hand 'false'
    exits 1 "$major: $1: 1" w_fetch hand plain "${segments[1]}" "$SCRATCH/miss"
    like "$ERR" "^walden-restore: warning: .*$2" "$major: $1: warns"
    ok "$major: $1: within 5 seconds" test $((SECONDS - began)) -le 8
    nok "$major: $1: nothing made" test -e "$SCRATCH/miss"
    rm "$(pg_data hand)/standby.signal"
    exits 200-203 "$major: $1: above 125 where it is no standby" \
        w_fetch hand plain "${segments[1]}" "$SCRATCH/miss"
    pg_drop hand
}

# A slow archive is none that is away: what has begun to come gets the time that it needs.
test_slow() {
    local began=$SECONDS slow
    # LeakSanitizer and qemu do not go with ptrace.
    [ -z "$TEST_ON" ] && ! w_is_dev || return 0
    slow=(strace -f -qq -o /dev/null -e trace=write -e inject=write:delay_enter=7000000:when=2)
    standby hand 'false'
    exits 0 'a fetch of 7 seconds: delivered' in_data hand "${slow[@]}" "$TEST_BIN/walden-restore" \
        --config "$(w_open_conf plain)" "${segments[1]}" "$SCRATCH/slow"
    ok 'it was as slow' test $((SECONDS - began)) -ge 7
    ok 'and is right' cmp "$SCRATCH/slow" "$(pg_data main)/pg_wal/${segments[1]}"
    pg_drop hand
}

test_trouble() {
    local object repo
    catches_up 'all is well' plain
    catches_up 'all is well, sealed' sealed
    object=$(w_object plain "${segments[1]}")
    repo=$(w_repo plain)
    cp -a "$object" "$SCRATCH/object"
    rm "$object"
    catches_up 'a hole' plain "${segments[1]}"
    [ "$major" != "${majors[-1]}" ] || patient 'a hole' "${segments[1]}"
    cp -a "$SCRATCH/object" "$object"
    [ "$major" = "${majors[-1]}" ] || return 0
    test_slow
    # A damaged history comes by no stream; taken for missing its number would be given again.
    cp -a "$object" "$(dirname "$(dirname "$object")")/../00000002/00000002.history" 2>/dev/null ||
        { mkdir "$(dirname "$(dirname "$object")")/../00000002" &&
            cp -a "$object" "$(dirname "$(dirname "$object")")/../00000002/00000002.history"; }
    standby hand 'false'
    exits 201-204 'a history that is none: above 125 on a standby, too' \
        w_fetch hand plain 00000002.history "$SCRATCH/miss"
    pg_drop hand
    rm -r "$(dirname "$(dirname "$object")")/../00000002"
    flip_byte "$object" 400
    catches_up 'a damaged object' plain "${segments[1]}"
    patient 'a damaged object' "${segments[1]}"
    cp -a "$SCRATCH/object" "$object"
    mv "$repo" "$repo.away"
    catches_up 'the repository is away' plain "$repo"
    patient 'the repository is away' "$repo"
    mv "$repo.away" "$repo"
}

# stops WHAT RESTORE_COMMAND STATUS_REGEX
stops() {
    standby back "$2"
    ok "$major: $1: stops" pg_start_expect_fail back '^walden-restore: error: '
    like "$(cat "$(pg_log back)")" "$3" "$major: $1: says why"
    pg_drop back
}

test_wrong() {
    local safe=$SCRATCH/sealed.safe
    stops 'another repository id' "$(w_restore_command plain | sed \
        's/ %f / --repo-id=00112233445566778899aabbccddeeff&/')" 'is repository [0-9a-f]+, not 0011'
    stops 'another system identifier' "$(w_restore_command plain | sed \
        's/ %f / --system-id=4711&/')" 'system identifier 4711'
    w_init_sealed other "$(pg_data main)"
    stops 'the key of another repository' "$(w_restore_command sealed | sed \
        "s,--config,--secret-key=$SCRATCH/other.safe/recovery.key &,")" 'belongs to another repository'
    stops 'no secret key' "$(w_restore_command sealed | sed "s,$safe/open.conf,$(w_conf sealed),")" \
        'key'
    stops 'a configuration that is not there' \
        "\"$TEST_BIN/walden-restore\" --config $SCRATCH/no.conf %f %p" 'no.conf'
}

# ---- one archive for two ------------------------------------------------------------------------

archived() { [ "$(pg_sql "$1" "select last_archived_wal >= '$2' from pg_stat_archiver")" = t ]; }

test_always() {
    local repo=$1 name last i
    pg_conf main "archive_command = $(pg_quote "$(w_archive_command "$repo")")"
    pg_reload main
    # It archives what it fetched from the archive, what it got by streaming, and both at once with
    # the primary.
    standby twin "$(w_restore_command "$repo")" 'archive_mode = always' \
        "archive_command = $(pg_quote "$(w_archive_command "$repo")")"
    ok "$major, $repo: a standby that archives, too" pg_start twin
    for i in 11 12 13 14 15; do
        last=$(pg_step main $i)
    done
    ok "$major, $repo: it archived the same" wait_for 30 archived twin "$last"
    for name in main twin; do
        is "$(pg_sql $name 'select failed_count from pg_stat_archiver')" 0 \
            "$major, $repo: no command of $name failed"
    done
    is "$(w_names "$repo" | uniq -d)" '' "$major, $repo: one object per name"
    is "$(w_leftovers "$repo")" '' "$major, $repo: nothing is left behind"
    pg_drop twin
}

# ---- pg_rewind ----------------------------------------------------------------------------------

# rewind_program: pg_rewind wants a postgres of exactly its own version beside it, to ask it for
# restore_command; ours may be another minor one, so it is introduced under that name.
rewind_program() {
    local dir=$SCRATCH/rewind program version
    program=$(pg_prog pg_rewind 18) || return 1
    version=$("$program" --version)
    mkdir -p "$dir/bin"
    cp "$program" "$dir/bin/pg_rewind"
    ln -sfn "$(dirname "$(dirname "$program")")/lib" "$dir/lib"
    cat >"$dir/bin/postgres" <<SH
#!/bin/sh
[ "\$1" != -V ] || { echo "postgres ${version#* }"; exit 0; }
exec "$(pg_bin 18)/postgres" "\$@"
SH
    chmod 755 "$dir/bin/postgres"
    echo "$dir/bin/pg_rewind"
}

test_rewind() {
    local program diverged last lsn file
    major=18
    program=$(rewind_program) || bail 'no pg_rewind'
    pg_init main 18 --wal-segsize=1
    w_init plain "$(pg_data main)"
    pg_archive main "$(w_archive_command plain)"
    pg_conf main 'wal_log_hints = on' 'autovacuum = off' \
        "restore_command = $(pg_quote "$(w_restore_command plain)")"
    pg_start main && pg_backup_hot main "$SCRATCH/backup" && pg_step main 1 >/dev/null
    standby side "$(w_restore_command plain)" 'archive_mode = on' 'wal_log_hints = on' \
        "archive_command = $(pg_quote "$(w_archive_command plain)")"
    pg_start side
    lsn=$(pg_sql main 'select pg_current_wal_insert_lsn()')
    pg_wait_replay side "$lsn"
    ok 'rewind: the standby is promoted' pg_promote side
    pg_wait_promoted side
    pg_step side 2 >/dev/null
    diverged=$(pg_sql main 'select pg_walfile_name(pg_current_wal_lsn())')
    for i in 101 102 103; do
        last=$(pg_step main $i)
    done
    pg_stop main
    # What was archived is not in pg_wal any more.
    for file in $(w_names plain | grep -E '^0{7}1[0-9A-F]{16}$'); do
        [[ $file > $last ]] || rm -f "$(pg_data main)/pg_wal/$file"
    done
    nok 'rewind: not without the archive' rewind
    ok 'rewind: with what walden-restore fetches' rewind -c
    like "$ERR" 'Done' 'rewind: done'
    isnt "$diverged" '' 'rewind: there was something to rewind'
    # It is a copy of the other's data directory now, but for where it listens.
    pg_conf main "unix_socket_directories = '$SOCKETS'" "port = $(pg_port main)" \
        "primary_conninfo = $(pg_quote "$(pg_connstr side)")" 'archive_mode = off'
    touch "$(pg_data main)/standby.signal"
    ok 'rewind: the old primary starts as a standby' pg_start main
    lsn=$(pg_sql side 'select pg_current_wal_insert_lsn()')
    ok 'rewind: it follows the new one' pg_wait_replay main "$lsn"
    is "$(pg_steps main)" "$(pg_steps side)" 'rewind: with its rows'
    pg_drop main
    pg_drop side
}

# From a directory that is no data directory.
rewind() {
    (cd / && "$program" --target-pgdata="$(pg_data main)" --source-server="$(pg_connstr side)" \
        --no-sync "$@")
}

# -------------------------------------------------------------------------------------------------

mapfile -t majors < <(pg_majors)
! w_is_dev || majors=("${majors[-1]}")
for m in $(printf '%s\n' "${majors[0]}" "${majors[-1]}" | uniq); do
    primary "$m"
    [ "$m" != "${majors[-1]}" ] || test_wrong
    test_trouble
    test_always plain
    test_always sealed
    pg_drop main
    rm -rf "$SCRATCH"/{plain,sealed,other}.{repo,walden,safe} "$SCRATCH/backup" "$SCRATCH/object"
done
test_rewind
done_testing
