#!/bin/bash
# Goal: a copy has a retention of its own: what the repository expired stays in it and is restored from
# it, and what the copy expired is not copied again, nor the packs that were needed for it only; neither
# shows a hole or damage. With require_copy nothing goes that the copy has not acknowledged, be it backup,
# dump or WAL, and all else does. check says that a copy is old, incomplete or was never made, and that a
# job of walden run last failed.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/copy-env.sh
. "$ROOT/tests/tools/copy-env.sh"

dumps() { (cd "$1" && find . -path '*/dump/*' -type f ! -name '.*' -printf '%f\n' | sort | tr '\n' ' '); }
segments() { (cd "$1" && find . -path '*/wal/*' -type f -printf '%f\n' | grep -cE '^[0-9A-F]{24}$'); }
packs() { find "$1" -path '*/pack/*' -type f ! -name '.*' | wc -l; }

take() {
    pg_sql a "insert into rows select coalesce(max(id), 0) + 1 from rows; update churn set y = repeat(md5(random()::text), 8)"
    b_backup a a >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" || bail "backup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
    d_walden a a dump -d postgres --accept >"$SCRATCH/.dump" 2>&1 || bail "dump: $(cat "$SCRATCH/.dump")"
    pg_sql a "insert into rows select max(id) + 1 from rows" && pg_switch a >/dev/null
}

d_tools 17
pg_init a 17 --wal-segsize=1 -k || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'max_wal_senders = 5'
pg_start a || bail 'the server does not start'
b_sql a 'create role rep login replication' 'create table rows (id int)' \
    "create table churn as select i, repeat(md5(i::text), 8) y from generate_series(1, 2000) i"
pg_sql a "create table junk as select sha512(i::text::bytea) from generate_series(1, 60000) i"
take && A=$LABEL
pg_sql a 'drop table junk'
take && B=$LABEL

mkdir -p "$SCRATCH/state"
d_conf a "state_dir = $SCRATCH/state" '[repo usb]' "path = $OFF" 'keep_backups = last=1' 'keep_dumps = last=1'

note 'check before there is a copy'
run w check --no-server
like "$OUT" 'copy usb was never made' 'check says that it was never made'
exits 4 'expire with require_copy' w expire --require-copy usb --keep-backups last=1
like "$ERR" 'no copy has acknowledged' 'is refused'
ok 'the copy, by its name' w copy usb --new
run w check --no-server
like "$OUT" 'copy usb is [0-9]+ s old' 'check is content with it'

take && C=$LABEL
take && D=$LABEL
take && E=$LABEL
ALL="$A $B $C $D $E "
n=$(segments "$(w_repo a)")
ok 'expire, of which the copy has half' w expire --require-copy usb --keep-backups last=1 --keep-dumps last=1
like "$(flat "$OUT")" 'copy usb does not have it yet' 'says what waits for the copy'
is "$(labels "$(w_repo a)")" "$C $D $E " 'what the copy has goes, what it has not stays'
is "$(dumps "$(w_repo a)" | wc -w)" 3 'dumps as well'
ok 'WAL that was copied goes' [ "$(segments "$(w_repo a)")" -lt "$n" ]
first=$(w_names a | grep -E '^[0-9A-F]{24}$' | head -n 1)
is "$(find "$OFF" -name "$first")" '' 'and no other'

ok 'the copy again' w copy usb
is "$(labels "$OFF")" "$ALL" 'it keeps all that it had'
is "$(dumps "$OFF" | wc -w)" 5 'and all dumps'
ok 'it verifies' off verify
ok 'the repository as well' w verify
ok 'its window' off window
unlike "$OUT" 'hole|missing' 'has no hole'
is "$(off list --json | jq -r '[.. | .label? // empty] | map(select(test("-")))| length > 4')" true 'list shows them'
ok 'expire without a copy that lags' w expire --require-copy usb --keep-backups last=1 --keep-dumps last=1
# Without a verify record the newest two stay.
run w window
is "$RC" 0 'the window of the repository'
ok 'a restore of what only the copy has' off restore -D "$SCRATCH/back" --backup "$A" --target-immediate
pg_adopt b 17 "$SCRATCH/back" >/dev/null && pg_start b || bail 'the restored server does not start'
is "$(pg_sql b 'select max(id) from rows')" 1 'with its rows'
pg_stop b immediate

note 'the rules of the copy'
p=$(packs "$OFF")
ok 'expire in the copy' w expire --copy usb
like "$OUT" "REMOVE $A" 'by its own rules'
is "$(labels "$OFF")" "$(labels "$(w_repo a)")" 'leaves what they ask for'
is "$(dumps "$OFF" | wc -w)" "$(dumps "$(w_repo a)" | wc -w)" 'of dumps, too'
ok 'once more, for the packs' w expire --copy usb
ok 'packs went' [ "$(packs "$OFF")" -lt "$p" ]
before=$(cd "$OFF" && find . -type f ! -path '*/index/*' | sort)
ok 'a copy after that' w copy usb
is "$(cd "$OFF" && find . -type f ! -path '*/index/*' | sort | comm -13 <(echo "$before") - | grep -v /expire/)" '' \
    'brings nothing back'
ok 'it verifies' off verify
ok 'its window' off window
unlike "$OUT" 'hole|missing' 'has no hole'
take
ok 'more' w copy usb
is "$(labels "$OFF" | tr ' ' '\n' | grep -c "$LABEL")" 1 'comes'
ok 'and verifies' off verify
ok 'expire of the repository' w expire --require-copy usb --keep-backups last=2
ok 'the copy' w copy usb
ok 'both are sound' w verify
ok 'both' off verify
ok 'the host takes neither for an older state' off list
unlike "$OUT$ERR" 'older state|has seen record' 'of the other'
ok 'nor the other way round' w list
unlike "$OUT$ERR" 'older state|has seen record' 'at all'

note 'what check says'
d_conf a 'max_age = 1s'
sleep 3
exits 1 'check, with a copy too old' w check --no-server
like "$OUT" 'copy usb is [0-9]+ s old' 'says so'
d_conf a '[run j]' 'do = list --no-such-option' 'at = every 1d' 'retry = off'
run w run j
exits 1 'check, after a job that failed' w check --no-server
like "$(flat "$OUT")" '1 of 1 jobs of walden run did not go well when last tried; j: misconfigured' 'names it'
sed -i '/no-such-option/s/=.*/= list/; s/^max_age.*/max_age = 1d/' "$(w_conf a)"
ok 'the job goes well' w run j
run w check --no-server
like "$OUT" '1 job of walden run: no last try failed' 'and check is content'
done_testing
