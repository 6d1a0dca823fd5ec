#!/bin/bash
# Goal: a half-done or older copy is brought up to date whatever lies in it: files that their owner may
# not write, files and directories in each other's place, pipes, links planted to lead elsewhere; what
# they lead to is left alone, and the result is what pg_verifybackup expects.
# also: cross
# timeout: 300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

restore() { walden restore --config "$(w_conf main)" --target-immediate "$@"; }
verified() { "$(pg_prog pg_verifybackup)" -n "$1" && [ "$(cat "$1/server.key")" = key ] && [ "$(stat -c %a "$1/server.key")" = 400 ]; }

major=$(pg_majors | tail -n 1)
pg_init main "$major" --wal-segsize=1 || bail initdb
w_init main "$(pg_data main)" || bail 'no repository'
pg_start main || bail 'no server'
pg_sql main 'create table t as select generate_series(1, 30000) i'
table=$(pg_sql main "select pg_relation_filepath('t')")
dir=${table%/*}
echo key >"$(pg_data main)/server.key"
chmod 400 "$(pg_data main)/server.key"
ok 'a backup' pg_env main walden-basebackup --config "$(w_conf main)" --fast --wal=stream
ok 'a copy' restore -D "$SCRATCH/good"
ok 'it is whole' verified "$SCRATCH/good"

# damaged WHAT COMMAND...: a copy in which the command was run is made good by --delta, and so is a
# half-done one by the same restore.
elsewhere=$SCRATCH/elsewhere
copy=$SCRATCH/copy
damaged() {
    local what=$1
    shift
    for state in copy half; do
        rm -rf "$copy" "$elsewhere"
        mkdir "$elsewhere"
        cp -a "$SCRATCH/good" "$copy"
        (cd "$copy" && "$@") || bail "cannot spoil the copy: $what"
        echo precious >"$elsewhere/precious"
        cp -a "$elsewhere" "$elsewhere.before"
        if [ $state = copy ]; then
            ok "$what: --delta" restore -D "$copy" --delta --yes
        else
            rm -f "$copy/global/pg_control"
            cp "$SCRATCH/mark" "$copy/walden-restore.plan"
            ok "$what: completed" restore -D "$copy"
        fi
        ok "$what: whole" verified "$copy"
        ok "$what: what lies elsewhere is untouched" diff -r "$elsewhere" "$elsewhere.before"
        nok "$what: nothing else is left" test -e "$copy/extra" -o -L "$copy/$dir" -o -L "$copy/pg_wal" -o -L "$copy/PG_VERSION"
        rm -rf "$elsewhere.before"
    done
}
# A mark, as a restore that was killed leaves it.  It is there for a moment only.
for n in {1..50}; do
    rm -rf "$SCRATCH/killed"
    walden restore --config "$(w_conf main)" --target-immediate -D "$SCRATCH/killed" >/dev/null 2>&1 &
    pid=$!
    until cp "$SCRATCH/killed/walden-restore.plan" "$SCRATCH/mark" 2>/dev/null || is_gone $pid; do :; done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ ! -s "$SCRATCH/mark" ] || break
    note "try $n: it was too fast"
done
[ -s "$SCRATCH/mark" ] || bail 'no mark was seen'

leads_away() { mv "$1" "$elsewhere/there" && ln -s "$elsewhere/there" "$1"; }
damaged 'as it is' true
damaged 'pages changed' flip_byte "$table" 9000
damaged 'a file cut' truncate_to "$table" 8192
damaged 'a file too long' truncate_to "$table" 99999999
damaged 'more files' touch extra "$dir/extra"
damaged 'a file without a right' chmod 0 "$table"
damaged 'a directory that is a link' leads_away "$dir"
damaged 'pg_wal that is a link' leads_away pg_wal
damaged 'a file that is a link' leads_away PG_VERSION
damaged 'a file with two names' ln "$table" "$elsewhere/name"
damaged 'a directory that is a file' bash -c "rm -r '$dir' && echo >'$dir'"
damaged 'a file that is a directory' bash -c 'rm PG_VERSION && mkdir -p PG_VERSION/deep'
damaged 'a file that is a pipe' bash -c 'rm PG_VERSION && mkfifo PG_VERSION'
pg_stop main
done_testing
