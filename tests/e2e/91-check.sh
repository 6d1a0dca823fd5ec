#!/bin/bash
# Goal: `walden check` on a real server is green when all is well, and each question turns red when, and
# only when, its own fault is made on purpose: a hole, damage, an archiver that cannot be run (exit
# 127, which the server does not count), one that fails, old backups, settings that break a recovery,
# an unmounted or rolled-back repository, keys that others can read, dropped segments.  It says so to
# people, Nagios, Prometheus and notify_command, and never calls well what it cannot see.
# also: dev
# timeout: 600
TEST_FSYNC=on
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

# check NAME [ARGUMENT...]: into $SCRATCH/json, checked against its schema; exit status in RC.
check() {
    local name=$1
    shift
    pg_env "$name" walden check --config "$(w_conf "$name")" --drill-max-age 0 "$@" --json \
        >"$SCRATCH/json" 2>"$SCRATCH/json.err"
    RC=$?
    "$ROOT/tests/tools/json-schema" "$ROOT/catalog/schema/check.json" "$SCRATCH/json" >&2 ||
        fail "check $*: the JSON is not what its schema says" "$(cat "$SCRATCH/json.err")"
}
state() { jq -r ".checks[] | select(.name == \"$1\") | .state" "$SCRATCH/json"; }
text() { jq -r ".checks[] | select(.name == \"$1\") | .text" "$SCRATCH/json"; }
# others NAME...: the questions that are not well, without these and the place (both are on one disk).
others() {
    jq -r '.checks[] | select(.state != "ok") | .name' "$SCRATCH/json" |
        grep -vxF "$(printf '%s\n' placement "$@")" | tr '\n' ' '
}
# red NAME STATE DESCRIPTION: that question has that state, and no other one is red.
red() { is "$RC $(state "$1") [$(others "$1")]" "$3 $2 []" "$4"; }

fill() {
    local name=$1 i
    pg_init "$name" "$major" --wal-segsize=1 -k || bail initdb
    "w_init${2:+_sealed}" "$name" "$(pg_data "$name")" || bail 'walden init'
    mkdir -p "$SCRATCH/$name.state"
    echo "state_dir = $SCRATCH/$name.state" >>"$(w_conf "$name")"
    pg_archive "$name" "$(w_archive_command "$name")"
    pg_conf "$name" 'autovacuum = off' 'archive_timeout = 10min' 'full_page_writes = on'
    pg_start "$name" || bail 'the server does not start'
    backup "$name"
    for i in 1 2 3 4; do
        pg_sql "$name" "create table t$i as select i from generate_series(1, 1000) i" >/dev/null
        last=$(pg_switch "$name")
    done
    pg_wait_archived "$name" "$last" || bail 'nothing is archived'
    walden verify --config "$(w_conf "$name")" >"$SCRATCH/.verify" 2>&1 || bail "verify: $(cat "$SCRATCH/.verify")"
}
backup() {
    pg_env "$1" walden-basebackup --config "$(w_conf "$1")" --fast >"$SCRATCH/.backup" 2>&1 ||
        bail "walden-basebackup: $(cat "$SCRATCH/.backup")"
}
setting() { # NAME SETTING VALUE
    pg_sql "$1" "alter system set $2 = $3" >/dev/null && pg_reload "$1" >/dev/null
    sleep 0.5
}
unset_setting() {
    pg_sql "$1" "alter system reset $2" >/dev/null && pg_reload "$1" >/dev/null
    sleep 0.5
}

major=$(pg_majors | tail -n 1)
fill a

# ---- all is well --------------------------------------------------------------------------------

check a
is "$RC $(jq -r '[.checks[] | select(.state != "ok") | .name] | join(" ")' "$SCRATCH/json")" '0 placement' \
    'all is well but the one disk'
