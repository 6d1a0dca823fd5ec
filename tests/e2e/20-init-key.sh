#!/bin/bash
# Goal: walden init and walden key.  Whatever way a repository comes about (offline, from a server,
# sealed, sealed later, for a second host, after an upgrade), a second run changes nothing, and
# what was made lets the hooks work and the
# secret key open everything.  What would be unsafe is refused with its own exit status.
# also: dev
# also: cross
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

MAJOR=17
WAL=wal_files

# tree DIR...: names, modes and content of everything below, to be compared.
tree() {
    find "$@" -printf '%m %y %p %l\n' | sort
    find "$@" -type f -print0 | sort -z | xargs -0 -r sha256sum
}

# unchanged DESCRIPTION DIRECTORIES -- COMMAND...: succeeds and changes nothing there.
unchanged() {
    local what=$1 dirs=() before
    shift
    while [ "$1" != -- ]; do dirs+=("$1"); shift; done
    shift
    before=$(tree "${dirs[@]}")
    ok "$what: again" "$@"
    is "$(tree "${dirs[@]}")" "$before" "$what: the second run changes nothing"
}

# make_wal: a few archived files of one cluster, kept in $SCRATCH/$WAL, to be archived by hand.
make_wal() {
    local i
    pg_init source "$MAJOR"
    pg_archive_cp source "$SCRATCH/$WAL"
    pg_start source
    for i in 1 2 3; do pg_step source "$i" >/dev/null; done
    pg_stop source
    mapfile -t SEGMENTS < <(find "$SCRATCH/$WAL" -regextype egrep -regex '.*/[0-9A-F]{24}' \
        -printf '%f\n' | sort)
    DATA=$(pg_data source)
}

# archive CONFIG NAME: as the server would, from the data directory.
archive() { (cd "$DATA" && walden-archive --config "$1" "$SCRATCH/$WAL/$2"); }

# fetch CONFIG NAME [FLAG...]: and compares with what was archived.
fetch() {
    local config=$1 name=$2
    shift 2
    rm -f "$SCRATCH/fetched"
    (cd "$DATA" && walden-restore --config "$config" "$@" "$name" "$SCRATCH/fetched") &&
        cmp "$SCRATCH/fetched" "$SCRATCH/$WAL/$name"
}

# commands PROGRAM...: those that its help lists.
commands() { "$@" --help | sed -n '/^Commands/,$s/^  \([a-z][a-z-]*\) .*/\1/p'; }

# manual PROGRAM...: its page is one: the parts are there, in order, every line is of a kind that man(7)
# knows, and nothing in it is longer than a line may be.
manual() {
    local page=$SCRATCH/page.1
    "$@" --man >"$page" || { fail "$*: a manual page"; return; }
    run perl -e '
        my ($name, @lines) = (shift, map { chomp; $_ } <STDIN>);
        my ($nf, @parts, %seen) = (0);
        my $bad = sub { print "line $.: $_[0]\n"; exit 1 };
        $lines[0] =~ /^\.TH \U$name\E 1 "\d{4}-\d\d-\d\d" "Walden \d[\d.]*"$/ or $bad->("the title: $lines[0]");
        $. = 0;
        for (@lines) {
            $.++;
            next if $. == 1;
            next if /^\.\\" /; # a word for those who make other things of the page
            $bad->("an empty line") if $_ eq "" && !$nf;
            $bad->("an unknown escape: $_") if /\\(?!fB|fR|fI|-|e|&)/;
            $bad->("no ASCII: $_") if /[^\x20-\x7e]/;
            $bad->("a font that stays on: $_") if () = /\\f[BI]/g and (() = /\\f[BI]/g) != (() = /\\fR/g);
            if (/^\.SH (.+)/) { push @parts, $1; $nf and $bad->("a part inside .nf"); }
            elsif (/^\.SS .+|^\.TP$/) { $nf and $bad->("$_ inside .nf") }
            elsif (/^\.nf$/) { $nf and $bad->(".nf twice"); $nf = 1 }
            elsif (/^\.fi$/) { $nf or $bad->(".fi without .nf"); $nf = 0 }
            elsif (/^[.\x27]/) { $bad->("an unknown request: $_") }
            elsif ($nf && length(s/\\[-e&]/x/gr) > 90) { $bad->("too long: $_") }
            elsif ($lines[$. - 2] eq ".TP" && !/^\\fB.+\\fR$/) { $bad->("no tag: $_") }
        }
        $nf and $bad->(".nf to the end");
        my $parts = join " ", grep { $_ ne "COMMANDS" } @parts;
        $parts eq "NAME SYNOPSIS EXAMPLES OPTIONS EXIT STATUS" or $bad->("parts: $parts");
        (my $dash = $name) =~ s/-/\\-/g;
        $lines[2] =~ /^\Q$dash\E \\- \S.*[^ ]$/ or $bad->("the name: $lines[2]");' "$(tr ' ' '-' <<<"$*")" <"$page"
    is "$RC:$OUT" '0:' "$*: its manual page is in order"
    command -v groff >/dev/null || return
    is "$(groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null)" '' "$*: groff does not complain"
}

