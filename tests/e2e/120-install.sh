#!/bin/bash
# Goal: what make install and the packages are made of: the manual page of every program and command, a
# completion for bash that knows every option (and nothing else), and a configuration in which every
# setting is explained and none is set.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

describe() { "$ROOT/cross/describe" "$TEST_BIN" "$@"; }

# ---- manual pages -------------------------------------------------------------------------------

mkdir "$SCRATCH/man"
exits 0 'manual pages' describe man "$SCRATCH/man"
names() { "$@" --help | sed -n '/^Commands/,$s/^  \([a-z][a-z-]*\) .*/\1/p'; }
mapfile -t commands < <(names walden)
mapfile -t keys < <(names walden key)
missing=$(for p in archive restore basebackup "${commands[@]/#restore/restore-command}" "${keys[@]/#/key-}"; do
    [ -s "$SCRATCH/man/walden-$p.1" ] || echo "$p"
done)
is "$missing" '' 'there is one for every program and command'
like "$(cat "$SCRATCH/man/walden-restore.1")" 'NAME DEST' 'the page of the hook is not that of the command'
if command -v man >/dev/null; then
    wrong=$(for f in "$SCRATCH"/man/*.1; do
        man --warnings=all -l -Tutf8 "$f" 2>&1 >/dev/null | sed "s#^#${f##*/}: #"
    done)
    is "$wrong" '' 'man reads them without a warning'
else
    skip 1 'no man here'
fi

# ---- completion ---------------------------------------------------------------------------------

exits 0 'a completion' describe completion
echo "$OUT" >"$SCRATCH/walden.bash"
mkdir -p "$SCRATCH/here/folder" && touch "$SCRATCH/here/file"
# complete WORD...: what bash offers for the last one, in a shell of its own.
complete_words() {
    (
        cd "$SCRATCH/here" && env -i PATH="$PATH" bash --norc -c '
            . "$0"
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _walden
            printf "%s\n" "${COMPREPLY[@]}"' "$SCRATCH/walden.bash" "$@" | sort | paste -sd' '
    )
}
is "$(complete_words walden '')" "$(printf '%s\n' "${commands[@]}" | sort | paste -sd' ')" 'all commands'
is "$(complete_words walden key '')" "$(printf '%s\n' "${keys[@]}" | sort | paste -sd' ')" 'all commands of key'
is "$(complete_words walden wi)" window 'one command'
is "$(complete_words walden list --js)" --json 'an option'
is "$(complete_words /usr/bin/walden-archive --comp)" --compression= 'one with a value, of a hook'
is "$(complete_words walden-archive --compression = '')" 'lz4 none' 'the words that it takes'
is "$(complete_words walden-archive --compression '')" 'lz4 none' 'without ='
is "$(complete_words walden-archive --compression=l)" '--compression=lz4' 'where = does not divide words'
is "$(complete_words walden restore --target-action = pr)" promote 'of a command'
is "$(complete_words walden restore -D f)" folder 'folders, by a letter'
is "$(complete_words walden list --config f)" 'file folder' 'files'
is "$(complete_words walden list --repo-id '')" '' 'nothing where it knows nothing'
is "$(complete_words walden nonsense --js)" '' 'nor of an unknown command'
wrong=
for p in walden-archive walden-restore walden-basebackup "${commands[@]/#/walden }" "${keys[@]/#/walden key }"; do
    read -ra words <<<"$p"
    want=$("${words[@]}" --help | grep -oE '^ +(-., )?--(\[no-\])?[a-z-]+' |
        sed -E 's/^[^[]*--\[no-\](.*)/--\1\n--no-\1/; s/^.* --/--/' | sort)
    got=$(complete_words "${words[@]}" -- | tr ' ' '\n' | sed 's/=$//' | sort)
    [ "$want" = "$got" ] || wrong+="$p: $(diff <(echo "$want") <(echo "$got"))"$'\n'
done
is "$wrong" '' 'each has all options of its --help and no other'
ok 'it loads where errors count' bash --norc -eu -c '. "$0"; complete -p walden' "$SCRATCH/walden.bash"

# ---- configuration ------------------------------------------------------------------------------

