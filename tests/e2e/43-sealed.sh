#!/bin/bash
# Goal: what a sealed repository hides, whom it believes, and what becomes of a repository that is
# sealed later: no row and no name can be read in it; nothing comes out without the right key; what
# the storage could put in its place (another marker, a plain object, another segment, an object of a
# stranger, other recipients) is refused by both hooks.
#
# also: dev
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

ROW='Zq7-patient-Xanthippe-4f1c9a2e77d0'
TABLE=sick_zebras_by_ward
COLUMN=hoofprintqzvxwk
POINT=before_the_zebra_accident

# server: steps 1 to 3, and something to hide; archived plain, sealed, and as it is.
server() {
    local i
    pg_init main "$major" --wal-segsize=1 || bail 'initdb'
    backup=$(pg_template "$major" --wal-segsize=1)
    w_init plain "$(pg_data main)" || bail 'no repository'
    w_init_sealed sealed "$(pg_data main)" || bail 'no sealed repository'
    w_init later "$(pg_data main)" || bail 'no repository'
    pg_archive main "$(w_keep_command plain "$keep") && $(w_archive_command sealed) && $(
        w_archive_command later)"
    pg_conf main 'autovacuum = off'
    pg_start main || bail 'no server'
    pg_sql main checkpoint -c "create table $TABLE ($COLUMN text)" -c "insert into $TABLE values ('$ROW')"
    pg_sql main "select pg_create_restore_point('$POINT')" >/dev/null
    segments=()
    for i in 1 2 3; do
        segments+=("$(pg_step main $i)")
    done
    new_timeline main || bail 'no promotion'
    segments+=("$(pg_step main 4)")
}

# found WORD REPOSITORY: files that show it.
found() { grep -rlaF -e "$1" "$(w_repo "$2")"; }

test_secrecy() {
    local word
    for word in "$ROW" "$TABLE" "$COLUMN" "$POINT"; do
        isnt "$(found "$word" plain)" '' "\"$word\" can be read in the plain repository"
        is "$(found "$word" sealed)" '' "\"$word\" cannot be read in the sealed one"
    done
    is "$(w_names sealed)" "$(w_names plain)" 'both hold the same files'
    is "$(stat -c %a "$(w_keys sealed)/host.key" "$SCRATCH/sealed.safe/recovery.key" | paste -sd' ')" \
        '600 600' 'secret keys are for their owner only'
}

# ---- keys ---------------------------------------------------------------------------------------

# fetches STATUS WHAT [SETTINGS...]: a segment from the sealed repository, with a configuration of the
# repository and these lines.
fetches() {
    local status=$1 what=$2
    shift 2
    conf_of sealed "$@"
    rm -f "$SCRATCH/got"
    exits "$status" "restore, $what: $status" in_data main \
        walden-restore --config "$SCRATCH/test.conf" "${segments[0]}" "$SCRATCH/got"
    if [ "$status" = 0 ]; then
        ok "restore, $what: identical" cmp "$SCRATCH/got" "$keep/${segments[0]}"
    else
        is_one_message "$ERR" walden-restore || fail "restore, $what: says so in one line" "$ERR"
        nok "restore, $what: nothing is delivered" test -e "$SCRATCH/got"
    fi
}

# pushes STATUS WHAT FILE [SETTINGS...]
pushes() {
    local status=$1 what=$2 file=$3 tree
    shift 3
    conf_of sealed "$@"
    tree=$(w_tree sealed)
    exits "$status" "archive, $what: $status" in_data main \
        walden-archive --config "$SCRATCH/test.conf" "$keep/$file"
    [ "$status" = 0 ] || {
        is_one_message "$ERR" walden-archive || fail "archive, $what: says so in one line" "$ERR"
    }
    is "$(w_tree sealed)" "$tree" "archive, $what: nothing changed"
}

