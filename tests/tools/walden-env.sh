# shellcheck shell=bash
# walden-env.sh: what the tests of the hooks share, on top of lib.sh.
#
# A repository is known by a NAME of the test's choice: it lies in $SCRATCH/NAME.repo, and its
# configuration and keys in $SCRATCH/NAME.walden.

# w_is_dev: are these the programs with sanitizers?  Then the test is run a second time, and goes
# through each kind of thing once: with the newest major only.
w_is_dev() { [[ $TEST_BIN == */dev/bin ]]; }

w_repo() { echo "$SCRATCH/$1.repo"; }                # NAME
w_conf() { echo "$SCRATCH/$1.walden/walden.conf"; }  # NAME
w_keys() { echo "$SCRATCH/$1.walden"; }              # NAME: the folder of its keys

# w_init NAME DATA [ARGUMENT...]: makes the repository NAME and binds the cluster of the data
# directory DATA to it.
w_init() {
    local name=$1 data=$2
    shift 2
    walden init --repo "$(w_repo "$name")" --config "$(w_conf "$name")" --pgdata "$data" "$@" \
        >"$SCRATCH/.init" 2>&1 && return 0
    diag "walden init: $(cat "$SCRATCH/.init")"
    return 1
}

# w_init_sealed NAME DATA [ARGUMENT...]: a sealed one.  The recovery key is taken away, as the user
# is told to; w_open_conf gives a configuration that has it.
w_init_sealed() {
    local name=$1 data=$2
    shift 2
    w_init "$name" "$data" --encrypt "$@" && w_take_key "$name"
}

# w_take_key NAME: the recovery key leaves the host.
w_take_key() {
    mkdir -p "$SCRATCH/$1.safe" &&
        mv "$(w_keys "$1")/recovery.key" "$SCRATCH/$1.safe/recovery.key" || return 1
    w_open_conf "$1" >/dev/null
}

# w_open_conf NAME: a configuration that can read: of a sealed repository, with the secret key.
w_open_conf() {
    local open=$SCRATCH/$1.safe/open.conf
    if [ ! -d "$SCRATCH/$1.safe" ]; then
        w_conf "$1"
        return
    fi
    if [ ! -f "$open" ]; then
        grep -v '^secret_key' "$(w_conf "$1")" >"$open"
        echo "secret_key = $SCRATCH/$1.safe/recovery.key" >>"$open"
    fi
    echo "$open"
}

# w_archive_command NAME, w_restore_command NAME: for postgresql.conf.
w_archive_command() { echo "\"$TEST_BIN/walden-archive\" --config \"$(w_conf "$1")\" \"%p\""; }
w_restore_command() {
    echo "\"$TEST_BIN/walden-restore\" --config \"$(w_open_conf "$1")\" %f \"%p\""
}

# w_keep_command NAME DIR: archives, after what the server offers was put into DIR as it is.
w_keep_command() {
    mkdir -p "$2"
    echo "cp \"%p\" \"$2/%f\" && $(w_archive_command "$1")"
}

# in_data SERVER COMMAND...: in its data directory, as the server would.
in_data() {
    local data
    data=$(pg_data "$1")
    shift
    (cd "$data" && "$@")
}

# w_push SERVER NAME FILE [ARGUMENT...], w_fetch SERVER NAME FILE DEST [ARGUMENT...]: by hand.
w_push() {
    local server=$1 name=$2 file=$3
    shift 3
    in_data "$server" walden-archive --config "$(w_conf "$name")" "$@" "$file"
}
w_fetch() {
    local server=$1 name=$2 file=$3 dest=$4
    shift 4
    in_data "$server" walden-restore --config "$(w_open_conf "$name")" "$@" "$file" "$dest"
}

# w_object NAME FILE: the path of an archived file's object.
w_object() {
    local path
    path=$(find "$(w_repo "$1")" -type f -name "$2" | head -n 1)
    [ -n "$path" ] || bail "no $2 in the repository $1"
    echo "$path"
}

# w_names NAME: the names of all archived WAL files, sorted.
w_names() { (cd "$(w_repo "$1")" && find . -path '*/wal/*' -type f ! -name '.*' -printf '%f\n' | sort); }

# w_tree NAME: the files in the repository, so that any change shows: one that was written again has
# another inode or time.
w_tree() { tree_of "$(w_repo "$1")"; }
tree_of() { (cd "$1" && find . -type f -printf '%P %s %i %T@\n' | sort); }

# w_leftovers NAME: temporary files.
w_leftovers() { find "$(w_repo "$1")" -name '.tmp.*'; }

# text_seal FILE: puts a right crc line at the end of a text file of the repository, after the test
# has changed it (of a plain one: those have no signature).
text_seal() {
    perl -e '
        my ($path) = @ARGV;
        open(my $f, "<", $path) or die; local $/; my $text = <$f>; close $f;
        $text =~ s/^crc .*\n//m;
        my $c = 0xFFFFFFFF;
        for my $byte (unpack("C*", $text)) {
            $c ^= $byte;
            $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8;
        }
        chmod 0600, $path;
        open($f, ">", $path) or die;
        printf $f "%scrc %08x\n", $text, $c ^ 0xFFFFFFFF;
        close $f or die;' "$1"
}

# new_timeline SERVER [TIMELINE]: stops it, starts it as a standby without a primary, promotes it,
# and waits for the history file in the archive.
new_timeline() {
    pg_stop "$1" && touch "$(pg_data "$1")/standby.signal" && pg_start "$1" && pg_promote "$1" &&
        pg_wait_promoted "$1"
}

# flat TEXT: as it is, and once more with the lines joined that were broken at the terminal's width.
flat() {
    printf '%s\n' "$1"
    sed ':a;N;$!ba;s/\n      */ /g' <<<"$1"
}

# timeline_of SERVER
timeline_of() { pg_sql "$1" "select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"; }

# one_error_line TEXT PROGRAM: exactly one "PROGRAM: error:" line, at most one hint, nothing else.
is_one_message() {
    local errors hints lines
    errors=$(grep -c "^$2: error: ." <<<"$1")
    hints=$(grep -c "^$2: hint: ." <<<"$1")
    lines=$(wc -l <<<"$1")
    [ "$errors" = 1 ] && [ "$hints" -le 1 ] && [ "$lines" = $((errors + hints)) ]
}

# pg_drop NAME: the server and all its files.
pg_drop() {
    local port
    port=$(pg_port "$1")
    pg_stop "$1" immediate
    rm -rf "$SCRATCH/pg/$1" "$SCRATCH/pg/.port.$port"
}

# recovery NAME MAJOR BACKUP RESTORE_COMMAND ['SETTING = VALUE'...]: a new server, not started, to be
# recovered from the archive alone.
recovery() {
    pg_from_backup "$@" || return 1
    find "$(pg_data "$1")/pg_wal" -type f -delete
}
