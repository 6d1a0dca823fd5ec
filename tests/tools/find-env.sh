# shellcheck shell=bash
# find-env.sh: accidents in a database, and what became of them; on top of lib.sh and walden-env.sh.

# f_backup SERVER REPO: a base backup.
f_backup() {
    pg_env "$1" walden-basebackup --config "$(w_conf "$2")" --fast >"$SCRATCH/.backup" 2>&1 ||
        bail "no backup: $(cat "$SCRATCH/.backup")"
}

# f_app SERVER SQL: in the database app.
f_app() { pg_sql "$1" "$2" -d app; }

# f_xact SERVER SQL: as one transaction in the database app; prints its number.
f_xact() { f_app "$1" "begin; select pg_current_xact_id(); $2; commit"; }

f_table() { echo "create table $1 (id int primary key, t text); insert into $1 select i, repeat(md5(i::text), 3)
    from generate_series(1, $2) i;"; }

# f_build NAME MAJOR LEVEL [sealed]: server NAME, archived into repository NAME, with its accidents; a
# line "KEY XID" for each in $SCRATCH/NAME.did.
f_build() {
    local name=$1 major=$2 level=$3 init=w_init table did=$SCRATCH/$1.did
    [ "${4-}" != sealed ] || init=w_init_sealed
    pg_init "$name" "$major" --wal-segsize=1 || bail initdb
    $init "$name" "$(pg_data "$name")" || bail 'no repository'
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" "wal_level = $level" 'autovacuum = off' 'max_wal_size = 1GB' 'max_prepared_transactions = 5'
    pg_start "$name" || bail 'no server'
    pg_sql "$name" 'create database app' && pg_sql "$name" 'create database gone' || bail 'no database'
    pg_sql "$name" "$(f_table keep 70)" -d gone
    for table in orders busy cleared wiped undone vanished rebuilt typed '"Odd ""name"'; do
        f_app "$name" "$(f_table "$table" 200)"
    done
    f_app "$name" "$(f_table big 20000) create table log (n serial, at timestamptz default now());
        create schema part; $(f_table part.a 200) $(f_table part.b 200)
        $(f_table part.twice 10) $(f_table twice 20)
        create table split (id int, t text) partition by range (id);
        create table split1 partition of split for values from (0) to (200);
        create table split2 partition of split for values from (200) to (400);
        insert into split select i, 'x' from generate_series(1, 300) i;
        alter table part.b add foreign key (id) references orders"
    f_backup "$name" "$name"
    {
        echo "delete $(f_xact "$name" 'delete from wiped where id <= 150')"
        f_app "$name" 'insert into log default values'
        echo "drop $(f_xact "$name" 'alter table part.b drop constraint b_id_fkey; drop table orders')"
        echo "truncate $(f_xact "$name" 'truncate cleared')"
        # what is rolled back has not happened
        f_app "$name" 'drop table part.twice'
        f_app "$name" 'drop table twice'
        echo "undone $(f_xact "$name" 'savepoint a; delete from undone; rollback to a; insert into log default values')"
        echo "half $(f_xact "$name" 'delete from undone where id <= 80; savepoint a; delete from undone; rollback to a')"
        f_app "$name" 'begin; drop table undone; rollback'
        echo "schema $(f_xact "$name" 'drop schema part cascade')"
        f_app "$name" 'vacuum full rebuilt'
        f_app "$name" 'cluster rebuilt using rebuilt_pkey'
        echo "alter $(f_xact "$name" 'alter table rebuilt alter t type bytea using t::bytea')"
        f_app "$name" 'reindex table rebuilt'
        f_app "$name" 'alter table typed alter id type bigint'
        f_app "$name" 'reindex table typed'
        echo "typed $(f_xact "$name" 'delete from typed where id > 100')"
        echo "moved $(f_xact "$name" 'delete from rebuilt where id > 100')"
        echo "big $(f_xact "$name" 'delete from big')"
        f_app "$name" "begin; delete from vanished where id <= 120; prepare transaction 'two'"
        pg_switch "$name" >/dev/null
        f_app "$name" "commit prepared 'two'"
        echo "odd $(f_xact "$name" 'drop table "Odd ""name"')"
        echo "split $(f_xact "$name" 'delete from split where id < 100')"
        pg_sql "$name" 'drop database gone'
    } >"$did" || bail "the accidents failed: $(cat "$did")"
    # others commit between its lock and its commit
    f_app "$name" 'begin; drop table busy; select pg_sleep(1.5); commit' >/dev/null &
    wait_for 20 f_is_locked "$name" busy || bail 'no lock'
    f_app "$name" 'insert into log default values'
    f_app "$name" 'insert into log default values'
    wait $!
    f_app "$name" 'insert into log default values'
    pg_sql "$name" "select pg_create_restore_point('here')" >/dev/null
    pg_switch "$name" >/dev/null
}
f_is_locked() {
    [ "$(f_app "$1" "select count(*) from pg_locks where relation = '$2'::regclass and
        mode = 'AccessExclusiveLock' and granted")" = 1 ]
}

# f_did NAME KEY: the transaction.
f_did() { awk -v key="$2" '$1 == key { print $2 }' "$SCRATCH/$1.did"; }

# f_find NAME ARGUMENT...: walden find with the configuration that can read.
f_find() {
    local name=$1
    shift
    walden find --config "$(w_open_conf "$name")" "$@"
}

# f_json DESCRIPTION NAME ARGUMENT...: the same with --json, kept for f_list.
f_json() {
    local what=$1
    shift
    exits 0 "$what" f_find "$@" --json
    echo "$OUT" >"$SCRATCH/find.json"
    ok "$what: the JSON is what its schema says" "$ROOT/tests/tools/json-schema" \
        "$ROOT/catalog/schema/find.json" "$SCRATCH/find.json"
}

# f_list EXPRESSION: of each candidate in that JSON a line, made by a perl expression in $_->{...}.
f_list() {
    perl -MJSON::PP -e 'local $/; my $o = JSON::PP->new->decode(<STDIN>);
        for (@{$o->{candidates}}) { my $x = eval($ARGV[0]); die $@ if $@; print "$x\n" if length($x // "") }' "$1" <"$SCRATCH/find.json"
}

# f_words: kind relation transaction, one a line.
f_words() { f_list 'join(" ", $_->{kind}, $_->{relation} // "-", $_->{xid} // "-")'; }

# f_if_15 MAJOR NAME: 13 and 14 do not tell which file is whose after some rewrites.
f_if_15() { if [ "$1" -ge 15 ]; then echo "$2"; else echo -; fi; }

# f_look NAME WHAT MAJOR: what find says.
f_look() {
    local name=$1 what=$2 n=$1
    f_json "$what: find --json" "$name" --rows 64
    ok "$what: its JSON is as the schema says" "$ROOT/tests/tools/json-schema" \
        "$ROOT/catalog/schema/find.json" "$SCRATCH/find.json"
    is "$(f_words | grep -v restore-point | sed 's/twice .*/twice/')" "delete public.wiped $(f_did "$n" delete)
drop public.orders $(f_did "$n" drop)
truncate public.cleared $(f_did "$n" truncate)
drop part.twice
drop public.twice
delete public.undone $(f_did "$n" half)
drop part.a $(f_did "$n" schema)
drop part.b $(f_did "$n" schema)
delete $(f_if_15 "$3" public.typed) $(f_did "$n" typed)
delete public.rebuilt $(f_did "$n" moved)
delete public.big $(f_did "$n" big)
delete public.vanished $(f_list '$_->{xid} if ($_->{relation} // "") eq "public.vanished"')
drop public.\"Odd \"\"name\" $(f_did "$n" odd)
delete public.split1 $(f_did "$n" split)
drop-database - $(f_list '$_->{xid} if $_->{kind} eq "drop-database"')
drop public.busy $(f_list '$_->{xid} if ($_->{relation} // "") eq "public.busy"')" \
        "$what: all that happened and nothing else, in its order"
    is "$(f_list '"$_->{relation} $_->{rows_deleted} " . ($_->{at_least} ? "or more" : "exactly")
            if $_->{kind} eq "delete" && ($_->{relation} // "public.big") !~ /big|typed/')" 'public.wiped 150 exactly
public.undone 80 exactly
public.rebuilt 100 exactly
public.vanished 120 or more
public.split1 99 exactly' "$what: rows are counted, without those of savepoints rolled back"
    is "$(f_list '$_->{rows_deleted} if ($_->{relation} // "") eq "public.big"')" 20000 \
        "$what: over all segments"
    is "$(f_list '$_->{database} if $_->{kind} eq "drop-database"')" gone "$what: the database's name"
    f_list '"$_->{kind} $_->{relation}$_->{database} $_->{restore}"' >"$SCRATCH/$name.commands"
    f_json "$what: rewrites are told apart" "$name" --rewrites
    is "$(f_list '"$_->{kind} $_->{relation}" . ($_->{unsure} ? " unsure" : "")' | sort | uniq -c | tr -s ' ')" \
        " 3 rewrite public.rebuilt$([ "$3" -ge 15 ] || echo ' unsure')
 1 rewrite public.typed$([ "$3" -ge 15 ] || echo ' unsure')" "$what: four of two tables"
}

# ---- going back ---------------------------------------------------------------------------------

f_forget() {
    local key dir=$SCRATCH/back.data
    # Nobody could stop it any more without its directory.
    [ ! -e "$dir/postmaster.pid" ] || pg_stop back
    key=$(grep -oE '/[^ ]*/walden-key\.[0-9a-f]{16}' "$dir/postgresql.auto.conf" 2>/dev/null | head -n 1)
    [ -z "$key" ] || rm -f "$key"
    rm -rf "$dir"
}

# f_ask SERVER DATABASE SQL: with a limit, for a table under a replayed lock would never answer.
f_ask() { pg_sql "$1" "set lock_timeout = '3s'; $3" -d "$2" 2>&1 | grep -m 1 .; }

# f_run COMMAND: of those that find proposes, with the directory $SCRATCH/back.data; the copy is started
# as the server `back`.
f_run() {
    [ ! -d "$SCRATCH/pg/back" ] || pg_drop back
    f_forget
    eval "run ${1/ -D DIR / -D '"$SCRATCH/back.data"' }"
    [ "$RC" = 0 ] || { diag "$1: $ERR"; return 1; }
    pg_adopt back "$2" "$SCRATCH/back.data" && pg_start back
}

# f_comes_back NAME MAJOR WHAT DATABASE SQL EXPECTED GONE: the candidate "KIND RELATION" in NAME.commands.
f_comes_back() {
    local name=$1 major=$2 what=$3 base=$4 sql=$5 expected=$6 gone=$7 command outcome xid
    [[ ${FIND_ONLY-  } = '  ' || ${FIND_ONLY-} = *" ${what#* } "* ]] || return 0
    command=$(grep -F "$what " "$SCRATCH/$name.commands" | head -n 1)
    command=walden${command#* walden}
    f_run "$command" "$major" || {
        fail "$major: $what: restored by the command"
        return
    }
    outcome=$(pg_outcome back)
    is "$outcome: $(f_ask back "$base" "$sql")" "$expected" "$major: $what: it is back" ||
        diag "$command"$'\n'"$(tail -n 20 "$(pg_log back)")"
    [ -n "$gone" ] || return
    # The same copy, a little further; one that was promoted is made anew.
    f_json "$major: $what: find knows where it ended" "$name" --rows 64 --limit 1000
    xid=$(WHAT=$what f_list '$_->{lsn} if "$_->{kind} " . ($_->{relation} // "") . ($_->{database} // "") eq $ENV{WHAT}' | head -n 1)
    if [ "$outcome" = paused ]; then
        pg_stop back
        sed -i "/^recovery_target_lsn/s,'.*','$xid',; /^recovery_target_inclusive/s/off/on/" \
            "$SCRATCH/back.data/postgresql.auto.conf"
        pg_start back
    else
        f_run "$(sed -E "s,--target-lsn [0-9A-F/]+ --target-exclusive,--target-lsn $xid," <<<"$command")" "$major"
    fi
    like "$(pg_outcome back): $(f_ask back "$base" "$sql")" "$gone" "$major: $what: and one record later it is not"
}

# f_come_back NAME MAJOR [WHAT...]: all of them, or those whose candidates these words name.
f_come_back() {
    FIND_ONLY=" ${*:3} "
    local all="select count(*) || ' ' || coalesce(sum(id), 0) from"
    f_comes_back "$1" "$2" 'drop public.ordersapp' app "$all orders" 'paused: 200 20100' 'does not exist'
    f_comes_back "$1" "$2" 'truncate public.clearedapp' app "$all cleared" 'paused: 200 20100' 'd: 0 0$'
    f_comes_back "$1" "$2" 'delete public.wipedapp' app "$all wiped" 'paused: 200 20100' 'd: 50 '
    f_comes_back "$1" "$2" 'delete public.undoneapp' app "$all undone" 'paused: 200 20100' 'd: 120 '
    f_comes_back "$1" "$2" 'drop part.bapp' app "$all part.b" 'paused: 200 20100' 'does not exist'
    f_comes_back "$1" "$2" 'delete public.rebuiltapp' app "$all rebuilt" 'paused: 200 20100' 'd: 100 '
    f_comes_back "$1" "$2" 'delete public.bigapp' app "$all big" 'paused: 20000 200010000' 'd: 0 0$'
    f_comes_back "$1" "$2" 'delete public.vanishedapp' app "$all vanished" 'paused: 200 20100' 'd: 80 '
    f_comes_back "$1" "$2" 'drop-database gone' gone "$all keep" 'paused: 70 2485' 'does not exist'
    # with what was committed after its lock
    f_comes_back "$1" "$2" 'drop public.busyapp' app \
        "$all busy where (select count(*) from log) = 4" 'promoted: 200 20100' 'does not exist'
    [ ! -d "$SCRATCH/pg/back" ] || pg_drop back
    f_forget
}
