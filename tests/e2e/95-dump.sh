#!/bin/bash
# Goal: `walden dump` stores a whole dump or nothing, for a server that does not archive and a role
# that may not replicate: every byte is decoded on its way, the rows of the tables are those of the
# snapshot; whatever goes wrong on either side of the pipe is said and leaves the last good dump; a
# dump that was damaged is found by `walden verify` where pg_restore --list finds nothing.
# also: dev
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

json() { # SCHEMA COMMAND...
    local schema=$1
    shift
    "$@" --json >"$SCRATCH/json" 2>"$SCRATCH/json.err" || diag "$(cat "$SCRATCH/json.err")"
    ok "$schema: the JSON is what its schema says" "$ROOT/tests/tools/json-schema" \
        "$ROOT/catalog/schema/$schema.json" "$SCRATCH/json"
}
query() { jq -r "$1" "$SCRATCH/json"; }

# Nothing visible has changed since `before`, and nothing half-done is left once the next dump ran.
remember() { before=$(tree_of "$(w_repo "$1")" | grep -v '\.tmp\.'); }
nothing_new() { is "$(tree_of "$(w_repo "$1")" | grep -v '\.tmp\.')" "$before" "$2"; }

majors=$(pg_majors)
newest=$(tail -n 1 <<<"$majors")
! w_is_dev || majors=$newest

# ---- every major: dump, list, verify, get --------------------------------------------------------

for major in $majors; do
    srv=s$major
    d_tools "$major"
    pg_init "$srv" "$major" || bail initdb
    # A server that cannot archive at all, and a role that may only read.
    pg_conf "$srv" 'wal_level = minimal' 'max_wal_senders = 0' 'archive_mode = off'
    pg_start "$srv" || bail 'no server'
    d_data "$srv" shop || bail 'no data'
    pg_sql "$srv" "create role reader login" -d shop
    d_sql "$srv" shop "grant usage on schema app, public to reader;
        grant select on all tables in schema app, public to reader; grant select on all sequences in schema public to reader"
    d_sql "$srv" shop "select lo_unlink(oid) from pg_largeobject_metadata" >/dev/null
    ok "$major: init works for that role, without archiving" pg_env "$srv" \
        env PGUSER=reader walden init --repo "$(w_repo "$srv")" --config "$(w_conf "$srv")"
    d_conf "$srv" '[dump shop]' 'databases = shop' 'counts = app.orders "We ird.""T"'
    json dump pg_env "$srv" env PGUSER=reader walden dump shop --config "$(w_conf "$srv")"
    is "$(query '[.databases[].tables[] | select(.counted) | .rows] | join(",")')" 20000,2 \
        "$major: the chosen tables were counted in the snapshot"
    is "$(query .role_passwords)" false "$major: it says that the passwords of roles are missing"
    pg_sql "$srv" "create role app_owner password 'x'"
    d_sql "$srv" shop "select lo_from_bytea(0, decode(repeat('ab', 50000), 'hex'))" >/dev/null
    for how in 'custom' 'plain' 'custom gzip' 'custom lz4' 'custom zstd:3'; do
        if [[ $how =~ lz4|zstd ]] && [ "$major" -lt 16 ]; then
            exits 2 "$major: $how is refused where pg_dump does not know it" \
                d_walden "$srv" "$srv" dump shop -F "$how"
            continue
        fi
        json dump d_walden "$srv" "$srv" dump shop -F "$how" --counts all
        is "$(query .rows)" 20302 "$major: $how: all rows are in it"
        is "$(query .checked)" "$([[ $how == *zstd* ]] && echo shape || echo whole)" \
            "$major: $how: it says how deep it was checked"
    done
    json list d_walden "$srv" "$srv" list
    is "$(query '.dumps | length')" "$(d_labels "$srv" | wc -l)" "$major: list has them all"
    is "$(query '.dumps[-1].tables')" 4 "$major: with their number of tables"
    json verify d_walden "$srv" "$srv" verify
    is "$(query '.dumps | [.looked_at - .whole, .stored] | join(",")')" 0,0 \
        "$major: verify decodes them all"
    first=$(d_labels "$srv" | sed -n 2p)
    ok "$major: get writes a file" d_walden "$srv" "$srv" get "$first" -o "$SCRATCH/$srv.dump"
    ok "$major: which pg_restore reads" "$(pg_prog pg_restore)" -f /dev/null "$SCRATCH/$srv.dump"
    like "$(d_walden "$srv" "$srv" get "$first" --stream globals -o -)" 'CREATE ROLE app_owner' \
        "$major: the roles are beside it"
    ok "$major: lz4 -dc gives the same dump without Walden" bash -c \
        'lz4 -dcq "$1" | head -c "$(stat -c %s "$2")" | cmp - "$2"' - "$(d_object "$srv" "$first")" "$SCRATCH/$srv.dump"
    [ "$major" = "$newest" ] || pg_drop "$srv"
