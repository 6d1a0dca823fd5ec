#!/bin/bash
# Goal: what somebody who owns the storage can do to a repository, beyond 43-sealed: plain objects
# whose header lies about their place, names planted before encryption is switched on, a lineage that
# lies about the segment size, pipes and links in the place of files, sizes that would fill the disk of
# whoever restores, names that would act on a terminal, text files of any form.  Nothing forged comes
# out, nothing hangs, nothing is acknowledged that cannot be fetched.
#
# when: quick
# also: dev
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

keep=$SCRATCH/keep

# make_wal: four segments of 1 MB, kept as the server offered them.
make_wal() {
    local i
    pg_init main "$(pg_majors | tail -n 1)" --wal-segsize=1 || bail initdb
    pg_archive_cp main "$keep"
    pg_start main || bail 'no server'
    segments=()
    for i in 1 2 3 4; do
        segments+=("$(pg_step main "$i")") || bail 'no segment'
    done
    pg_stop main
    data=$(pg_data main)
    system_id=$(cd "$data" && od -An -N8 -tu8 global/pg_control | tr -d ' ')
}

# soon COMMAND...: must end by itself.
soon() { timeout -k 1 20 "$@"; }
push() { (cd "$data" && soon walden-archive --config "$1" "$keep/$2"); }
fetch() {
    rm -f "$SCRATCH/got"
    (cd "$data" && soon walden-restore --config "$1" "$2" "$SCRATCH/got")
}

# patch OBJECT OFFSET FORMAT VALUE: writes a number into the header (OFFSET from the start) or, below
# zero, the trailer (from its payload), and puts the checksums right.
patch() {
    chmod 600 "$1"
    perl -e '
        my ($path, $at, $format, $value) = @ARGV;
        open(my $f, "<:raw", $path) or die; local $/; my $b = <$f>; close $f;
        my @t = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
        my $crc = sub { my $c = 0xFFFFFFFF; $c = $t[($c ^ $_) & 255] ^ ($c >> 8) for unpack("C*", $_[0]);
            $c ^ 0xFFFFFFFF };
        my $number = pack($format, $value);
        my $head = unpack("V", substr($b, 4, 4));
        my $tail = length($b) - unpack("V", substr($b, -16, 4));
        substr($b, $at < 0 ? $tail + 8 - $at : 8 + $at, length $number) = $number;
        substr($b, 4 + $head, 4) = pack("V", $crc->(substr($b, 8, $head - 4)));
        substr($b, -12, 4) = pack("V", $crc->(substr($b, $tail + 8, length($b) - $tail - 20)));
        open($f, ">:raw", $path) or die; print $f $b; close $f or die;' "$@"
}

# forged NAME: a plain repository that says it is the one called NAME.
forged() {
    local id repo
    id=$(sed -n 's/^id //p' "$(w_repo "$1")/walden-repo")
    w_init forged "$data" || bail 'no forged repository'
    repo=$(w_repo forged)
    chmod 600 "$repo"/walden-repo "$repo"/main/*/cluster
    sed -i "s/^id .*/id $id/" "$repo/walden-repo"
    sed -i "s/^repo .*/repo $id/" "$repo"/main/*/cluster
    text_seal "$repo/walden-repo"
    text_seal "$repo/main/$system_id/cluster"
    echo "repo = $repo" >"$(w_conf forged)"
    for id in "${segments[@]}"; do
        push "$(w_conf forged)" "$id" || bail 'forging'
    done
}

# What a plain object says of itself must not decide whether it may be plain.
test_forged_place() {
    local conf object file=${segments[2]} cluster
    w_init later "$data" || bail init
    push "$(w_conf later)" "${segments[0]}" || bail push
    # A file that merely has the name of a far segment, planted before encryption is switched on.
    mkdir -p "$(w_repo later)/main/$system_id/wal/00000001/FFFFFFFE"
    : >"$(w_repo later)/main/$system_id/wal/00000001/FFFFFFFE/00000001FFFFFFFE00000001"
    ok 'encryption is switched on' w_init later "$data" --encrypt
    like "$(cat "$SCRATCH/.init")" 'not taken for a WAL segment' 'a planted name is told'
    unlike "$(cat "$(w_repo later)/main/$system_id/sealed")" '^from .*FFFFFFFE' \
        'and does not move the place from which all is sealed'
    rm -r "$(w_repo later)/main/$system_id/wal/00000001/FFFFFFFE"
    w_take_key later
    conf=$(w_open_conf later)
    push "$(w_conf later)" "$file" || bail push
    ok 'the sealed segment can be fetched' fetch "$conf" "$file"
    forged later
    object=$(w_object later "$file")
    cp "$object" "$SCRATCH/sealed-object"
    cp "$(w_object forged "$file")" "$object"
    exits 204 'a plain object in its place: refused' fetch "$conf" "$file"
    patch "$object" 32 'Q<' 0
    exits 204 'one whose header says that it is older: refused' fetch "$conf" "$file"
    exits 4 'and not acknowledged' push "$(w_conf later)" "$file"
    run test -e "$SCRATCH/got"
    is "$RC" 1 'nothing was delivered'

    # The lineage lies about the segment size, so that a name counts as an older LSN.
    cluster=$(w_repo later)/main/$system_id/cluster
    cp "$object" "$SCRATCH/plain-object"
    cp "$SCRATCH/sealed-object" "$object"
    cp "$cluster" "$SCRATCH/cluster"
    sed -i 's/^segment-size .*/segment-size 2097152/' "$cluster"
    text_seal "$cluster"
    exits 201 'a lineage with another segment size: refused' fetch "$conf" "$file"
    cp "$SCRATCH/plain-object" "$object"
    exits 201-204 'with a plain object: refused' fetch "$conf" "$file"
    cp "$SCRATCH/cluster" "$cluster"
    cp "$SCRATCH/sealed-object" "$object"
    ok 'all is right again' fetch "$conf" "$file"
}

