#!/bin/bash
# Goal: whatever goes wrong around a base backup, walden-basebackup says in one line what and what to
# do, exits with the right status, leaves nothing visible, and the next backup is whole: no rights, no
# walsender, no slot, a server that is gone, restarts or is promoted, an archive that stands still,
# damaged pages, a damaged repository, another cluster, files that vanish, grow and shrink, odd names,
# too long names, thousands of tablespaces, configuration elsewhere, two backups at once.
# when: long
# also: cross
# timeout: 1200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

# refused STATUS WHAT REGEX SERVER REPO [ARGUMENT...]: the backup fails so, in one line (all that was
# said is in SAID), and nothing of it is visible.
refused() {
    local status=$1 what=$2 regex=$3 before
    shift 3
    before=$(b_labels "$2")
    exits "$status" "$what: $status" b_backup "$@"
    SAID=$ERR
    told "$what" "$regex"
    is "$(b_labels "$2")" "$before" "$what: nothing is visible"
    ok "$what: nothing stays behind" b_clean "$2"
}

# told WHAT REGEX: of the last command's error.
told() {
    like "$ERR" "$2" "$1: says why"
    is "$(grep -c '^walden-basebackup: error: ' <<<"$ERR")" 1 "$1: once"
}

# in_background SERVER REPO [ARGUMENT...]: a slow backup; SLOW is its process.
in_background() {
    local server=$1 repo=$2
    shift 2
    pg_env "$server" exec env PGUSER=rep walden-basebackup --config "$(w_conf "$repo")" --fast --json --wal=stream \
        --no-relation-map --max-rate 4MB "$@" >"$SCRATCH/slow.out" 2>"$SCRATCH/slow.err" &
    SLOW=$!
    wait_for "$TEST_WAIT" sends "$server"
}
sends() {
    [ "$(pg_sql "$1" "select count(*) from pg_stat_progress_basebackup where phase like 'streaming%'" 2>/dev/null)" = 1 ]
}
ended() {
    RC=0
    wait "$SLOW" || RC=$?
    OUT=$(cat "$SCRATCH/slow.out") ERR=$(cat "$SCRATCH/slow.err")
}

# ---- rights and limits --------------------------------------------------------------------------

test_rights() {
    b_sql main 'create role plain login' 'create role outsider login replication'
    sed -i '1i local replication outsider reject' "$(pg_data main)/pg_hba.conf"
    pg_reload main
    refused 3 'no REPLICATION' 'permission denied to start WAL sender' main main -U plain
    like "$SAID" 'hint: .*alter role "plain" replication' 'no REPLICATION: the hint is the statement'
    refused 3 'no line in pg_hba.conf' 'pg_hba.conf' main main -U outsider
    refused 3 'no server' 'could not connect' main main -h "$SCRATCH/none"
    refused 3 'no host' 'could not connect' main main -d 'host=no-such-host.invalid sslmode=disable'
    refused 2 'both kinds of checkpoint' 'exclude each other' main main --spread
    refused 2 'a word that is none' '(wal|nowhere)' main main --wal=nowhere
    pg_sql main "alter system set max_wal_senders = 1"
    pg_restart main
    refused 3 'one walsender, and WAL to stream' 'second connection.*max_wal_senders' main main --wal=stream
    like "$SAID" 'hint: Raise max_wal_senders' 'one walsender: with the remedy'
    ok 'one walsender is enough with the archive' b_backup main main
    pg_sql main 'alter system reset max_wal_senders'
    pg_sql main 'alter system set max_replication_slots = 0'
    pg_restart main
    ok 'no slot: the backup does without' b_backup main main --wal=stream
    like "$ERR" 'without a slot' 'no slot: and says so'
    pg_sql main 'alter system reset max_replication_slots'
    pg_restart main
}

# ---- the server goes away -----------------------------------------------------------------------