done

# ---- damage --------------------------------------------------------------------------------------

srv=s$newest
object=$(d_object "$srv" "$first")
size=$(size_of "$object")
file_size=$(size_of "$SCRATCH/$srv.dump")
ok 'an undamaged repository verifies' d_walden "$srv" "$srv" verify
for percent in 50 90 99; do
    # Cut inside the data: the table of contents at the front is whole.
    head -c $((file_size * percent / 100)) "$SCRATCH/$srv.dump" >"$SCRATCH/cut"
    ok "pg_restore --list finds nothing in a dump cut at $percent %" "$(pg_prog pg_restore)" --list "$SCRATCH/cut"
    cp -p "$object" "$SCRATCH/spare"
    truncate -s $((size * percent / 100)) "$object"
    exits 1 "verify finds an object cut at $percent %" d_walden "$srv" "$srv" verify
    like "$OUT" "DUMP dump/shop/$first" 'and names it'
    exits 1 'and list, too' d_walden "$srv" "$srv" list
    cp -p "$SCRATCH/spare" "$object"
done
for label in $(d_labels "$srv" | tail -n 5); do
    object=$(d_object "$srv" "$label")
    cp -p "$object" "$SCRATCH/spare"
    for at in 200 $(($(size_of "$object") / 2)) $(($(size_of "$object") * 9 / 10)) -300; do
        flip_byte "$object" "$at"
        exits 1 "verify finds a byte of $label flipped at $at" d_walden "$srv" "$srv" verify
        nok 'and get gives no file' d_walden "$srv" "$srv" get "$label" -o "$SCRATCH/none"
        [ ! -e "$SCRATCH/none" ] || fail 'a file is there'
        cp -p "$SCRATCH/spare" "$object"
    done
done
ok 'mended, it verifies' d_walden "$srv" "$srv" verify
verified=$(d_walden "$srv" "$srv" list --json | jq -r '.dumps | map(select(.tag == null and .job == "shop"))[-1].label')

# A runner that loses the end and says 0: `pg_dump | head`, a container that was stopped, a full buffer.
cat >"$SCRATCH/lossy" <<'SH'
#!/bin/bash
if [ "$1" = pg_dump ] && [ "$2" != --version ]; then "$@" | "$LOSSY_WITH" "${LOSSY_ARG[@]}" $LOSSY_HOW; exit 0; fi
exec "$@"
SH
sed -i 's/ "\${LOSSY_ARG\[@\]}"//' "$SCRATCH/lossy"
chmod +x "$SCRATCH/lossy"
export LOSSY_WITH=head LOSSY_HOW
remember "$srv"
for how in 'custom' 'custom gzip' 'plain'; do
    d_walden "$srv" "$srv" get "$(d_labels "$srv" | sed -n 2p)" -o - >/dev/null
    for percent in 50 90 99; do
        case $how in
        custom) whole=$file_size ;;
        plain) whole=$(d_walden "$srv" "$srv" get "$(d_labels "$srv" | sed -n 3p)" -o - | wc -c) ;;
        *) whole=$(d_walden "$srv" "$srv" get "$(d_labels "$srv" | sed -n 4p)" -o - | wc -c) ;;
        esac
        LOSSY_HOW="-c $((whole * percent / 100))"
        exits 1 "$how: a pipe that loses the end at $percent % is noticed" d_walden "$srv" "$srv" dump shop \
            -F "$how" --runner "$SCRATCH/lossy" -d "host=$SOCKETS port=$(pg_port "$srv") user=postgres dbname=shop"
        like "$ERR" 'damaged|cut short' 'and said'
    done
