#!/bin/bash
# The sweep of 40-full at every size.
# needs: root
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/40-full.sh"
