#!/bin/bash
# Goal: `walden restore --before-drop` and `walden rescue` bring back the one table that is meant, refuse
# where more than one may be, and leave nothing behind, whatever kills them.
#
# also: dev long
# timeout: 1500
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'
PLACE=$(mktemp -d /tmp/wr.XXXXXX) || bail "no place for the scratch servers"
at_exit "rm -rf --one-file-system $PLACE"
[ ${#pg_as[@]} -eq 0 ] || chown --reference="$SCRATCH" "$PLACE"

# with NAME MAJOR COMMAND ARGUMENT...: a walden command that finds the server's and pg_dump's programs.
with() {
    local name=$1 major=$2 command=$3
    shift 3
    PATH=$(dirname "$(pg_prog pg_dump "$(tools_of "$major")")"):$PATH \
        walden "$command" --config "$(w_open_conf "$name")" --pg-bin "$(pg_bin "$major")" "$@"
}
rescue() {
    local name=$1 major=$2
    shift 2
    with "$name" "$major" rescue --scratch "$PLACE" "$@"
}

# rows DUMP MAJOR: the data rows in a dump.
rows() {
    "$(pg_prog pg_restore "$(tools_of "$2")")" -a -f - "$1" | awk '/^COPY/ { on = 1; next } /^\\\.$/ { on = 0 } on' | wc -l
}
is_clean() { [ -z "$(ls "$PLACE")" ]; }

# before NAME MAJOR: walden restore --before-drop.
before() {
    local name=$1 major=$2 what=$2
    f_forget
    exits 0 "$what: --before-drop --start" with "$name" "$major" restore -D "$SCRATCH/back.data" \
        --before-drop public.orders --start
    like "$OUT" '^asked +just before table public.orders of database app: dropped' "$what: says what was asked for"
    like "$OUT" 'before the first lock of transaction [0-9]+, paused' "$what: and which moment that is"
    like "$OUT" '^proven +table public.orders of database app can be read' "$what: and that it can be read"
    like "$OUT" '^state +paused at the target' "$what: it waits there"
    stop_copy "$major"
    f_forget
    exits 0 "$what: where others committed meanwhile" with "$name" "$major" restore -D "$SCRATCH/back.data" \
        --before-drop busy --start
    like "$OUT" 'before the commit of transaction [0-9]+, which is then rolled back' "$what: it is promoted"
    like "$OUT" '^proven +table public.busy' "$what: and can be read"
    stop_copy "$major"
    f_forget
    exits 0 "$what: a database" with "$name" "$major" restore -D "$SCRATCH/back.data" --before-drop gone --dry-run
    like "$OUT" 'before the database was marked as invalid' "$what: stops before the mark"
    exits 4 "$what: two tables of one name" with "$name" "$major" restore -D "$SCRATCH/back.data" --before-drop twice
    like "$ERR" '^table (part|public).twice of database app: dropped' "$what: are listed"
    is "$(grep -c ' walden restore --config .* --target-lsn' <<<"$ERR")" 2 "$what: with the command for each"
    like "$ERR" 'hint: .*SCHEMA.TABLE' "$what: and what to do"
    exits 0 "$what: the one of a schema" with "$name" "$major" restore -D "$SCRATCH/back.data" --before-drop part.twice --dry-run
    exits 1 "$what: what did not happen" with "$name" "$major" restore -D "$SCRATCH/back.data" --before-truncate orders
    like "$ERR" 'nothing of that kind happened to "orders"' "$what: is said"
    exits 2 "$what: two targets" with "$name" "$major" restore -D "$SCRATCH/back.data" --before-drop orders --target-xid 700
    ok "$what: nothing was made" test ! -e "$SCRATCH/back.data"
}
stop_copy() { "${pg_as[@]}" "$(pg_bin "$1")/pg_ctl" -D "$SCRATCH/back.data" -m fast -s -w stop >/dev/null; }

rescued() {
    local name=$1 major=$2 what=$2 pid
    rm -f "$SCRATCH"/*.dump
    exits 0 "$what: rescue of a dropped table" rescue "$name" "$major" orders --before-drop -o "$SCRATCH/orders.dump"
    is "$(rows "$SCRATCH/orders.dump" "$major")" 200 "$what: all rows are in the dump"
    ok "$what: nothing is left" is_clean
    exits 4 "$what: a file that is there" rescue "$name" "$major" orders --before-drop -o "$SCRATCH/orders.dump"
    exits 0 "$what: of a truncated one" rescue "$name" "$major" cleared --before-truncate -o "$SCRATCH/cleared.dump"
    is "$(rows "$SCRATCH/cleared.dump" "$major")" 200 "$what: all rows"
    exits 0 "$what: of one with deleted rows" rescue "$name" "$major" wiped --before-deletes -o "$SCRATCH/wiped.dump"
    is "$(rows "$SCRATCH/wiped.dump" "$major")" 200 "$what: all rows"
    exits 0 "$what: of a dropped database" rescue "$name" "$major" keep --before-drop -o "$SCRATCH/keep.dump"
    is "$(rows "$SCRATCH/keep.dump" "$major")" 70 "$what: all rows"
    exits 0 "$what: an odd name" rescue "$name" "$major" '"Odd ""name"' --before-drop -o "$SCRATCH/odd.dump"
    is "$(rows "$SCRATCH/odd.dump" "$major")" 200 "$what: all rows"
    exits 4 "$what: two of one name" rescue "$name" "$major" twice --before-drop -o "$SCRATCH/twice.dump"
    exits 0 "$what: a partition" rescue "$name" "$major" split1 --before-deletes -o "$SCRATCH/split.dump"
    is "$(rows "$SCRATCH/split.dump" "$major")" 199 "$what: all its rows"
    ok "$what: nothing is left after all of them" is_clean
    exits 2 "$what: without a moment" rescue "$name" "$major" orders -o "$SCRATCH/x.dump"
}

# killed NAME MAJOR: SIGKILL at several points; the server goes with it, the rest with the next run.
killed() {
    local name=$1 major=$2 what=$2 point pid='' keys='' key
    for point in lock data/PG_VERSION run/log run/said; do
        rm -f "$SCRATCH/k.dump"
        PATH=$(dirname "$(pg_prog pg_dump "$(tools_of "$major")")"):$PATH \
            walden rescue --config "$(w_open_conf "$name")" --pg-bin "$(pg_bin "$major")" --scratch "$PLACE" \
            orders --before-drop -o "$SCRATCH/k.dump" >/dev/null 2>&1 &
        pid=$!
        wait_for 30 test_any "$PLACE/*/$point" || fail "$what: never got to $point"
        kill -KILL "$pid"
        wait "$pid" 2>/dev/null
        ok "$what: killed at $point: its server is gone, too" wait_for 20 no_server
        nok "$what: killed at $point: something was left" is_clean
        keys="$keys $(cat "$PLACE"/*/data/postgresql.auto.conf 2>/dev/null | grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}')"
    done
    exits 0 "$what: the next run works" rescue "$name" "$major" orders --before-drop -o "$SCRATCH/next.dump"
    ok "$what: and clears what was left" is_clean
    like "$keys" '/walden-key' "$what: keys for hooks were there"
    for key in $keys; do
        [ ! -e "$key" ] || fail "$what: the key $key was left"
    done
    rescue "$name" "$major" orders --before-drop -o "$SCRATCH/t.dump" >/dev/null 2>"$SCRATCH/term" &
    pid=$!
    wait_for 30 test_any "$PLACE/*/run/log"
    kill -TERM "$(pgrep -P "$pid" -x walden || echo "$pid")"
    wait "$pid"
    is "$?" 130 "$what: interrupted"
    ok "$what: leaves nothing" is_clean
}
test_any() { compgen -G "$1" >/dev/null; }
no_server() { ! pgrep -f "postgres -D $PLACE/" >/dev/null; }

majors=${FIND_MAJORS:-13 17}
! w_is_dev || majors=18
for major in $majors; do
    f_build "p$major" "$major" "${FIND_LEVEL:-replica}" ${FIND_SEALED-sealed}
    before "p$major" "$major"
    rescued "p$major" "$major"
    [ "$major" != "${majors##* }" ] || killed "p$major" "$major"
    pg_drop "p$major"
done
done_testing