test_manuals() {
    local command n=0
    for command in walden walden-archive walden-restore walden-basebackup; do manual "$command"; done
    for command in $(commands walden); do
        manual walden "$command"
        n=$((n + 1))
    done
    [ "$n" -ge 9 ] || fail 'the commands are listed' "$n"
    for command in $(commands walden key); do manual walden key "$command"; done
}

test_usage() {
    ok '--help' walden --help
    like "$OUT" '^  init ' 'it lists the commands'
    is "$(head -n 1 <<<"$OUT")" 'Examples:' 'it begins with examples'
    for command in 'init' 'key' 'key new' 'key show' 'key check' 'key protect' 'key open' \
        'key add-recipient'; do
        # shellcheck disable=SC2086 # words
        run walden $command --help
        is "$RC:$(head -n 1 <<<"$OUT")" '0:Examples:' "$command --help"
        # shellcheck disable=SC2086
        run walden $command --man
        is "$RC:$(head -c 4 <<<"$OUT")" '0:.TH ' "$command has a manual page"
    done
    is "$(walden-archive --help | grep -cE -- '--(secret-key|keep-backups|pg-bin|notify-command)')" 0 \
        'walden-archive shows the settings that it uses'
    is "$(walden-restore --help | grep -cE -- '--(compression|keep-backups|state-dir|on-trouble)')" 0 \
        'walden-restore, too'
    is "$(walden-archive --help | grep -cE -- '--(repo|host-key|deadline|on-trouble)=')" 4 'all of them'
    ok 'it takes the others all the same' env WALDEN_KEEP_BACKUPS=last=3 walden-archive --keep-dumps last=1 --help
    test_manuals
    exits 2 'an unknown command' walden inot
    like "$ERR" 'Did you mean "init"' 'gets a suggestion'
    exits 2 'no command' walden
    exits 2 'an unknown option' walden init --replo x
    ok '--version' walden --version
    like "$OUT" '^walden [0-9]' 'it is a number'
    exits 2 'a repository must be named' walden init --config "$SCRATCH/none.conf" -D "$DATA"
    exits 2 'a data directory must be one' \
        walden init --config "$SCRATCH/none.conf" --repo "$SCRATCH/none" -D "$SCRATCH/home"
    run test -e "$SCRATCH/none"
    is "$RC" 1 'and nothing was made'
}

