# shellcheck shell=bash
# loop.bash: small filesystems in files, mounted below $SCRATCH; for tests that run as root.
#
# $MNT is where the filesystem is mounted; the files are in $WORK.

MNT=$SCRATCH/mnt

# loop_make NAME TYPE MEGABYTES: an empty filesystem in $WORK/NAME.
loop_make() {
    local options=(-q)
    rm -f "$WORK/$1"
    truncate -s "$3M" "$WORK/$1"
    [ "$2" != ext4 ] || options+=(-F -m 0 -E "lazy_itable_init=0,lazy_journal_init=0,nodiscard")
    [ "$2" != xfs ] || options+=(-K)
    "mkfs.$2" "${options[@]}" "$WORK/$1" >"$SCRATCH/mkfs.log" 2>&1
}

# loop_mount NAME [WHERE]
loop_mount() {
    mkdir -p "${2:-$MNT}"
    mount -o loop,noatime "$WORK/$1" "${2:-$MNT}" 2>"$SCRATCH/mount.log"
}

# loop_unmount [WHERE]: waits while somebody is still on his way out.
loop_unmount() { wait_for 20 umount "${1:-$MNT}" 2>"$SCRATCH/umount.log"; }

# loop_is_mounted [WHERE]
loop_is_mounted() { mountpoint -q "${1:-$MNT}"; }

# loop_end: everything that is still mounted below $SCRATCH, last one first.
loop_end() {
    local where
    while read -r where; do
        "$SCRATCH/powercut" -t "$where" 2>/dev/null
        umount "$where" 2>/dev/null || umount -l "$where"
    done < <(awk -v under="$SCRATCH/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | tac)
}

# loop_need TYPE...: skips the test where such filesystems cannot be mounted.
loop_need() {
    local type
    at_exit loop_end
    for type; do
        loop_make probe "$type" 320 || skip_all "cannot make a $type filesystem"
        loop_mount probe || skip_all "cannot mount a $type filesystem in a file"
        loop_unmount || bail 'cannot unmount what was mounted'
        rm -f "$WORK/probe"
    done
}
