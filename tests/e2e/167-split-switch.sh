#!/bin/bash
# Goal: the record that ends a segment early may begin at the very end of a page and go on on the next
# one.  Such a segment is as sound as any other, and what is behind that record is still known.
#
# also: dev
# also: cross
# timeout: 200
# when: full
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# switch_at ROOM: ends the segment with a record of which ROOM bytes fit into its page.
switch_at() {
    pg_sql main "create table if not exists ended (name text, at pg_lsn);
        do \$\$ declare room int; want int; at pg_lsn; begin
            for i in 1 .. 10000 loop
                at := pg_current_wal_insert_lsn();
                room := 8192 - ((at - '0/0') % 8192)::int;
                want := room - $1;
                if want = 0 then
                    perform pg_switch_wal();
                    insert into ended values (pg_walfile_name(at), at);
                    exit;
                end if;
                -- A record has 51 bytes of its own, with a length of up to 255 bytes in one byte.
                perform pg_logical_emit_message(false, '', repeat('x', case
                    when want < 56 or want > 400 then 100 when want > 272 then 60 else want - 51 end));
            end loop;
        end \$\$;
        select name || ' ' || (at - '0/0') % 8192 from ended order by at desc limit 1" 2>/dev/null | tail -n 1
}

test_major() {
    local name room at
    pg_init -f main "$1" --wal-segsize=1 || bail initdb
    w_init main "$(pg_data main)" || bail init
    pg_archive main "$(w_archive_command main)"
    pg_start main || bail 'no server'
    for room in 8 16 24; do
        read -r name at < <(switch_at $room)
        is "$at" $((8192 - room)) "$1: a switch with $room bytes left of its page"
        ok "$1: is archived" pg_wait_archived main "$name"
    done
    unlike "$(cat "$(pg_log main)")" 'walden-archive: (warning|error)' "$1: nothing is wrong with them"
    ok "$1: list" walden list --config "$(w_conf main)"
    ok "$1: verify" walden verify --config "$(w_conf main)"
    pg_drop main
    rm -rf "$(w_repo main)" "$(w_keys main)"
}

mapfile -t majors < <(pg_majors)
w_is_dev && majors=("${majors[-1]}")
for m in $(printf '%s\n' "${majors[0]}" "${majors[-1]}" | uniq); do
    test_major "$m"
done
done_testing