test_offline() {
    local dir=$SCRATCH/offline
    mkdir "$dir"
    cd "$dir" || return
    ok 'offline, relative, with a blank' walden init --repo './a repo//' --config etc/w.conf -D "$DATA"
    like "$OUT" "ALTER SYSTEM SET archive_command = '/.*/walden-archive --config $dir/etc/w.conf %p'" \
        'the command has absolute paths'
    like "$(cat etc/w.conf)" "^repo = '$dir/a repo'$" 'the path is absolute and quoted'
    is "$(stat -c %a "$dir/a repo" "$dir/a repo/walden-repo" "$dir/a repo/main" | tr '\n' ' ')" \
        '700 600 700 ' 'a private repository'
    unchanged offline "$dir" -- walden init --repo 'a repo' --config etc/w.conf -D "$DATA"
    unchanged 'by the file alone' "$dir" -- walden init --config etc/w.conf -D "$DATA"
    WALDEN_CONFIG=$dir/etc/w.conf unchanged 'by the variable' "$dir" -- walden init -D "$DATA"
    if [ -x "$TEST_BIN/walden-archive" ]; then
        ok 'a segment is archived' archive "$dir/etc/w.conf" "${SEGMENTS[0]}"
        ok 'and fetched' fetch "$dir/etc/w.conf" "${SEGMENTS[0]}"
        ok 'key check of a plain repository' walden key check --config etc/w.conf
        like "$OUT" "^ok +${SEGMENTS[0]}: plain" 'reads the segment'
    fi
    ln -s "$dir/a repo" "$dir/link"
    unchanged 'through a link' "$dir" -- walden init --repo link --config etc/w.conf -D "$DATA"

    mkdir full && touch full/x
    exits 4 'a directory with other things' walden init --repo full --config x.conf -D "$DATA"
    like "$ERR" 'not empty \(it holds "x"\)' 'it says what is there'
    is "$(tree full)$(ls x.conf 2>/dev/null)" "$(tree full)" 'and nothing was made'
    exits 4 'inside the data directory' walden init --repo "$DATA/base/r" --config x.conf -D "$DATA"
    exits 4 'in it through a link' bash -c "ln -s '$DATA/base' in && walden init --repo in/r \
        --config x.conf -D '$DATA'"
    run test -e "$DATA/base/r"
    is "$RC" 1 'nothing was made there'
    mkdir -p tree/.git
    ok 'in a working tree of git' walden init --repo tree/r --config y.conf -D "$DATA"
    like "$ERR" 'warning: .*git' 'there is a warning'
    exits 2 'a missing parent directory' walden init --repo no/where --config x.conf -D "$DATA"
    like "$ERR" 'mount it' 'it may be a disk'
    ok 'beside lost+found' bash -c "mkdir -p m/lost+found && walden init --repo m --config m.conf -D '$DATA'"
    ok 'for a group' walden init --repo g --config g.conf -D "$DATA" --group
    is "$(stat -c %a g g/walden-repo g/main g/main/*/cluster | tr '\n' ' ')" '750 640 750 640 ' \
        'the group may read'
    unchanged 'for a group' g g.conf -- walden init --config g.conf -D "$DATA"
    exits 2 'a group cannot be added' walden init --config etc/w.conf -D "$DATA" --group
    cd "$SCRATCH" || return
}

test_config() {
    local dir=$SCRATCH/config
    mkdir "$dir"
    cd "$dir" || return
    printf '# mine\njobs = 2 # two\n\n[dump nightly]\ndatabase = x' >w.conf
    ln -s w.conf link.conf
    chmod 640 w.conf
    ok 'a file that is there is completed' walden init --repo r --config link.conf -D "$DATA"
    is "$(readlink link.conf):$(stat -c %a w.conf)" 'w.conf:640' 'link and mode stay'
    is "$(head -n 2 w.conf && tail -n 2 w.conf)" "$(printf '# mine\njobs = 2 # two\n[dump nightly]\ndatabase = x')" \
        'no line was changed'
    like "$(cat w.conf)" "^repo = $dir/r$" 'what was missing is there'
    unchanged completed "$dir" -- walden init --config w.conf -D "$DATA"
    exits 2 'another repository in the same file' walden init --repo r2 --config w.conf -D "$DATA"
    like "$ERR" "w.conf:[0-9]+: repo is \"$dir/r\"" 'the line is named'
    run test -e r2
    is "$RC" 1 'and nothing was made'
    sed "s/^repo_id = .*/repo_id = 00112233445566778899aabbccddeeff/" w.conf >wrong.conf
    exits 4 'another repository on the disk' walden init --config wrong.conf -D "$DATA"
    mv r away && mkdir r
    exits 3 'an unmounted disk is not filled' walden init --config w.conf -D "$DATA"
    is "$(ls -A r)" '' 'it stays empty'
    rmdir r && mv away r
    printf 'repo = x\nreppo = y\n' >bad.conf
    exits 2 'a bad file' walden init --config bad.conf -D "$DATA"
    cd "$SCRATCH" || return
}

