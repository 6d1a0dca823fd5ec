#!/bin/bash
# The sweep of 80-backup-powercut at many more calls, plain and sealed on both filesystems.
# needs: root
# when: long
# timeout: 3600
EVERY=1 MOST=40
. "$(dirname "$0")/80-backup-powercut.sh"