# A whole, forged segment far ahead, planted before encryption is switched on, would have every plain
# object before it believed.
test_planted_ahead() {
    local far=000000010000007F00000001 wal cut
    w_init ahead "$data" || bail init
    push "$(w_conf ahead)" "${segments[0]}" || bail push
    wal=$(w_repo ahead)/main/$system_id/wal/00000001
    mkdir -p "$wal/0000007F"
    cp "$(w_object ahead "${segments[0]}")" "$wal/0000007F/$far"
    patch "$wal/0000007F/$far" 32 'Q<' $((0x7F00100000))
    patch "$wal/0000007F/$far" 56 a24 "$far"
    ok 'a forged segment far ahead is a whole object' fetch "$(w_conf ahead)" "$far"
    exits 4 'encryption is refused' walden init --repo "$(w_repo ahead)" --config "$(w_conf ahead)" \
        --pgdata "$data" --encrypt
    like "$ERR" "\"$far\".* cannot be this server's" 'it names the segment'
    like "$ERR" 'hint: .*--accept-beyond' 'and what to do'
    ok 'until then the hook goes on' push "$(w_conf ahead)" "${segments[1]}"
    # Where a server that crashed ends, only the server can tell.
    cut=$SCRATCH/crashed
    mkdir -p "$cut/global"
    cp "$data/global/pg_control" "$cut/global/"
    cp "$data/PG_VERSION" "$cut/"
    perl -e 'open(my $f, "+<:raw", $ARGV[0]) or die; local $/; my $b = <$f>;
        substr($b, 16, 4) = pack("V", 6);
        my @t = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
        for my $n (200 .. 400) {
            my $crc = sub { my $c = 0xFFFFFFFF; $c = $t[($c ^ $_) & 255] ^ ($c >> 8) for unpack("C*", $_[0]); $c ^ 0xFFFFFFFF };
            my $old = do { open(my $o, "<:raw", $ARGV[1]); local $/; <$o> };
            next if unpack("V", substr($old, $n, 4)) != $crc->(substr($old, 0, $n));
            substr($b, $n, 4) = pack("V", $crc->(substr($b, 0, $n)));
            seek($f, 0, 0); print $f $b; exit 0;
        }
        exit 1' "$cut/global/pg_control" "$data/global/pg_control" || bail 'no crash'
    rm -r "$wal/0000007F"
    exits 3 'a server that crashed: nobody can tell where it ends' \
        env PGHOST="$SCRATCH/nowhere" walden init --repo "$(w_repo ahead)" --config "$(w_conf ahead)" \
        --pgdata "$cut" --encrypt
    like "$ERR" 'hint: .*start the server' 'it says what to do'
    ok 'without it encryption is switched on' walden init --repo "$(w_repo ahead)" \
        --config "$(w_conf ahead)" --pgdata "$data" --encrypt
    like "$(cat "$(w_repo ahead)/main/$system_id/sealed")" \
        "^from 00000001 $(perl -e 'printf "%X/%X", 0, (hex(substr($ARGV[0], -4)) + 1) << 20' "${segments[1]}")$" \
        'from the last segment that was there on'
}

# In a plain repository nothing proves who wrote it; what cannot be right is refused all the same.
test_sizes() {
    local conf object file=${segments[0]}
    w_init plain "$data" || bail init
    conf=$(w_conf plain)
    for object in "${segments[@]}"; do push "$conf" "$object" || bail push; done
    object=$(w_object plain "$file")
    cp "$object" "$SCRATCH/whole"
    ok 'as it was' fetch "$conf" "$file"
    patch "$object" -8 'Q<' $((1 << 40))
    exits 201 'a plain size of a terabyte: refused' fetch "$conf" "$file"
    run test -e "$SCRATCH/got"
    is "$RC" 1 'and no disk was filled'
    exits 4-8 'nor acknowledged' push "$conf" "$file"
    cp "$SCRATCH/whole" "$object"
    patch "$object" 12 'C' 2
    exits 201 'a body of another kind: refused as damage' fetch "$conf" "$file"
    cp "$SCRATCH/whole" "$object"
    patch "$object" 32 'Q<' 0
    exits 201 'a header of another place: refused' fetch "$conf" "$file"
    exits 8 'nor acknowledged, since nobody could fetch it' push "$conf" "$file"
    cp "$SCRATCH/whole" "$object"
}