test_server() {
    local pid
    in_background main main
    pg_sql main "select pg_terminate_backend(pid) from pg_stat_progress_basebackup" >/dev/null
    ended
    # A server whose client reads too slowly hangs up without a word when it is told to end while it
    # waits to write.
    like "$RC" '^[13]$' 'walsender terminated: 1, or 3'
    told 'walsender terminated' 'terminating connection|server closed the connection'
    in_background main main
    pg_stop main immediate
    ended
    is "$RC" 3 'server stopped at once: 3'
    ok 'server stopped at once: nothing stays behind' b_clean main
    pg_start main
    in_background main main
    pid=$(pg_sql main "select pid from pg_stat_replication where state = 'streaming' and application_name = 'walden'
        order by pid limit 1")
    pg_sql main "select pg_terminate_backend($pid)" >/dev/null
    ended
    is "$RC" 1 'connection of the WAL lost: 1'
    in_background main main
    kill -TERM "$SLOW"
    ended
    is "$RC" 130 'SIGTERM: 130'
    ok 'all of it: nothing stays behind' b_clean main
    ok 'the next backup' b_backup main main
    ok 'is whole' b_sound main main newest whole
}

# ---- the archive --------------------------------------------------------------------------------

test_archive() {
    local kept
    pg_sql main "alter system set archive_command = 'false walden-archive'"
    pg_reload main
    pg_sql main "create table late as select i, md5(i::text) from generate_series(1, 50000) i"
    refused 1 'the archiver fails' 'WAL segment [0-9A-F]{24}.*not archived within' main main --wal-timeout 3s
    like "$SAID" 'hint: .*archive_command' 'the archiver fails: where to look'
    kept=$(b_packs main | wc -l)
    pg_sql main 'alter system reset archive_command'
    pg_reload main
    ok 'the archiver works again' b_backup main main
    isnt "$(b_value packs_adopted)" 0 'and what was stored before is used'
    ok 'no more than one pack was added' test "$(b_packs main | wc -l)" -le $((kept + 1))
    ok 'whole' b_sound main main newest whole
}

# ---- who belongs to whom ------------------------------------------------------------------------

test_belonging() {
    pg_init -f other "$major" || bail 'no other server'
    pg_start other
    b_sql other 'create role rep login replication'
    refused 4 'a server that the repository does not know' 'does not know system identifier' other main
    like "$SAID" 'hint: .*walden init' 'unknown server: the hint names the command'
    refused 4 'another system identifier was asked for' 'not 12345, which was asked for' main main --system-id 12345
    exits 3 'no repository: 3' pg_env main walden-basebackup --repo "$SCRATCH/nowhere"
    told 'no repository' 'does not exist'
    exits 2 'no repository named: 2' pg_env main env -u WALDEN_REPO walden-basebackup --config "$SCRATCH/empty.conf"
    pg_stop other
    w_init_sealed sealed "$(pg_data main)"
    mv "$(w_keys sealed)/host.key" "$SCRATCH/host.key"
    exits 1-2 'sealed, and this host has no key' b_backup main sealed
    is "$(b_packs sealed)" '' 'sealed, no key: nothing is stored'
    mv "$SCRATCH/host.key" "$(w_keys sealed)/host.key"
}

# ---- damage -------------------------------------------------------------------------------------

test_damage() {
    local file pack
    file=$(pg_sql main "select pg_relation_filepath('churn')")
    pg_stop main
    flip_byte "$(pg_data main)/$file" $((3 * 8192 + 4000))
    pg_start main
    refused 1 'a damaged page on the server' "$file.*checksum verification failure" main main
    pg_stop main
    flip_byte "$(pg_data main)/$file" $((3 * 8192 + 4000))
    pg_start main
    ok 'the page is right again' b_backup main main
    file=$(find "$(w_repo main)" -path '*/backup/*' -name "$(b_value label)")
    flip_byte "$file" 2000
    ok 'the newest manifest is damaged: the backup is taken' b_backup main main
    like "$ERR" 'warning: .*' 'damaged manifest: with a warning'
    isnt "$(b_value prior)" null 'damaged manifest: it leans on the one before'
    ok 'damaged manifest: whole' b_sound main main newest whole
    rm "$file"
    for pack in $(b_packs main); do
        flip_byte "$(find "$(w_repo main)" -path '*/pack/*' -name "$pack")" -30
    done
    ok 'all packs are damaged at their end: the backup is taken' b_backup main main
    like "$ERR" 'warning: [0-9]+ packs? of earlier backups cannot be leaned on' 'damaged packs: with a warning'
    ok 'damaged packs: stored afresh, whole' b_sound main main newest whole
}

# ---- files --------------------------------------------------------------------------------------

test_churn() {
    local i=0 pid
    (
        while :; do
            i=$((i + 1))
            b_sql main "create table v$((i % 7)) as select n, repeat('x', 400) from generate_series(1, $((i * 700 % 9000))) n" \
                "delete from v$((i % 7)) where n > 100" "vacuum v$((i % 7))" \
                "drop table if exists v$(((i + 3) % 7))" >/dev/null 2>&1
        done
    ) &
    pid=$!
    ok 'files come, go, grow and shrink' b_backup main main --max-rate 20MB
    kill "$pid"
    wait "$pid" 2>/dev/null
    ok 'churn: whole' b_sound main main newest whole
    pg_switch main >/dev/null
    ok 'churn: a server recovers from it' recover_from churned "$major" main "$SCRATCH/whole"
    is "$(pg_sql churned 'select i from apart')" 42 'churn: with its rows'
    pg_stop churned
}

test_names() {
    local data n99 n100
    data=$(pg_data main)
    n99=$(printf 'n%.0s' {1..99}) n100=$(printf 'n%.0s' {1..100})
    : >"$data/a name = b"
    echo x >"$data/new
line"
    echo y >"$data/$(printf 'not-utf8-\xff\xfe')"
    echo z >"$data/$n99"
    ok 'odd names' b_backup main main
    ok 'odd names: whole' b_sound main main newest whole
    is "$(cat "$SCRATCH/whole/$n99")|$(cat "$SCRATCH/whole/new
line")" 'z|x' 'odd names: with their content'
    rm "$data/$n99"
    echo z >"$data/$n100"
    refused 1 'a name of 100 bytes' "$n100" main main
    rm "$data/$n100" "$data/new
line"
}

test_spaces() {
    local long i oid
    long=$SCRATCH/$(printf 'l%.0s' {1..80})
    mkdir -p "$long"
    b_sql main "create tablespace far location '$long'" \
        'create table afar (i int) tablespace far' 'insert into afar values (43)'
    ok 'a tablespace whose path is too long for a link' b_backup main main
    ok 'long path: whole' b_sound main main newest whole
    ok 'long path: with a tablespace_map' grep -q "$long" "$SCRATCH/whole/tablespace_map"
    b_sql main 'drop table afar' 'drop tablespace far'
    mkdir "$SCRATCH/many"
    for ((i = 0; i < ${TEST_SPACES:-3000}; i++)); do
        mkdir "$SCRATCH/many/$i"
        echo "create tablespace many$i location '$SCRATCH/many/$i';"
    done >"$SCRATCH/many.sql"
    pg_env main "$(pg_prog psql)" -X -q -v ON_ERROR_STOP=1 -f "$SCRATCH/many.sql" || bail 'no tablespaces'
    ok "${TEST_SPACES:-3000} tablespaces" b_backup main main
    oid=$(b_value label)
    rm -rf "$SCRATCH/spaces"
    ok 'many tablespaces: read back' b_unpack main "$oid" "$SCRATCH/spaces"
    like "$OUT" "^spaces=$((${TEST_SPACES:-3000} + 1))\$" 'many tablespaces: all of them'
    rm -rf "$SCRATCH/spaces"
    sed -i 's/create tablespace \([a-z0-9]*\) .*/drop tablespace \1;/' "$SCRATCH/many.sql"
    pg_env main "$(pg_prog psql)" -X -q -f "$SCRATCH/many.sql"
}

test_config() {
    local etc=$SCRATCH/etc data
    data=$(pg_data main)
    mkdir -p "$etc"
    pg_stop main
    cp "$data/postgresql.conf" "$data/pg_hba.conf" "$data/pg_ident.conf" "$etc/"
    printf '%s\n' "hba_file = '$etc/pg_hba.conf'" "ident_file = '$etc/pg_ident.conf'" "data_directory = '$data'" \
        "include = 'more.conf'" >>"$etc/postgresql.conf"
    echo "work_mem = '5MB'" >"$etc/more.conf"
    pg_ctl main -l "$(pg_log main)" -o "-c config_file='$etc/postgresql.conf'" start || bail 'no start'
    ok 'configuration elsewhere: as superuser' pg_env main walden-basebackup --config "$(w_conf main)" --fast --json
    is "$(b_value config_files) $(b_value config_missing)" '4 false' 'configuration elsewhere: all four files'
    ok 'configuration elsewhere: whole' b_sound main main newest whole
    ok 'configuration elsewhere: the file' cmp "$etc/more.conf" "$SCRATCH/whole.outside$etc/more.conf"
    mv "$data/postgresql.conf" "$SCRATCH/"
    ok 'a role that may not see it' b_backup main main
    SAID=$ERR
    mv "$SCRATCH/postgresql.conf" "$data/"
    is "$(b_value config_missing)" true 'is told that it may be missing'
    like "$SAID" 'configuration is outside the data directory' 'in words, too'
    pg_stop main
    pg_start main
}

# ---- together -----------------------------------------------------------------------------------

test_two() {
    local pid rc=0 labels
    labels=$(b_labels main | wc -l)
    b_backup main main --wal=stream --max-rate 20MB >"$SCRATCH/two" 2>&1 &
    pid=$!
    ok 'two at once: one' b_backup main main --wal=stream
    wait "$pid" || rc=$?
    is "$rc" 0 'two at once: the other'
    is "$(b_labels main | wc -l)" $((labels + 2)) 'two at once: both are there'
    isnt "$(b_value sequence)" "$(OUT=$(cat "$SCRATCH/two") b_value sequence)" 'two at once: with numbers of their own'
    ok 'two at once: whole' b_sound main main newest whole
}

test_promotion() {
    pg_backup_hot main "$SCRATCH/seed" -T "${SCRATCH//=/\\=}/main space\\=1=$SCRATCH/seedspace" || bail 'no seed'
    pg_from_backup -s standby "$major" "$SCRATCH/seed" "$(w_restore_command main)" \
        "primary_conninfo = '$(pg_connstr main)'" || bail 'no standby'
    pg_start standby || bail 'the standby does not start'
    pg_sql main 'insert into apart values (44)'
    pg_wait_replay standby "$(pg_sql main 'select pg_current_wal_lsn()')"
    b_sql main checkpoint
    pg_sql standby checkpoint
    pg_sql main 'insert into apart values (45)'
    pg_wait_replay standby "$(pg_sql main 'select pg_current_wal_lsn()')"
    refused 1 'a standby of an idle primary' 'not archived within' standby main --wal=archive --wal-timeout 3s
    like "$SAID" 'hint: .*pg_switch_wal.*on the primary' 'standby: with the remedy'
    in_background standby main
    pg_promote standby
    ended
    is "$RC" 1 'promoted meanwhile: 1'
    told 'promoted meanwhile' 'standby was promoted'
    ok 'the promoted server is backed up' b_backup standby main --wal=stream
    is "$(b_value timeline)" 2 'on its new timeline'
    ok 'with the history of that timeline' b_sound main standby newest whole
    ok 'in it' test -s "$SCRATCH/whole/pg_wal/00000002.history"
    pg_stop standby
}

build_unpack
: >"$SCRATCH/empty.conf"
major=$(pg_majors | tail -n 1)
b_server main "$major" -k || bail 'no server'
w_init main "$(pg_data main)" || bail 'no repository'
pg_archive main "$(w_archive_command main)"
pg_restart main
b_sql main "create table filler as select i, repeat(md5(i::text), 20) as x from generate_series(1, 40000) i" checkpoint
ok 'a first backup' b_backup main main
test_rights
test_server
test_archive
test_belonging
test_damage
test_churn
test_names
test_spaces
test_config
test_two
test_promotion
done_testing