done
LOSSY_WITH=sed LOSSY_HOW='s/$/\r/'
exits 1 'a terminal that changes line ends is noticed' d_walden "$srv" "$srv" dump shop -F plain \
    --runner "$SCRATCH/lossy" -d "host=$SOCKETS port=$(pg_port "$srv") user=postgres dbname=shop"
nothing_new "$srv" 'none of them left a dump'
LOSSY_WITH=cat LOSSY_HOW=
ok 'control: the same runner without loss' d_walden "$srv" "$srv" dump shop \
    --runner "$SCRATCH/lossy" -d "host=$SOCKETS port=$(pg_port "$srv") user=postgres dbname=shop"

# ---- trouble -------------------------------------------------------------------------------------

remember "$srv"
# start_dump ARGUMENT...: a dump that waits for a lock on app.orders.
start_dump() {
    d_hold "$srv" shop "lock table app.orders in access exclusive mode"
    d_walden "$srv" "$srv" dump shop --counts customers "$@" >"$SCRATCH/dump.out" 2>&1 &
    DUMP=$!
    wait_for 20 d_is_waiting "$srv" || bail "the dump does not wait: $(cat "$SCRATCH/dump.out")"
}
end_dump() { # RC DESCRIPTION REGEX
    wait "$DUMP"
    is $? "$1" "$2"
    like "$(cat "$SCRATCH/dump.out")" "$3" 'and says why'
    is "$(wc -l <"$SCRATCH/dump.out")" "$(grep -c -E ' (error|hint|warning): ' "$SCRATCH/dump.out")" 'in lines of its own'
}
start_dump
pkill -KILL -P "$(pgrep -P "$DUMP" walden || echo "$DUMP")" pg_dump || pkill -KILL -P "$DUMP" pg_dump
end_dump 1 'pg_dump killed: the job fails' 'killed by SIGKILL'
d_release
start_dump
pid=$(pgrep -P "$DUMP" walden || echo "$DUMP")
kill -TERM "$pid"
end_dump 130 'SIGTERM ends it' 'SIGTERM'
d_release
wait_for 20 bash -c '! pgrep -f "pg_dump.*port=.?'"$(pg_port "$srv")"'"' && pass 'and pg_dump with it'
start_dump
pg_stop "$srv" immediate
exec 9>&-
wait "$HOLD_PID"
end_dump 1 'the server stopped: the job fails' 'terminat|closed|connection'
nothing_new "$srv" 'no half dump is visible'
exits 3 'a server that is down' d_walden "$srv" "$srv" dump shop
pg_start "$srv" || bail 'no server'