# conf_of REPOSITORY LINE...
conf_of() {
    {
        echo "repo = $(w_repo "$1")"
        shift
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$SCRATCH/test.conf"
}

test_keys() {
    local file=${segments[0]}
    fetches 0 'the recovery key alone' "$secret"
    fetches 202 'no key at all'
    fetches 202 'the host key only' "$host" "$pub"
    fetches 202 'the public key only' "$pub"
    fetches 202-205 'a key that is not there' "secret_key = $SCRATCH/no.key"
    # A recovery key of this repository that nothing was sealed to, and one of another repository.
    ok 'a further recovery key' in_data main walden key new --config "$(w_open_conf sealed)" \
        --recovery alice --out "$SCRATCH/alice.key"
    fetches 202 'a recovery key that is no recipient' "secret_key = $SCRATCH/alice.key"
    w_init_sealed other "$(pg_data main)"
    fetches 202-204 'the recovery key of another repository' \
        "secret_key = $SCRATCH/other.safe/recovery.key"
    cp "$SCRATCH/sealed.safe/recovery.key" "$SCRATCH/open.key"
    chmod 644 "$SCRATCH/open.key"
    fetches 202-205 'a secret key that all can read' "secret_key = $SCRATCH/open.key"

    pushes 0 'the same again, without any secret key' "$file" "$host" "$pub"
    pushes 5 'no key at all' "$file"
    pushes 2-5 'no host key' "$file" "$pub"
    pushes 4 'no pinned recipient' "$file" "$host"
    pushes 4 'the host key of another repository' "$file" "host_key = $(w_keys other)/host.key" "$pub"
    pushes 4 'the recipients of another repository' "$file" "$host" \
        "recipients = $(w_keys other)/recovery.pub"
    # A second host, certified by this one.
    ok 'a key for a second host' in_data main walden key new --config "$(w_conf sealed)" \
        --host second --out "$SCRATCH/second.key"
    pushes 0 'the same again, from the second host' "$file" "host_key = $SCRATCH/second.key" "$pub"
    rm "$(w_object sealed "$file")"
    conf_of sealed "host_key = $SCRATCH/second.key" "$pub"
    ok 'the second host archives' in_data main walden-archive --config "$SCRATCH/test.conf" "$keep/$file"
    fetches 0 'what the second host archived' "$secret"
    pushes 0 'the same again, from the first host' "$file" "$host" "$pub"
}

# ---- what the storage could do ------------------------------------------------------------------

# forge NAME: a plain repository with the id of the sealed one, as a thief of the disk could make it,
# with the same server's segments.
forge() {
    local id repo file
    id=$(sed -n 's/^id //p' "$(w_repo "$1")/walden-repo")
    repo=$(w_repo forged)
    rm -rf "$repo"
    cp -a "$(w_repo plain)" "$repo"
    rm -rf "$repo"/main/*/wal
    chmod 600 "$repo/walden-repo" "$repo"/main/*/cluster
    sed -i "s/^id .*/id $id/" "$repo/walden-repo"
    sed -i "s/^repo .*/repo $id/" "$repo"/main/*/cluster
    text_seal "$repo/walden-repo"
    text_seal "$(echo "$repo"/main/*/cluster)"
    conf_of forged
    for file in $(w_names plain); do
        in_data main walden-archive --config "$SCRATCH/test.conf" "$keep/$file" || bail "forge $file"
    done
}

# replaced NEW STATUS_OF_RESTORE WHAT: with NEW in the place of the sealed object of the first segment.
replaced() {
    local object
    object=$(w_object sealed "${segments[0]}")
    cp -a "$object" "$SCRATCH/object"
    cp "$1" "$object"
    fetches "$2" "$3" "$secret"
    pushes 1-125 "$3" "${segments[0]}" "$host" "$pub"
    cp -a "$SCRATCH/object" "$object"
}

