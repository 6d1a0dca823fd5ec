#!/bin/bash
# Goal: what a copy shows and acknowledges is whole there: a backup for whose packs there was no room is
# neither, and expire does not remove it from the repository. What the copy had and removed by its own rules
# is not waited for. A manifest that is damaged keeps nothing else from being copied, and a first run that
# was cut off before the marker is gone on with.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/copy-env.sh
. "$ROOT/tests/tools/copy-env.sh"

take() {
    pg_sql a "update churn set y = repeat(md5(random()::text), 8)"
    b_backup a a >"$SCRATCH/.backup" 2>"$SCRATCH/.backup.err" || bail "backup: $(cat "$SCRATCH/.backup.err")"
    LABEL=$(OUT=$(cat "$SCRATCH/.backup") b_value label)
    pg_switch a >/dev/null
}
# One byte in the middle of a file.
flip() {
    chmod 600 "$1"
    printf '\x5a' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
}
w_limited() { (ulimit -f 1200 && w copy usb --new); }
pg_init a 17 --wal-segsize=1 -k || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_conf a 'autovacuum = off' 'max_wal_senders = 5'
pg_start a || bail 'the server does not start'
b_sql a 'create role rep login replication' \
    "create table churn as select i, repeat(md5(i::text), 8) y from generate_series(1, 2000) i"
take && A=$LABEL
mkdir -p "$SCRATCH/state"
d_conf a "state_dir = $SCRATCH/state" '[repo usb]' "path = $OFF" 'keep_backups = last=1'


note 'a crash before the marker'
w copy usb --new >/dev/null 2>&1
rm "$OFF/walden-repo"
exits 4 'what has no marker is no copy' w copy usb
ok 'but --new goes on with it' w copy usb --new
rm -rf "$OFF"
mkdir -p "$OFF/main"
exits 4 'what nobody began is left alone' w copy usb --new
rm -rf "$OFF"

note 'a disk without room for packs'
run w_limited
is "$RC" 1 'the copy fails'
like "$ERR" 'too large' 'for that reason'
like "$(flat "$ERR")" "$A was not copied: the copy lacks packs" 'and names the backup'
is "$(labels "$OFF")" '' 'which the copy does not show'
unlike "$(cat "$(w_repo a)/copied-usb")" "$A" 'nor acknowledge'
take && B=$LABEL
take && C=$LABEL
ok 'expire' w expire --require-copy usb --keep-backups last=1
like "$(labels "$(w_repo a)")" "$A" 'leaves it where it is'
ok 'with room' w copy usb
is "$(labels "$OFF")" "$A $B $C " 'the copy has it'
ok 'whole' off verify

note 'a copy that keeps less than the repository'
take && D=$LABEL
ok 'the copy' w copy usb
ok 'expires by its own rules' w expire --copy usb
unlike "$(labels "$OFF")" "$A|$B" 'the old ones'
ok 'it is brought up to date' w copy usb
ok 'expire' w expire --require-copy usb --keep-backups last=1
is "$(labels "$(w_repo a)")" "$C $D " 'does not wait for what the copy had'
first=$(w_names a | grep -E '^[0-9A-F]{24}$' | head -n 1)
ok 'nor for WAL' [ "$first" \> "$(printf '%08X%08X%08X' 1 0 $((16#${A:17:8} >> 20)))" ]

note 'a manifest that cannot be read any more'
take && E=$LABEL
flip "$(w_repo a)"/main/*/backup/"$D"
take && F=$LABEL
ok 'what can be copied is' w copy usb
like "$(labels "$OFF")" "$D $E $F" 'and the copy is sound'
ok 'verify' off verify
take && F=$LABEL
chmod 600 "$(w_repo a)"/main/*/backup/"$F"
truncate -s -10 "$(w_repo a)"/main/*/backup/"$F"
take && G=$LABEL
exits 1 'a damaged one that the copy does not have' w copy usb
like "$(flat "$ERR")" "$F was not copied" 'is named'
unlike "$(labels "$OFF")" "$F" 'and not copied'
like "$(labels "$OFF")" "$G" 'the one behind it is'
ok 'verify of the copy' off verify
done_testing