test_server() {
    local dir=$SCRATCH/server
    mkdir "$dir"
    cd "$dir" || return
    exits 3 'no server' env PGHOST="$SOCKETS" PGPORT=1 walden init --repo r --config w.conf
    like "$ERR" -- '--pgdata' 'it says what else there is'
    run test -e r
    is "$RC" 1 'nothing was made'
    pg_init live "$MAJOR"
    pg_start live
    ok 'from the server' pg_env live walden init --repo r --config w.conf
    like "$OUT" "ALTER SYSTEM SET archive_mode = 'on'" 'it shows what to set'
    unlike "$OUT" 'wal_level' 'but not what is right already'
    is "$(pg_sql live "select count(*) from pg_settings where sourcefile like '%auto.conf'")" 0 \
        'nothing was set'
    ok 'by -h, -p, -U' walden init --config w.conf -h "$SOCKETS" -p "$(pg_port live)" -U postgres
    ok 'by a connection string' walden init --config w.conf --dsn "$(pg_connstr live)"
    exits 2 'a password on the command line' walden init --config w.conf --dsn 'password=x'
    exits 3 'the wrong user' pg_env live walden init --config w.conf -U nobody_there
    exits 4 'a server that is not the one of -D' pg_env live \
        walden init --config w.conf -D "$(pg_fresh)" -U postgres
    ok '--apply' pg_env live walden init --config w.conf --apply
    like "$OUT" 'and then a restart, which is yours' 'it tells of the restart'
    is "$(pg_sql live "select pg_is_in_recovery(), current_setting('archive_mode')")" 'f|off' \
        'and does none'
    if [ -x "$TEST_BIN/walden-archive" ]; then
        pg_restart live
        ok 'a segment is archived' pg_step live 1
        ok 'key check' walden key check --config w.conf
        ok 'after it' pg_env live walden init --config w.conf
        unlike "$OUT" 'ALTER SYSTEM' 'nothing is left to set'
        like "$OUT" 'Nothing had to be changed' 'and it says so'
    fi
    pg_sql live "alter system set archive_command = 'other %p'"
    pg_sql live "alter system set archive_mode = 'on'"
    pg_restart live
    exits 4 'another archiver is not replaced' pg_env live walden init --config w.conf --apply
    like "$ERR" 'archive_command is "other %p"' 'it is named'
    is "$(pg_sql live 'show archive_command')" 'other %p' 'and stays'
    pg_stop live immediate
    cd "$SCRATCH" || return
}

# A data directory with a system identifier of its own.
pg_fresh() {
    [ -d "$SCRATCH/pg/fresh" ] || pg_init -f fresh "$MAJOR" >/dev/null
    pg_data fresh
}

