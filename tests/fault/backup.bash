# shellcheck shell=bash
# backup.bash: what the fault tests of base backups and restores share, read after lib.sh,
# common.bash and loop.bash.  They run as root; the servers lie outside of what is broken.

# make_source: a running server `source` with a tablespace, whose system identifier and data directory
# make_repo takes.
make_source() {
    SPACE=$SCRATCH/space
    mkdir "$SPACE"
    chown --reference="$SCRATCH" "$SPACE"
    pg_init source 18 -k || bail 'no server'
    pg_conf source 'autovacuum = off' 'wal_keep_size = 128MB'
    pg_start source || bail 'no server'
    pg_sql source "create tablespace far location '$SPACE'" &&
        pg_sql source 'create table apart tablespace far as select i from generate_series(1, 1000) i' &&
        pg_sql source 'create table t as select i, md5(i::text) as x from generate_series(1, 20000) i' &&
        pg_sql source checkpoint || bail 'no tables'
    # shellcheck disable=SC2034 # for make_repo
    PGDATA_OF_POOL=$(pg_data source)
    PGHOST=$SOCKETS PGPORT=$(pg_port source)
    export PGHOST PGPORT PGUSER=postgres PGDATABASE=postgres
}

# change: something new to store.
CHANGES=0
change() {
    CHANGES=$((CHANGES + 1))
    pg_sql source "update t set x = md5(i::text || '$CHANGES') where i % 7 = $CHANGES % 7" &&
        pg_sql source "create table new$CHANGES as select i, md5(($CHANGES * i)::text) as x from generate_series(1, 5000) i" &&
        pg_sql source checkpoint || bail 'no change'
}

# labels: of all backups in the repository.
labels() { (cd "$REPO" && find . -path '*/backup/*' -type f ! -name '.*' -printf '%f\n' | sort); }

# calls MOST: of the calls in $SCRATCH/points those that change what is on disk, as NAME:N; at most
# about MOST of each name, the first and the last among them.  Where the others begin differs from
# sweep to sweep.  (What is opened may be made with it: in long runs.)
SWEEP=0
calls() {
    SWEEP=$((SWEEP + 1))
    awk -v most="$1" -v shift="$SWEEP" '
        most > 10 && $2 ~ /^openat2?$/ { n[$2]++ }
        $2 ~ /^(mkdirat|write|pwrite64|fsync|fdatasync|rename.*|link.*|symlinkat|unlinkat|fchmod|ftruncate|fallocate)$/ { n[$2]++ }
        END {
            for (name in n) {
                step = n[name] <= most ? 1 : (n[name] - 1) / (most - 1)
                last = 0
                for (i = 1; i <= n[name] + 0.001; i += step) {
                    at = int(i + 0.001)
                    if (step > 2 && at > 1 && at < n[name]) at = at - shift % int(step)
                    if (at < 1 || at == last) continue
                    print name ":" at
                    last = at
                }
            }
        }' "$SCRATCH/points"
}
