#!/bin/bash
# Goal: `walden expire` removes exactly what no rule keeps, says why and which moments are lost, and
# leaves every kept backup restorable with the rows it held and all that came after; a dry run changes
# nothing; pins, leases of other hosts, running backups, and the floor hold; what is removed is on
# record before it goes; no secret key is needed.
# also: dev
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

w_expire() { walden expire --config "$(w_conf "$1")" "${@:2}"; }
w_keep() { walden keep --config "$(w_conf "$1")" "${@:2}"; }
w_list() { walden list --config "$(w_conf "$1")" "${@:2}"; }

# json COMMAND...: its JSON, checked against the schema of the command, in $SCRATCH/json.
json() {
    "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/json.err"
    JSON_RC=$?
    ok "${1#w_} --json is what its schema says" \
        "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/${1#w_}.json" "$SCRATCH/json"
}
query() { jq -r "$1" "$SCRATCH/json"; }

# wal NAME: the segments in the archive.
wal() { w_names "$1" | grep -E '^[0-9A-F]{24}$'; }
records() { find "$(w_repo "$1")" -path '*/expire/expire-*' -type f | wc -l; }

size_of_packs() { find "$(w_repo "$1")" -path '*/pack/*' -type f -printf '%s\n' | awk '{ n += $1 } END { print n }'; }

# take NAME: writes some rows, takes a backup, writes again; the label in LABEL.
take() {
    local name=$1
    pg_sql "$name" "insert into rows select coalesce(max(id), 0) + 1 from rows;
        update churn set y = repeat(md5(random()::text), 8)"
    b_backup "$name" "$name" >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
    pg_sql "$name" "insert into rows select max(id) + 1 from rows"
    pg_switch "$name" >/dev/null
}

# fill NAME [sealed]: four backups; the third has a tag.
fill() {
    local name=$1
    pg_init "$name" 17 --wal-segsize=1 -k || bail initdb
    "w_init${2:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'max_wal_senders = 5'
    pg_start "$name" || bail 'the server does not start'
    b_sql "$name" 'create role rep login replication' 'create table rows (id int)' \
        "create table churn as select i, repeat(md5(i::text), 8) y from generate_series(1, 2000) i"
    # Half of the first backup is of use to no other.
    pg_sql "$name" "create table junk as select sha512(i::text::bytea) from generate_series(1, 100000) i"
    take "$name" && A=$LABEL
    pg_sql "$name" 'drop table junk'
    take "$name" && B=$LABEL
    take "$name" && C=$LABEL
    take "$name" && D=$LABEL
    LAST=$(pg_sql "$name" 'select max(id) from rows')
}

# rows_of NAME LABEL TARGET...: what a restore from there holds: the greatest row.
rows_of() {
    local name=$1
    pg_stop back immediate 2>/dev/null
    rm -rf "$SCRATCH/pg/back" "$SCRATCH/back.data"
    run walden restore --config "$(w_open_conf "$name")" -D "$SCRATCH/back.data" --backup "$2" \
        "${@:3}"
    [ "$RC" = 0 ] || { echo "restore: $ERR"; return; }
    pg_adopt back 17 "$SCRATCH/back.data" >/dev/null 2>&1
    pg_start back && pg_wait_promoted back && pg_sql back 'select max(id) from rows'
}

