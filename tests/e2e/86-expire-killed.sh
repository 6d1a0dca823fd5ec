#!/bin/bash
# Goal: wherever `walden expire` is killed, whatever is kept is whole, and the next run ends where an
# undisturbed one ends; on a full disk nothing goes without a record of it.
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/fault/common.bash
. "$ROOT/tests/fault/common.bash"

WORK=$SCRATCH
use_memory
name=killed
repo=$(w_repo $name)
EXPIRE=(walden expire --config "$(w_conf $name)" --keep-backups last=2)

wal() { w_names $name | grep -E '^[0-9A-F]{24}$'; }
state() { b_labels $name; wal; }
again() {
    rm -rf "$repo"
    cp -a "$WORK/fresh" "$repo"
}

take() {
    pg_sql $name "insert into rows select coalesce(max(id), 0) + 1 from rows"
    b_backup $name $name >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup.err")"
    pg_switch $name >/dev/null
}

# Four backups, the first with much that no other needs; the first two are to go.
fill() {
    pg_init $name 17 --wal-segsize=1 || bail initdb
    w_init $name "$(pg_data $name)" || bail 'walden init'
    pg_archive $name "$(w_archive_command $name)"
    pg_conf $name 'autovacuum = off' 'max_wal_senders = 5'
    pg_start $name || bail 'the server does not start'
    b_sql $name 'create role rep login replication' 'create table rows (id int)' \
        "create table junk as select sha512(i::text::bytea) from generate_series(1, 140000) i"
    take
    b_sql $name 'drop table junk' checkpoint
    take
    take
    take
    pg_stop $name
    mv "$repo" "$WORK/fresh"
    again
}

# judge POINT: after a run was disturbed.
judge() {
    local label rc=0
    for label in "${KEPT[@]}"; do
        b_labels $name | grep -q "^$label$" || problem "$1: lost: $label"
    done
    comm -23 <(tail -n +3 "$WORK/after") <(state | sort) >"$SCRATCH/.lost"
    [ ! -s "$SCRATCH/.lost" ] || problem "$1: lost: $(tr '\n' ' ' <"$SCRATCH/.lost")"
    # What is gone is on record.
    if [ "$(state | sort)" != "$(cat "$WORK/before")" ] &&
        [ "$(find "$repo" -name 'expire-*' | wc -l)" = 0 ]; then
        problem "$1: something is gone without a record"
    fi
    "${EXPIRE[@]}" >"$SCRATCH/said" 2>&1 || rc=$?
    [ $rc = 0 ] || problem "$1: the next run exits with $rc: $(grep error: "$SCRATCH/said")"
    state | sort | cmp -s - "$WORK/after" || problem "$1: the next run ends elsewhere"
    [ -z "$(find "$repo" -name '.tmp.*')" ] || problem "$1: left: $(find "$repo" -name '.tmp.*' | head -n 1)"
}

sweep() {
    local where call runs=0 failed=0
    while read -r where call; do
        case $call in # those that change what is on the disk
        write* | pwrite* | fsync | fdatasync | rename* | unlink* | link* | mkdir* | rmdir | ftruncate | fchmod*) ;;
        *) continue ;;
        esac
        runs=$((runs + 1))
        again
        inject "$where" kill "${EXPIRE[@]}"
        [ "$HOW $CODE" = 'signal 9' ] || problem "$where $call: not killed: $HOW $CODE"
        judge "$where $call"
        if [ $((runs % 4)) = 0 ]; then
            again
            inject "$where" error=EIO "${EXPIRE[@]}"
            [ "$HOW" = exit ] || problem "$where $call, EIO: $HOW $CODE"
            [ "$CODE" = 0 ] || failed=$((failed + 1))
            judge "$where $call, EIO"
        fi
        if [ $((runs % 25)) = 0 ]; then
            # Later runs remove the packs; what is left is all sound.
            "${EXPIRE[@]}" >/dev/null 2>&1
            "${EXPIRE[@]}" >/dev/null 2>&1
            walden verify --config "$(w_conf $name)" >"$SCRATCH/said" 2>&1 ||
                problem "$where $call: verify: $(head -n 3 "$SCRATCH/said")"
            [ -z "$(find "$repo" -name 'condemned-*')" ] || problem "$where $call: a list is left"
        fi
    done <"$SCRATCH/points"
    verdict "killed at each of $runs calls that change something, it leaves what the next run completes"
    ok 'there were many' [ $runs -gt 30 ]
    ok 'and a call that failed was said' [ $failed -gt 5 ]
}

build_tool faults
fill
mapfile -t KEPT < <(b_labels $name | tail -n 2)
state | sort >"$WORK/before"
list_points 0 "${EXPIRE[@]}"
state | sort >"$WORK/after"
ok 'undisturbed, two backups and WAL go' [ "$(wc -l <"$WORK/after")" -lt $(($(wc -l <"$WORK/before") - 3)) ]
ok 'and packs are gathered' grep -q '^gathered' "$SCRATCH/said"
sweep

# The negative control: something went without a record.
again
rm "$(w_object $name "$(b_labels $name | head -n 1)")"
judge 'by hand'
caught 'gone without a record' 'a backup that somebody else removed is noticed'

# A full disk.
again
inject write error=ENOSPC "${EXPIRE[@]}"
is "$HOW $CODE" 'exit 1' 'on a full disk it fails'
ok 'with what to do' grep -q 'hint: Nothing was removed: what goes must be on record first' "$SCRATCH/said"
is "$(state | sort)" "$(cat "$WORK/before")" 'and nothing goes'
judge 'full disk'
verdict 'with room again it completes'

# A full disk, when an earlier run condemned packs: these make the room for the record.
again
walden expire --config "$(w_conf $name)" --keep-backups last=3 >/dev/null 2>&1
rm -rf "$WORK/fresh"
cp -a "$repo" "$WORK/fresh"
list_points 0 "${EXPIRE[@]}"
again
inject "$(awk '$2 == "write" { print $1; exit }' "$SCRATCH/points")" error=ENOSPC "${EXPIRE[@]}"
is "$HITS $HOW $CODE" '1 exit 0' 'packs that were condemned before make room for the record'
ok 'they are gone' grep -q '^removed [0-9]* pack' "$SCRATCH/said"
judge 'full disk with room'
verdict 'and all is done'

done_testing
