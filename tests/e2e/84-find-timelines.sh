#!/bin/bash
# Goal: after a restore to an earlier moment has opened a new timeline, find tells what happened on both
# branches, each once, and the commands go back along the right one.
#
# when: quick
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'
pg_init t 16 --wal-segsize=1 || bail initdb
w_init t "$(pg_data t)" || bail 'no repository'
pg_archive t "$(w_archive_command t)"
pg_conf t 'autovacuum = off'
pg_start t || bail 'no server'
pg_sql t 'create database app'
for table in early first second third; do
    f_app t "$(f_table $table 100)"
done
f_backup t t
f_app t 'drop table early'
pg_sql t "select pg_create_restore_point('fork')" >/dev/null
f_app t 'drop table first'
f_app t 'delete from third where id <= 70'
pg_switch t >/dev/null

# the copy takes over, and the original goes on for a while
exits 0 'a copy of an earlier moment' walden restore --config "$(w_conf t)" -D "$SCRATCH/new.data" \
    --target-name fork --target-action promote --become-primary
pg_adopt new 16 "$SCRATCH/new.data" && pg_start new && pg_wait_promoted new || bail 'no copy'
f_app new 'drop table second'
f_app new 'delete from third where id <= 80'
pg_switch new >/dev/null

f_json 'find' t --rows 64
is "$(f_list '"$_->{timeline} $_->{kind} $_->{relation} " . ($_->{rows_deleted} // "") if $_->{relation}')" \
    '1 drop public.early 
1 drop public.first 
1 delete public.third 70
2 drop public.second 
2 delete public.third 80' 'each branch has its own events, and what is before the fork comes once'
is "$(f_list '"$_->{relation} " . ($_->{restore} =~ /--target-timeline 1$/ ? "old" : "latest") if $_->{relation}')" \
    'public.early latest
public.first old
public.third old
public.second latest
public.third latest' 'the abandoned branch is named in its commands'
f_list '"$_->{timeline} $_->{kind} $_->{relation}$_->{database} $_->{restore}"' >"$SCRATCH/t.commands"
pg_stop t
f_comes_back t 16 '1 drop public.firstapp' app 'select count(*) from first' 'paused: 100' ''
f_comes_back t 16 '2 drop public.secondapp' app 'select count(*) from second' 'paused: 100' ''
f_comes_back t 16 '1 drop public.earlyapp' app 'select count(*) from early' 'paused: 100' ''
exits 4 'a table that lost rows on both' walden restore --config "$(w_conf t)" -D "$SCRATCH/none" --before-deletes third
is "$(grep -c 'walden restore ' <<<"$ERR")" 2 'has a command for each'
done_testing