d_sql "$srv" shop 'create table app.gone(a int); insert into app.gone values (1)'
d_hold "$srv" shop 'drop table app.gone'
d_walden "$srv" "$srv" dump shop --counts customers >"$SCRATCH/dump.out" 2>&1 &
DUMP=$!
wait_for 20 d_is_waiting "$srv" || bail 'the dump does not wait'
d_release commit
end_dump 1 'a table dropped during the dump: the job fails' 'app.gone|does not exist|could not open relation'
exits 2 'a table to count that is not there' d_walden "$srv" "$srv" dump shop --counts 'app.gone'
like "$ERR" 'app.gone' 'is named'
exits 3 'a role that is missing' d_walden "$srv" "$srv" dump shop -U nobody_here
like "$ERR" 'role "nobody_here" does not exist' 'is named'
old=$ROOT/build/tools/13/bin
exits 2 'clients older than the server are refused' d_walden "$srv" "$srv" dump shop --pg-bin "$old"
like "$ERR" "13\\..*server is $newest" 'with both versions'
like "$ERR" "postgresql-client-$newest" 'and what to do'
exits 2 'a runner with a terminal is refused' d_walden "$srv" "$srv" dump shop --runner 'docker exec -it db'
exits 2 'and one that may make one' d_walden "$srv" "$srv" dump shop --runner 'docker compose exec db'
exits 2 'and one that passes no input' d_walden "$srv" "$srv" dump shop --runner 'docker exec db'
exits 2 'directory format is refused with a reason' d_walden "$srv" "$srv" dump shop -F directory
like "$ERR" 'cannot be streamed' 'that says why'
exits 2 'an unknown job' d_walden "$srv" "$srv" dump shpo
like "$ERR" 'Did you mean shop' 'with a suggestion'
nothing_new "$srv" 'no half dump is visible'
ok 'the next dump works' d_walden "$srv" "$srv" dump shop
is "$(w_leftovers "$srv")" '' 'and clears what the killed ones left'

# ---- hooks ---------------------------------------------------------------------------------------

d_conf "$srv" '[dump hooked]' 'databases = shop' "pre = sh -c 'echo pre >>$SCRATCH/hooks'" \
    "post = sh -c 'echo post >>$SCRATCH/hooks'" '[dump gated]' 'databases = shop' 'pre = sh -c "echo busy >&2; exit 7"' \
    '[dump slow]' 'databases = shop' 'pre = timeout=1s sleep 30'
ok 'a dump with hooks' d_walden "$srv" "$srv" dump hooked
is "$(tr '\n' ' ' <"$SCRATCH/hooks")" 'pre post ' 'both were run, in order'
nok 'a dump that fails' d_walden "$srv" "$srv" dump hooked --counts nothing
is "$(tr '\n' ' ' <"$SCRATCH/hooks")" 'pre post pre post ' 'runs the second one as well'
remember "$srv"
exits 1 'a first hook that fails is a gate' d_walden "$srv" "$srv" dump gated
like "$ERR" 'pre hook.*7.*busy' 'and its words are shown'
exits 3 'one that takes too long, too' d_walden "$srv" "$srv" dump slow
nothing_new "$srv" 'nothing was dumped then'

# ---- the guard -----------------------------------------------------------------------------------

d_sql "$srv" shop 'delete from app.orders where id > 5000'
exits 4 'a dump that lost most of its rows is refused' d_walden "$srv" "$srv" dump shop
like "$ERR" '--accept' 'with the way to store it'
nothing_new "$srv" 'the last good one stays'
ok 'it is stored when that is meant' d_walden "$srv" "$srv" dump shop --accept --tag shrunk
d_sql "$srv" shop 'truncate customers'
ok 'few rows less are no matter' d_walden "$srv" "$srv" dump shop --tag shrunk
like "$ERR" 'customers.*no rows.*300' 'but an emptied table is named'
pg_sql "$srv" 'create database nothing'
exits 4 'a dump without any table is refused' d_walden "$srv" "$srv" dump -d nothing

# ---- check and expire ----------------------------------------------------------------------------

run d_walden "$srv" "$srv" check
like "$OUT" 'dumps: the newest dump.*' 'check judges the dumps'
like "$(tr -s ' \n' ' ' <<<"$OUT")" 'server archives no WAL, so all work since then would be lost' 'and says what could be lost'
tagged=$(d_walden "$srv" "$srv" list --json | jq -r '.dumps[] | select(.tag == "shrunk") | .label')
last=$(d_walden "$srv" "$srv" list --json | jq -r '.dumps | map(select(.tag == null and .job == "shop"))[-1].label')
ok 'expire removes what no rule keeps' d_walden "$srv" "$srv" expire --keep-dumps 'last=1 shop/shrunk:last=5'
is "$(d_walden "$srv" "$srv" list --json | jq -r '.dumps[] | select(.job == "shop") | .label')" \
    "$(printf '%s\n%s\n%s\n' "$verified" "$last" "$tagged")" \
    'the newest of the job and the newest one that was read back stay, and the tagged ones by their own rule'
