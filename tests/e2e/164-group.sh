#!/bin/bash
# Goal: WAL that comes back has the mode that the server gives its own: in a cluster that its group may
# read (initdb -g) the group may read it; elsewhere nobody but the owner.
#
# also: cross
# timeout: 120
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

major=$(pg_majors | tail -n 1)
modes() { stat -c %a "$(pg_data back)"/pg_wal/0* | sort -u; }

test_cluster() {
    local segment
    pg_init -f main "$major" --wal-segsize=1 "$@" || bail initdb
    w_init main "$(pg_data main)" || bail init
    pg_archive main "$(w_archive_command main)"
    pg_start main && pg_backup_hot main "$SCRATCH/backup" || bail backup
    segment=$(pg_step main 1)
    pg_step main 2 >/dev/null
    pg_stop main
    w_fetch main main "$segment" pg_wal/RECOVERYXLOG || fail 'fetched'
    is "$(stat -c %a "$(pg_data main)/pg_wal/RECOVERYXLOG")" "$([ $# -eq 0 ] && echo 600 || echo 640)" \
        "${*:-private}: its mode"
    # pg_wal on another disk, whose directory has a mode of its own.
    mv "$(pg_data main)/pg_wal" "$SCRATCH/elsewhere" && ln -s "$SCRATCH/elsewhere" "$(pg_data main)/pg_wal"
    chmod "$([ $# -eq 0 ] && echo 750 || echo 755)" "$SCRATCH/elsewhere"
    for dest in pg_wal/RECOVERYXLOG "$(pg_data main)/pg_wal/RECOVERYXLOG"; do
        w_fetch main main "$segment" "$dest" || fail 'fetched'
        is "$(stat -c %a "$SCRATCH/elsewhere/RECOVERYXLOG")" "$([ $# -eq 0 ] && echo 600 || echo 640)" \
            "${*:-private}: its mode where pg_wal is a link"
    done
    rm -rf "$SCRATCH/elsewhere"
    recovery back "$major" "$SCRATCH/backup" "$(w_restore_command main)"
    [ $# -eq 0 ] || chmod -R g+rX "$(pg_data back)"
    ok "${*:-private}: recovery" pg_start back
    ok "${*:-private}: ends" pg_wait_promoted back
    is "$(modes)" "$([ $# -eq 0 ] && echo 600 || echo 640)" "${*:-private}: all WAL files have one mode"
    pg_drop back
    pg_drop main
    rm -rf "$SCRATCH/backup" "$(w_repo main)" "$(w_keys main)"
}

test_cluster
test_cluster -g
done_testing