test_sealed() {
    local dir=$SCRATCH/sealed copy=$SCRATCH/safe
    mkdir "$dir" "$copy"
    cd "$dir" || return
    ok 'a sealed repository' walden init --repo r --config w.conf --key-dir keys --encrypt -D "$DATA"
    like "$OUT" 'TAKE THE RECOVERY KEY AWAY' 'the user is told what to do'
    is "$(stat -c %a keys keys/host.key keys/recovery.key keys/recovery.pub | tr '\n' ' ')" \
        '700 600 600 644 ' 'modes of the keys'
    like "$(cat w.conf)" "^host_key = $dir/keys/host.key$" 'the key is in the configuration'
    unlike "$(cat w.conf)" '^ *secret_key' 'the secret key is not'
    unlike "$(grep -rh . r)" "$(grep '^box' keys/recovery.key | cut -d' ' -f2)" \
        'no secret is in the repository'
    unchanged sealed "$dir" -- walden init --config w.conf --key-dir keys --encrypt -D "$DATA"
    unchanged 'sealed, without --encrypt' "$dir" -- walden init --config w.conf -D "$DATA"

    for key in host.key recovery.key recovery.pub; do
        ok "key show $key" walden key show keys/$key
        like "$OUT" '^repository  [0-9a-f]{32}$' "$key: has its repository"
        # shellcheck disable=SC2013 # words
        for secret in $(sed -nE 's/^(sign|write|box) //p' keys/$key); do
            [ $key = recovery.pub ] || unlike "$OUT" "$secret" "$key: no secret is shown"
        done
        ok "key show --json $key" walden key show --json keys/$key
    done
    chmod 644 keys/host.key
    ok 'a readable key is shown' walden key show keys/host.key
    like "$ERR" 'warning: .*group or world' 'with a warning'
    exits 1 'but not used' walden key check --config w.conf
    chmod 600 keys/host.key
    exits 1 'what is no key' walden key show w.conf

    mv keys/recovery.key "$copy"
    ok 'without the recovery key' walden init --config w.conf -D "$DATA"
    unlike "$OUT" 'TAKE THE RECOVERY KEY' 'it is not mentioned any more'
    ok 'key check without it' walden key check --config w.conf
    like "$ERR" 'stays unproven' 'says what it cannot tell'
    exits 4 'keys are not for another repository' \
        walden init --repo r9 --config w9.conf --key-dir keys --encrypt -D "$DATA"
    exits 4 'keys inside the repository' \
        walden init --repo r9 --config w9.conf --key-dir r9 --encrypt -D "$DATA"
    [ -x "$TEST_BIN/walden-archive" ] || return
    ok 'a segment is archived' archive "$dir/w.conf" "${SEGMENTS[0]}"
    ok 'a second one' archive "$dir/w.conf" "${SEGMENTS[1]}"
    unlike "$(tr -d '\0' <r/main/*/wal/00000001/00000000/"${SEGMENTS[0]}" | strings)" 'steps' 'sealed'
    ok 'key check without the secret key' walden key check --config w.conf
    like "$OUT" "^ok +${SEGMENTS[1]}: signed and intact" 'proves the signature'
    ok 'key check with it' walden key check --config w.conf --secret-key "$copy/recovery.key"
    like "$OUT" "^ok +${SEGMENTS[1]}: opens" 'opens the newest'
    like "$OUT" "^ok +${SEGMENTS[0]}: opens" 'and an older one'
    ok 'one object by name' walden key check --config w.conf --secret-key "$copy/recovery.key" \
        "${SEGMENTS[0]}"
    like "$OUT" "^ok +${SEGMENTS[0]}: opens" 'opens'
    unlike "$OUT" "${SEGMENTS[1]}" 'and only that'
    cp r/main/*/wal/00000001/00000000/"${SEGMENTS[0]}" "$copy/object"
    ok 'a copy elsewhere' walden key check --config w.conf --secret-key "$copy/recovery.key" "$copy/object"
    flip_byte "$copy/object" 5000
    exits 1 'a damaged one' walden key check --config w.conf --secret-key "$copy/recovery.key" \
        "$copy/object"
    like "$OUT" '^FAILED .*object' 'is named'
    exits 1 'one that is not there' walden key check --config w.conf 0000000100000000000000FF
    ok 'the secret key alone suffices' walden key check --config /dev/null --repo "$dir/r" \
        --secret-key "$copy/recovery.key"
    ok 'and restores' fetch "$dir/w.conf" "${SEGMENTS[0]}" --secret-key "$copy/recovery.key"

    walden init --repo other --config o.conf --key-dir okeys --encrypt -D "$DATA" >/dev/null
    exits 4 'the key of another repository' \
        walden key check --config w.conf --secret-key "$dir/okeys/recovery.key"
    cd "$SCRATCH" || return
}

test_passphrase() {
    local dir=$SCRATCH/sealed copy=$SCRATCH/safe
    cd "$dir" || return
    (umask 077 && echo 'correct horse' >"$copy/pass" && echo 'wrong horse' >"$copy/wrong" &&
        echo short >"$copy/short")
    ok 'key protect' walden key protect "$copy/recovery.key" --out "$copy/locked" \
        --passphrase-file "$copy/pass"
    is "$(stat -c %a "$copy/locked")" 600 'its mode'
    # shellcheck disable=SC2013 # words
    for secret in $(sed -nE 's/^(sign|box) //p' "$copy/recovery.key"); do
        unlike "$(cat "$copy/locked")" "$secret" 'no secret is in it'
    done
    ok 'key show of it' walden key show "$copy/locked"
    like "$OUT" 'under a passphrase' 'says so'
    ok 'key check opens it' walden key check --config w.conf --secret-key "$copy/locked" \
        --passphrase-file "$copy/pass"
    exits 1 'not with a wrong passphrase' walden key check --config w.conf \
        --secret-key "$copy/locked" --passphrase-file "$copy/wrong"
    exits 2 'nor without one' setsid -w walden key check --config w.conf --secret-key "$copy/locked"
    exits 2 'a short passphrase' walden key protect "$copy/recovery.key" --out "$copy/l2" \
        --passphrase-file "$copy/short"
    ok 'key open' walden key open "$copy/locked" --out "$copy/opened" --passphrase-file "$copy/pass"
    ok 'gives the same key' cmp "$copy/opened" "$copy/recovery.key"
    exits 4 'which is never written over another file' walden key open "$copy/locked" \
        --out "$copy/pass" --passphrase-file "$copy/pass"
    flip_byte "$copy/locked" 150 1
    exits 1 'a damaged one' walden key open "$copy/locked" --out "$copy/o2" \
        --passphrase-file "$copy/pass"
    cd "$SCRATCH" || return
}

# A standby, a second recipient, an upgraded cluster: all in the repository of test_sealed.
test_more_hosts() {
    local dir=$SCRATCH/sealed copy=$SCRATCH/safe fresh
    cd "$dir" || return
    mkdir host2
    exits 1 'a host without a key' walden init --repo r --config host2/w.conf -D "$DATA"
    ok 'a key for it' walden key new --config w.conf --host standby1 --out host2/host.key
    ok 'the same again' walden key new --config w.conf --host standby1 --out host2/host.key
    is "$(grep -c '^host ' r/main/*/cluster)" 2 'is certified once'
    exits 4 'not over another key' walden key new --config w.conf --host standby2 --out host2/host.key
    exits 1 'it needs the public key, too' walden init --repo r --config host2/w.conf -D "$DATA"
    cp keys/recovery.pub host2
    ok 'the second host' walden init --repo r --config host2/w.conf -D "$DATA"
    unchanged 'the second host' "$dir" -- walden init --config host2/w.conf -D "$DATA"
    if [ -x "$TEST_BIN/walden-archive" ]; then
        ok 'it archives' archive "$dir/host2/w.conf" "${SEGMENTS[2]}"
        ok 'what the first has archived is the same' archive "$dir/host2/w.conf" "${SEGMENTS[0]}"
        ok 'all of it opens' walden key check --config /dev/null --repo "$dir/r" \
            --secret-key "$copy/recovery.key" "${SEGMENTS[@]:0:3}"
    fi

    fresh=$(pg_fresh)
    ok 'a new system identifier, without any secret key' walden init --config w.conf -D "$fresh"
    is "$(find r/main -name cluster | wc -l)" 2 'there are two lineages'
    is "$(grep -h '^host ' r/main/*/cluster | sort -u | wc -l)" 2 'with the same certificates'
    unchanged 'the new lineage' "$dir" -- walden init --config w.conf -D "$fresh"
    ok 'who has the secret key trusts it' walden key check --config /dev/null --repo "$dir/r" \
        --secret-key "$copy/recovery.key"
    ok 'and so does the host' walden key check --config w.conf
    exits 1 'another cluster needs the owner' walden init --config w2.conf --repo r --key-dir keys \
        --cluster two -D "$fresh"
    like "$ERR" -- '--secret-key' 'it says so'
    ok 'who can do it' walden init --config w2.conf --repo r --key-dir keys --cluster two -D "$fresh" \
        --secret-key "$copy/recovery.key"

    ok 'a further recovery key' walden key new --config w.conf --recovery alice --out "$copy/alice.key"
    is "$(stat -c %a "$copy/alice.key" "$copy/alice.pub" | tr '\n' ' ')" '600 644 ' 'with its public half'
    exits 1 'only the owner adds it' walden key add-recipient "$copy/alice.pub" --config w.conf
    exits 1 'not its holder' walden key add-recipient "$copy/alice.pub" --config w.conf \
        --secret-key "$copy/alice.key"
    ok 'add-recipient' walden key add-recipient "$copy/alice.pub" --config w.conf \
        --secret-key "$copy/recovery.key"
    like "$OUT" '^recipients = [0-9a-f]{64} [0-9a-f]{64}$' 'it tells the line to change'
    exits 4 'until then nothing is sealed' walden key check --config w.conf
    sed -i "s/^recipients = .*/$(grep '^recipients' <<<"$OUT$(walden key add-recipient \
        "$copy/alice.pub" --config w.conf --secret-key "$copy/recovery.key")" | tail -n 1)/" w.conf
    ok 'then all is well' walden key check --config w.conf
    unchanged 'init with two recipients' "$dir" -- walden init --config w.conf -D "$DATA"
    cd "$SCRATCH" || return
}

