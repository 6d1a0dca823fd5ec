#!/bin/bash
# Goal: the units under a real systemd, in a Debian that it has booted, with Debian's PostgreSQL: the
# package starts and enables nothing; the commands of cross/deploy/debian.md set the timers; timers that are
# due fire, as the server's user, and do their work; one that was missed is made up for; what fails is
# failed for systemd too, with the reason in the journal, and retention does not follow it; walden run is
# kept running, unless its configuration is wrong, and stops when told; removal stops the timers.
#
# needs: root
# when: long
# timeout: 1800
# shellcheck disable=SC2034 # read by lib.sh
TEST_ROOT=1
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/package-env.sh
. "$ROOT/tests/tools/package-env.sh"

[ "$EUID" -eq 0 ] || skip_all 'needs root'
command -v debootstrap >/dev/null || skip_all 'no debootstrap here (package debootstrap)'
package_tree || skip_all 'the sources of the libraries are not in this copy of the tree'

# ---- a machine ----------------------------------------------------------------------------------

# TEST_MACHINE: a root that was made before, for whoever works on this test.
D=$SCRATCH/debian
if [ -n "${TEST_MACHINE-}" ]; then
    cp -a "$TEST_MACHINE" "$D"
else
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,sudo,postgresql bookworm "$D" \
        "${mirror:-http://deb.debian.org/debian}" >"$SCRATCH/debootstrap.log" 2>&1 || {
        diag "$(tail -n 5 "$SCRATCH/debootstrap.log")"
        grep -q 'Failed getting release file\|Invalid Release file\|Couldn.t download' "$SCRATCH/debootstrap.log" &&
            skip_all 'the Debian mirror cannot be reached'
        bail debootstrap
    }
fi
echo '127.0.0.1 localhost machine' >"$D/etc/hosts"
mkdir -p "$D/mnt/backup" "$D/media/stick"
package 0.1.0 "$SCRATCH/one" || bail package
cp "$SCRATCH/one/walden_0.1.0_$ARCH.deb" "$D/root/"

inside() { "$ROOT/tests/tools/machine" in "$D" "$@"; }
as_postgres() { inside sudo -u postgres "$@"; }
page() { "$ROOT/tests/tools/readme" -f "$ROOT/cross/deploy/debian.md" "$@"; }
block() { # N
    { echo 'set -eu'; echo 'cd /root'; page block sh "$1" | sed "s/_amd64/_$ARCH/"; } >"$D/root/block.sh"
    inside bash /root/block.sh
}
is_up() { [[ $(inside systemctl is-system-running 2>/dev/null) == @(running|degraded) ]]; }

"$ROOT/tests/tools/machine" boot "$D" >"$SCRATCH/boot.log" 2>&1 &
MACHINE=$!
at_exit '"$ROOT/tests/tools/machine" clear "$D" >/dev/null 2>&1; wait "$MACHINE" 2>/dev/null || true'
wait_for 60 is_up || {
    kill -0 "$MACHINE" 2>/dev/null || skip_all "systemd does not start here: $(tail -n 1 "$SCRATCH/boot.log")"
    bail "systemd: $(inside systemctl --failed --no-legend --plain 2>&1)"
}
pass 'a machine with systemd'
ok '  and a server' wait_for 30 as_postgres psql -XAtqc 'select 1'

# ---- helpers ------------------------------------------------------------------------------------

# show UNIT PROPERTY
show() { inside systemctl show "$1" -p "$2" --value; }
journal() { inside journalctl -q --no-pager -o cat -u "$@"; }
runs() { show "$1" InvocationID; }
# settled UNIT INVOCATION: it has run again since, and has ended.
settled() { [ "$(runs "$1")" != "$2" ] && [[ $(show "$1" ActiveState) == @(inactive|failed) ]]; }
backups() { as_postgres walden list --json | jq '[.clusters[]?.backups[]?, .backups[]?] | length'; }

