# shellcheck shell=bash
# own-mounts.bash: the first thing that a test sources which takes filesystems away: what it mounts is
# seen by nobody else.  Another test that makes a mount namespace meanwhile would copy the mounts into it,
# and a filesystem that was shut down stays so, unmounted or not, as long as anybody has it.
if [ -z "${OWN_MOUNTS-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    OWN_MOUNTS=1 exec unshare -m --propagation private bash "$0" "$@"
fi
