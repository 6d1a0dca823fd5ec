#!/bin/bash
# The sweep of 70-bytes with every bit of every byte.
# when: long
# timeout: 1800
EVERY=1
. "$(dirname "$0")/70-bytes.sh"
