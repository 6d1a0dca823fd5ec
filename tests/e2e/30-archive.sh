#!/bin/bash
# Goal: a real server archives through walden-archive; every file comes back identical; the same
# again is welcome and rewrites nothing; whatever is not what it says is refused, with a status that
# PostgreSQL counts, one line, and nothing changed; and 0 is only said of what is on stable storage.
#
# ARCHIVE_SIZES: segment sizes in MB of the newest major (default "1 16 64"); 30-archive-long.sh asks
# for 1024.
# also: dev
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# ---- a server archives --------------------------------------------------------------------------

# fetched_differ SERVER REPOSITORY KEEP: names of archived files that do not come back as the server
# offered them.
fetched_differ() {
    local file dest=$SCRATCH/fetched
    while read -r file; do
        rm -f "$dest"
        w_fetch "$1" "$2" "$file" "$dest" && cmp -s "$dest" "$3/$file" || echo "$file"
    done < <(w_names "$2")
    rm -f "$dest"
}

# not_lz4_readable REPOSITORY KEEP: names whose object, expanded by lz4 and completed by truncate, is
# not the file.
not_lz4_readable() {
    local file dest=$SCRATCH/expanded
    while read -r file; do
        lz4 -dc "$(w_object "$1" "$file")" >"$dest" 2>/dev/null &&
            truncate -s "$(size_of "$2/$file")" "$dest" && cmp -s "$dest" "$2/$file" || echo "$file"
    done < <(w_names "$1")
    rm -f "$dest"
}

# kinds NAMES: how many segments, partials, histories and backup histories.
kinds() {
    local kind
    for kind in '^[0-9A-F]{24}$' '\.partial$' '\.history$' '\.backup$'; do
        grep -Ec "$kind" <<<"$1"
    done | paste -sd' '
}

# life MAJOR SEGMENT_MB [SEALED]: all kinds of files, from a running server.
life() {
    local major=$1 mb=$2 what="$1, $2 MB${3:+, sealed}" name=s$1.$2${3-} keep names failed tree
    keep=$SCRATCH/$name.keep
    pg_init "$name" "$major" --wal-segsize="$mb" || bail "initdb of $what"
    "w_init${3:+_sealed}" "$name" "$(pg_data "$name")" || bail "no repository for $what"
    pg_archive "$name" "$(w_keep_command "$name" "$keep")"
    # So that the server keeps what it has archived, and we can compare.
    pg_conf "$name" 'checkpoint_timeout = 1h' 'autovacuum = off'
    ok "$what: starts" pg_start "$name"
    ok "$what: archives a segment" pg_step "$name" 1 1000
    ok "$what: a base backup" pg_backup_hot "$name" "$SCRATCH/$name.backup"
    ok "$what: archives another" pg_step "$name" 2
    pg_sql "$name" "insert into steps select 3, 'in the partial segment'"
    ok "$what: promotes" new_timeline "$name"
    ok "$what: archives on the new timeline" pg_step "$name" 4
    failed=$(pg_sql "$name" 'select failed_count from pg_stat_archiver')
    is "$failed" 0 "$what: no command failed"
    pg_stop "$name"
    names=$(w_names "$name")
    like "$(kinds "$names")" '^[4-9] 1 1 1$' "$what: segments, partial, history, backup history"
    is "$(fetched_differ "$name" "$name" "$keep")" '' "$what: all come back identical"
    if [ -z "${3-}" ]; then
        is "$(not_lz4_readable "$name" "$keep")" '' "$what: lz4 and truncate give the same"
    else
        isnt "$(not_lz4_readable "$name" "$keep")" '' "$what: lz4 alone gives nothing"
    fi
    is "$(w_leftovers "$name")" '' "$what: no temporary file is left"

    tree=$(w_tree "$name")
    failed=''
    for file in $names; do
        w_push "$name" "$name" "$keep/$file" || failed+=" $file"
    done
    is "$failed" '' "$what: the same again is welcome"
    is "$(w_tree "$name")" "$tree" "$what: and nothing was written again"
    rm -rf "$SCRATCH/$name.backup" "$keep" "$SCRATCH/pg/$name/data" "$(w_repo "$name")"
}

# ---- what is refused ----------------------------------------------------------------------------