# Encryption that comes later.
test_seal_later() {
    local dir=$SCRATCH/later name
    [ -x "$TEST_BIN/walden-archive" ] || { skip 1 'no walden-archive'; return; }
    mkdir "$dir"
    cd "$dir" || return
    walden init --repo r --config w.conf -D "$DATA" >/dev/null
    archive "$dir/w.conf" "${SEGMENTS[0]}"
    printf '1\t0/3000000\tno recovery target specified\n' >"$SCRATCH/$WAL/00000002.history"
    ok 'plain: a history' archive "$dir/w.conf" 00000002.history
    exits 4 'a history that the server has not come to: encryption is refused' \
        walden init --config w.conf --encrypt -D "$DATA"
    like "$ERR" '00000002.history.*cannot be this server.s.*timeline 1' 'it says which, and why'
    nok 'nothing is sealed yet' grep -q '^recipient' r/walden-repo
    ok 'the hook still works' archive "$dir/w.conf" "${SEGMENTS[0]}"
    ok 'encryption comes later' walden init --config w.conf --encrypt -D "$DATA" --accept-beyond
    like "$OUT" '^sealed from    [0-9A-F]+/[0-9A-F]+ on timeline 1; ' 'it shows from where'
    like "$OUT" '^plain objects  1 that' 'and how much else is believed'
    like "$(cat r/main/*/sealed)" "^from 00000001 " 'the record says from where'
    like "$(cat r/main/*/sealed)" "^plain 3 00000002.history [0-9a-f]{64}$" 'and names the history'
    like "$(cat w.conf)" "^sealed_from = " 'it is pinned'
    unchanged 'encryption later' "$dir" -- walden init --config w.conf --encrypt -D "$DATA"
    ok 'a segment after it' archive "$dir/w.conf" "${SEGMENTS[1]}"
    ok 'the same as before is the same' archive "$dir/w.conf" "${SEGMENTS[0]}"
    for name in "${SEGMENTS[0]}" "${SEGMENTS[1]}" 00000002.history; do
        ok "$name opens" walden key check --config w.conf --secret-key "$dir/recovery.key" "$name"
    done
    # What the record does not cover is a forgery, however well made.
    walden init --repo p --config p.conf -D "$DATA" >/dev/null
    sed -i "s/^repo_id.*//" p.conf
    archive "$dir/p.conf" "${SEGMENTS[2]}"
    cp p/main/*/wal/00000001/00000000/"${SEGMENTS[2]}" r/main/*/wal/00000001/00000000/
    exits 1 'a plain segment after it' walden key check --config w.conf \
        --secret-key "$dir/recovery.key" "${SEGMENTS[2]}"
    rm r/main/*/wal/00000001/00000000/"${SEGMENTS[2]}"
    sed -i 's/^from 00000001.*/from 00000001 F\/0/' r/main/*/sealed
    exits 1 'a changed record' walden key check --config w.conf --secret-key "$dir/recovery.key" \
        "${SEGMENTS[0]}"
    rm "$SCRATCH/$WAL/00000002.history"
    cd "$SCRATCH" || return
}

make_wal
test_usage
test_offline
test_config
test_server
test_sealed
test_passphrase
test_more_hosts
test_seal_later
done_testing