test_rules() {
    local name=$1 tree n
    ok 'without a rule nothing goes' w_expire "$name"
    like "$OUT" 'no rule is set' 'and it says so'
    is "$(b_labels "$name" | wc -l)$(records "$name")" 40 'nothing went, nothing is on record'

    tree=$(w_tree "$name")
    ok 'a dry run' w_expire "$name" --keep-backups last=2 --dry-run
    like "$OUT" "^  REMOVE $A$" 'names the oldest backup'
    like "$OUT" 'reason  last=2 does not ask for it$' 'with the reason'
    like "$OUT" "^  keep   $D$" 'and those that stay'
    like "$OUT" '^  REMOVE timeline 1, ' 'and the WAL'
    like "$OUT" '^  from   20.*Z$' 'and from when on moments are lost'
    like "$OUT" '^Nothing was removed; without --dry-run 2 backups, 0 dumps and [0-9]+ WAL files go' 'what would go'
    is "$(w_tree "$name")" "$tree" 'and changes nothing'
    n=$(wc -L <<<"$OUT")
    ok 'its lines are not too long' [ "$n" -le 100 ]

    exits 4 'with require_copy nothing goes' w_expire "$name" --keep-backups last=2 --require-copy nas
    like "$ERR" 'no copy has acknowledged' 'and it says why'
    is "$(w_tree "$name")" "$tree" 'nothing changed'
}

test_pins() {
    local name=$1
    exits 1 'a pin on what is not there' w_keep "$name" "${A%??}00"
    like "$ERR" "Did you mean \"$A\"" 'names the nearest'
    ok 'a pin' w_keep "$name" "$A" --reason 'before the move' --until 2199-12-31
    ok 'the list of pins' w_keep "$name"
    like "$OUT" "^backup $A$" 'names it'
    like "$OUT" 'reason  before the move$' 'with the reason'
    json w_keep "$name"
    is "$(query '.pins[0] | .label, .holds, .reason')" "$A"$'\ntrue\nbefore the move' 'the same in JSON'
    exits 2 'a pin that is over' w_keep "$name" "$A" --until 2001-01-01
    nok 'a pin with a wrong day' w_keep "$name" "$A" --until tomorrow
}

# Somebody on another host reads B, then lets go.
test_leases() {
    local name=$1 lease
    mkfifo "$SCRATCH/hold"
    "$SCRATCH/lease" --config "$(w_conf "$name")" lease "$B" <"$SCRATCH/hold" >"$SCRATCH/lease.out" 2>&1 &
    lease=$!
    exec 9>"$SCRATCH/hold"
    wait_for 10 grep -q held "$SCRATCH/lease.out" || bail "lease: $(cat "$SCRATCH/lease.out")"
    ok 'expire beside a restore' w_expire "$name" --keep-backups last=1
    like "$OUT" '^         reason  test 1 is reading it$' 'sees who reads'
    is "$(b_labels "$name")" "$(printf '%s\n' "$A" "$B" "$C" "$D" | sort)" \
        'pinned, held, and the newest two while none is verified: all stay'
    like "$OUT" 'at work: packs wait' 'and no pack went'
    exec 9>&-
    wait "$lease"
    "$SCRATCH/lease" --config "$(w_conf "$name")" intent '' <"$SCRATCH/hold" >"$SCRATCH/lease.out" 2>&1 &
    lease=$!
    exec 9>"$SCRATCH/hold"
    wait_for 10 grep -q held "$SCRATCH/lease.out" || bail "lease: $(cat "$SCRATCH/lease.out")"
    ok 'expire beside a backup' w_expire "$name" --keep-backups last=1 --dry-run
    like "$OUT" 'no WAL goes: a backup is running' 'leaves the WAL'
    exec 9>&-
    wait "$lease"
}