# refuses STATUS DESCRIPTION FILE [SERVER [REPOSITORY [ARGUMENT...]]]: refused, said in one line, and
# nothing in the repository changed.
refuses() {
    local status=$1 what=$2 file=$3 server=${4-r} repo=${5-r} tree
    shift $(($# < 5 ? $# : 5))
    tree=$(w_tree "$repo")
    exits "$status" "$what: refused" w_push "$server" "$repo" "$file" "$@"
    is_one_message "$ERR" walden-archive || fail "$what: says so in one line" "$ERR"
    is "$(w_tree "$repo")" "$tree" "$what: nothing changed"
}

# nth_segment N: the name of one that the server r archived with cp, on timeline 1.
nth_segment() { find "$SCRATCH/keep" -regex '.*/00000001[0-9A-F]*' -printf '%f\n' | sort | sed -n "$1p"; }

# variant NAME FROM: a file with that WAL name and the content of FROM; prints its path.
variant() {
    local dir
    dir=$(mktemp -d "$SCRATCH/variant.XXXXXX")
    cp "$2" "$dir/$1"
    echo "$dir/$1"
}

refusals() {
    local sealed=$1 what=${1:+sealed: } data keep=$SCRATCH/keep first second third far file other
    "w_init${1:+_sealed}" r "$(pg_data r)" || bail 'no repository'
    first=$(nth_segment 1)
    second=$(wal_add "$first" 1 1048576)
    third=$(wal_add "$first" 2 1048576)
    far=$(wal_add "$first" 100 1048576)
    ok "${what}a segment goes in" w_push r r "$keep/$first"
    ok "${what}a history goes in" w_push r r "$keep/00000002.history"
    like "$(stat -c %a "$(w_object r "$first")")" '^600$' "${what}only its owner can read it"

    refuses 4 "${what}other content, one bit" "$(
        file=$(variant "$first" "$keep/$first")
        flip_byte "$file" 5000 1
        echo "$file"
    )"
    file=$(variant "$first" "$keep/$first")
    flip_byte "$file" -1 1
    other=$(w_tree r)
    ok "${what}the same WAL with something behind its switch" w_push r r "$file"
    is "$(w_tree r)" "$other" "${what}nothing changed"
    refuses 4 "${what}the next segment under this name" "$(variant "$first" "$keep/$second")"
    refuses 4 "${what}an earlier one under a new name" "$(variant "$far" "$keep/$first")"
    refuses 4 "${what}all zero under a new name" "$(
        file=$(variant "$far" /dev/null)
        truncate -s 1048576 "$file"
        echo "$file"
    )"
    refuses 4 "${what}all zero under this name" "$(
        file=$(variant "$first" /dev/null)
        truncate -s 1048576 "$file"
        echo "$file"
    )"
    for size in 0 1 512 8192 524288 1048575 1048577 2097152; do
        refuses 4 "${what}a segment of $size bytes" "$(
            file=$(variant "$second" "$keep/$second")
            truncate -s "$size" "$file"
            echo "$file"
        )"
        [ $size -ne 2097152 ] ||
            like "$ERR" 'hint: .*pg_resetwal.*walden init --cluster' "${what}another segment size: what to do"
    done
    refuses 4 "${what}a history with other content" "$(
        file=$(variant 00000002.history "$keep/00000002.history")
        sed -i 's/no recovery target specified/another reason/;t;s/$/ /' "$file"
        echo "$file"
    )"
    refuses 4 "${what}a history without sense" "$(
        file=$(variant 00000003.history /dev/null)
        echo 'this is no history' >"$file"
        echo "$file"
    )"
    refuses 4 "${what}an empty history" "$(variant 00000003.history /dev/null)"
    refuses 4 "${what}another cluster's segment" "$(variant "$second" "$(foreign_segment "$second")")"
    refuses 4 "${what}another cluster" "$(foreign_segment "$second")" foreign
    refuses 2 "${what}no name of a WAL file" "$(variant postgresql.conf "$(pg_data r)/postgresql.conf")"
    refuses 2 "${what}a name in lower case" "$(variant "${second/00000001/0000000a}" "$keep/$second")"
    refuses 2 "${what}a missing file" "pg_wal/$far"
    mkdir -p "$SCRATCH/dir/$second"
    refuses 4 "${what}a directory" "$SCRATCH/dir/$second"
    refuses 2 "${what}a directory, with a slash" "$SCRATCH/dir/$second/"
    refuses 2 "${what}an empty name" ''
    mkfifo "$SCRATCH/dir/$third" 2>/dev/null
    refuses 4 "${what}a pipe" "$SCRATCH/dir/$third"
    rm "$SCRATCH/dir/$third"
    file=$(variant "$second" "$keep/$second")
    chmod 000 "$file"
    refuses 1 "${what}an unreadable file" "$file"
    refuses 2 "${what}a wrong setting" "$keep/$second" r r --compression=zip
    refuses 4 "${what}another cluster's system identifier" "$keep/$second" r r --system-id=1234567890
    refuses 4 "${what}another repository id" "$keep/$second" r r \
        --repo-id=00112233445566778899aabbccddeeff
    refuses 4 "${what}an unknown cluster name" "$keep/$second" r r --cluster=other

    # Damage inside a right segment: stored and shouted about.
    file=$(variant "$third" "$keep/$third")
    flip_byte "$file" 9000
    ok "${what}damage inside a right segment is archived" w_push r r "$file"
    like "$ERR" '^walden-archive: warning: .*damaged at [0-9A-F]+/[0-9A-F]+' "${what}and reported"
    ok "${what}and comes back" w_fetch r r "$third" "$SCRATCH/back"
    ok "${what}as it is" cmp "$SCRATCH/back" "$file"
    refuses 4 "${what}the right content is refused then" "$keep/$third"
    rm "$SCRATCH/back"

    # Rot in the repository: it is no copy.
    flip_byte "$(w_object r "$first")" 300
    exits 1-125 "${what}the same again, but the copy is rotten: not 0" w_push r r "$keep/$first"
    flip_byte "$(w_object r "$first")" 300
    ok "${what}and 0 when it is right" w_push r r "$keep/$first"
    places
    rm -rf "$(w_repo r)" "$(w_keys r)" "$SCRATCH/r.safe" "$SCRATCH/dir"
}