like "$(text placement)" 'same disk' 'which is told'
is "$(jq -r '.facts | "\(.holes) \(.restorable) \(.ready)"' "$SCRATCH/json")" '0 1 0' 'the facts are there'
isnt "$(jq -r .facts.verified "$SCRATCH/json")" null 'and when it was verified'
pg_env a walden check --config "$(w_conf a)" --drill-max-age 0 >"$SCRATCH/out"
is "$?" 0 'the text form is 0 as well'
is "$(awk 'length > 80' "$SCRATCH/out")" '' 'and fits 80 columns'
like "$(tail -n 2 "$SCRATCH/out" | head -n 1)" 'died now, at most the last' 'it names the loss'
check a --strict
is "$RC" 1 'with --strict a warning is 1'

# ---- Nagios, Prometheus -------------------------------------------------------------------------

line=$(pg_env a walden check --config "$(w_conf a)" --drill-max-age 0 --nagios)
is "$?" 1 'Nagios: a warning is 1'
like "$line" '^WALDEN WARNING - placement: .* \| wal_age=[0-9]+s;900;1800;0 ' 'with performance data'
is "$(wc -l <<<"$line")" 1 'in one line'
pg_env a walden check --config "$(w_conf a)" --prometheus "$SCRATCH/a.prom" >/dev/null
is "$(grep -vcE '^(# (HELP|TYPE) walden_[a-z_]+ .+|walden_[a-z_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} [0-9.]+)$' "$SCRATCH/a.prom")" \
    0 'Prometheus: every line is one of its format'
is "$(stat -c %a "$SCRATCH/a.prom")" 644 'and the collector may read it'
like "$(cat "$SCRATCH/a.prom")" 'walden_backup_last_success_timestamp_seconds\{cluster="main"\} 1[0-9]{9}' \
    'timestamps, not ages'
is "$(find "$SCRATCH" -maxdepth 1 -name '*.tmp*' | wc -l)" 0 'nothing is left beside it'

# ---- holes and damage ---------------------------------------------------------------------------

victim=$(w_object a "$(w_names a | grep -E '^[0-9A-F]{24}$' | tail -n 2 | head -n 1)")
mv "$victim" "$SCRATCH/spare"
check a
red holes critical 1 'a missing segment is a hole'
like "$(text holes)" "$(basename "$victim")" 'and named'
like "$(pg_env a walden check --config "$(w_conf a)" --nagios)" '^WALDEN CRITICAL - holes: ' 'Nagios is told'
mv "$SCRATCH/spare" "$victim"

cp -p "$victim" "$SCRATCH/spare"
flip_byte "$victim" $(($(size_of "$victim") - 40))
check a
red damage critical 1 'an object with a damaged trailer'
like "$(text damage)" "$(basename "$victim")" 'is named'
cp -p "$SCRATCH/spare" "$victim"
flip_byte "$victim" $(($(size_of "$victim") / 2))
walden verify --config "$(w_conf a)" >/dev/null 2>&1
is "$?" 1 'damage inside is found by verify'
check a
red damage critical 1 'and stays known to check'
cp -p "$SCRATCH/spare" "$victim"
check a
is "$(state damage)" critical 'until it is read again'
walden verify --config "$(w_conf a)" >/dev/null
check a
is "$RC $(others)" '0 ' 'and found mended'

# ---- ages ---------------------------------------------------------------------------------------

sleep 1.1
check a --backup-max-age 1s
isnt "$(state backups)" ok 'a backup older than its limit'
check a --verify-max-age 1s
is "$RC $(state verified)" '0 warning' 'a verification older than its limit is a warning'
pg_env a walden check --drill-max-age 1s --config "$(w_conf a)" --json | jq -r '.checks[] | select(.name == "drills").state' >"$SCRATCH/drill"
is "$(cat "$SCRATCH/drill")" warning 'no drill is a warning'

# ---- the archiver -------------------------------------------------------------------------------

