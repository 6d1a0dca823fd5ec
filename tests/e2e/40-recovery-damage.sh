#!/bin/bash
# Goal: a recovery in which any one archived file but the newest was removed, truncated, bit-flipped,
# replaced by another or made unreadable never ends promoted: the server stops, with an error that
# names the file.  With and without a target, plain and sealed.  With cp the same loss promotes.
#
# DAMAGE=all: every combination (40-recovery-damage-long.sh); else those where something differs.
# also: dev
# also: cross
# timeout: 600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"

DAMAGE=${DAMAGE-}
KINDS=(removed truncated flipped replaced unreadable)

# ---- the archive --------------------------------------------------------------------------------

# source_server MAJOR: steps 1 to 3 on timeline 1, 4 to 6 on timeline 2, archived three times: plain,
# sealed, and as they are.  The target lies behind step 5, in the segment of step 6.
source_server() {
    local major=$1 step
    pg_init src "$major" --wal-segsize=1 || return 1
    backup=$(pg_template "$major" --wal-segsize=1) || return 1
    w_init plain "$(pg_data src)" && w_init_sealed sealed "$(pg_data src)" || return 1
    pg_archive src "$(w_keep_command plain "$SCRATCH/keep") && $(w_archive_command sealed)"
    pg_conf src 'autovacuum = off'
    pg_start src || return 1
    for step in 1 2 3; do
        pg_step src $step >/dev/null || return 1
    done
    pg_sql src "select pg_logical_emit_message(false, 'test', 'so that a partial segment remains')" >/dev/null
    new_timeline src || return 1
    for step in 4 5; do
        pg_step src $step >/dev/null || return 1
    done
    TIME=$(pg_sql src 'select clock_timestamp()')
    pg_sql src "select pg_create_restore_point('goal')" >/dev/null
    pg_step src 6 >/dev/null
    pg_stop src
    # What a recovery asks for: no partial segment.
    mapfile -t files < <(w_names plain | grep -v '\.partial$')
    mapfile -t segments < <(printf '%s\n' "${files[@]}" | grep -v '\.history$')
    newest=${segments[-1]}
    [ "$(w_names plain)" = "$(w_names sealed)" ]
}

# ---- one recovery -------------------------------------------------------------------------------

# recover RESTORE_COMMAND [TARGET]: runs it and leaves OUTCOME, STEPS and LOG.  TARGET: name or time.
recover() {
    local settings=()
    case ${2-} in
    name) settings=("recovery_target_name = 'goal'" 'recovery_target_action = promote') ;;
    time) settings=("recovery_target_time = '$TIME'" 'recovery_target_action = promote') ;;
    esac
    recovery back "$major" "$backup" "$1" "${settings[@]}" || bail 'no recovery'
    OUTCOME=stopped
    STEPS=
    if pg_ctl back -l "$(pg_log back)" start; then
        OUTCOME=$(pg_outcome back)
        STEPS=$(pg_steps back)
    fi
    LOG=$(cat "$(pg_log back)")
    pg_drop back
}

# whole REPOSITORY [TARGET]: nothing is damaged.
whole() {
    local want='6|600'
    [ -z "${2-}" ] || want='5|500'
    recover "$(w_restore_command "$1")" "${2-}"
    is "$OUTCOME $STEPS" "promoted $want" "$major, $1, ${2:-no target}: the undamaged archive" ||
        diag "$LOG"
    unlike "$LOG" 'walden-restore: (error|warning)' "$major, $1, ${2:-no target}: nothing to complain about"
}

# stops REPOSITORY WHAT TARGET REGEX: the recovery must stop, with an error of ours.
stops() {
    recover "$(w_restore_command "$1")" "$3"
    if [ "$OUTCOME" = stopped ] && grep -Eq "^walden-restore: error: .*$4" <<<"$LOG"; then
        pass "$major, $1, ${3:-no target}: $2"
    else
        fail "$major, $1, ${3:-no target}: $2" "ended $OUTCOME ($STEPS)"$'\n'"$(tail -n 20 <<<"$LOG")"
    fi
}

# damage KIND OBJECT OTHER
damage() {
    case $1 in
    removed) rm "$2" ;;
    truncated) truncate_to "$2" $(($(size_of "$2") / 2)) ;;
    flipped) flip_byte "$2" $(($(size_of "$2") / 2)) 4 ;;
    replaced) cp "$3" "$2" ;;
    unreadable) chmod 000 "$2" ;;
    esac
}

# damaged REPOSITORY FILE KIND [TARGET]
damaged() {
    local object other
    object=$(w_object "$1" "$2")
    other=$(w_object "$1" "$([ "$2" = "${segments[1]}" ] && echo "${segments[2]}" || echo "${segments[1]}")")
    cp -a "$object" "$SCRATCH/undamaged"
    damage "$3" "$object" "$other"
    stops "$1" "$2 $3" "${4-}" "$2"
    mv -f "$SCRATCH/undamaged" "$object"
}

# ---- which ones ---------------------------------------------------------------------------------

# every REPOSITORY [TARGET]: each file in each way.
every() {
    local file kind
    for file in "${files[@]}"; do
        [ "$file" != "$newest" ] || continue
        for kind in "${KINDS[@]}"; do
            damaged "$1" "$file" "$kind" "${2-}"
        done
    done
}