# is_due TIMER: the timer was missed, by a machine that was off.  What scatters hosts is taken out.
is_due() {
    inside systemctl stop "$1"
    mkdir -p "$D/etc/systemd/system/$1.d"
    printf '[Timer]\nRandomizedDelaySec=0\n' >"$D/etc/systemd/system/$1.d/test.conf"
    inside systemctl daemon-reload
    touch -d '40 days ago' "$D/var/lib/systemd/timers/stamp-$1"
    inside systemctl start "$1"
}
# fires TIMER: it is due; the service has run when this returns.
fires() {
    local service=${1%.timer}.service before
    before=$(runs "$service")
    is_due "$1"
    wait_for 120 settled "$service" "$before"
}
# whose SERVICE: the users in its part of the journal that wrote as walden.
whose() { inside journalctl -q --no-pager -o json -u "$1" _COMM=walden | jq -r ._UID | sort -u; }

# ---- nothing by itself --------------------------------------------------------------------------

exits 0 'the package' inside apt-get install -y "/root/walden_0.1.0_$ARCH.deb"
is "$(inside systemctl list-units --all --no-legend --plain 'walden*')" '' '  starts nothing'
is "$(inside systemctl list-unit-files --no-legend 'walden*' | awk '$2 == "enabled"')" '' '  enables nothing'
is "$(inside systemctl list-unit-files --no-legend 'walden*' | wc -l)" "$(find "$ROOT/catalog/systemd" -type f | wc -l)" \
    '  and systemd knows the units at once'
nok 'before there is a configuration a check' inside systemctl start walden-check.service
is "$(show walden-check.service Result)" exit-code '  fails'
like "$(journal walden-check.service)" 'repo' '  and says what is missing'
inside systemctl reset-failed

# ---- as the page says ---------------------------------------------------------------------------

for n in 1 2 3 4; do
    exits 0 "block $n of the page" block $n
done
is "$(inside systemctl list-timers --no-legend 'walden*' | wc -l)" 3 'three timers wait'
# No later than the day after, and the check within the hour.
next() { date -d "$(show "$1" NextElapseUSecRealtime)" +%s; }
now=$(date +%s)
ok '  the backup within a day' test "$(next walden-backup.timer)" -gt "$now" -a "$(next walden-backup.timer)" -lt $((now + 88000))
ok '  the check within an hour' test "$(next walden-check.timer)" -gt "$now" -a "$(next walden-check.timer)" -lt $((now + 4000))

# ---- what is due is done ------------------------------------------------------------------------

user=$(inside id -u postgres)
before=$(backups)
ok 'the backup that was missed is made up for' fires walden-backup.timer
is "$(show walden-backup.service Result)" success '  and is well'
is "$(backups)" $((before + 1)) '  a backup more'
is "$(whose walden-backup.service)" "$user" '  by the server'\''s user'
unlike "$(show walden-backup.service ExecStartPost)" 'start_time=\[n/a\]' '  then retention'
ok 'the check' fires walden-check.timer
is "$(show walden-check.service Result)" success '  is well'
ok 'verify' fires walden-verify.timer
is "$(show walden-verify.service Result)" success '  is well'
exits 1 'a drill without the recovery key' inside systemctl start walden-drill.service
like "$(journal walden-drill.service)" 'recovery key|secret_key' '  says what it lacks'
mkdir -p "$D/etc/systemd/system/walden-drill.service.d"
printf '[Service]\nEnvironment=WALDEN_SECRET_KEY=/media/stick/recovery.key\n' >"$D/etc/systemd/system/walden-drill.service.d/test.conf"
inside chown postgres /media/stick/recovery.key
inside systemctl daemon-reload
exits 0 '  with it' inside systemctl start walden-drill.service
is "$(show walden-drill.service Result)" success '  is well'
as_postgres createdb shop && as_postgres psql -qc 'create table orders as select generate_series(1, 10) as i' shop
printf '%s\n' '[dump shop]' 'databases = shop' >>"$D/etc/walden/walden.conf"
exits 0 'a dump' inside systemctl start walden-dump@shop.service
like "$(as_postgres walden list)" shop '  is in the list'
ok '  by its timer' fires walden-dump@shop.timer
is "$(show walden-dump@shop.service Result)" success '  too'
# On the clock, not only after the fact.
printf '[Timer]\nRandomizedDelaySec=0\nOnCalendar=*:*:0/5\nAccuracySec=100ms\n' >"$D/etc/systemd/system/walden-check.timer.d/test.conf"
inside systemctl daemon-reload
before=$(runs walden-check.service)
ok 'a moment on the calendar comes' wait_for 30 settled walden-check.service "$before"
before=$(runs walden-check.service)
ok '  and the next one' wait_for 30 settled walden-check.service "$before"
inside systemctl stop walden-check.timer

