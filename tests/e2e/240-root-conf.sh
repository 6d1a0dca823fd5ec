#!/bin/bash
# Goal: root runs nothing that a user without rights can have written: hooks, runners, jobs and programs
# that a configuration names are refused when others can write the file, and done when it is root's; what
# the command line of root names is root's own word; and a dump in a repository of another user is read by
# a psql that is not root.
# needs: root
# also: dev
# timeout: 300
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
major=$(pg_majors | tail -n 1)
d_tools "$major"
pg_init srv "$major" || bail initdb
w_init srv "$(pg_data srv)" || bail 'walden init'
pg_start srv || bail 'no server'
d_data srv shop || bail 'no data'
ran=$SCRATCH/ran
mkdir -m 777 "$ran"
printf '#!/bin/bash\n%s\n' "id -un >>'$ran/as'; shift \$1; exec \"\${@:2}\"" >"$SCRATCH/note"
chmod 755 "$SCRATCH/note"
base=$(cat "$(w_conf srv)")
conf() { printf '%s\n' "$base" "state_dir = $SCRATCH/state" "$@" >"$(w_conf srv)"; }
theirs() { chown "$TEST_USER" "$(w_conf srv)"; chmod 644 "$(w_conf srv)"; }
ours() { chown root:root "$(w_conf srv)"; chmod 644 "$(w_conf srv)"; }
mkdir -p "$SCRATCH/state"
chown "$TEST_USER" "$SCRATCH/state"
was() { cat "$ran/as" 2>/dev/null | sort -u | tr '\n' ' '; rm -f "$ran/as"; }
refused() { # WHAT COMMAND...
    theirs
    exits 4 "$1, of a file that is another's" "${@:2}"
    like "$ERR" 'would be run as root, and others than root can write' 'says why'
    like "$ERR" 'hint: .*sudo -u postgres.*chown root' 'and what to do'
    is "$(was)" '' 'and nothing was run'
}

conf '[dump shop]' 'databases = shop' "pre = $SCRATCH/note 0 true" "post = $SCRATCH/note 0 true"
refused 'hooks of a dump' d_walden srv srv dump shop
ours
chmod 664 "$(w_conf srv)"
exits 4 'a file that a group can write is no better' d_walden srv srv dump shop
ours
ok 'control: a file of root'"'"'s is obeyed' d_walden srv srv dump shop
is "$(was)" 'root ' 'as root'

conf '[dump shop]' 'databases = shop' "runner = $SCRATCH/note 0"
refused 'a runner of a dump' d_walden srv srv dump shop
refused 'a runner of undump' d_walden srv srv undump shop
ok 'a runner that root gives' d_walden srv srv dump shop --runner "$SCRATCH/note 0"
is "$(was)" 'root ' 'is run'

conf "pg_bin = $(pg_bin "$major")" '[dump shop]' 'databases = shop'
refused 'pg_bin' d_walden srv srv dump shop
ok 'the same folder from the command line' d_walden srv srv dump shop --pg-bin "$(pg_bin "$major")"

conf '[dump shop]' 'databases = shop' '[hook undump]' "pre = $SCRATCH/note 0 true"
refused 'hooks of undump' d_walden srv srv undump shop --replace --yes
ok 'hooks that would not be run refuse nothing' d_walden srv srv undump shop --database beside

conf '[run shop]' 'do = list' 'at = 02:00' "pre = $SCRATCH/note 0 true"
refused 'a job' walden run --config "$(w_conf srv)" shop
ok 'a list of jobs' walden run --config "$(w_conf srv)" --list
ours
ok 'control: a job of root'"'"'s' walden run --config "$(w_conf srv)" shop
is "$(was)" 'root ' 'is done'

conf "notify_command = $SCRATCH/note 0 true"
theirs
pg_env srv walden check --config "$(w_conf srv)" >/dev/null 2>"$SCRATCH/err"
like "$(cat "$SCRATCH/err")" 'warning: nobody may have been told: notify_command would be run as root' 'a notification that root does not send is told'
is "$(was)" '' 'and not sent'

note 'a dump that carries a command'
conf '[dump evil]' 'databases = shop' 'format = plain'
printf '#!/bin/bash\n%s\n' "if [[ \$* == *--format=plain* ]]; then printf '%s\n' '\\! id -un >>$ran/as'; fi; exec \"\$@\"" >"$SCRATCH/evil"
chmod 755 "$SCRATCH/evil"
ok 'is taken' d_walden srv srv dump evil --runner "$SCRATCH/evil"
was >/dev/null
ok 'and restored by root' d_walden srv srv undump evil --database copied
is "$(was)" "$TEST_USER " 'but runs it as the repository'"'"'s owner'
done_testing
