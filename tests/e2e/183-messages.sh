#!/bin/bash
# Goal: what goes wrong on the first day is answered with what happened and what to type next: nothing
# configured, nothing archived, a name that is misspelt or in the wrong case, a time or a number that is none,
# a repository of a newer version, a server that is down.
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# says STATUS WHAT ERROR HINT COMMAND...
says() {
    local status=$1 what=$2 error=$3 hint=$4
    shift 4
    exits "$status" "$what" walden "$@"
    like "$ERR$OUT" "$error" "$what: what happened"
    [ -z "$hint" ] || like "$ERR$OUT" "$hint" "$what: what to type"
}

says 2 'nothing is configured' 'the setting "repo" is missing' 'walden init --repo DIR' window
says 3 'there is no such place' 'does not exist' 'walden init --repo /nowhere' verify --repo /nowhere

pg_init m 17 || bail 'initdb'
w_init m "$(pg_data m)" || bail 'walden init'
pg_archive m "$(w_archive_command m)"
pg_start m || bail 'no server'
conf=$(w_conf m)
c=(--config "$conf")
says 0 'find in an empty archive' 'no WAL is archived here yet' 'walden doctor' find "${c[@]}"
says 1 'a table in an empty archive' 'no WAL is archived here' 'walden doctor' \
    restore -D "$SCRATCH/x" --before-drop t "${c[@]}"
says 1 'no backup' 'there is no base backup' 'walden backup' restore -D "$SCRATCH/x" "${c[@]}"
says 1 'no such label' 'there is no backup or dump "nosuch"' 'walden list' keep nosuch "${c[@]}"

pg_sql m 'create table "Orders" as select i from generate_series(1, 500) i;
    create table items as select i from generate_series(1, 500) i'
pg_env m walden-basebackup --fast "${c[@]}" >"$SCRATCH/backup" 2>&1 || bail "$(cat "$SCRATCH/backup")"
pg_sql m 'delete from "Orders" where i > 100; drop table items'
pg_switch m >/dev/null
says 0 'wrong case' 'No base backup knows a table of that name' "Did you mean '\"Orders\"'\?" \
    find --deletes orders "${c[@]}"
says 0 'and as proposed' '400 rows deleted' '' find --deletes '"Orders"' "${c[@]}"
unlike "$OUT" 'Did you mean' 'a name that is known is not doubted'
says 0 'misspelt' 'No base backup knows' 'Did you mean items\?' find --drop itmes "${c[@]}"
says 1 'misspelt for rescue' 'Did you mean items\?' 'walden find' \
    restore -D "$SCRATCH/x" --before-drop itmes "${c[@]}"
says 0 'nothing like it' 'No base backup knows a table of that name' 'walden find" without a name' \
    find --drop zzzzzz "${c[@]}"
says 0 'another schema' 'Did you mean public.items' '' find --drop nosuch.items "${c[@]}"
says 2 'no time' 'does not start with a valid date' '2026-11-20 14:02:11\+00.*2 hours ago' find --near noon "${c[@]}"
says 2 'a day, where a moment is asked for' 'has no time of day' 'for example' find --near yesterday "${c[@]}"
says 2 'before what?' 'before-drop.* is missing' 'walden rescue items --before-drop' rescue items "${c[@]}"
says 2 'restore where?' '-D is missing' '--dry-run' restore "${c[@]}"
says 0 'no such transaction' 'no end of transaction 4000000 is on record' '' find --xid 4000000 "${c[@]}"
says 0 'a time before all' 'nothing is archived of that time' 'walden window' \
    find --until '2001-01-01 00:00' "${c[@]}"

cp -a "$(w_repo m)" "$SCRATCH/newer"
sed -i '1s/ 1$/ 2/' "$SCRATCH/newer/walden-repo"
for command in window list find verify 'restore -D /x' expire; do
    # shellcheck disable=SC2086 # words
    says 4 "$command, a newer version" 'has format version 2, and this program knows version 1 only' \
        'install that version' $command --repo "$SCRATCH/newer"
done

pg_stop m
exits 3 'the server is down' pg_env m walden backup "${c[@]}"
like "$ERR" 'hint: Start the server, or say where it is' 'the server is down: what to do'
export COLUMNS=60
exits 3 'doctor at 60 columns' pg_env m walden doctor "${c[@]}"
is "$(grep -v / <<<"$OUT" | awk 'length > 60')" '' 'no line is wider'
done_testing