# A program that is not there: the server does not count it as a failure.
setting a archive_command "'/nowhere/walden-archive %p'"
pg_sql a 'create table lost1 (i int)' >/dev/null
pg_sql a 'select pg_switch_wal()' >/dev/null
sleep 4.5
check a --wal-max-age 2s
is "$RC $(state archiver)" '1 critical' 'an archive_command that is not there (exit 127)'
is "$(pg_sql a 'select failed_count from pg_stat_archiver')" 0 '(control: the server counts no failure)'
like "$(text archiver)" 'cannot be run' 'the text says what it is'
is "$(state wal)" critical 'and WAL is late'
unset_setting a archive_command
wait_for 60 eval '[ "$(pg_sql a "select count(*) from pg_ls_archive_statusdir() where name like '"'%.ready'"'")" = 0 ]' ||
    fail 'the archiver recovers'

# One that runs, and fails.
setting a archive_command "'$TEST_BIN/walden-archive --config /nowhere/walden.conf %p'"
pg_sql a 'create table lost2 (i int)' >/dev/null
pg_sql a 'select pg_switch_wal()' >/dev/null
wait_for 30 eval '[ "$(pg_sql a "select failed_count > 0 from pg_stat_archiver")" = t ]' || fail 'it fails'
check a
is "$RC $(state archiver)" '0 warning' 'one that fails is a warning at once'
like "$(text archiver)" 'archive_command fails' 'and said'
sleep 2.5
check a --wal-max-age 1s
is "$(state archiver)" critical 'critical when it lasts'
unset_setting a archive_command
wait_for 60 eval '[ "$(pg_sql a "select last_archived_time > last_failed_time from pg_stat_archiver")" = t ]' ||
    fail 'the archiver recovers'
check a
is "$RC [$(others)]" '0 []' 'all is well again'

# ---- settings -----------------------------------------------------------------------------------

for pair in fsync:off full_page_writes:off "archive_command:'cp %p /tmp/%f'" "archive_command:''"; do
    setting a "${pair%%:*}" "${pair#*:}"
    check a
    is "$RC $(state settings)" '1 critical' "$pair"
    unset_setting a "${pair%%:*}"
done
setting a archive_timeout 0
check a
red settings warning 0 'archive_timeout = 0 is a warning'
unset_setting a archive_timeout
wait_for 60 eval '[ "$(pg_sql a "select coalesce(last_archived_time > last_failed_time, true) from pg_stat_archiver")" = t ]'

# ---- what cannot be seen ------------------------------------------------------------------------

walden check --config "$(w_conf a)" --drill-max-age 0 -h "$SOCKETS" -p 1 --json >"$SCRATCH/json"
is "$? $(state server)" '3 unknown' 'a server that does not answer: cannot tell'
check a --no-server
is "$RC $(state server)" '0 ' 'it can be left out'
pg_sql a 'create role nobody_special login' >/dev/null
grep -v '^pgdata' "$(w_conf a)" >"$SCRATCH/blind.conf"
walden check --config "$SCRATCH/blind.conf" --drill-max-age 0 -h "$SOCKETS" -p "$(pg_port a)" -U nobody_special \
    --json >"$SCRATCH/json"
is "$? $(state archiver) $(state pg_wal)" '3 unknown unknown' 'a role without pg_monitor cannot see what waits'
like "$(jq -r '.checks[] | select(.name == "archiver").next' "$SCRATCH/json")" 'pg_monitor' 'and is told what it needs'
pg_sql a 'grant pg_monitor to nobody_special' >/dev/null
walden check --config "$SCRATCH/blind.conf" --drill-max-age 0 -h "$SOCKETS" -p "$(pg_port a)" -U nobody_special \
    --json >"$SCRATCH/json"
is "$? $(state archiver)" '0 ok' 'with pg_monitor it can'

# ---- the repository -----------------------------------------------------------------------------

mkdir "$SCRATCH/.git"
check a
is "$RC $(state placement)" '0 warning' 'a repository in a git tree is a warning'
like "$(text placement)" 'git tree' 'and said'
rmdir "$SCRATCH/.git"

