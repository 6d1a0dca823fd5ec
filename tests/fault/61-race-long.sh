#!/bin/bash
# The races of 60-race, 10,000 rounds.
# when: long
# timeout: 3600
ROUNDS=10000
. "$(dirname "$0")/60-race.sh"
