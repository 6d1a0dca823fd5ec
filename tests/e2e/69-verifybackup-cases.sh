#!/bin/bash
# Goal: whatever pg_verifybackup refuses, Walden refuses, and what it accepts of what servers write, Walden
# accepts: the cases of PostgreSQL's own tests of corrupted backups and of bad manifests, and some
# hundred manifests with a changed byte under a right checksum, judged by both: the comparison of files
# with the server's manifest that walden verify and walden-basebackup run.
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"

VMANIFEST=$SCRATCH/vmanifest

build_vmanifest() {
    local library=${TEST_LIBRARY:-$ROOT/build/dev/libwalden.a}
    [ -f "$library" ] || bail "no $library; run make DEV=1"
    (cd "$ROOT" && ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -g -Ilib -fsanitize=address,undefined \
        -fno-sanitize-recover=all -o "$VMANIFEST" tests/tools/vmanifest.c "$library" -lpq -lsodium -llz4) \
        >"$SCRATCH/cc.log" 2>&1 || bail "vmanifest.c: $(cat "$SCRATCH/cc.log")"
}

# both MAJOR DIR [SYSTEM_ID]: the verdicts of pg_verifybackup and of Walden, as two digits: 0 is content.
both() {
    local theirs=0 ours=0 program plain=()
    program=$(pg_prog pg_verifybackup "$1")
    [ "$1" -lt 18 ] || plain=(-F p)
    "$program" -n "${plain[@]}" "$2" >"$SCRATCH/theirs" 2>&1 || theirs=1
    "$VMANIFEST" "$2" "${3-}" >"$SCRATCH/ours" 2>&1 || ours=$?
    echo "$theirs$ours"
}

# ---- backups that were changed (PostgreSQL's 003_corruption) -------------------------------------

