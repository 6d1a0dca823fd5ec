#!/bin/bash
# Goal: `walden find` tells what was dropped, truncated, rewritten and deleted, by name and with the right
# transaction, and nothing that was rolled back; every command it proposes brings the table back with all
# its rows, readable at once, without losing what others committed; and at the record that it stops
# before, the table is gone.
#
# also: dev
# timeout: 1500
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'

# narrow NAME MAJOR: the options that choose.
narrow() {
    local name=$1 what=$2 xid
    f_json "$what: by table" "$name" --drop orders
    is "$(f_words)" "drop public.orders $(f_did "$name" drop)" "$what: --drop orders finds that one"
    f_json "$what: by schema, in other letters" "$name" --truncate PUBLIC.Cleared
    is "$(f_words)" "truncate public.cleared $(f_did "$name" truncate)" "$what: --truncate PUBLIC.Cleared"
    f_json "$what: a quoted name" "$name" --drop '"Odd ""name"'
    is "$(f_words | wc -l)" 1 "$what: finds it"
    f_json "$what: a quoted name is exact" "$name" --drop '"Orders"'
    is "$(f_words)" '' "$what: finds nothing"
    exits 0 "$what: nothing found is no failure" f_find "$name" --drop nosuch
    like "$OUT" '^nothing of what was asked for' "$what: and is said"
    like "$OUT" '^searched [0-9]+ segments' "$what: with what was searched"
    f_json "$what: another database" "$name" --drop orders --database postgres
    is "$(f_words)" '' "$what: had no such table"
    f_json "$what: a table of a dropped database" "$name" --drop keep
    is "$(f_words)" "drop-database public.keep $(f_list '$_->{xid}')" "$what: is found with it"
    xid=$(f_did "$name" undone)
    f_json "$what: a transaction that did little" "$name" --xid "$xid"
    is "$(f_words)" "commit - $xid" "$what: is found by its number"
    f_json "$what: restore points" "$name" --restore-points
    is "$(f_list '$_->{restore_point}')" here "$what: has its name"
    f_json "$what: near a time" "$name" --near "$(f_time "$name")"
    like "$(f_words)" "^drop public.orders" "$what: has the event and its neighbours"
    like "$(f_words)" "^commit - " "$what: among them plain commits"
    f_json "$what: until a time" "$name" --rows 64 --until "$(f_time "$name")"
    is "$(f_words | cut -d' ' -f1-2)" 'delete public.wiped
drop public.orders' "$what: what came later is left out"
    f_json "$what: only the newest" "$name" --rows 64 --limit 2
    is "$(f_words | cut -d' ' -f1)" 'drop
restore-point' "$what: is the end of the list"
}
# When orders was dropped.
f_time() {
    f_find "$1" --drop orders --json >"$SCRATCH/find.json" && f_list '$_->{time}' 
}

# wrong NAME MAJOR: what is refused.
wrong() {
    local name=$1 what=$2
    exits 2 "$what: a wrong time" f_find "$name" --since tomorrow
    exits 2 "$what: from behind to before" f_find "$name" --since today --until yesterday
    f_json "$what: since yesterday" "$name" --drop orders --since yesterday --until 'now'
    is "$(f_words)" "drop public.orders $(f_did "$name" drop)" "$what: since yesterday finds it"
    f_json "$what: until the day before" "$name" --drop orders --until '2 days ago'
    is "$(f_words)" '' "$what: and not until the day before"
    exits 2 "$what: a wrong table" f_find "$name" a.b.c
    like "$ERR" 'hint: .*--database' "$what: says where the database goes"
    exits 2 "$what: too few rows" f_find "$name" --deletes --rows 3
}

majors=${FIND_MAJORS:-13 17}
! w_is_dev || majors=18
for major in $majors; do
    level=replica
    [ "$major" != 17 ] || level=logical
    f_build "p$major" "$major" "${FIND_LEVEL:-$level}"
    f_look "p$major" "$major" "$major"
    narrow "p$major" "$major"
    wrong "p$major" "$major"
    some=
    if [ -z "${FIND_LEVEL-}" ]; then # the long test takes all of each
        case $major in
            13) some='public.ordersapp public.bigapp gone public.undoneapp' ;;
            *) some='public.clearedapp public.busyapp part.bapp public.rebuiltapp gone' ;;
        esac
    fi
    # shellcheck disable=SC2086 # a list of words
    f_come_back "p$major" "$major" $some
    pg_drop "p$major"
done
done_testing