# foreign_segment NAME: a segment with the name's number of another cluster; prints its path.
foreign_segment() { echo "$SCRATCH/foreign.keep/$1"; }

# The repository is not there, or is another one: nothing may appear anywhere.
places() {
    local repo file tree other=$SCRATCH/elsewhere
    repo=$(w_repo r)
    file=$keep/$second
    mv "$repo" "$other"
    tree=$(tree_of "$other")
    exits 3 "${what}no repository: refused" w_push r r "$file"
    is_one_message "$ERR" walden-archive || fail 'in one line' "$ERR"
    nok "${what}no repository: not made" test -e "$repo"
    mkdir "$repo"
    exits 3 "${what}an empty mount point: refused" w_push r r "$file"
    like "$ERR" 'mount' "${what}an empty mount point: says what to do"
    is "$(ls -A "$repo")" '' "${what}an empty mount point: nothing written"
    rmdir "$repo"
    : >"$repo"
    exits 3-4 "${what}a file in its place: refused" w_push r r "$file"
    is "$(size_of "$repo")" 0 "${what}a file in its place: untouched"
    rm "$repo"
    mkdir "$repo"
    cp -a "$other"/. "$repo"
    sed -i "s/^id .*/id $(printf '%032d' 7)/" "$repo/walden-repo"
    [ -n "$sealed" ] || text_seal "$repo/walden-repo"
    other=$(w_tree r)
    exits 4-8 "${what}another repository there: refused" w_push r r "$file"
    is "$(w_tree r)" "$other" "${what}another repository there: untouched"
    rm -rf "$repo"
    other=$SCRATCH/elsewhere
    is "$(tree_of "$other")" "$tree" "${what}the right one: untouched"
    mv "$other" "$repo"
    chmod 500 "$repo" "$repo"/main "$repo"/main/* "$(dirname "$(w_object r "$first")")"
    exits 1 "${what}a repository without write permission: refused" w_push r r "$file"
    chmod -R u+rwX "$repo"
    is "$(w_leftovers r)" '' "${what}nothing is left behind"
    ok "${what}the repository is back" w_push r r "$file"
}

# Several at once on one name: one content.
rivals() {
    local name=$1 sealed=$2 file other i good=0 bad=0 odd=0 status
    "w_init${2:+_sealed}" rivals "$(pg_data r)" || bail 'no repository'
    file=$(variant "$name" "$SCRATCH/keep/$name")
    other=$(variant "$name" "$SCRATCH/keep/$name")
    flip_byte "$other" 9000
    local pids=()
    for i in 1 2 3 4 5 6; do
        w_push r rivals "$([ $((i % 2)) = 0 ] && echo "$other" || echo "$file")" 2>/dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        status=0
        wait "$i" || status=$?
        case $status in
        0) good=$((good + 1)) ;;
        4) bad=$((bad + 1)) ;;
        *) odd=$((odd + 1)) ;;
        esac
    done
    is "$good $bad $odd" '3 3 0' "${2:+sealed: }rivals: one content is accepted, the other refused"
    ok "${2:+sealed: }rivals: it comes back" w_fetch r rivals "$name" "$SCRATCH/back"
    if cmp -s "$SCRATCH/back" "$file" || cmp -s "$SCRATCH/back" "$other"; then
        pass "${2:+sealed: }rivals: whole"
    else
        fail "${2:+sealed: }rivals: whole"
    fi
    is "$(w_leftovers rivals)" '' "${2:+sealed: }rivals: nothing is left behind"
    rm -rf "$(w_repo rivals)" "$(w_keys rivals)" "$SCRATCH/rivals.safe"
}

test_refusals() {
    local keep=$SCRATCH/keep i
    pg_init r "$newest" --wal-segsize=1
    pg_init -f foreign "$newest" --wal-segsize=1
    pg_archive_cp r "$keep"
    pg_archive_cp foreign "$SCRATCH/foreign.keep"
    for name in r foreign; do
        pg_start "$name" || bail "$name"
        # The same segment numbers in both.
        for i in 1 2 3 4; do
            pg_step "$name" $i 500 >/dev/null || bail "step $i of $name"
        done
    done
    new_timeline r || bail 'no promotion'
    pg_step r 5 >/dev/null
    pg_stop r
    pg_stop foreign
    refusals ''
    refusals sealed
    rivals "$(nth_segment 2)" ''
    rivals "$(nth_segment 2)" sealed
}

# ---- failures as the server sees them -----------------------------------------------------------

has_failures() { [ "$(pg_sql "$1" 'select failed_count from pg_stat_archiver')" -ge "$2" ]; }

test_trouble() {
    local major=$1 name=t$1 repo segment
    pg_init "$name" "$major" --wal-segsize=1
    w_init "$name" "$(pg_data "$name")"
    repo=$(w_repo "$name")
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_start "$name"
    pg_step "$name" 1 >/dev/null
    mv "$repo" "$repo.away"
    mkdir "$repo"
    pg_sql "$name" 'insert into steps select 2'
    segment=$(pg_sql "$name" 'select pg_walfile_name(pg_switch_wal())')
    pg_sql "$name" checkpoint -c checkpoint
    ok "$major: without a repository the archiver's failures are counted" \
        wait_for 20 has_failures "$name" 2
    ok "$major: and the segment stays" test -f "$(pg_data "$name")/pg_wal/$segment"
    is "$(ls -A "$repo")" '' "$major: and nothing is written into the mount point"
    ok "$major: a shutdown is not held up" pg_stop "$name"
    pg_start "$name"
    rmdir "$repo"
    mv "$repo.away" "$repo"
    ok "$major: archiving goes on when it is back" pg_step "$name" 3
    ok "$major: with what was waiting" pg_wait_archived "$name" "$segment"
    ok "$major: which is there" w_object "$name" "$segment"
    pg_stop "$name"
}

# ---- what an archived segment costs -------------------------------------------------------------

# idle_size REPOSITORY SERVER: stored size of an idle segment.
test_idle() {
    local sealed=$1 name=idle$1 file
    pg_init "$name" "$newest"
    "w_init${1:+_sealed}" "$name" "$(pg_data "$name")"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'checkpoint_timeout = 1h'
    pg_start "$name"
    pg_switch "$name" >/dev/null
    file=$(pg_switch "$name")
    ok "${1:+sealed: }an idle segment takes at most 1024 bytes ($(size_of "$(w_object "$name" "$file")"))" \
        test "$(size_of "$(w_object "$name" "$file")")" -le 1024
    pg_stop "$name"
}

# traced ARGUMENT...: strace with these arguments and $trace as its output, of archiving $file.
traced() { in_data "$name" strace -f -o "$trace" "$@" walden-archive --config "$(w_conf "$name")" "$file"; }

# sum_calls REGEX: how many calls of these names strace -c counted.
sum_calls() { awk -v re="^($1)\$" '$NF ~ re { n += $4 } END { print n + 0 }' "$trace"; }

# What archiving a full segment takes in system calls and flushes, and their order.
test_calls() {
    local sealed=$1 what kind name=calls$1 keep=$SCRATCH/calls.keep file trace=$SCRATCH/trace calls
    pg_init "$name" "$newest"
    "w_init${1:+_sealed}" "$name" "$(pg_data "$name")"
    pg_archive "$name" "$(w_keep_command "$name" "$keep")"
    pg_start "$name"
    pg_sql "$name" 'create table fill (v bytea); alter table fill alter v set storage external'
    for kind in compressible random; do
        what="${1:+sealed: }$kind"
        case $kind in
        compressible) pg_sql "$name" "insert into fill select repeat('walden ', 250)::bytea
            from generate_series(1, 14000)" ;;
        random) pg_sql "$name" "insert into fill
            select string_agg(sha256((i * 1000 + j)::text::bytea), '')
            from generate_series(1, 5000) i, generate_series(1, 125) j group by i" ;;
        esac
        # The segment before the current one is full.
        file=$(wal_add "$(pg_switch "$name")" -1)
        rm "$(w_object "$name" "$file")"
        file=$keep/$file
        run traced -c
        is "$RC" 0 "$what: archived under strace"
        calls=$(sum_calls total)
        ok "$what: at most 150 system calls ($calls)" test "$calls" -le 150
        calls=$(sum_calls '(fsync|fdatasync|syncfs|sync)')
        ok "$what: at most 4 flushes ($calls)" test "$calls" -le 4
        rm "$(w_object "$name" "${file##*/}")"
        run traced -y
        is "$(publish_order)" 'flush name dir' "$what: flushed, then named, then the directory flushed"
        run traced -y
        is "$(publish_order)" 'confirm dir' "$what: the same again: file and directory flushed"
    done
    pg_stop "$name"
    rm -rf "$keep"
}