# in_place PATH WHAT: something else in the place of a file; everything ends, with an error.
in_place() {
    local path=$1 what=$2 conf
    conf=$(w_conf plain)
    mv "$path" "$SCRATCH/aside"
    case $what in
        pipe) mkfifo "$path" ;;
        directory) mkdir "$path" ;;
        link) ln -s "$SCRATCH/aside" "$path" ;;
    esac
    exits 201-204 "a $what instead of ${path##*/}: restore" fetch "$conf" "${segments[1]}"
    exits 1-125 "a $what instead of ${path##*/}: archive" push "$conf" "${segments[1]}"
    exits 1-4 "a $what instead of ${path##*/}: list" soon walden list --config "$conf"
    rm -rf "$path"
    mv "$SCRATCH/aside" "$path"
}

test_files() {
    local repo what
    repo=$(w_repo plain)
    for what in pipe directory link; do
        in_place "$repo/walden-repo" $what
        in_place "$repo/main/$system_id/cluster" $what
        in_place "$(w_object plain "${segments[1]}")" $what
    done
    mv "$repo/main/$system_id/wal" "$SCRATCH/wal"
    ln -s "$SCRATCH/wal" "$repo/main/$system_id/wal"
    exits 203 'a link instead of wal/: restore' fetch "$(w_conf plain)" "${segments[1]}"
    exits 203 'also for what is not there' fetch "$(w_conf plain)" 0000000100000000000000FE
    rm "$repo/main/$system_id/wal"
    mv "$SCRATCH/wal" "$repo/main/$system_id/wal"
    ok 'all is right again' fetch "$(w_conf plain)" "${segments[1]}"
}

test_names() {
    local repo command
    repo=$(w_repo plain)
    mkdir "$repo/"$'\e[31mevil' "$repo/main/"$'\e]0;x\a'
    touch "$repo/main/$system_id/wal/"$'\e[2Jx\n' "$repo/main/$system_id/wal/"$'\xff\xfe'
    for command in list 'list --json' verify 'verify --json' 'key check'; do
        # shellcheck disable=SC2086 # words
        exits 0-1 "foreign names: $command" soon walden $command --config "$(w_conf plain)"
        is "$(tr -dc '\000-\010\013-\037\177' <<<"$OUT$ERR")" '' "$command prints only what cannot act on a terminal"
    done
    rm -r "$repo/"$'\e[31mevil' "$repo/main/"$'\e]0;x\a' "$repo/main/$system_id/wal/"$'\e[2Jx\n' \
        "$repo/main/$system_id/wal/"$'\xff\xfe'
}

# Marker and lineage of any form, with a right checksum: an error of the documented kind, or the same
# as before, but no crash.
test_texts() {
    local file change bad='' status repo
    repo=$(w_repo plain)
    for file in "$repo/walden-repo" "$repo/main/$system_id/cluster"; do
        cp "$file" "$SCRATCH/text"
        # shellcheck disable=SC2016 # for sed
        for change in '2d' '3d' '2p' '$d' 's/$/ x/' 's/ /  /' 's/^id/ID/' 's/[0-9]/z/' 's/[0-9a-f]//' \
            '2s/.*/host a b c d/' '2s/.*/recipient 00 x/' '3s/.*/owner 00/' 's/private/public/' \
            's/^segment-size .*/segment-size 0/' 's/^segment-size .*/segment-size 1/' \
            's/^system-id .*/system-id 99999999999999999999/' 's/^cluster .*/cluster ..\/x/' \
            "2s/^/$(printf 'x%.0s' {1..3000})/" '2s/.*//' "1s/\$/\\n$(printf 'mode private\\n%.0s' {1..200})/"; do
            sed "$change" "$SCRATCH/text" >"$SCRATCH/changed"
            cat "$SCRATCH/changed" >"$file"
            text_seal "$file"
            fetch "$(w_conf plain)" "${segments[1]}" >/dev/null 2>&1
            status=$?
            [ $status = 0 ] || { [ $status -ge 200 ] && [ $status -le 204 ]; } ||
                bad="$bad restore $change: $status;"
            push "$(w_conf plain)" "${segments[1]}" >/dev/null 2>&1
            status=$?
            [ $status -le 8 ] || bad="$bad archive $change: $status;"
        done
        cat "$SCRATCH/text" >"$file"
    done
    is "$bad" '' 'changed markers and lineages end in a documented status'
    ok 'all is right again' fetch "$(w_conf plain)" "${segments[1]}"
}

make_wal
test_forged_place
test_planted_ahead
test_sizes
test_files
test_names
test_texts
done_testing
