#!/bin/bash
# Goal: `walden drill` of a dump restores it into a server of its own (or a new database of one that is
# there), asks what the configuration says, says which answer is wrong, and leaves its evidence and
# nothing else, whatever kills it.  No password is ever on a command line.
#
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"
# shellcheck source=tests/tools/drill-env.sh
. "$ROOT/tests/tools/drill-env.sh"

major=17
dr_place "$major"
pg_init srv "$major" || bail initdb
pg_start srv || bail 'no server'
pg_sql srv "create role shop_owner login password 'x'"
d_data srv shop || bail 'no data'
pg_sql srv 'alter database shop owner to shop_owner'
d_sql srv shop 'alter table app.orders owner to shop_owner'
pg_env srv walden init --repo "$(w_repo srv)" --config "$(w_conf srv)" >/dev/null || bail 'no repository'
d_conf srv '[dump shop]' 'databases = shop' 'counts = all' \
    '[drill order_rows]' 'of = shop' "sql = select count(*) from app.orders where note like 'order%'" 'expect = >= 20000' \
    '[drill owner]' 'of = shop' "sql = select tableowner from pg_tables where tablename = 'orders'" 'expect = shop_owner' \
    '[drill customers]' 'of = shop' 'database = shop' 'sql = select count(*) from customers' 'expect = 300' \
    '[drill health]' 'of = shop' "command = $(pg_prog psql) -Atc \"select 'db: ok'\"" 'expect = contains ok' \
    '[drill elsewhere]' 'of = backup' 'sql = select 1 / 0'

exits 1 'without anything to drill' dr srv drill
like "$ERR" 'nothing to drill' 'it says so'
ok 'a dump' d_walden srv srv dump shop
label=$(d_labels srv | tail -n 1)
json dr srv drill
is "$(query '.result, .kind, .job, .drilled' | paste -sd' ')" "ok dump shop $label" 'the dump is drilled'
is "$(query '.checks[] | select(.name == "rows shop.app.orders") | .found')" 20000 'its rows are counted'
is "$(query '[.checks[] | select(.result != "passed") | .name] | join(" ")')" '' 'every check passed'
is "$(query '.checks[] | select(.name == "amcheck").found')" none 'pg_amcheck looked at it'
is "$(query '.checks[] | select(.name == "health").found')" 'db: ok' 'and the command'
ok 'nothing is left' is_clean
done_testing
