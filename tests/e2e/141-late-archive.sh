#!/bin/bash
# Goal: a server that was promoted before it met Walden is restored like any other: one that does not
# archive from its streamed backup alone, and one that archives along its timeline, whose history it
# never offered to an archive (the backup does).  A backup of a copy that was opened elsewhere does not
# become the way that a restore goes by itself.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

backup() { pg_env "$1" walden-basebackup --config "$(w_conf "$2")" --fast --json "${@:3}"; } # SERVER REPO
restore() { walden restore --config "$(w_open_conf "$1")" -D "$SCRATCH/copy" "${@:2}"; }     # REPO
label() { sed -n 's/.*"label":"\([^"]*\)".*/\1/p' <<<"$OUT"; }

# rows NAME MAJOR: what the restored copy holds when it is open.
rows() {
    pg_adopt "$1" "$2" "$SCRATCH/copy"
    pg_start "$1" && pg_wait_promoted "$1" && pg_sql "$1" 'select count(*) from t'
    pg_drop "$1"
    rm -rf "$SCRATCH/copy"
}

check() {
    local name=$1 major=$2 kind=$3 what="$2 $3" init=w_init alone
    [ "$kind" = plain ] || init=w_init_sealed
    pg_init "$name" "$major" --wal-segsize=1 || bail initdb
    pg_start "$name" && new_timeline "$name" && new_timeline "$name" || bail 'no timeline 3'
    pg_sql "$name" 'create table t as select generate_series(1, 1000) i'
    $init "$name" "$(pg_data "$name")" || bail 'no repository'

    ok "$what: a streamed backup" backup "$name" "$name"
    alone=$(label)
    is "$(w_names "$name")" '' "$what: nothing is archived"
    ok "$what: it can be gone back to" walden window --config "$(w_conf "$name")"
    ok "$what: restored, and nothing was said of timelines" restore "$name"
    like "$OUT" 'on timeline 3$' "$what: along timeline 3"
    is "$(rows "$name.a" "$major")" 1000 "$what: with its rows"
    ok "$what: to its end" restore "$name" --target-immediate --target-action promote
    is "$(rows "$name.b" "$major")" 1000 "$what: to its end: with its rows"

    pg_archive "$name" "$(w_archive_command "$name")"
    pg_restart "$name" || bail 'no restart'
    ok "$what: a backup by the archive" backup "$name" "$name" --wal=archive
    like "$ERR" 'the history of timeline 3 was not in the archive; it is now' "$what: says what it did"
    like "$(w_names "$name")" '^00000003\.history$' "$what: the history is in the archive"
    ok "$what: another one" backup "$name" "$name" --wal=archive
    unlike "$ERR" 'history of timeline' "$what: does nothing of the kind"
    pg_sql "$name" 'insert into t values (0)'
    pg_switch "$name" >/dev/null
    ok "$what: verified" walden verify --config "$(w_open_conf "$name")"
    ok "$what: restored to the end of the archive" restore "$name"
    is "$(rows "$name.c" "$major")" 1001 "$what: with the rows from the archive"
    exits 1 "$what: from the streamed one the archive is not reached" restore "$name" --backup "$alone"
    like "$ERR" 'segment [0-9A-F]* is missing' "$what: says why"

    # A copy that goes another way, and is backed up here.
    ok "$what: a copy" restore "$name"
    pg_adopt "$name.e" "$major" "$SCRATCH/copy"
    pg_start "$name.e" && pg_wait_promoted "$name.e" || bail 'no copy'
    pg_sql "$name.e" 'delete from t'
    ok "$what: a backup of the copy" backup "$name.e" "$name" --wal=stream
    alone=$(label)
    pg_drop "$name.e"
    rm -rf "$SCRATCH/copy"
    is "$(w_names "$name" | grep -c '^00000004')" 0 "$what: the copy puts nothing into the archive"
    ok "$what: restored" restore "$name"
    is "$(rows "$name.f" "$major")" 1001 "$what: it is not the copy's way"
    exits 1 "$what: the copy's backup along the archive's timeline" restore "$name" --backup "$alone"
    like "$ERR" 'hint: .*--target-timeline current' "$what: the way out is named"
    ok "$what: along its own" restore "$name" --backup "$alone" --target-timeline current
    like "$OUT" 'on timeline 4$' "$what: along its own: timeline 4"
    is "$(rows "$name.g" "$major")" 0 "$what: it is the copy's way"

    # The original, too, comes to timeline 4: two branches of one number.
    ok "$what: another copy" restore "$name"
    pg_adopt "$name.h" "$major" "$SCRATCH/copy"
    pg_start "$name.h" && pg_wait_promoted "$name.h" || bail 'no copy'
    pg_sql "$name" 'insert into t values (0)'
    new_timeline "$name" && pg_switch "$name" >/dev/null || bail 'no timeline 4'
    exits 4 "$what: the copy is refused" backup "$name.h" "$name" --wal=stream
    like "$ERR" 'error: timeline 4 of this server is not the one' "$what: says why"
    ok "$what: the original is not" backup "$name" "$name"
    pg_drop "$name.h"
    rm -rf "$SCRATCH/copy"
    pg_drop "$name"
}

mapfile -t majors < <(pg_majors)
check first "${majors[0]}" sealed
check last "${majors[-1]}" plain
done_testing
