#!/bin/bash
# Goal: `walden copy` keeps a whole copy of a repository in another directory, plain and sealed, without
# a secret key: list, window, verify and restore work with it when the repository is gone; later runs
# bring what is new and nothing else; damage at the source is never copied, damage in the copy is
# mended; an archiver, a backup or a dump never writes into a copy; a run that was killed is gone on
# with; another repository, an empty directory and a repository that is no copy are refused.
# also: dev
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

copy() { walden copy --config "$(w_conf "$1")" "${@:2}"; }
there() { echo "$SCRATCH/$1.off"; } # NAME: its copy
# in_copy NAME COMMAND...: a command about the copy, with the keys that read.
in_copy() { walden "$2" --config "$(w_open_conf "$1")" --repo "$(there "$1")" "${@:3}"; }
# objects DIR: names and contents of all that a reader needs.
objects() {
    (cd "$1" && find . -type f ! -name '.tmp.*' ! -path '*/index/*' ! -path '*/lease/*' ! -path '*/verify/*' \
        ! -path './walden-copy' ! -path './copied-*' -exec sha256sum {} + | sort -k2)
}

take() {
    pg_sql "$1" "insert into rows select coalesce(max(id), 0) + 1 from rows"
    b_backup "$1" "$1" >"$SCRATCH/.backup" 2>&1 || bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
    pg_sql "$1" "insert into rows select max(id) + 1 from rows"
    pg_switch "$1" >/dev/null
    LAST=$(pg_sql "$1" 'select max(id) from rows')
}

fill() {
    local name=$1
    pg_init "$name" 17 --wal-segsize=1 -k || bail initdb
    "w_init${2:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'max_wal_senders = 5'
    pg_start "$name" || bail 'the server does not start'
    b_sql "$name" 'create role rep login replication' 'create table rows (id int)' \
        "create table fill as select i, repeat(md5(i::text), 8) y from generate_series(1, 5000) i"
    take "$name"
    d_walden "$name" "$name" dump -d postgres >"$SCRATCH/.dump" 2>&1 || bail "dump: $(cat "$SCRATCH/.dump")"
    pg_switch "$name" >/dev/null # nothing is on its way to the archive any more
}

# flip FILE: one byte in its middle.
flip() {
    local at=$(($(stat -c %s "$1") / 2))
    chmod 600 "$1"
    printf '\x5a' | dd of="$1" bs=1 seek=$at conv=notrunc status=none
}

test_first() {
    local name=$1
    mkdir "$SCRATCH/$name.mount"
    exits 4 'an empty directory is not taken for a copy' copy "$name" "$SCRATCH/$name.mount"
    like "$ERR" 'If its disk is not mounted' 'and it says why'
    is "$(ls -A "$SCRATCH/$name.mount")" '' 'nothing was written into it'
    exits 3 'a directory that is not there' copy "$name" "$(there "$name")"
    ok 'the first copy' copy "$name" "$(there "$name")" --new
    like "$OUT" 'new      [0-9]+ WAL segments, 1 base backups, 1 dumps, [1-9][0-9]* packs' 'what came'
    is "$(objects "$(there "$name")")" "$(objects "$(w_repo "$name")")" 'holds the same bytes'
    ok 'again' copy "$name" "$(there "$name")"
    like "$OUT" 'copied to .*: 0 objects' 'and nothing comes'
    is "$(stat -c %a "$(there "$name")/walden-repo")" 600 'closed to others'
    exits 4 'the repository is no copy of itself' copy "$name" "$(w_repo "$name")"
    ok 'verify, with the copy' in_copy "$name" verify
    ok 'window' in_copy "$name" window
    ok 'list --json' in_copy "$name" list --json
    is "$(jq -r '.clusters[].lineages[]?.backups | length' <<<"$OUT" 2>/dev/null | head -n 1)" \
        "$(walden list --json --config "$(w_open_conf "$name")" | jq -r '.clusters[].lineages[]?.backups | length' 2>/dev/null | head -n 1)" \
        'as many backups'
}

test_more() {
    local name=$1 n
    take "$name"
    ok 'after one more backup' copy "$name" "$(there "$name")" --json
    printf '%s\n' "$OUT" >"$SCRATCH/json"
    ok 'its JSON is what the schema says' "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/copy.json" "$SCRATCH/json"
    is "$(jq -r '.copies[0] | .backups, .dumps, .failed' "$SCRATCH/json" | tr '\n' ' ')" '1 0 0 ' 'one backup came'
    n=$(jq -r '.copies[0].before' "$SCRATCH/json")
    ok 'all else had been there' [ "$n" -gt 5 ]
    is "$(objects "$(there "$name")")" "$(objects "$(w_repo "$name")")" 'the same bytes'
}

# What must not write into it.
test_closed() {
    local name=$1 segment
    segment=$(ls "$(pg_data "$name")/pg_wal" | grep -E '^[0-9A-F]{24}$' | head -n 1)
    nok 'an archiver is refused' w_push "$name" "$name" "pg_wal/$segment" --repo "$(there "$name")"
    like "$ERR" 'is a copy of a repository' 'and told why'
    exits 4 'a backup' b_backup "$name" "$name" --repo "$(there "$name")"
    exits 4 'a dump' d_walden "$name" "$name" dump -d postgres --repo "$(there "$name")"
    like "$ERR" 'walden copy --adopt' 'and told what to do when the repository is lost'
    ok 'the repository itself is open' d_walden "$name" "$name" dump -d postgres
}