# publish_order: in $trace, the order of what makes $file's object durable: its temp flushed, named,
# its directory flushed (or, of an existing one: confirmed).
publish_order() {
    perl -ne '
        BEGIN { $name = pop(@ARGV) }
        next unless /= 0\b/;
        if (/f(?:data)?sync\(\d+<([^>]*)>/) {
            my $path = $1;
            push @o, $path =~ m{/\.tmp\.\d\.\Q$name\E} ? "flush" : $path =~ m{/\Q$name\E} ? "confirm"
                : $path =~ m{/wal/[0-9A-F]{8}/[0-9A-F]{8}$} ? "dir" : "other";
        } elsif (/(?:rename|link)\w*\(.*"[^"]*\Q$name\E"[^"]*$/) { push @o, "name" }
        END { print join(" ", @o), "\n" }' "$trace" "${file##*/}"
}

# -------------------------------------------------------------------------------------------------

mapfile -t majors < <(pg_majors)
newest=${majors[-1]}
if [ -n "${ARCHIVE_SIZES-}" ]; then
    for mb in $ARCHIVE_SIZES; do
        life "$newest" "$mb"
        life "$newest" "$mb" sealed
    done
    done_testing
    exit 0
fi
if ! w_is_dev; then
    sizes=(1 16 64)
    i=0
    for major in "${majors[@]}"; do
        life "$major" "${sizes[i % 3]}"
        i=$((i + 1))
    done
    test_trouble "${majors[0]}"
else
    life "$newest" 1
fi
life "$newest" 1 sealed
life "$newest" 16 sealed
test_refusals
test_trouble "$newest"
test_idle ''
test_idle sealed
# A sanitizer makes calls of its own, and so does qemu.
if ! w_is_dev && [ -z "${TEST_ON-}" ]; then
    test_calls ''
    test_calls sealed
fi
done_testing
