#!/bin/bash
# Goal: with 5,000 segments on several timelines, every question that a person asks in a
# hurry is answered in less than a second of processor time, with a warm index; and without one the
# answer is the same.
# timeout: 400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

build_bigrepo
many 5000
done_testing