test_damage() {
    local name=$1 good new
    good=$(objects "$(there "$name")")
    # Damaged at the source after it was copied: the copy stays good.
    flip "$(find "$(w_repo "$name")" -path '*/pack/*' -type f | head -n 1)"
    pg_sql "$name" "insert into rows select max(id) from rows" && pg_switch "$name" >/dev/null
    new=$(w_names "$name" | grep -E '^[0-9A-F]{24}$' | tail -n 1)
    flip "$(w_object "$name" "$new")"
    exits 1 'a copy of what is damaged' copy "$name" "$(there "$name")"
    like "$(flat "$ERR")" "$new was not copied: .*(digest|damaged|checksum|signature)" 'names it'
    unlike "$(objects "$(there "$name")")" "$new" 'and does not copy it'
    is "$(objects "$(there "$name")" | grep -cF "$good")" "$(grep -c . <<<"$good")" 'all that was there is as it was'
    rm "$(w_object "$name" "$new")"
    cp -p "$(find "$(there "$name")" -path '*/pack/*' -type f | head -n 1)" "$SCRATCH/$name.good"
    new=$(find "$(w_repo "$name")" -path '*/pack/*' -type f | head -n 1)
    cp -p "$(find "$(there "$name")" -name "$(basename "$new")")" "$new"
    # Damaged in the copy: a flipped byte, and a file that is cut.
    flip "$(find "$(there "$name")" -path '*/dump/*' -type f | head -n 1)"
    ok 'a quick run reads nothing that is there' copy "$name" "$(there "$name")"
    truncate -s -10 "$(find "$(there "$name")" -path '*/backup/*' -type f | head -n 1)"
    ok 'one with --check' copy "$name" "$(there "$name")" --check
    like "$(flat "$ERR")" 'was damaged in the copy and is whole again' 'says what it mended'
    like "$OUT" 'mended   2' 'both'
    is "$(objects "$(there "$name")")" "$(objects "$(w_repo "$name")")" 'the same bytes'
}

# Killed at several moments; what it leaves is gone on with.
test_killed() {
    local name=$1 i pid rest
    rm -rf "$(there "$name")"
    for i in 0.005 0.01 0.02 0.04 0.08; do
        copy "$name" "$(there "$name")" --new >/dev/null 2>&1 &
        pid=$!
        sleep "$i"
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    ok 'after five that were killed' copy "$name" "$(there "$name")" --new
    is "$(objects "$(there "$name")")" "$(objects "$(w_repo "$name")")" 'the same bytes'
    rest=$(find "$(there "$name")" -name '.tmp.*' | wc -l)
    ok 'nothing half-written piles up' [ "$rest" -le 5 ]
}

test_restore() {
    local name=$1
    mv "$(w_repo "$name")" "$SCRATCH/$name.lost"
    ok 'a restore from the copy' in_copy "$name" restore -D "$SCRATCH/$name.back"
    pg_adopt "$name.b" 17 "$SCRATCH/$name.back" >/dev/null && pg_start "$name.b" && pg_wait_promoted "$name.b" ||
        bail 'the copy does not start'
    is "$(pg_sql "$name.b" 'select max(id) from rows')" "$LAST" 'with the newest row'
    pg_stop "$name.b"
    ok 'a dump from the copy' in_copy "$name" get postgres -o "$SCRATCH/$name.dump"
    exits 4 'the copy is not written to' d_walden "$name" "$name" dump -d postgres --repo "$(there "$name")"
    ok 'until it is adopted' walden copy --adopt --config "$(w_conf "$name")" --repo "$(there "$name")"
    ok 'then it is' d_walden "$name" "$name" dump -d postgres --repo "$(there "$name")"
    ok 'and an archiver writes there' w_push "$name" "$name" \
        "pg_wal/$(basename "$(find "$(pg_data "$name")/pg_wal/archive_status" -name '*.done' | sort | tail -n 1)" .done)" \
        --repo "$(there "$name")"
    ok 'verify' in_copy "$name" verify
    mv "$SCRATCH/$name.lost" "$(w_repo "$name")"
    exits 4 'walden copy leaves it alone now' copy "$name" "$(there "$name")"
}

d_tools 17
for kind in '' sealed; do
    name=a$kind
    fill "$name" $kind
    test_first "$name"
    test_more "$name"
    test_closed "$name"
    ok 'what came meanwhile' copy "$name" "$(there "$name")"
    test_damage "$name"
    test_killed "$name"
    test_restore "$name"
    pg_stop "$name"
done
walden copy --config "$(w_conf asealed)" "$SCRATCH/asealed.second" --new >/dev/null 2>&1
exits 4 'the copy of another repository' copy a "$SCRATCH/asealed.second"
like "$ERR" 'another repository' 'is said'
done_testing
