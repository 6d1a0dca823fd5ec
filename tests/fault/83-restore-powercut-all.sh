#!/bin/bash
# The sweep of 82-restore-powercut at many more calls.
# needs: root
# when: long
# timeout: 3600
MOST=40
. "$(dirname "$0")/82-restore-powercut.sh"