mv "$(w_repo a)" "$SCRATCH/away"
check a
is "$RC $(state repository)" '1 critical' 'a repository that is not there'
mkdir "$(w_repo a)"
check a
is "$RC $(state repository)" '1 critical' 'an empty mount point in its place'
like "$(text repository)" 'not there|marker|repository' 'is said'
rmdir "$(w_repo a)"
mv "$SCRATCH/away" "$(w_repo a)"

# Two backups: the newest vanishes, and the host remembers that it was there.
backup a
newest=$(find "$(w_repo a)" -path '*/backup/*' -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
mv "$newest" "$SCRATCH/spare"
check a
red rollback critical 1 'a repository that lost its newest record'
mv "$SCRATCH/spare" "$newest"
# State of another lineage is nothing to worry about.
cp "$SCRATCH/a.state/heads" "$SCRATCH/heads.spare"
echo "$(printf '%032d' 7) 9 $(printf '%064d' 7) main/4711" >>"$SCRATCH/a.state/heads"
check a
is "$RC $(state rollback)" '0 ok' 'what another lineage wrote is not missed here'
cp "$SCRATCH/heads.spare" "$SCRATCH/a.state/heads"

# ---- this host ----------------------------------------------------------------------------------

mkdir "$SCRATCH/a.state/dropped"
echo 'x' >"$SCRATCH/a.state/dropped/0000000100000000000000F0"
check a
red dropped critical 1 'a dropped segment behind the newest backup'
like "$(text dropped)" 0000000100000000000000F0 'is named'
mv "$SCRATCH/a.state/dropped/0000000100000000000000F0" "$SCRATCH/a.state/dropped/000000010000000000000001"
check a
is "$RC $(state dropped)" '0 ' 'one before it is over'

cp "$(w_conf a)" "$SCRATCH/conf.spare"
printf '[dunp nightly]\nx = 1\n' >>"$(w_conf a)"
check a
red configuration warning 0 'a mistake in a section, which hooks pass over'
cp "$SCRATCH/conf.spare" "$(w_conf a)"

# ---- notify_command -----------------------------------------------------------------------------

cat >"$SCRATCH/notify" <<END
#!/bin/sh
{ echo "\$1 \$CHECK_STATE from \$CHECK_STATE_BEFORE"; cat; } >>"$SCRATCH/notified"
END
chmod +x "$SCRATCH/notify"
echo "notify_command = $SCRATCH/notify walden" >>"$(w_conf a)"
told() { grep -c '^walden ' "$SCRATCH/notified" 2>/dev/null; }
check a
is "$(told)" '' 'without a change nobody is told'
mv "$victim" "$SCRATCH/spare"
check a
is "$(told) $(head -n 1 "$SCRATCH/notified")" '1 walden critical from warning' 'a change is told, with both states'
like "$(cat "$SCRATCH/notified")" 'CRITICAL +holes' 'and the whole text'
check a
is "$(told)" 1 'once'
mv "$SCRATCH/spare" "$victim"
check a
is "$(told)" 2 'and so is its end'
cp "$SCRATCH/conf.spare" "$(w_conf a)"
pg_stop a

# ---- keys ---------------------------------------------------------------------------------------

fill b sealed
check b
is "$RC [$(others)] $(state keys)" '0 [] ok' 'sealed, without the secret key: all is well'
chmod 644 "$(w_keys b)/host.key"
check b
is "$RC $(state keys)" '1 critical' 'a host key that others can read'
chmod 600 "$(w_keys b)/host.key"
cp "$SCRATCH/b.safe/recovery.key" "$(w_keys b)/recovery.key"
check b
red keys warning 0 'a secret key on the database host is a warning'
pg_stop b

# ---- no archiving -------------------------------------------------------------------------------

pg_init c "$major" || bail initdb
w_init c "$(pg_data c)" || bail 'walden init'
pg_start c || bail 'the server does not start'
check c
is "$RC $(state dumps) $(state settings) $(state wal)" '1 critical ok ' \
    'a server that does not archive is judged by its dumps, and has none'
pg_stop c

done_testing
