#!/bin/bash
# The sweep of 30-powercut with both variants at every point.
# needs: root
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/30-powercut.sh"
