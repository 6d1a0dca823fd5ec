#!/bin/bash
# Goal: in a sealed repository the host key is enough to find what was dropped, by name; without a key
# find says that it cannot tell, and shows no name; with WAL missing or damaged it says so and exits 1,
# and a moment behind it has no command but a reason.
#
# when: quick
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/find-env.sh
. "$ROOT/tests/tools/find-env.sh"

at_exit 'f_forget'
f_build s 17 logical sealed

# what the secret key tells, for comparison
f_json 'with the secret key' s --drop orders
with=$(f_list '"$_->{relation} $_->{xid} $_->{lsn} $_->{lock_lsn}"')
is "$(grep -c orders <<<"$with")" 1 'finds the table'

host() { walden find --config "$(w_conf s)" "$@"; }
exits 0 'with the host key alone' host --drop orders --json
echo "$OUT" >"$SCRATCH/find.json"
is "$(f_list '"$_->{relation} $_->{xid} $_->{lsn} $_->{lock_lsn}"')" "$with" 'finds the same, by name'
like "$(f_list '$_->{restore}')" ' --target-lsn .* --target-exclusive --target-action promote$' \
    'and proposes what loses nothing, for it cannot see other commits'
exits 0 'a database' host --drop gone
like "$OUT" 'the exact place is told by the secret key only' 'it says where more can be told'
exits 0 'commits near a time' host --near "$(f_list '$_->{time}')"
like "$OUT" 'Commits are read with the secret key only' 'are not to be read'

grep -vE '^(host_key|secret_key)' "$(w_conf s)" >"$SCRATCH/none.conf"
exits 3 'without a key' walden find --config "$SCRATCH/none.conf" --drop orders
like "$OUT" 'segments are sealed: what happened in them opens with the host' 'says what is missing'
unlike "$OUT$ERR" 'public\.|database app' 'and has no name to show'

# a hole and damage in front of what happened last
segment=$(w_names s | grep -E '^[0-9A-F]{24}$' | tail -n 2 | head -n 1)
object=$(w_object s "$segment")
mv "$object" "$SCRATCH/kept"
exits 1 'a segment is missing' f_find s --drop orders
like "$OUT" '^table public.orders' 'what can be read is shown'
like "$OUT" '^Segments are missing at 1 place' 'and what cannot be is said'
f_find s --restore-points --json >"$SCRATCH/find.json" 2>"$SCRATCH/err"
is "$(f_list '$_->{restore}')" '' 'a moment behind the hole has no command'
like "$(f_list '$_->{refused}')" "segment $segment is missing" 'but the reason'
mv "$SCRATCH/kept" "$object"
exits 0 'put back, all is well again' f_find s --drop orders
flip_byte "$object" -40
exits 1 'a damaged segment' f_find s --drop orders
like "$OUT" 'segments cannot be read, the first of them: ' 'is said'
flip_byte "$object" -40
done_testing
