#!/bin/bash
# Goal: the random moments of 143-oracle on each major, many of them, in plain and sealed repositories.
# when: long
# timeout: 3600
EVERY=1 TARGETS=${TARGETS:-60}
. "$(dirname "$0")/143-oracle.sh"
