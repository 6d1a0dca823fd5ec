#!/bin/bash
# The sweep of 10-syscalls with nothing left out.
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/10-syscalls.sh"
