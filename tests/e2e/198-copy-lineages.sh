#!/bin/bash
# Goal: dumps belong to a cluster, not to one of its lineages: what expire removed from a copy while the
# cluster was in its second lineage is not copied again.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

OFF=$SCRATCH/off
w() { walden "$1" --config "$(w_conf a)" "${@:2}"; }
dumps() { (cd "$1" && find . -path '*/dump/*' -type f ! -name '.*' -printf '%f\n' | sort | tr '\n' ' '); }
d_tools 17
pg_init a 17 --wal-segsize=1 -k || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_start a || bail 'the server does not start'
mkdir -p "$SCRATCH/state"
d_conf a "state_dir = $SCRATCH/state" '[repo usb]' "path = $OFF" 'keep_dumps = last=1'
for i in 1 2; do d_walden a a dump -d postgres --accept >"$SCRATCH/.dump" 2>&1 || bail "dump: $(cat "$SCRATCH/.dump")"; done
pg_stop a
pg_init b 17 --wal-segsize=2 -k || bail initdb
pg_start b
first=$(basename "$(find "$(w_repo a)/main" -maxdepth 1 -name '[0-9]*')")
mv "$(w_conf a)" "$SCRATCH/old.conf"
w_init a "$(pg_data b)" --key-dir "$(w_keys a)" || bail 'walden init of the second'
second=$(basename "$(find "$(w_repo a)/main" -maxdepth 1 -name '[0-9]*' ! -name "$first")")
isnt "$second" "$first" 'there are two lineages'
d_conf a "state_dir = $SCRATCH/state" "system_id = $second" '[repo usb]' "path = $OFF" 'keep_dumps = last=1'
for i in 1 2 3; do d_walden b a dump -d postgres --accept >"$SCRATCH/.dump" 2>&1 || bail "dump: $(cat "$SCRATCH/.dump")"; done
ok 'copy' w copy usb --new
ok 'expire in the copy' w expire --copy usb
n=$(dumps "$OFF")
is "$(wc -w <<<"$n")" 2 'leaves two dumps'
ok 'copy' w copy usb
is "$(dumps "$OFF")" "$n" 'none came back'
ok 'expire of the repository' w expire --require-copy usb --keep-dumps last=1
is "$(dumps "$(w_repo a)")" "$n" 'does not wait for what the copy had'
done_testing