exits 0 'a configuration' describe config
echo "$OUT" >"$SCRATCH/walden.conf"
is "$(grep -vE '^(#.*)?$' "$SCRATCH/walden.conf")" '' 'sets nothing'
want=$(walden-basebackup --help; walden-archive --help; walden-restore --help)
want=$(sed -n '/^Settings:/,/^Exit/s/^ *--\([a-z-]*\)=.*/\1/p' <<<"$want" | tr - _ | grep -vx config | sort -u)
is "$(grep -oE '^#[a-z_]+ = ' "$SCRATCH/walden.conf" | tr -d '#= ' | sort)" "$want" 'explains every key once'
ok '  in lines of at most 100' awk 'length > 100 { exit 1 }' "$SCRATCH/walden.conf"
# Each default that it names is one that the programs take.
sed -E 's/^#([a-z_]+ = [^A-Z]+)$/\1/' "$SCRATCH/walden.conf" >"$SCRATCH/set.conf"
ok '  some with a value' test "$(grep -cE '^[a-z_]+ = ' "$SCRATCH/set.conf")" -ge 5
echo "repo = $SCRATCH/nowhere" >>"$SCRATCH/set.conf"
exits 3 '  which the programs take' walden list --config "$SCRATCH/set.conf"
echo 'compresion = lz4' >>"$SCRATCH/set.conf"
exits 2 '  (a wrong one they would not)' walden list --config "$SCRATCH/set.conf"
pg_init s "$(pg_majors | tail -n 1)" || bail initdb
cp "$SCRATCH/walden.conf" "$SCRATCH/walden.conf.before"
ok 'walden init completes it' walden init --repo "$SCRATCH/repo" --config "$SCRATCH/walden.conf" -D "$(pg_data s)"
is "$(head -n "$(wc -l <"$SCRATCH/walden.conf.before")" "$SCRATCH/walden.conf")" "$(cat "$SCRATCH/walden.conf.before")" \
    '  and changes no line'
exits 0 '  and it works' walden list --config "$SCRATCH/walden.conf"

# ---- make install -------------------------------------------------------------------------------

# What was described above takes the place of what `make man` makes: the tree may be another user's.
tree=$SCRATCH/tree
mkdir -p "$tree/build/share" && cp -a "$ROOT"/{Makefile,cross,lib,catalog,README.md,CHANGELOG.md,LICENSE} "$tree/"
ln -s "$TEST_BIN" "$tree/build/bin" && ln -s "$SCRATCH/man" "$tree/build/man"
cp "$SCRATCH/walden.bash" "$SCRATCH/walden.conf.before" "$tree/build/share/"
mv "$tree/build/share/walden.conf.before" "$tree/build/share/walden.conf"
put() { env -u MAKEFLAGS make -C "$tree" "$@" DESTDIR="$SCRATCH/dest"; }
exits 0 'make install' put install-files
(cd "$SCRATCH/dest" && find . -type f -o -type l | sort) >"$SCRATCH/installed"
for f in usr/local/bin/walden{,-archive,-restore,-basebackup} usr/local/share/man/man1/walden{,-archive,-list}.1 \
    usr/local/share/bash-completion/completions/walden{,-archive} usr/local/share/doc/walden/{LICENSE,FORMAT.md} \
    usr/local/share/doc/walden/schema/list.json etc/walden/walden.conf; do
    ok "  $f" test -e "$SCRATCH/dest/$f"
done
is "$(readlink "$SCRATCH/dest/usr/local/bin/walden-basebackup")" walden '  walden-basebackup is a link'
like "$("$SCRATCH/dest/usr/local/bin/walden-basebackup" --help)" 'walden-basebackup \[OPTION\]' '  that works'
is "$(cd "$ROOT" && printf '%s\n' catalog/systemd/*.service catalog/systemd/*.timer | grep -vF '*' | xargs -rn1 basename | sort)" \
    "$(ls "$SCRATCH/dest/usr/local/lib/systemd/system" 2>/dev/null)" '  all systemd units'
is "$(grep -rhs '^Exec' "$SCRATCH/dest/usr/local/lib/systemd" | grep -v '=[-@:+!]*/usr/local/bin/walden')" '' \
    '  which start what was installed'
echo 'repo = /mine' >"$SCRATCH/dest/etc/walden/walden.conf"
exits 0 'once more, with another PREFIX' put install-files PREFIX=/usr
is "$(cat "$SCRATCH/dest/etc/walden/walden.conf")" 'repo = /mine' '  leaves a configuration that is there'
ok '  installs there' test -x "$SCRATCH/dest/usr/bin/walden"
exits 0 'make uninstall' put uninstall PREFIX=/usr
exits 0 '  of both' put uninstall
is "$(cd "$SCRATCH/dest" && find . -type f -o -type l)" ./etc/walden/walden.conf '  leaves the configuration, nothing else'
done_testing
