#!/bin/bash
# The sweep of 50-hang at every call that changes something.
# needs: root
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/50-hang.sh"
