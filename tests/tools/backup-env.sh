# shellcheck shell=bash
# backup-env.sh: what the tests of base backups share, on top of lib.sh and walden-env.sh.

UNPACK=$SCRATCH/unpack

# build_unpack: the reader that is not the product's own restore (tests/tools/unpack.c).
build_unpack() {
    local library=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
    [ -f "$library" ] || bail "no $library; run make DEV=1"
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -g -Ilib \
        -fsanitize=address,undefined -fno-sanitize-recover=all -isystem /usr/include/postgresql \
        -o "$UNPACK" tests/tools/unpack.c "$library" -lpq -lsodium -llz4) >"$SCRATCH/cc.log" 2>&1 ||
        bail "unpack.c: $(cat "$SCRATCH/cc.log")"
}

PACKREMOVE=$SCRATCH/packremove

# b_build_packremove: one run that removes packs (tests/tools/packremove.c).
b_build_packremove() {
    local library=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -g -Ilib \
        -fsanitize=address,undefined -fno-sanitize-recover=all -isystem /usr/include/postgresql \
        -o "$PACKREMOVE" tests/tools/packremove.c "$library" -lpq -lsodium -llz4) >"$SCRATCH/cc.log" 2>&1 ||
        bail "packremove.c: $(cat "$SCRATCH/cc.log")"
}

# The client programs' major for a server's: there are none of 14 and 16.
tools_of() {
    case $1 in 14) echo 15 ;; 16) echo 17 ;; *) echo "$1" ;; esac
}

# b_backup SERVER REPO [ARGUMENT...]: as the role `rep`, which has nothing but REPLICATION.
b_backup() {
    local server=$1 repo=$2
    shift 2
    pg_env "$server" env PGUSER=rep walden-basebackup --config "$(w_conf "$repo")" --fast --json "$@"
}

# b_sql SERVER STATEMENT...: in this order, each in a transaction of its own.
b_sql() {
    local server=$1 statement
    shift
    for statement; do
        pg_sql "$server" "$statement" || return 1
    done
}

# b_value KEY: of the JSON that the last command printed.
b_value() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^,\"}]*\\).*/\\1/p" <<<"$OUT" | head -n 1; }

# b_unpack REPO LABEL DIR
b_unpack() { "$UNPACK" --config "$(w_open_conf "$1")" "$2" "$3"; }

# b_verified MAJOR DIR [ARGUMENT...]: pg_verifybackup of the right major is content.
b_verified() {
    local program major=$1 dir=$2
    program=$(pg_prog pg_verifybackup "$(tools_of "$major")") || return 1
    shift 2
    "$program" -q "$@" "$dir"
}

# b_labels REPO, b_packs REPO: what there is.
b_labels() { (cd "$(w_repo "$1")" && find . -path '*/backup/*' -type f ! -name '.*' -printf '%f\n' | sort); }
b_packs() { (cd "$(w_repo "$1")" && find . -path '*/pack/*' -type f ! -name '.*' -printf '%f\n' | sort); }

# b_more_visible DIR DIR: the visibility maps of which the first has a bit that the second has not.
b_more_visible() {
    local file
    for file in $(cd "$1" && find . -name '*_vm' | sort); do
        perl -e '
            my ($mine, $theirs) = map { open(my $f, "<", $_) or die "$_: $!"; local $/; scalar <$f> } @ARGV;
            for (my $at = 0; $at < length $mine; $at++) {
                next if $at % 8192 < 24;
                my $bits = ord(substr($mine, $at, 1));
                exit 1 if $bits & ~($at < length $theirs ? ord(substr($theirs, $at, 1)) : 0);
            }' "$1/$file" "$2/$file" || echo "$file"
    done
}

# b_clean REPO: nobody's mark or temporary file stayed behind (the archiver is at work in wal/ meanwhile).
b_clean() {
    [ -z "$(find "$(w_repo "$1")" \( -name '.tmp.*' -o -path '*/lease/*' \) ! -path '*/wal/*' -type f)" ]
}

# b_sound REPO SERVER LABEL NAME: the backup can be read back whole; NAME is where.  Its tablespaces
# go beside it.
b_sound() {
    local repo=$1 major name=$4 oid
    major=$(pg_major "$2")
    rm -rf "$SCRATCH/$name" "$SCRATCH/$name".*
    for oid in $(pg_sql "$2" "select oid from pg_tablespace where spcname !~ '^pg_'"); do
        mkdir -p "$SCRATCH/$name.$oid"
    done
    b_unpack "$repo" "$3" "$SCRATCH/$name" >"$SCRATCH/$name.facts" && b_verified "$major" "$SCRATCH/$name" -n
}

# recover_from NAME MAJOR REPO DIR ['SETTING = VALUE'...]: a new server from an unpacked backup, which
# recovers with walden-restore up to the end of the archive.
recover_from() {
    local name=$1 major=$2 repo=$3 dir=$4
    shift 4
    pg_adopt "$name" "$major" "$dir" 'archive_mode = off' \
        "restore_command = $(pg_quote "$(w_restore_command "$repo")")" "$@"
    rm -f "$dir/standby.signal" # what was backed up may have been a standby
    touch "$dir/recovery.signal"
    pg_start "$name" && pg_wait_promoted "$name"
}

# load_start SERVER: two clients write until load_stop; every commit is a row of `oracle`.
load_start() {
    cat >"$SCRATCH/load.sql" <<'SQL'
\set a random(1, 20000)
begin;
update churn set x = md5(random()::text) where i = :a;
insert into oracle (at) values (now());
commit;
SQL
    pg_env "$1" exec "$(pg_prog pgbench)" -n -c 2 -T 600 -f "$SCRATCH/load.sql" >"$SCRATCH/load.log" 2>&1 &
    LOAD=$!
    wait_for 30 load_writes "$1" || bail "no load: $(cat "$SCRATCH/load.log")"
}
load_writes() { [ "$(pg_sql "$1" 'select count(*) > 10 from oracle')" = t ]; }
load_stop() {
    kill -TERM "$LOAD" 2>/dev/null
    wait "$LOAD" 2>/dev/null
    LOAD=
}

# oracle SERVER: what tells one moment of the database from another.
oracle() {
    b_sql "$1" "select count(*) || ' ' || coalesce(sum(n), 0) || ' ' || coalesce(max(n), 0) from oracle" \
        'select md5(string_agg(x, chr(10) order by i)) from churn' | paste -sd' '
}

# b_server NAME MAJOR [INITDB_ARGUMENT...]: with tables for the load, a tablespace, the role; started.
b_server() {
    local name=$1
    pg_init "$@" || return 1
    pg_conf "$name" 'wal_keep_size = 256MB' 'max_wal_size = 1GB' 'autovacuum = off' 'max_wal_senders = 10'
    pg_start "$name" || return 1
    mkdir -p "$SCRATCH/$name space=1"
    b_sql "$name" "create tablespace \"odd = name\" location '$SCRATCH/$name space=1'" \
        'create role rep login replication' \
        "create table churn as select i, md5(i::text) as x, repeat(md5(i::text), 6) as y
            from generate_series(1, 20000) i" \
        'create unique index on churn (i)' \
        'create table oracle (n bigserial primary key, at timestamptz)' \
        'create table apart (i int) tablespace "odd = name"' 'insert into apart values (42)' \
        'create unlogged table forgotten as select 1 as i' checkpoint
}
