#!/bin/bash
# Goal: a search that is narrowed by time or transaction reads a part of the archive, and finds in it what
# the search of all of it finds there: also what a transaction did long before it ended.
#
# when: long
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'

# A transaction that deletes, and ends many segments later.
slow() {
    local name=$1 i
    f_app "$name" "$(f_table slow 20000) create table noise (t text)"
    f_app "$name" 'begin; select pg_current_xact_id(); delete from slow where id <= 5000; select pg_sleep(6);
        truncate cleared; delete from slow where id <= 6000; commit' >"$SCRATCH/slow" &
    for i in 1 2 3 4 5 6 7 8; do
        sleep 0.3
        f_app "$name" "insert into noise select repeat(md5(i::text), 20) from generate_series(1, 2000) i; checkpoint"
        pg_switch "$name" >/dev/null
    done
    wait $!
    f_app "$name" 'insert into noise select 1'
    pg_sql "$name" "select pg_create_restore_point('there')" >/dev/null
    pg_switch "$name" >/dev/null
    for i in 1 2 3 4; do
        f_app "$name" "drop table if exists gone$i; create table gone$i (a int); drop table gone$i; checkpoint"
        pg_switch "$name" >/dev/null
    done
}

# found ARGUMENT...: the candidates, one per line.
found() {
    f_find "$NAME" --json --limit 10000 --rows 64 "$@" >"$SCRATCH/found" 2>"$SCRATCH/err" || return
    jq -c '.candidates[]' "$SCRATCH/found"
}
skipped() { jq .searched.skipped "$SCRATCH/found"; }

# same NAME: every stretch of time between two candidates, and every transaction.
same() {
    local what=$1 all times n i j low high want got less=0 differ=0 asked=0
    all=$(found --drop --truncate --deletes --rewrites --restore-points)
    isnt "$all" '' "$what: there is something to be found"
    is "$(skipped)" 0 "$what: nothing is left out where nothing is asked for"
    mapfile -t times < <(jq -r '.time // empty' <<<"$all" | sort -u)
    n=${#times[@]}
    for ((i = 0; i < n; i++)); do
        for j in $i $((i + 1)) $((i + 3)); do
            ((j < n)) || continue
            low=${times[i]} high=${times[j]}
            want=$(jq -c "select(.time == null or (.time >= \"$low\" and .time <= \"$high\"))" <<<"$all")
            got=$(found --drop --truncate --deletes --rewrites --restore-points --since "$low" --until "$high")
            asked=$((asked + 1))
            [ "$(skipped)" = 0 ] || less=$((less + 1))
            # Which of those without a time lie in the stretch nobody knows.
            [ "$(jq -c 'select(.time)' <<<"$want")" = "$(jq -c 'select(.time)' <<<"$got")" ] && continue
            differ=$((differ + 1))
            diag "from $low to $high:" "$(diff <(echo "$want") <(echo "$got"))"
        done
    done
    is "$differ" 0 "$what: in each of $asked stretches the same is found"
    ok "$what: with less reading ($less times)" test "$less" -gt $((asked / 2))
    differ=0 less=0 asked=0
    for i in $(jq -r '.xid // empty' <<<"$all" | sort -un); do
        want=$(jq -c "select(.xid == $i)" <<<"$all")
        got=$(found --drop --truncate --deletes --rewrites --restore-points --xid "$i")
        asked=$((asked + 1))
        [ "$(skipped)" = 0 ] || less=$((less + 1))
        [ "$want" = "$got" ] && continue
        differ=$((differ + 1))
        diag "transaction $i:" "$(diff <(echo "$want") <(echo "$got"))"
    done
    is "$differ" 0 "$what: of each of $asked transactions, too"
    # The archive is short, and lists of what runs are far apart in its first part.
    ok "$what: with less reading ($less times)" test "$less" -gt 0
}

for version in 13:replica: 18:logical:sealed; do
    IFS=: read -r major level sealed <<<"$version"
    NAME=n$major
    f_build "$NAME" "$major" "$level" $sealed
    slow "$NAME"
    f_backup "$NAME" "$NAME" # its map knows the name
    same "$major"
    xid=$(grep -E '^[0-9]+$' "$SCRATCH/slow" | head -n 1)
    f_json "$major: the slow one" "$NAME" --xid "$xid"
    like "$(f_words)" "^truncate public.cleared $xid$" "$major: is found by its number"
    like "$(f_words)" "^delete public.slow $xid$" "$major: with what it deleted early"
    ok "$major: every row of it" test "$(jq '[.candidates[] | .rows_deleted // 0] | add' "$SCRATCH/find.json")" -eq 6000
    pg_drop "$NAME"
done
done_testing