# each REPOSITORY FIRST [TARGET]: each file in one way, in turn.
each() {
    local file kind=$2
    for file in "${files[@]}"; do
        [ "$file" != "$newest" ] || continue
        damaged "$1" "$file" "${KINDS[kind % 5]}" "${3-}"
        kind=$((kind + 1))
    done
}

# key_files REPOSITORY: a segment in the middle and the history, in all ways.
key_files() {
    local kind
    for kind in "${KINDS[@]}"; do
        damaged "$1" "${segments[${#segments[@]} / 2]}" "$kind"
        damaged "$1" 00000002.history "$kind"
    done
}

# The newest segment: a recovery to a target in it cannot end well either.
newest_gone() {
    local object
    object=$(w_object plain "$newest")
    mv "$object" "$SCRATCH/undamaged"
    # The target lies in it, or in the one before it when the shutdown filled one of its own.
    mv "$(w_object plain "$(wal_add "$newest" -1 1048576)")" "$SCRATCH/undamaged.before"
    recover "$(w_restore_command plain)" name
    is "$OUTCOME" stopped "$major, plain, name: the newest segments are gone: the target is not reached"
    mv "$SCRATCH/undamaged" "$object"
    mv "$SCRATCH/undamaged.before" "$(dirname "$object")/$(wal_add "$newest" -1 1048576)"
}

# The repository as a whole.
places() {
    local repo group
    repo=$(w_repo "$1")
    group=$(dirname "$(w_object "$1" "${segments[0]}")")
    chmod 000 "$group"
    stops "$1" 'a directory is unreadable' '' "${segments[0]}"
    chmod 700 "$group"
    chmod 000 "$repo"/main/*/wal
    stops "$1" 'the WAL is unreadable' '' '00000002.history'
    chmod 700 "$repo"/main/*/wal
    mv "$repo" "$repo.away"
    stops "$1" 'the repository is away' '' "$repo"
    mkdir "$repo"
    stops "$1" 'the repository is not mounted' name 'no repository'
    rmdir "$repo"
    mv "$repo.away" "$repo"
    mv "$repo"/main/*/cluster "$SCRATCH/lineage"
    stops "$1" 'the lineage is gone' '' 'does not know system identifier'
    mv "$SCRATCH/lineage" "$(echo "$repo"/main/*)/cluster"
    flip_byte "$repo/walden-repo" 20 1
    stops "$1" 'the marker is damaged' '' 'walden-repo'
    flip_byte "$repo/walden-repo" 20 1
    mv "$(w_open_conf "$1")" "$SCRATCH/conf"
    recover "$TEST_BIN/walden-restore --config $SCRATCH/no.conf %f \"%p\""
    is "$OUTCOME" stopped "$major, $1: the configuration is gone"
    mv "$SCRATCH/conf" "$(w_open_conf "$1")"
}

# The negative control: cp, and what it loses.
control() {
    local middle=${segments[${#segments[@]} / 2 - 2]} archive=$SCRATCH/keep
    mv "$archive/$middle" "$SCRATCH/undamaged"
    recover "$(pg_restore_cp "$archive")"
    like "$OUTCOME $STEPS" '^promoted [0-5][|]' "$major, cp: a missing segment: promotes, rows are lost"
    mv "$SCRATCH/undamaged" "$archive/$middle"
    mv "$archive/00000002.history" "$SCRATCH/undamaged"
    recover "$(pg_restore_cp "$archive")"
    is "$OUTCOME $STEPS" 'promoted 3|300' "$major, cp: a missing history: promotes on the wrong timeline"
    mv "$SCRATCH/undamaged" "$archive/00000002.history"
    recover "$(pg_restore_cp "$archive")"
    is "$OUTCOME $STEPS" 'promoted 6|600' "$major, cp: nothing is missing"
}

test_major() {
    local repo target i=$2
    major=$1
    source_server "$major" || bail "no archive of $major"
    note "$major: ${files[*]}"
    whole plain
    whole sealed
    whole plain time
    whole sealed name
    control
    if [ "$DAMAGE" = all ]; then
        for repo in plain sealed; do
            for target in '' name time; do
                every $repo "$target"
            done
        done
    elif w_is_dev; then
        key_files plain
        key_files sealed
        places sealed
    elif [ "$major" = "${majors[-1]}" ]; then
        every plain
        key_files sealed
        each plain 0 name
        each sealed 2 time
        newest_gone
        places plain
    else
        each plain "$i"
        each sealed $((i + 2))
        each plain $((i + 3)) time
    fi
    pg_drop src
    rm -rf "$SCRATCH"/{plain,sealed}.{repo,walden,safe} "$SCRATCH/keep"
}

mapfile -t majors < <(pg_majors)
if [ -z "$DAMAGE" ]; then
    mapfile -t majors < <(printf '%s\n' "${majors[@]}" | grep -Ex '13|15|18')
fi
w_is_dev && majors=()
[ ${#majors[@]} -gt 0 ] || mapfile -t majors < <(pg_majors | tail -n 1)
n=0
for m in "${majors[@]}"; do
    test_major "$m" $n
    n=$((n + 1))
done
done_testing