ok 'the next dump goes on' d_walden "$srv" "$srv" dump shop --accept
ok 'and all verifies' d_walden "$srv" "$srv" verify

# ---- passwords and keys --------------------------------------------------------------------------

w_init_sealed safe "$(pg_data "$srv")" || bail 'no sealed repository'
pg_sql "$srv" "create role keeper superuser login password 'hush-7781'"
{
    echo 'local all postgres trust'
    echo 'local all all scram-sha-256'
} >"$(pg_data "$srv")/pg_hba.conf"
pg_conf "$srv" 'log_connections = on' 'log_statement = all'
pg_reload "$srv"
export PGPASSFILE=$HOME/pgpass
echo '*:*:*:keeper:wrong' >"$PGPASSFILE"
chmod 600 "$PGPASSFILE"
exits 3 'a wrong password' d_walden "$srv" safe dump -d shop -U keeper
like "$ERR" 'password authentication failed' 'is said'
exits 2 'a password on the command line is refused' d_walden "$srv" safe dump sealed -d 'user=keeper password=hush-7781 dbname=shop'
echo '*:*:*:keeper:hush-7781' >"$PGPASSFILE"
d_hold "$srv" shop "lock table app.orders in access exclusive mode"
d_walden "$srv" safe dump -d shop -U keeper --counts customers >"$SCRATCH/dump.out" 2>&1 &
DUMP=$!
wait_for 20 d_is_waiting "$srv"
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >"$SCRATCH/cmdlines"
d_release
wait "$DUMP"
is $? 0 'a dump with a password from ~/.pgpass works'
like "$(tr '\n' ' ' <"$SCRATCH/cmdlines")" 'pg_dump' 'control: the command lines were looked at while pg_dump ran'
keys=$(sed -n 's/^\(sign\|write\|box\) //p' "$SCRATCH"/safe.walden/host.key "$SCRATCH"/safe.safe/recovery.key | cut -c1-32)
for secret in hush-7781 $keys; do
    unlike "$(cat "$SCRATCH/cmdlines" "$SCRATCH/dump.out" "$(w_conf safe)")" "$secret" "no secret on a command line (${secret:0:4})"
done
unlike "$(grep -v 'create role keeper' "$(pg_log "$srv")")" 'hush-7781' 'nor in the log'
ok 'the sealed dump holds no name and no row in the clear' bash -c \
    '! grep -rqaE "customers|customer-1|app_owner|shop\.|SCRAM" "$1"' - "$(d_objects safe | sed 's|/[^/]*$||' | head -n 1)"
exits 1 'without the secret key nobody gets it' d_walden "$srv" safe get latest -o "$SCRATCH/none"
like "$ERR" 'secret.key' 'and is told what is missing'
json verify d_walden "$srv" safe verify
is "$(query '.dumps.stored')" 1 'verify proves what is stored'
json verify d_open "$srv" safe verify
is "$(query '.dumps.whole')" 1 'with the key all of it'
ok 'and the key gives the dump' d_open "$srv" safe get latest -o "$SCRATCH/sealed.dump"
like "$("$(pg_prog pg_restore)" -f - -t customers "$SCRATCH/sealed.dump")" 'CREATE TABLE public.customers' 'which is whole'
object=$(d_objects safe)
mkdir -p "$(w_repo safe)/main/dump/other"
cp "$object" "$(w_repo safe)/main/dump/other/"
exits 1 'a dump that was put under another job is refused' d_walden "$srv" safe verify
rm -r "$(w_repo safe)/main/dump/other"

done_testing
