#!/bin/bash
# The sweep of 20-kill with nothing left out.
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/20-kill.sh"