# case_of NAME: changes the copy in $copy; its tablespace is $copy.space.
case_of() {
    local space
    space=$(echo "$copy"/pg_tblspc/*/PG_*)
    case $1 in
        extra_file) echo x >"$copy/extra_file" ;;
        extra_tablespace_file) echo x >"$space/extra_ts_file" ;;
        missing_file) rm "$copy/pg_xact/0000" ;;
        missing_tablespace) rm -r "$(dirname "$space")" ;;
        empty_tablespace) rm -r "$space" ;;
        append_to_file) echo x >>"$copy/global/pg_control" ;;
        truncate_file) truncate_to "$copy/pg_hba.conf" -10 ;;
        empty_file) : >"$copy/pg_hba.conf" ;;
        replace_file) flip_byte "$copy/PG_VERSION" 0 1 ;;
        swap_files)
            mv "$copy/pg_hba.conf" "$SCRATCH/swap"
            mv "$copy/pg_ident.conf" "$copy/pg_hba.conf"
            mv "$SCRATCH/swap" "$copy/pg_ident.conf"
            ;;
        rename_file) mv "$copy/pg_ident.conf" "$copy/pg_ident.comf" ;;
        missing_manifest) rm "$copy/backup_manifest" ;;
        empty_manifest) : >"$copy/backup_manifest" ;;
        bad_manifest) sed -i 's/"Size": \([0-9]\)/"Size": 1\1/' "$copy/backup_manifest" ;;
        cut_manifest) truncate_to "$copy/backup_manifest" -100 ;;
        system_identifier) cp "$SCRATCH/other_manifest" "$copy/backup_manifest" ;;
        # What nobody may mind.
        empty_directory) mkdir "$copy/a directory" ;;
        standby_signal) : >"$copy/standby.signal" ;;
    esac
}

check_corruption() {
    local major=$1 name=s$1 dir=$SCRATCH/s$1.1 oid id what want copy=$SCRATCH/copy
    b_server "$name" "$major" -k || bail 'no server'
    w_init "$name" "$(pg_data "$name")" || bail 'no repository'
    ok "$major: a backup" b_backup "$name" "$name" --wal=stream
    id=$(b_value system_id)
    b_sound "$name" "$name" newest "$name.1" || fail "$major: is not whole"
    oid=$(find "$dir/pg_tblspc" -mindepth 1 -printf '%f\n')
    sed "s/$id/1$id/" "$dir/backup_manifest" >"$SCRATCH/other_manifest"
    pg_init -f "$name.other" "$major" && pg_start "$name.other" || bail 'no other server'
    pg_backup_hot "$name.other" "$SCRATCH/other" && cp "$SCRATCH/other/backup_manifest" "$SCRATCH/other_manifest"
    for what in none empty_directory standby_signal extra_file extra_tablespace_file missing_file \
        missing_tablespace empty_tablespace append_to_file truncate_file empty_file replace_file swap_files rename_file \
        missing_manifest empty_manifest bad_manifest cut_manifest system_identifier; do
        rm -rf "$copy" "$copy.space"
        cp -a "$dir" "$copy"
        cp -a "$dir.$oid" "$copy.space"
        rm -rf "${copy:?}/pg_tblspc/$oid"
        ln -s "$copy.space" "$copy/pg_tblspc/$oid"
        want=11
        case $what in none | empty_directory | standby_signal) want=00 ;; esac
        case_of "$what"
        is "$(both "$major" "$copy" "$id")" $want "$major: $what: the same verdict"
    done
    pg_drop "$name.other"
    pg_drop "$name"
    rm -rf "$SCRATCH/other" "$copy" "$copy.space"
}

# ---- bad manifests (PostgreSQL's 005_bad_manifest) -----------------------------------------------

# manifest TEXT: in an otherwise right directory, which has one file.
manifest() { printf '%s' "$1" >"$SCRATCH/m/backup_manifest"; }

# sealed TEXT: with the last line and a right checksum.
sealed() {
    printf '%s' "$1" >"$SCRATCH/m/backup_manifest"
    printf '"Manifest-Checksum": "%s"}\n' "$(sha256sum <"$SCRATCH/m/backup_manifest" | cut -d' ' -f1)" \
        >>"$SCRATCH/m/backup_manifest"
}

# bad WHAT TEXT [REGEX]: refused by both, and by pg_verifybackup for the reason of its own test.
bad() {
    manifest "$2"
    refused_by_both "$1" "${3-}"
}
bad_sealed() {
    sealed "$2"
    refused_by_both "$1" "${3-}"
}
refused_by_both() {
    is "$(both "$major" "$SCRATCH/m")" 11 "$major: $1: refused by both"
    [ -z "$2" ] || grep -Eq -e "$2" "$SCRATCH/theirs" || fail "$major: $1: not for the reason meant" "$(cat "$SCRATCH/theirs")"
}

check_manifests() {
    local major=$1 v='{"PostgreSQL-Backup-Manifest-Version": 1' nl=$'\n'
    local f r x='{"Path":"x","Size":2,"Last-Modified":"2026-01-01 00:00:00 GMT","Checksum-Algorithm":"CRC32C","Checksum":"'
    rm -rf "$SCRATCH/m"
    mkdir "$SCRATCH/m"
    echo x >"$SCRATCH/m/x"
    x=$x$(crc_hex "$SCRATCH/m/x")'"}'
    f="$v,$nl\"Files\": [$x],$nl" r='"WAL-Ranges": [{"Timeline":1,"Start-LSN":"0/28","End-LSN":"0/128"}],'$nl
    sealed "$f$r"
    is "$(both "$major" "$SCRATCH/m")" 00 "$major: a right manifest: accepted by both"
    sealed "{\"PostgreSQL-Backup-Manifest-Version\": 1,$nl$r\"Files\": [$x],$nl"
    is "$(both "$major" "$SCRATCH/m" | cut -c1)" 0 "$major: ranges before files: accepted by pg_verifybackup"
    bad 'input string ended unexpectedly' '{' 'could not parse backup manifest'
    bad 'unexpected object end' '{}'
    bad 'unexpected array start' '[]'
    bad 'expected version indicator' '{"not-expected": 1}'
    bad 'manifest version not an integer' '{"PostgreSQL-Backup-Manifest-Version": "phooey"}'
    bad 'unexpected manifest version' '{"PostgreSQL-Backup-Manifest-Version": 9876599}'
    bad_sealed 'unexpected scalar' "$v, \"Files\": true,$nl" 'unexpected scalar'
    bad_sealed 'unrecognized top-level field' "$v, \"Oops\": 1,$nl" 'unrecognized top-level field'
    bad_sealed 'unexpected object start' "$v, \"Files\": {},$nl" 'unexpected object start'
    bad_sealed 'missing path name' "$v, \"Files\": [{}],$nl" 'missing path name'
    bad_sealed 'both path name and encoded path name' "$v, \"Files\": [{\"Path\": \"x\", \"Encoded-Path\": \"1234\"}],$nl" 'both path name'
    bad_sealed 'unexpected file field' "$v, \"Files\": [{\"Oops\": 1}],$nl" 'unexpected file field'
    bad_sealed 'missing size' "$v, \"Files\": [{\"Path\": \"x\"}],$nl" 'missing size'
    bad_sealed 'file size is not an integer' "$v, \"Files\": [{\"Path\": \"x\", \"Size\": \"Oops\"}],$nl" 'not an integer'
    bad_sealed 'could not decode file name' "$v, \"Files\": [{\"Encoded-Path\": \"123\", \"Size\": 0}],$nl" 'could not decode'
    bad_sealed 'duplicate path name' "$v,$nl\"Files\": [$x,$x],$nl$r" 'duplicate path name'
    bad_sealed 'checksum without algorithm' "$v, \"Files\": [{\"Path\": \"x\", \"Size\": 100, \"Checksum\": \"Oops\"}],$nl" 'checksum without algorithm'
    bad_sealed 'unrecognized checksum algorithm' "$v, \"Files\": [{\"Path\": \"x\", \"Size\": 100, \"Checksum-Algorithm\": \"Oops\", \"Checksum\": \"00\"}],$nl" 'unrecognized checksum'
    bad_sealed 'invalid checksum for file' "$v, \"Files\": [{\"Path\": \"x\", \"Size\": 100, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"Coops\"}],$nl" 'invalid checksum'
    bad_sealed 'missing start LSN' "$f\"WAL-Ranges\": [{\"Timeline\": 1}],$nl" 'missing start LSN'
    bad_sealed 'missing end LSN' "$f\"WAL-Ranges\": [{\"Timeline\": 1, \"Start-LSN\": \"0/0\"}],$nl" 'missing end LSN'
    bad_sealed 'unexpected WAL range field' "$f\"WAL-Ranges\": [{\"Oops\": 1}],$nl" 'unexpected WAL range field'
    bad_sealed 'missing timeline' "$f\"WAL-Ranges\": [{}],$nl" 'missing timeline'
    bad_sealed 'ranges in an object' "$f\"WAL-Ranges\": {},$nl" 'unexpected object'
    bad_sealed 'timeline is not an integer' "$f\"WAL-Ranges\": [{\"Timeline\": true, \"Start-LSN\": \"0/0\", \"End-LSN\": \"0/0\"}],$nl" 'timeline'
    bad_sealed 'could not parse start LSN' "$f\"WAL-Ranges\": [{\"Timeline\": 1, \"Start-LSN\": \"oops\", \"End-LSN\": \"0/0\"}],$nl" 'start LSN'
    bad_sealed 'could not parse end LSN' "$f\"WAL-Ranges\": [{\"Timeline\": 1, \"Start-LSN\": \"0/0\", \"End-LSN\": \"oops\"}],$nl" 'end LSN'
    bad 'expected at least 2 lines' "$v, \"Files\": [], \"Manifest-Checksum\": null}$nl" 'at least 2 lines'
    bad 'last line not newline-terminated' "$v,$nl\"Files\": [],$nl\"Manifest-Checksum\": null}" 'newline-terminated'
    bad 'invalid manifest checksum' "$f$r\"Manifest-Checksum\": \"this is not a checksum\"}$nl"
    bad 'manifest checksum mismatch' "$f$r\"Manifest-Checksum\": \"$(printf '0%.0s' {1..64})\"}$nl" 'checksum mismatch'
    bad 'manifest has no checksum' "$f${r%,*}}$nl"
    bad_sealed 'a file that is not there' "$v,$nl\"Files\": [$x,${x/\"x\"/\"y\"}],$nl$r" 'not on disk|not present'
    [ "$major" -lt 17 ] || bad_sealed 'system identifier not an integer' \
        "{\"PostgreSQL-Backup-Manifest-Version\": 2, \"System-Identifier\": \"Oops\", \"Files\": [],$nl" 'system identifier'
}

# The CRC-32C of a file as a server prints it: bytes as they lie in memory.
crc_hex() {
    perl -e '
        local $/; open(my $f, "<", $ARGV[0]) or die; my $c = 0xFFFFFFFF;
        for my $byte (unpack("C*", <$f>)) {
            $c ^= $byte;
            $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8;
        }
        print unpack("H*", pack("V", $c ^ 0xFFFFFFFF));' "$1"
}

# ---- a changed byte under a right checksum -------------------------------------------------------

# The changed manifests come from one seed, so that every run has the same.
check_changed() {
    local major=$1 i verdict lax=0 equal=0 strict=0 right
    right=$(head -n -1 "$SCRATCH/m.right"; printf x)
    for ((i = 0; i < ${TEST_CHANGED:-60}; i++)); do
        sealed "$(perl -e '
            srand(4711 + $ARGV[0]); my $text = $ARGV[1]; chop $text;
            for (0 .. int(rand(2))) {
                my $at = int(rand(length $text));
                my $how = rand();
                if ($how < 0.5) { substr($text, $at, 1) = chr(32 + int(rand(95))) }
                elsif ($how < 0.75) { substr($text, $at, 1) = "" }
                else { substr($text, $at, 0) = substr($text, int(rand(length $text)), 1 + int(rand(9))) }
            }
            print $text;' "$i" "$right"; printf x)"
        # The trailing x kept the newline; it is none of the manifest.
        reseal
        verdict=$(both "$major" "$SCRATCH/m")
        case $verdict in
            00 | 11) equal=$((equal + 1)) ;;
            10)
                lax=$((lax + 1))
                diag "accepted, and refused by pg_verifybackup: $(cat "$SCRATCH/m/backup_manifest" "$SCRATCH/theirs")"
                ;;
            *) strict=$((strict + 1)) ;;
        esac
    done
    note "$major: $equal changed manifests with one verdict, $strict where Walden alone refuses"
    is "$lax" 0 "$major: nothing is accepted that pg_verifybackup refuses"
    ok "$major: most changed manifests get the same verdict" test "$equal" -gt $((strict * 3))
}
reseal() {
    perl -e '
        use Digest::SHA qw(sha256_hex);
        local $/; open(my $f, "+<", $ARGV[0]) or die; my $text = <$f>;
        $text =~ s/x"Manifest-Checksum": .*\n\z//;
        seek($f, 0, 0); truncate($f, 0);
        printf $f "%s\"Manifest-Checksum\": \"%s\"}\n", $text, sha256_hex($text); close $f or die' \
        "$SCRATCH/m/backup_manifest"
}

build_unpack
build_vmanifest
for major in $(pg_majors); do
    case " ${TEST_BACKUP_MAJORS:-13 18} " in *" $major "*) ;; *) continue ;; esac
    check_corruption "$major"
    check_manifests "$major"
    sealed "$(printf '%s\n%s\n%s\n' '{"PostgreSQL-Backup-Manifest-Version": 1,' "\"Files\": [
{ \"Path\": \"x\", \"Size\": 2, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"$(crc_hex "$SCRATCH/m/x")\" }
]," '"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],')
"
    cp "$SCRATCH/m/backup_manifest" "$SCRATCH/m.right"
    is "$(both "$major" "$SCRATCH/m")" 00 "$major: a manifest in a server's form: accepted by both"
    check_changed "$major"
done
done_testing
