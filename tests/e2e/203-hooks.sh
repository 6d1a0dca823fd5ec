#!/bin/bash
# Goal: [hook backup] and [hook restore]: what must be at rest is stopped before, and nothing is begun when
# that fails or takes too long; a restore that takes the original's place is tested by a gate before the
# application starts again, and one that is not used by others stops nothing.
# also: dev
# timeout: 200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

major=$(pg_majors | tail -n 1)
pg_init a "$major" --wal-segsize=1 || bail initdb
w_init a "$(pg_data a)" || bail 'walden init'
pg_archive a "$(w_archive_command a)"
pg_start a || bail 'no server'
pg_sql a 'create table t as select generate_series(1, 100) i'
printf '#!/bin/bash\n%s\n' "echo \"\$1 \$HOOK_WHEN \$HOOK_COMMAND \$HOOK_RESULT \${HOOK_LABEL:+label} \${HOOK_DIRECTORY##*/} \$HOOK_TAG\" >>'$SCRATCH/log'" >"$SCRATCH/note"
printf '#!/bin/bash\n%s\n' "[ -e \"\$HOOK_DIRECTORY/global/pg_control\" ] && echo whole >'$SCRATCH/count'" >"$SCRATCH/count.sh"
chmod +x "$SCRATCH/note" "$SCRATCH/count.sh"
: >"$SCRATCH/log"
seen() { sed 's/ *$//' "$SCRATCH/log" | tr '\n' ';'; : >"$SCRATCH/log"; }
base=$(cat "$(w_conf a)")
conf() { printf '%s\n' "$base" "$@" >"$(w_conf a)"; }
backup() { pg_env a walden-basebackup --config "$(w_conf a)" --fast "$@"; }
labels() { (cd "$(w_repo a)" && find . -path '*/backup/*' -type f ! -name '.*' | wc -l); }

note 'backup'
conf '[hook backup]' "pre = timeout=10s $SCRATCH/note a" "post = $SCRATCH/note b"
ok 'a backup' backup --tag nightly
is "$(seen)" 'a pre backup    nightly;b post backup ok label  nightly;' 'is surrounded'
conf '[hook backup]' 'pre = sh -c "echo busy >&2; exit 3"' "post = $SCRATCH/note b"
exits 1 'one whose pre hook fails' backup
like "$ERR" 'the pre hook failed with exit status 3: busy' 'says why'
is "$(seen),$(labels)" ',1' 'and nothing was done'
conf '[hook backup]' 'pre = timeout=1s sleep 20' "post = $SCRATCH/note b"
exits 3 'one that takes too long' backup
like "$ERR" 'did not end within 1s' 'as well'
conf '[hook backup]' "pre = $SCRATCH/note a" "post = $SCRATCH/note b"
exits 3 'a backup that fails' backup -p 1
is "$(seen)" 'a pre backup;b post backup unreachable;' 'still runs the second'
conf '[hook backup]' 'post = sh -c "exit 4"'
exits 1 'one whose post hook fails' backup
like "$ERR" 'is stored, but: the post hook failed with exit status 4' 'says both'
is "$(labels)" 2 'and is there'
conf '[hook backup]' 'gate = true'
exits 2 'a gate' backup
like "$ERR" 'a backup has no gate' 'is none of a backup'
conf '[hook bakcup]' 'pre = true'
exits 2 'a section that nobody reads' backup
like "$ERR" 'Did you mean \[hook backup\]' 'is named'

note 'restore'
pg_switch a >/dev/null
pg_stop a
hooks=('[hook restore]' "pre = $SCRATCH/note a" "post = $SCRATCH/note b")
restore() { walden restore --config "$(w_conf a)" --pg-bin "$(pg_bin "$major")" -D "$@"; }
conf "${hooks[@]}" 'gate = false'
ok 'a copy beside the original' restore "$SCRATCH/beside"
is "$(seen)" '' 'stops nothing'
ok 'a dry run' restore "$SCRATCH/new" --become-primary --dry-run
is "$(seen)" '' 'neither'
conf '[hook restore]' 'pre = false' "post = $SCRATCH/note b"
exits 1 'a pre hook that fails' restore "$SCRATCH/new" --become-primary
[ ! -e "$SCRATCH/new" ] && pass 'is a gate' || fail 'something was made'
is "$(seen)" '' 'and nothing is started'
conf "${hooks[@]}" 'gate = sh -c "echo not well >&2; exit 2"'
exits 1 'a gate that says no' restore "$SCRATCH/new" --become-primary
like "$ERR" 'the gate hook failed with exit status 2: not well' 'is said'
like "$ERR" 'post hook was not run' 'and the application stays down'
is "$(seen)" 'a pre restore  label new;' 'as it does'
rm -rf "$SCRATCH/new"
conf "${hooks[@]}" "gate = $SCRATCH/count.sh"
ok 'in the place of the original' restore "$SCRATCH/new" --become-primary
is "$(cat "$SCRATCH/count")" whole 'the gate looked at it'
is "$(seen)" 'a pre restore  label new;b post restore ok label new;' 'between stop and start'
done_testing
