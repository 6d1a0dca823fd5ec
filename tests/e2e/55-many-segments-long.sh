#!/bin/bash
# Goal: with 90 days of one segment a minute on several timelines, every question that a person asks in a
# hurry is answered in less than a second of processor time, with a warm index; and without one the
# answer is the same.
# when: long
# timeout: 3600
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/tools/walden-env.sh
. "$ROOT/tests/tools/walden-env.sh"
# shellcheck source=tests/tools/bigrepo-env.sh
. "$ROOT/tests/tools/bigrepo-env.sh"

build_bigrepo
many 129600
done_testing