test_expire() {
    local name=$1 before after n
    before=$(wal "$name" | wc -l)
    json w_expire "$name" --keep-backups last=2
    is "$JSON_RC" 0 'expire'
    is "$(query '[.backups[].keep] | tostring')" '[true,false,true,true]' 'decides by the rule and the pin'
    is "$(query '.done.backups, .done.records')" $'1\n1' 'one backup went, with one record'
    is "$(b_labels "$name")" "$(printf '%s\n' "$A" "$C" "$D" | sort)" 'the three others are there'
    is "$(wal "$name" | wc -l)" "$((before - $(query '.done.wal_files')))" 'WAL before the first went'
    ok 'the archive has no hole' w_list "$name"
    is "$(rows_of "$name" "$A" --target-immediate --target-action promote)" 1 'the pinned one comes back as it was'
    is "$(rows_of "$name" "$A")" "$LAST" 'and with all that came after'
    is "$(rows_of "$name" "$C" --target-immediate --target-action promote)" 5 'so does a kept one'
    is "$(rows_of "$name" "$D")" "$LAST" 'and the newest'

    ok 'the pin is released' w_keep "$name" --release "$A"
    exits 1 'only once' w_keep "$name" --release "$A"
    ok 'now the rule decides' w_expire "$name" --keep-backups last=2
    like "$OUT" "^  REMOVE $A$" 'the oldest goes'
    like "$OUT" '^gathered what is needed of mostly empty packs' 'what others need of its packs is gathered'
    like "$OUT" 'will go with the next run$' 'and they are condemned'
    is "$(b_labels "$name")" "$(printf '%s\n' "$C" "$D" | sort)" 'two are left'
    after=$(wal "$name" | head -n 1)
    like "$(w_names "$name")" "^$after" 'WAL from the kept one on is there'
    ok 'the archive has no hole' w_list "$name"
    n=$(size_of_packs "$name")
    ok 'the next run' w_expire "$name" --keep-backups last=2
    like "$OUT" '^removed [0-9]+ packs? that no backup needs' 'removes their packs'
    ok 'the repository is smaller' [ "$(size_of_packs "$name")" -lt $((n / 2)) ]
    ok 'and one more finds nothing' w_expire "$name" --keep-backups last=2
    like "$OUT" '^removed 0 backups, 0 dumps and 0 WAL files$' 'to do'
    is "$(rows_of "$name" "$C" --target-immediate --target-action promote)" 5 'a kept backup comes back as it was'
    is "$(rows_of "$name" "$D")" "$LAST" 'the newest with all that came after'
    ok 'everything that is there is sound' walden verify --config "$(w_open_conf "$name")"
    ok 'no mark, no temporary file is left' b_clean "$name"
    is "$(find "$(w_repo "$name")" -name 'condemned-*' | wc -l)" 0 'no list either'
}

# A power cut brings a manifest and a segment back.
test_back() {
    local name=$1 file=$2 segment=$3
    mkdir -p "$(dirname "$file")" "$(dirname "$segment")"
    cp "$SCRATCH/came.back" "$file"
    cp "$SCRATCH/came.wal" "$segment"
    exits 1 'a backup that came back is not restored' \
        walden restore --config "$(w_open_conf "$name")" -D "$SCRATCH/back.data2" --backup "$A"
    ok 'expire removes what came back' w_expire "$name" --keep-backups last=2
    like "$OUT" 'it was removed before' 'and says so'
    ok 'the manifest is gone' [ ! -e "$file" ]
    ok 'the segment too' [ ! -e "$segment" ]
}

# By wal_within old WAL goes, but what each backup needs to be consistent.
test_within() {
    local name=$1
    ok 'wal_within' w_expire "$name" --wal-within 30d --dry-run
    like "$OUT" 'WAL stays for the moments of the last 30d' 'says what stays'
    like "$OUT" '^Nothing was removed; without --dry-run 0 backups' 'nothing that young goes'
}

build_lease() {
    local library=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
    [ -f "$library" ] || bail "no $library; run make DEV=1"
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -g -Ilib \
        -fsanitize=address,undefined -fno-sanitize-recover=all -isystem /usr/include/postgresql \
        -o "$SCRATCH/lease" tests/tools/lease.c "$library" -lpq -lsodium -llz4) >"$SCRATCH/cc.log" 2>&1 ||
        bail "lease.c: $(cat "$SCRATCH/cc.log")"
}

name=plain
w_is_dev || name=sealed
build_lease
fill $name ${name#plain}
manifest=$(w_object $name "$A")
segment=$(w_object $name "$(wal $name | head -n 1)")
cp "$manifest" "$SCRATCH/came.back"
cp "$segment" "$SCRATCH/came.wal"
test_rules $name
test_pins $name
test_leases $name
test_expire $name
test_back $name "$manifest" "$segment"
test_within $name
done_testing