test_storage() {
    local marker id owner lineage object
    marker=$(w_repo sealed)/walden-repo
    cp -a "$marker" "$SCRATCH/marker"

    forge sealed
    replaced "$(w_object forged "${segments[0]}")" 204 'a plain object'
    replaced "$(w_object sealed "${segments[1]}")" 204 'another segment'
    replaced "$(w_object other_life "${segments[0]}")" 201-204 'an object of another repository'
    # A host key that the owner never certified, for this repository: what it signs nobody believes, so
    # it must not be acknowledged.
    id=$(sed -n 's/^id //p' "$marker")
    owner=$(sed -n 's/^owner //p' "$marker")
    cp "$(w_keys other)/host.key" "$SCRATCH/stranger.key"
    sed -i "s/^repo .*/repo $id/; s/^owner .*/owner $owner/" "$SCRATCH/stranger.key"
    text_seal "$SCRATCH/stranger.key"
    pushes 5 'a host that is not certified' "${segments[1]}" "host_key = $SCRATCH/stranger.key" "$pub"
    object=$(w_object sealed "${segments[1]}")
    mv "$object" "$SCRATCH/object"
    pushes 5 'a host that is not certified, a new file' "${segments[1]}" \
        "host_key = $SCRATCH/stranger.key" "$pub"
    mv "$SCRATCH/object" "$object"

    # The marker.
    cp "$(w_repo forged)/walden-repo" "$marker"
    fetches 204 'a plain marker' "$secret"
    fetches 201-207 'a plain marker, no key at all'
    pushes 4 'a plain marker' "${segments[0]}" "$host" "$pub"
    cp "$(w_repo other)/walden-repo" "$marker"
    fetches 204 "another owner's marker" "$secret"
    pushes 4 "another owner's marker" "${segments[0]}" "$host" "$pub"
    cp "$SCRATCH/marker" "$marker"
    sed -i "s/^recipient [0-9a-f]*/recipient $(sed -n 's/^recipient \([0-9a-f]*\).*/\1/p' \
        "$(w_repo other)/walden-repo")/" "$marker"
    pushes 4-8 'recipients changed by the storage' "${segments[0]}" "$host" "$pub"
    fetches 201-204 'recipients changed by the storage' "$secret"
    cp "$SCRATCH/marker" "$marker"

    # The lineage without its certificates: the second host wrote the segment, as a stranger could.
    lineage=$(echo "$(w_repo sealed)"/main/*/cluster)
    cp -a "$lineage" "$SCRATCH/lineage"
    chmod 600 "$lineage"
    sed -i '/^host /d' "$lineage"
    text_seal "$lineage"
    fetches 204 'no certificates' "$secret"
    cp -a "$SCRATCH/lineage" "$lineage"

    # The owner adds a recipient: archiving waits until the host pins it, too.
    ok 'the owner adds a recipient' in_data main walden key add-recipient --config "$(w_open_conf sealed)" \
        "$SCRATCH/alice.pub"
    pushes 4 'recipients that this host does not pin' "${segments[0]}" "$host" "$pub"
    pub="recipients = $(sed -n 's/^recipient \([0-9a-f]*\).*/\1/p' "$marker" | paste -sd' ')"
    pushes 0 'recipients that this host pins' "${segments[0]}" "$host" "$pub"
    rm "$(w_object sealed "${segments[0]}")"
    conf_of sealed "$host" "$pub"
    ok 'both recipients are sealed to' in_data main \
        walden-archive --config "$SCRATCH/test.conf" "$keep/${segments[0]}"
    fetches 0 'the new recipient' "secret_key = $SCRATCH/alice.key"
    fetches 0 'the old recipient' "$secret"
}

# ---- sealed later -------------------------------------------------------------------------------

test_later() {
    local old=${segments[1]} new record tree object
    ok 'encryption is switched on' w_init later "$(pg_data main)" --encrypt
    ok 'a second time changes nothing' w_init later "$(pg_data main)" --encrypt
    w_take_key later
    like "$(cat "$(w_conf later)")" '^sealed_from = [0-9a-f]{64}' 'the host pins where it began'
    pg_archive main "cp \"%p\" \"$keep/%f\" && $(w_archive_command later)"
    pg_start main
    pg_step main 5 >/dev/null
    new=$(pg_step main 6)
    pg_stop main
    is "$(found "$TABLE" later | grep -c "$new")" 0 'what comes now is sealed'
    ok 'the old plain WAL can be read' w_fetch main later "$old" "$SCRATCH/got"
    ok 'it is identical' cmp "$SCRATCH/got" "$keep/$old"
    ok 'the new WAL can be read' w_fetch main later "$new" "$SCRATCH/got"
    ok 'it is identical, too' cmp "$SCRATCH/got" "$keep/$new"
    ok 'the old history can be read' w_fetch main later 00000002.history "$SCRATCH/got"
    tree=$(w_tree later)
    ok 'the old content again is welcome' w_push main later "$keep/$old"
    ok 'the old history again, too' w_push main later "$keep/00000002.history"
    is "$(w_tree later)" "$tree" 'and nothing was written again'
    recovery back "$major" "$backup" "$(w_restore_command later)"
    pg_start back
    ok 'a recovery crosses from plain to sealed' pg_wait_promoted back
    is "$(pg_steps back)" '6|600' 'with all rows'
    pg_drop back

    # A plain object where all must be sealed, and one that is not the one that was there.
    w_push main plain "$keep/$new" || bail 'plain'
    forge later
    object=$(w_object later "$new")
    cp -a "$object" "$SCRATCH/object"
    cp "$(w_object forged "$new")" "$object"
    exits 204 'a plain object after that: refused' w_fetch main later "$new" "$SCRATCH/no"
    exits 1-125 'and the same content is not said to be there' w_push main later "$keep/$new"
    cp -a "$SCRATCH/object" "$object"
    object=$(w_object later 00000002.history)
    cp -a "$object" "$SCRATCH/object"
    flip_byte "$object" 100 1
    exits 201-204 'a plain history that was changed: refused' w_fetch main later 00000002.history "$SCRATCH/no"
    cp -a "$SCRATCH/object" "$object"
    # The record.
    record=$(echo "$(w_repo later)"/main/*/sealed)
    mv "$record" "$SCRATCH/record"
    exits 204 'the record is gone: what is plain is refused' w_fetch main later "$old" "$SCRATCH/no"
    cp "$SCRATCH/record" "$record"
    chmod 600 "$record"
    sed -i 's/^from \([0-9A-F]*\) .*/from \1 7F\/0/' "$record"
    exits 201-204 'the record was changed: refused' w_fetch main later "$old" "$SCRATCH/no"
    exits 1-125 'by archiving, too' w_push main later "$keep/$old"
    mv "$SCRATCH/record" "$record"
    ok 'all is right again' w_fetch main later "$old" "$SCRATCH/got"
    nok 'nothing was delivered meanwhile' test -e "$SCRATCH/no"
}

# ---- key boxes -----------------------------------------------------------------------------------

# boxes OBJECT HOW: changes the frame of the key boxes and puts its checksum right.  HOW: garbage (the
# first box is to somebody else), drop (the first box is gone).
boxes() {
    chmod u+w "$1"
    perl -e '
        my ($path, $how) = @ARGV;
        open(my $f, "<:raw", $path) or die; local $/; my $b = <$f>; close $f;
        my @t = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
        my $crc = sub { my $c = 0xFFFFFFFF; $c = $t[($c ^ $_) & 255] ^ ($c >> 8) for unpack("C*", $_[0]);
            $c ^ 0xFFFFFFFF };
        my $at = 8 + unpack("V", substr($b, 4, 4));
        my $len = unpack("V", substr($b, $at + 4, 4));
        my $boxes = substr($b, $at + 8, $len - 4);
        if ($how eq "garbage") { substr($boxes, 4, 96) = join "", map { chr int rand 256 } 1 .. 96 }
        else {
            substr($boxes, 4, 96) = "";
            substr($boxes, 0, 2) = pack("v", unpack("v", $boxes) - 1);
        }
        my $frame = $boxes . pack("V", $crc->($boxes));
        # The body goes on where it was: its place is not signed, its bytes are.
        $b = substr($b, 0, $at + 4) . pack("V", length $frame) . $frame . substr($b, $at + 8 + $len);
        open($f, ">:raw", $path) or die; print $f $b; close $f or die;' "$@" || bail boxes
}

# finds WHAT REGEX...: list and verify without any secret key show that, and end with 1.
finds() {
    local what=$1 command regex
    shift
    for command in list verify; do
        exits 1 "$what: $command" walden $command --config "$(w_conf sealed)"
        for regex; do like "$(flat "$OUT")" "$regex" "$what: $command says it"; done
    done
}

test_boxes() {
    local object conf
    conf=$(w_conf sealed)
    # The host pins both recipients by now, and the newest segment is sealed to both.
    cp -a "$conf" "$SCRATCH/conf"
    sed -i '/^recipients/d' "$conf"
    echo "$pub" >>"$conf"
    in_data main walden verify --config "$conf" >"$SCRATCH/out" 2>&1
    is "$?" 0 'objects from before a recipient came are no problem'
    like "$(cat "$SCRATCH/out")" '^  note [0-9A-F]{24}' 'but a note'
    like "$(cat "$SCRATCH/out")" 'not sealed to alice' 'that says who cannot open them'
    object=$(w_object sealed "${segments[0]}")
    cp -a "$object" "$SCRATCH/object"
    boxes "$object" drop
    finds 'a box was taken away' "RECIPIENT ${segments[0]}" 'alice|recovery' 'cannot open it'
    boxes "$object" garbage
    finds 'all boxes are to strangers' "KEY ${segments[0]}" 'sealed to none of this repository.s recipients'
    exits 5 'it is not acknowledged' in_data main walden-archive --config "$conf" "$keep/${segments[0]}"
    cp -a "$SCRATCH/object" "$object"
    in_data main walden verify --config "$conf" >/dev/null
    is "$?" 0 'whole again'
    cp -a "$SCRATCH/conf" "$conf"
}

# ---- base backups across the change -------------------------------------------------------------

# comes_back NAME LABEL ROWS ARGUMENT...: a restore of that backup ends with that many rows.
comes_back() {
    local name=$1 label=$2 rows=$3
    shift 3
    ok "$name: restored" walden restore --config "$(w_open_conf change)" -D "$SCRATCH/$name.data" \
        --backup "$label" --state-dir "$SCRATCH/restore.state" "$@"
    pg_adopt "$name" "$major" "$SCRATCH/$name.data"
    ok "$name: the server comes up" pg_start "$name"
    wait_for 30 at_its_end "$name"
    is "$(pg_sql "$name" 'select count(*) from kept')" "$rows" "$name: with its rows"
    pg_drop "$name"
}
at_its_end() { [ "$(pg_sql "$1" "select pg_is_in_recovery() and pg_get_wal_replay_pause_state() = 'not paused'")" = f ]; }

# A base backup from before encryption, with its WAL, stays restorable; one after it is sealed.
test_backups() {
    local before after pack record
    pg_init change "$major" --wal-segsize=1 || bail initdb
    w_init change "$(pg_data change)" || bail init
    pg_archive change "$(w_archive_command change)"
    pg_start change || bail 'no server'
    pg_sql change "create table kept as select '$ROW'::text as x from generate_series(1, 1000)" >/dev/null
    ok 'a base backup of a plain repository' pg_env change walden backup --config "$(w_conf change)" --fast
    before=$(find "$(w_repo change)" -path '*/backup/*' -type f -printf '%f')
    pg_sql change 'insert into kept select x from kept limit 500'
    pg_switch change >/dev/null
    mkdir -p "$(w_repo change)/main/drill"
    : >"$(w_repo change)/main/drill/planted"
    ok 'which is verified' walden verify --config "$(w_conf change)"
    ok 'and pinned' walden keep --config "$(w_conf change)" "$before"
    # Against the server that runs, which tells where its WAL ends.
    ok 'encryption is switched on under a running server' pg_env change walden init --encrypt \
        --repo "$(w_repo change)" --config "$(w_conf change)"
    like "$OUT" '^sealed from    [0-9A-F]+/[0-9A-F]+ on timeline 1' 'it shows from where'
    like "$OUT" '^plain objects  [0-9]+ that' 'and how much else is believed'
    like "$ERR" 'not taken for a drill record' 'not what only looks like something'
    w_take_key change
    record=$(cat "$(w_repo change)"/main/*/sealed)
    like "$record" "^plain 5 $before [0-9a-f]{64}$" 'the record names the manifest'
    for pack in $(cd "$(w_repo change)" && find . -path '*/pack/*' -type f -printf '%f '); do
        like "$record" "^plain 6 $pack [0-9a-f]{64}$" 'and each pack'
    done
    unlike "$record" planted 'and nothing else'
    pg_sql change 'insert into kept select x from kept limit 700'
    ok 'a base backup into the sealed repository' pg_env change walden backup --config "$(w_conf change)" --fast
    after=$(find "$(w_repo change)" -path '*/backup/*' -type f ! -name "$before" -printf '%f')
    pg_sql change 'insert into kept select x from kept limit 300'
    pg_switch change >/dev/null
    pg_stop change
    ok 'the pin of before is believed' walden keep --config "$(w_conf change)"
    like "$OUT" "$before" 'and shown'
    ok 'expire believes what was verified and pinned' walden expire --config "$(w_conf change)" --dry-run
    ok 'list shows both' walden list --config "$(w_conf change)"
    like "$OUT" "$before" 'the old one'
    like "$OUT" "$after" 'and the new one'
    ok 'all of it is sound' walden verify --config "$(w_open_conf change)"
    comes_back old "$before" 1000 --target-immediate --target-action promote
    comes_back over "$before" 2500 --become-primary
    comes_back new "$after" 2500 --become-primary
    # A pack of before that was changed is refused.
    pack=$(find "$(w_repo change)" -path "*/pack/*" -type f -name "$(sed -n 's/^plain 6 \([^ ]*\) .*/\1/p' <<<"$record" | head -n 1)")
    chmod u+w "$pack"
    flip_byte "$pack" 300 1
    nok 'a plain pack that was changed: found' walden verify --config "$(w_open_conf change)"
    nok 'and not restored from' walden restore --config "$(w_open_conf change)" -D "$SCRATCH/changed.data" \
        --backup "$before" --state-dir "$SCRATCH/restore.state"
}

major=$(pg_majors | tail -n 1)
keep=$SCRATCH/keep
server
test_secrecy
pg_stop main
# All that is archived until here is in all three.
host="host_key = $(w_keys sealed)/host.key"
pub="recipients = $(w_keys sealed)/recovery.pub"
secret="secret_key = $SCRATCH/sealed.safe/recovery.key"
test_keys
cp -a "$(w_repo other)" "$(w_repo other_life)"
conf_of other_life "host_key = $(w_keys other)/host.key" "recipients = $(w_keys other)/recovery.pub"
ok 'another repository archives the same' in_data main \
    walden-archive --config "$SCRATCH/test.conf" "$keep/${segments[0]}"
test_storage
test_boxes
test_later
test_backups
done_testing
