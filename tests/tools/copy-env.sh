# shellcheck shell=bash
# copy-env.sh: what the tests of `walden copy` share, on top of lib.sh: a server and a repository `a`, and a
# copy of it in $OFF.
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/backup-env.sh
. "$ROOT/tests/tools/backup-env.sh"
# shellcheck source=tests/tools/dump-env.sh
. "$ROOT/tests/tools/dump-env.sh"

OFF=$SCRATCH/off
w() { walden "$1" --config "$(w_conf a)" "${@:2}"; }
off() { walden "$1" --config "$(w_conf a)" --repo "$OFF" "${@:2}"; }
labels() { (cd "$1" && find . -path '*/backup/*' -type f ! -name '.*' -printf '%f\n' | sort | tr '\n' ' '); }