# ---- what fails is seen -------------------------------------------------------------------------

mv "$D/mnt/backup/walden" "$D/mnt/backup/away"
before=$(runs walden-backup.service)
exits 1 'the repository is away: the backup' inside systemctl start walden-backup.service
is "$(show walden-backup.service Result)" exit-code '  fails'
like "$(inside systemctl --failed --no-legend --plain)" 'walden-backup.service +loaded +failed' '  systemctl --failed has it'
like "$(show walden-backup.service ExecStartPost)" 'start_time=\[n/a\]' '  and retention does not follow'
like "$(journal walden-backup.service)" '/mnt/backup/walden' '  the journal says why'
exits 1 '  the check' inside systemctl start walden-check.service
is "$(show walden-check.service Result)" exit-code '  fails'
is "$(inside systemctl is-system-running)" degraded '  and the machine is not well'
mv "$D/mnt/backup/away" "$D/mnt/backup/walden"
exits 0 'it is there again: the backup' inside systemctl start walden-backup.service
exits 0 '  the check' inside systemctl start walden-check.service
is "$(inside systemctl --failed --no-legend --plain)" '' '  all is well'

# ---- walden run ---------------------------------------------------------------------------------

mkdir -p "$D/etc/systemd/system/walden-run.service.d"
printf '[Service]\nRestartSec=1\n' >"$D/etc/systemd/system/walden-run.service.d/test.conf"
inside systemctl daemon-reload
inside systemctl start walden-run.service
has_failed() { [ "$(show walden-run.service ActiveState)" = failed ]; }
ok 'walden run without jobs fails' wait_for 20 has_failed
is "$(show walden-run.service ExecMainStatus) $(show walden-run.service NRestarts)" '2 0' '  once: starting it again would not help'
like "$(journal walden-run.service)" '\[run nightly\]' '  and the journal says what to write'
printf '%s\n' '[run look]' 'do = list' 'at = every 15min' >>"$D/etc/walden/walden.conf"
exits 0 'with one' inside systemctl restart walden-run.service
waits() { journal walden-run.service --since -2min | grep -q 'job'; }
ok '  it waits' wait_for 20 waits
first=$(show walden-run.service MainPID)
inside systemctl kill -s KILL --kill-who=main walden-run.service
again() { [ "$(show walden-run.service ActiveState)" = active ] && [[ $(show walden-run.service MainPID) != @(0|"$first") ]]; }
ok '  killed, it is started again' wait_for 30 again
exits 0 '  stopped' inside systemctl stop walden-run.service
is "$(show walden-run.service Result)" success '  it ends well'

# ---- away ---------------------------------------------------------------------------------------

inside systemctl start walden-check.timer
exits 0 'removed' inside apt-get remove -y walden
is "$(inside systemctl list-timers --no-legend 'walden*')" '' '  no timer waits'
is "$(inside systemctl list-units --no-legend --plain 'walden*')" '' '  nothing of it runs'
exits 0 'purged' inside apt-get purge -y walden
is "$(find "$D/etc/systemd/system" -name 'walden*' ! -name '*.d')" '' '  nothing is enabled'
inside systemctl daemon-reload
is "$(inside systemctl --failed --no-legend --plain)" '' '  the machine is well'
done_testing
