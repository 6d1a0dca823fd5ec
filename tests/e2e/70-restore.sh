#!/bin/bash
# Goal: whatever moment is asked for, `walden restore` brings back exactly the rows that were committed
# then (an oracle table knows the LSN and time of each commit), or refuses before it writes a byte and
# names a moment that can be reached; what it writes is what pg_verifybackup expects; nothing is
# overwritten; a restore that was killed is completed by the same command and by no other.
#
# also: dev long
# also: cross
# timeout: 1500
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# ---- the cluster --------------------------------------------------------------------------------

# take_backup SERVER NAME: a base backup; prints its label.
take_backup() {
    pg_env "$1" walden-basebackup --config "$(w_conf "$2")" --fast --json >"$SCRATCH/.backup" \
        2>"$SCRATCH/.backup.err" || {
        diag "$(cat "$SCRATCH/.backup.err")"
        return 1
    }
    w_labels "$2" | tail -n 1
}

# w_labels NAME: the labels of all backups, oldest first.
w_labels() { (cd "$(w_repo "$1")" && find . -path '*/backup/*' -type f ! -name '.*' -printf '%f\n' | sort); }

# commit SERVER [COUNT]: so many commits of one row each, into the table rows; each becomes a line of
# the oracle: ROW XID LSN_BEFORE TIME, where TIME is the commit's own.
commit() {
    local i xid lsn
    for ((i = 0; i < ${2:-1}; i++)); do
        row=$((row + 1))
        read -r xid lsn < <(pg_sql "$1" "insert into rows values ($row, repeat('x', 200))
            returning pg_current_xact_id()::text || ' ' || pg_current_wal_insert_lsn()")
        echo "$row $xid $lsn $(pg_sql "$1" "select to_char(pg_xact_commit_timestamp('$xid'::text::xid)
            at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")" >>"$oracle"
    done
}
rows_sql="select coalesce(string_agg(id::text, ',' order by id), '') from rows"
rows_up_to() { seq -s, 1 "$1"; } # ROW
oracle_of() { awk -v row="$1" -v field="$2" '$1 == row { print $field }' "$oracle"; }

# build NAME MAJOR [W_INIT_ARGUMENT...]: server NAME, archived into repository NAME.  Rows 1 to 5, backup
# 1, rows 6 to 15 with a restore point behind each, a tablespace, backup 2, rows 16 to 20.
build() {
    local name=$1 major=$2 init=w_init i
    oracle=$SCRATCH/$name.oracle
    : >"$oracle"
    row=0
    space=$SCRATCH/$name.space
    [ "${3-}" != sealed ] || init=w_init_sealed
    pg_init "$name" "$major" --wal-segsize=1 -k || bail initdb
    $init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'track_commit_timestamp = on' 'autovacuum = off' 'full_page_writes = on' \
        'recovery_target_timeline = latest'
    pg_start "$name" || bail 'no server'
    pg_sql "$name" 'create table rows (id int, filler text)'
    commit "$name" 5
    pg_sql "$name" "create table bulk as select i, repeat(md5(i::text), 8) t from generate_series(1, 6000) i"
    first=$(take_backup "$name" "$name") || bail 'no backup'
    for i in 1 2 3 4 5 6 7 8 9 10; do
        commit "$name"
        pg_sql "$name" "select pg_create_restore_point('after$row')" >/dev/null
        [ $((i % 3)) != 0 ] || pg_switch "$name" >/dev/null
    done
    mkdir "$space"
    [ ${#pg_as[@]} -eq 0 ] || chown --reference="$SCRATCH" "$space"
    pg_sql "$name" "create tablespace far location '$space'"
    pg_sql "$name" 'create table far tablespace far as select 7 as seven'
    second=$(take_backup "$name" "$name") || bail 'no second backup'
    commit "$name" 5
    pg_switch "$name" >/dev/null
}

# ---- restoring ----------------------------------------------------------------------------------

# forget DIR...: a copy, and the key that was handed to its hook.
forget() {
    local dir key
    for dir in "$@"; do
        key=$(grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$dir/postgresql.auto.conf" 2>/dev/null | head -n 1)
        [ -z "$key" ] || rm -f "$key"
        rm -rf "$dir"
    done
}
at_exit 'forget "$SCRATCH"/*.data'

# restore NAME ARGUMENT...: walden restore with the configuration that can read.
restore() {
    local name=$1
    shift
    walden restore --config "$(w_open_conf "$name")" "$@"
}

# The restored copy $1 as a server of the test: in the place of its settings come the test's.
adopt() {
    pg_adopt "$1" "$2" "$SCRATCH/$1.data"
}

# comes_back DESCRIPTION NAME ROWS OUTCOME ARGUMENT...: restored, verified by pg_verifybackup, started,
# and there are the rows.
comes_back() {
    local what=$1 name=$2 rows=$3 outcome=$4 major
    shift 4
    major=$(pg_major "$name")
    forget "$SCRATCH/back.data" "$SCRATCH/back.space"
    exits 0 "$major: $what: restored" restore "$name" -D "$SCRATCH/back.data" \
        -T "$space=$SCRATCH/back.space" "$@" || return 1
    adopt back "$major"
    pg_start back
    is "$(pg_outcome back) $(pg_sql back "$rows_sql" 2>/dev/null)" "$outcome $rows" \
        "$major: $what: $outcome, with the rows" || diag "$(tail -n 20 "$(pg_log back)")"
    unlike "$(cat "$(pg_log back)")" '^walden-restore: ' "$major: $what: the hook has no complaint"
    pg_drop back
}

mapped() { echo -T "$space=$SCRATCH/back.space"; }

# before_second: targets that the first backup must serve have no tablespace to map.
comes_back_first() {
    local what=$1 name=$2 rows=$3 outcome=$4 major
    shift 4
    major=$(pg_major "$name")
    forget "$SCRATCH/back.data"
    exits 0 "$major: $what: restored" restore "$name" -D "$SCRATCH/back.data" "$@" || return 1
    adopt back "$major"
    pg_start back
    is "$(pg_outcome back) $(pg_sql back "$rows_sql" 2>/dev/null)" "$outcome $rows" \
        "$major: $what: $outcome, with the rows" || diag "$(tail -n 20 "$(pg_log back)")"
    pg_drop back
}

# refuses STATUS DESCRIPTION NAME REGEX ARGUMENT...: and nothing is made.
refuses() {
    local status=$1 what=$2 name=$3 regex=$4
    shift 4
    rm -rf "$SCRATCH/none"
    exits "$status" "$what" restore "$name" -D "$SCRATCH/none" "$@"
    REFUSED=$ERR
    like "$ERR" "$regex" "$what: says so"
    is_one "$what"
    nok "$what: nothing is made" test -e "$SCRATCH/none"
}
is_one() {
    if is_one_message "$ERR" 'walden restore'; then pass "$1: one message"; else fail "$1: one message" "$ERR"; fi
}

test_targets() {
    local name=$1 time
    comes_back 'the end of the archive' "$name" "$(rows_up_to 20)" promoted
    comes_back 'immediate' "$name" "$(rows_up_to 15)" paused --target-immediate
    comes_back_first 'immediate, the first backup' "$name" "$(rows_up_to 5)" paused --target-immediate --backup "$first"
    comes_back_first 'a restore point' "$name" "$(rows_up_to 9)" paused --target-name after9
    comes_back_first 'an LSN' "$name" "$(rows_up_to 10)" paused --target-lsn "$(oracle_of 11 3)" --target-exclusive
    comes_back 'an LSN behind the second backup' "$name" "$(rows_up_to 17)" promoted \
        --target-lsn "$(oracle_of 18 3)" --target-exclusive --target-action promote
    comes_back_first 'a transaction' "$name" "$(rows_up_to 8)" paused --target-xid "$(oracle_of 8 2)"
    comes_back_first 'a transaction, exclusive' "$name" "$(rows_up_to 7)" paused \
        --target-xid "$(oracle_of 8 2)" --target-exclusive
    time=$(oracle_of 12 4)
    comes_back_first 'a time' "$name" "$(rows_up_to 12)" paused --target-time "${time}Z"
    comes_back_first 'a time, exclusive' "$name" "$(rows_up_to 11)" promoted --target-time "${time}Z" \
        --target-exclusive --target-action promote
    comes_back 'a time behind the second backup' "$name" "$(rows_up_to 16)" paused \
        --target-time "$(oracle_of 16 4)Z"
}

# ---- what is written ----------------------------------------------------------------------------

# verifybackup DESCRIPTION MAJOR DIR
verifybackup() {
    local tools=$2
    [ "$2" != 14 ] || tools=15
    [ "$2" != 16 ] || tools=17
    ok "$2: $1: pg_verifybackup is content" "$(pg_prog pg_verifybackup "$tools")" -n "$3"
}

test_files() {
    local name=$1 major dir=$SCRATCH/files.data
    major=$(pg_major "$name")
    ok "$major: a restore to look at" restore "$name" -D "$dir" -T "$space=$SCRATCH/files.space"
    like "$OUT" "^  backup   $second: " "$major: it shows the backup it takes"
    like "$OUT" "$first: a newer one" "$major: and why not the other"
    verifybackup 'a restored copy' "$major" "$dir"
    is "$(readlink "$dir"/pg_tblspc/*)" "$SCRATCH/files.space" "$major: the tablespace leads to its new place"
    ok "$major: recovery.signal" test -f "$dir/recovery.signal"
    nok "$major: no other signal" test -e "$dir/standby.signal"
    nok "$major: no mark" test -e "$dir/walden-restore.plan"
    is "$(stat -c %a "$dir")" 700 "$major: only the owner may enter"
    like "$(cat "$dir/postgresql.auto.conf")" "^archive_mode = 'off'" "$major: it archives nowhere"
    like "$(cat "$dir/postgresql.auto.conf")" "^restore_command = '$TEST_BIN/walden-restore --config [^ ]* --system-id [0-9]*( --secret-key [^ ]*)? %f" \
        "$major: it knows where its WAL is"
    exits 4 "$major: never over it" restore "$name" -D "$dir" -T "$space=$SCRATCH/files.space"
    like "$ERR" 'is not empty' "$major: says so"
    exits 4 "$major: nor over a tablespace" restore "$name" -D "$SCRATCH/none" -T "$space=$SCRATCH/files.space"
    nok "$major: nothing is made" test -e "$SCRATCH/none"
    exits 4 "$major: nor over the original's tablespace" restore "$name" -D "$SCRATCH/none"
    like "$ERR" "--tablespace-mapping $space=NEW" "$major: the way out is named"
    forget "$dir" "$SCRATCH/files.space"
}

test_dry_run() {
    local name=$1 major before
    major=$(pg_major "$name")
    before=$(w_tree "$name")
    ok "$major: a dry run" restore "$name" -D "$SCRATCH/none" -T "$space=$SCRATCH/none.space" --dry-run
    like "$OUT" '^  WAL      [0-9]+ segments' "$major: dry run: the WAL"
    like "$OUT" '^  room     .* needed, .* free' "$major: dry run: the room"
    like "$OUT" '^  time     about ' "$major: dry run: the time"
    like "$OUT" '^  file +8192  global/pg_control$' "$major: dry run: every file"
    like "$OUT" "-> $SCRATCH/none.space\$" "$major: dry run: every link"
    nok "$major: dry run: nothing is made" test -e "$SCRATCH/none" -o -e "$SCRATCH/none.space"
    is "$(w_tree "$name")" "$before" "$major: dry run: the repository is as it was"
    restore "$name" -D "$SCRATCH/none" -T "$space=$SCRATCH/none.space" --dry-run --json >"$SCRATCH/json"
    ok "$major: dry run: the JSON is what its schema says" \
        "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/restore.json" "$SCRATCH/json"
    exits 1 "$major: a refusal as JSON" restore "$name" -D "$SCRATCH/none" --target-lsn 7/0 --json
    echo "$OUT" >"$SCRATCH/json"
    like "$OUT" '"reachable":false' "$major: and says so"
    ok "$major: the refusal is what its schema says" \
        "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/restore.json" "$SCRATCH/json"
}

# ---- refusals -----------------------------------------------------------------------------------

test_refusals() {
    local name=$1 major near object segment
    major=$(pg_major "$name")
    refuses 1 "$major: a time to come" "$name" 'later commit on record' --target-time 2090-01-01T00:00:00Z
    near=$(sed -n 's/.*before it is \(--target-lsn [^ ]*\).*/\1/p' <<<"$REFUSED")
    isnt "$near" '' "$major: the nearest moment before is named"
    # shellcheck disable=SC2086 # words
    comes_back 'the moment that was named' "$name" "$(rows_up_to 20)" paused $near
    refuses 1 "$major: a time before the first backup" "$name" 'no backup ends before' --target-time 2001-01-01T00:00:00Z
    near=$(sed -n 's/.*after it is \(--target-immediate --backup [^ ]*\).*/\1/p' <<<"$REFUSED")
    is "$near" "--target-immediate --backup $first" "$major: the nearest moment after is named"
    refuses 1 "$major: an LSN beyond the end" "$name" 'the archive ends at' --target-lsn F/0
    refuses 1 "$major: an LSN inside the first backup" "$name" 'no backup ends before' \
        --target-lsn "$(oracle_of 1 3)"
    refuses 1 "$major: an unknown restore point" "$name" 'no such record' --target-name nowhere
    refuses 1 "$major: an unknown transaction" "$name" 'no such record' --target-xid 999999
    refuses 1 "$major: an unknown timeline" "$name" 'timeline 9' --target-timeline 9
    refuses 2 "$major: two targets" "$name" 'only one target' --target-xid 700 --target-lsn 0/1
    refuses 2 "$major: an unknown backup" "$name" 'no backup' --backup nothing
    refuses 2 "$major: no time" "$name" 'target-time' --target-time yesterday
    refuses 2 "$major: a tablespace that there is not" "$name" 'no tablespace' -T /nowhere=/there \
        --backup "$first" --target-name after9
    refuses 2 "$major: exclusive nothing" "$name" 'exclusive' --target-exclusive
    exits 2 "$major: no directory" walden restore --config "$(w_open_conf "$name")"
    exits 3 "$major: no repository" walden restore --config "$(w_open_conf "$name")" --repo /nowhere -D "$SCRATCH/none"

    # A hole behind the second backup, and one between the two.
    segment=$(w_names "$name" | grep -E '^[0-9A-F]{24}$' | tail -n 2 | head -n 1)
    object=$(w_object "$name" "$segment")
    mv "$object" "$SCRATCH/hole"
    refuses 1 "$major: the end, with a hole before it" "$name" "segment $segment is missing" -T "$space=$SCRATCH/none.space"
    mv "$SCRATCH/hole" "$object"
    segment=$(wal_name 1 "$(oracle_of 8 3)" 1048576) # between the two backups
    object=$(w_object "$name" "$segment")
    cp "$object" "$SCRATCH/whole"
    flip_byte "$object" -40
    refuses 1 "$major: a time behind a damaged segment" "$name" "(segment $segment|no such record|cannot reach)" \
        --target-name after14
    cp "$SCRATCH/whole" "$object"
    refuses 4 "$major: in the repository" "$name" 'inside the repository' -T "$space=$SCRATCH/none.space" \
        -D "$(w_repo "$name")/data"
}

# A transaction that makes a tablespace is on the way: replayed here it would empty the original's.
test_create_tablespace() {
    local name=$1 major
    major=$(pg_major "$name")
    refuses 4 "$major: CREATE TABLESPACE on the way" "$name" "CREATE TABLESPACE at \"$space\"" --backup "$first"
    ok "$major: the original's tablespace is untouched" test -d "$space"/PG_*
}

# ---- an earlier life ----------------------------------------------------------------------------

# A copy that was restored to a target is opened, goes on, is backed up, and restored to another kind of
# target: the old target and the signal files do not survive.
test_twice() {
    local name=$1 major label
    major=$(pg_major "$name")
    ok "$major: twice: a first restore" restore "$name" -D "$SCRATCH/twice.data" --target-name after9 \
        --become-primary --target-action promote
    unlike "$(cat "$SCRATCH/twice.data/postgresql.auto.conf")" '^archive_mode' "$major: twice: --become-primary archives"
    pg_stop "$name"
    pg_adopt twice "$major" "$SCRATCH/twice.data"
    pg_start twice && pg_wait_promoted twice || bail 'no second life'
    is "$(pg_sql twice "$rows_sql")" "$(rows_up_to 9)" "$major: twice: it is that moment"
    pg_sql twice 'insert into rows values (1000)'
    pg_switch twice >/dev/null
    pg_sql twice "alter system set recovery_target_time = '2001-01-01'"
    touch "$(pg_data twice)/standby.signal"
    label=$(take_backup twice "$name") || bail 'no backup of the second life'
    rm "$(pg_data twice)/standby.signal"
    pg_sql twice 'insert into rows values (1001)'
    pg_sql twice "select pg_create_restore_point('second life')" >/dev/null
    pg_switch twice >/dev/null
    ok "$major: twice: a second restore" restore "$name" -D "$SCRATCH/third.data" --target-name 'second life'
    like "$OUT" "^  backup   $label: " "$major: twice: from the new timeline's backup"
    nok "$major: twice: the old signal is gone" test -e "$SCRATCH/third.data/standby.signal"
    verifybackup 'twice' "$major" "$SCRATCH/third.data"
    pg_adopt third "$major" "$SCRATCH/third.data"
    pg_start third
    is "$(pg_outcome third) $(pg_sql third "$rows_sql")" "paused $(rows_up_to 9),1000,1001" \
        "$major: twice: the new target counts"
    pg_drop third
    # The other branch is still there.
    comes_back 'the old timeline' "$name" "$(rows_up_to "$row")" promoted --target-timeline 1
    refuses 1 "$major: what happened on the other branch" "$name" 'try --target-timeline 1' --target-name after14
    comes_back_first 'what both have in common' "$name" "$(rows_up_to 7)" paused --target-name after7
    pg_drop twice
    forget "$SCRATCH/third.data" "$SCRATCH/twice.data"
    pg_start "$name"
}

# ---- interrupted --------------------------------------------------------------------------------

test_killed() {
    local name=$1 major delay pid done_at killed=0 n key before=
    major=$(pg_major "$name")
    for n in 0 1 2 3 4 5 6 7 8 9; do
        forget "$SCRATCH/half.data" "$SCRATCH/half.space"
        walden restore --config "$(w_open_conf "$name")" -D "$SCRATCH/half.data" \
            -T "$space=$SCRATCH/half.space" >/dev/null 2>&1 &
        pid=$!
        delay=$(awk -v n="$n" 'BEGIN { printf "%.3f", 0.01 + n * 0.05 }')
        sleep "$delay"
        kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
        wait "$pid" 2>/dev/null
        if [ -e "$SCRATCH/half.data/global/pg_control" ] && [ -e "$SCRATCH/half.data/walden-restore.plan" ] &&
            [ ! -e "$SCRATCH/half.data/recovery.signal" ]; then
            fail "$major: killed after $delay s: a half-done copy could start"
        fi
        [ -e "$SCRATCH/half.data/walden-restore.plan" ] || continue
        done_at=$n
        exits 4 "$major: killed after $delay s: another plan is refused" restore "$name" \
            -D "$SCRATCH/half.data" -T "$space=$SCRATCH/half.space" --target-immediate
        ok "$major: killed after $delay s: completed" restore "$name" -D "$SCRATCH/half.data" \
            -T "$space=$SCRATCH/half.space"
        verifybackup "killed after $delay s" "$major" "$SCRATCH/half.data"
        # The one that the killed restore has left is the one that the second uses, and knows.
        key=$(basename "$(key_of "$SCRATCH/half.data")")
        is "$key" "${before:-$key}" "$major: killed after $delay s: its key has the same name again"
        before=$key
        forget "$SCRATCH/half.data"
        is "$(find /dev/shm /run /tmp -maxdepth 1 -name "$key" 2>/dev/null)" '' \
            "$major: killed after $delay s: no key is forgotten"
    done
    # How many were caught half-done depends on how fast the machine is.
    note "$major: $killed were killed, half-done ones: ${done_at:-none}"
    forget "$SCRATCH/half.data" "$SCRATCH/half.space"
}

# ---- onto an older copy -------------------------------------------------------------------------

test_delta() {
    local name=$1 major dir=$SCRATCH/delta.data
    major=$(pg_major "$name")
    ok "$major: delta: a copy" restore "$name" -D "$dir" --backup "$first" --target-name after9 --target-action promote
    pg_adopt delta "$major" "$dir"
    pg_start delta && pg_wait_promoted delta
    exits 4 "$major: delta: not while a server runs" restore "$name" -D "$dir" --delta --yes \
        -T "$space=$SCRATCH/delta.space"
    like "$ERR" 'a server is running' "$major: delta: says so"
    pg_sql delta 'create database more' -c 'checkpoint'
    pg_stop delta
    rm "$(pg_data delta)"
    exits 4 "$major: delta: not unasked" restore "$name" -D "$dir" --delta -T "$space=$SCRATCH/delta.space"
    ok "$major: delta: brought up to date" restore "$name" -D "$dir" --delta --yes -T "$space=$SCRATCH/delta.space"
    verifybackup 'delta' "$major" "$dir"
    rm -rf "$SCRATCH/pg/delta"
    pg_adopt delta2 "$major" "$dir"
    pg_start delta2
    is "$(pg_outcome delta2) $(pg_sql delta2 "$rows_sql")" "promoted $(rows_up_to 20)" "$major: delta: with the rows"
    pg_drop delta2
    forget "$dir" "$SCRATCH/delta.space"
    pg_init -f stranger "$major"
    exits 4 "$major: delta: not into another cluster" restore "$name" -D "$(pg_data stranger)" --delta --yes \
        -T "$space=$SCRATCH/delta.space"
    like "$ERR" 'another cluster' "$major: delta: says so"
    pg_drop stranger
}

# ---- started, standby, exported -----------------------------------------------------------------

# key_of DIR: the key that its hook was handed, or a name that there is not.
key_of() {
    grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$1/postgresql.auto.conf" | head -n 1 | grep . || echo /nowhere
}

# stop_copy DIR MAJOR
stop_copy() { "$(pg_bin "$2")/pg_ctl" -D "$1" -s -w -m fast stop; }

test_start() {
    local name=$1 major dir=$SCRATCH/start.data socket
    major=$(pg_major "$name")
    ok "$major: --start" restore "$name" -D "$dir" --target-name after9 --start --pg-bin "$(pg_bin "$major")"
    like "$OUT" '^asked    restore point "after9"$' "$major: --start: what was asked"
    like "$OUT" '^reached  recovery stopping at restore point "after9"' "$major: --start: what was reached"
    like "$OUT" '^state    paused' "$major: --start: paused there"
    socket=$(sed -n 's/^connect  psql -h \([^ ]*\) .*/\1/p' <<<"$OUT")
    is "$("$(pg_prog psql)" -X -q -A -t -h "$socket" -p 5432 -U postgres -d postgres -c "$rows_sql")" \
        "$(rows_up_to 9)" "$major: --start: the rows can be read"
    is "$("$(pg_prog psql)" -X -q -A -t -h "$socket" -p 5432 -U postgres -d postgres -c 'show archive_mode')" \
        off "$major: --start: it archives nowhere"
    ok "$major: --start: stops" stop_copy "$dir" "$major"
    forget "$dir"
    ok "$major: --start, promote" restore "$name" -D "$dir" --target-xid "$(oracle_of 8 2)" --start \
        --target-action promote --pg-bin "$(pg_bin "$major")"
    like "$OUT" '^state    open for reading and writing' "$major: --start, promote: open"
    nok "$major: --start, promote: no key is left" test -e "$(key_of "$dir")"
    ok "$major: --start, promote: stops" stop_copy "$dir" "$major"
    forget "$dir"
    ok "$major: --start, shutdown" restore "$name" -D "$dir" --target-xid "$(oracle_of 8 2)" --start \
        --target-action shutdown --pg-bin "$(pg_bin "$major")"
    like "$OUT" '^state    shut down at the target' "$major: --start, shutdown: it ended there"
    forget "$dir"
    if [ -d "/usr/lib/postgresql/$major/bin" ]; then
        skip 1 'this machine has the programs in the usual place'
        return
    fi
    exits 2 "$major: --start without programs" env PATH="$TEST_BIN" "$TEST_BIN/walden" restore \
        --config "$(w_open_conf "$name")" -D "$dir" --target-name after9 --start --pg-bin /nowhere
    forget "$dir"
}

test_standby() {
    local name=$1 major
    major=$(pg_major "$name")
    ok "$major: --standby" restore "$name" -D "$SCRATCH/stand.data" --standby -T "$space=$SCRATCH/stand.space"
    ok "$major: standby.signal" test -f "$SCRATCH/stand.data/standby.signal"
    nok "$major: no recovery.signal" test -f "$SCRATCH/stand.data/recovery.signal"
    pg_adopt stand "$major" "$SCRATCH/stand.data"
    pg_start stand
    ok "$major: standby: it follows" wait_for "$TEST_WAIT" has_rows stand 20
    commit "$name" 1
    pg_switch "$name" >/dev/null
    ok "$major: standby: and goes on" wait_for "$TEST_WAIT" has_rows stand "$row"
    is "$(pg_outcome stand 1)" recovering "$major: standby: it stays one"
    pg_drop stand
    rm -rf "$SCRATCH/stand.data" "$SCRATCH/stand.space"
}
has_rows() { [ "$(pg_sql "$1" 'select count(*) from rows' 2>/dev/null)" = "$2" ]; }

test_export() {
    local name=$1 major
    major=$(pg_major "$name")
    ok "$major: export" walden export --config "$(w_open_conf "$name")" -D "$SCRATCH/plain.data" \
        --wal "$SCRATCH/plain.wal" -T "$space=$SCRATCH/plain.space2"
    verifybackup 'export' "$major" "$SCRATCH/plain.data"
    is "$(size_of "$SCRATCH/plain.wal/$(wal_name 1 "$(oracle_of 16 3)" 1048576)")" 1048576 "$major: export: whole segments"
    unlike "$(cat "$SCRATCH/plain.data/postgresql.auto.conf")" walden-restore "$major: export: needs no Walden"
    pg_adopt exported "$major" "$SCRATCH/plain.data"
    mv "$(w_repo "$name")" "$(w_repo "$name").away"
    pg_start exported
    is "$(pg_outcome exported) $(pg_sql exported "$rows_sql")" "promoted $(rows_up_to "$row")" \
        "$major: export: recovers by itself, with the repository away"
    mv "$(w_repo "$name").away" "$(w_repo "$name")"
    pg_drop exported
    rm -rf "$SCRATCH"/plain.{data,wal,space2}
}

# ---- a local time -------------------------------------------------------------------------------

test_zone() {
    local name=$1 major time
    major=$(pg_major "$name")
    time=$(date -u -d "$(oracle_of 12 4)Z + 5 hours 30 minutes" '+%Y-%m-%d %H:%M:%S.%6N')
    exits 0 "$major: a time without a zone" env TZ=Asia/Kolkata "$TEST_BIN/walden" restore \
        --config "$(w_open_conf "$name")" -D "$SCRATCH/none" -n --target-time "$time"
    like "$ERR" 'no zone was given: (IST|\+0530|\+05) assumed' "$major: the zone assumed is told"
    exits 2 "$major: an hour that was skipped" env TZ=Europe/Berlin "$TEST_BIN/walden" restore \
        --config "$(w_open_conf "$name")" -D "$SCRATCH/none" -n --target-time '2026-03-29 02:30:00'
    exits 2 "$major: an hour that came twice" env TZ=Europe/Berlin "$TEST_BIN/walden" restore \
        --config "$(w_open_conf "$name")" -D "$SCRATCH/none" -n --target-time '2025-10-26 02:30:00'
}

# ---- at random ----------------------------------------------------------------------------------

# Some moments of any kind, on both timelines: what the plan promises comes true.
test_random() {
    local name=$1 major i n target
    major=$(pg_major "$name")
    for ((i = 0; i < $2; i++)); do
        n=$((6 + RANDOM % (row - 6)))
        case $((RANDOM % 4)) in
        0) target=(--target-xid "$(oracle_of $n 2)") ;;
        1) target=(--target-time "$(oracle_of $n 4)Z") ;;
        2) target=(--target-lsn "$(oracle_of $((n + 1)) 3)" --target-exclusive) ;;
        3) target=(--target-xid "$(oracle_of $((n + 1)) 2)" --target-exclusive) ;;
        esac
        forget "$SCRATCH/back.data" "$SCRATCH/back.space"
        exits 0-4 "$major: at random: row $n by ${target[*]}" restore "$name" -D "$SCRATCH/back.data" \
            --target-timeline 1 -T "$space=$SCRATCH/back.space" "${target[@]}"
        if [ "$RC" = 2 ]; then # the first backup has no tablespace
            exits 0-4 "$major: at random: row $n, the first backup" restore "$name" \
                -D "$SCRATCH/back.data" --target-timeline 1 "${target[@]}"
        fi
        if [ "$RC" = 4 ]; then # between the tablespace and the second backup
            like "$ERR" 'CREATE TABLESPACE' "$major: at random: row $n: the tablespace is in the way"
            continue
        fi
        pg_adopt back "$major" "$SCRATCH/back.data"
        pg_start back
        is "$(pg_outcome back) $(pg_sql back "$rows_sql")" "paused $(rows_up_to $n)" \
            "$major: at random: row $n is the last"
        pg_drop back
    done
}

test_all() {
    local name=$1 major=$2
    build "$name" "$major" "${3-}"
    test_targets "$name"
    test_files "$name"
    test_dry_run "$name"
    test_create_tablespace "$name"
    test_refusals "$name"
    test_zone "$name"
    test_killed "$name"
    test_delta "$name"
    test_start "$name"
    test_standby "$name"
    test_export "$name"
    test_twice "$name"
    test_random "$name" 8
    pg_drop "$name"
}

# Every other major: the kinds of targets, and what is written.
test_some() {
    build "$1" "$2" "${3-}"
    test_targets "$1"
    test_files "$1"
    test_start "$1"
    pg_drop "$1"
}

mapfile -t majors < <(pg_majors)
if w_is_dev; then
    test_all plain "${majors[-1]}"
    done_testing
    exit
fi
test_all plain "${majors[-1]}"
test_all sealed "${majors[0]}" sealed
for major in "${majors[@]:1}"; do
    [ "$major" = "${majors[-1]}" ] || test_some "some$major" "$major"
done
done_testing
