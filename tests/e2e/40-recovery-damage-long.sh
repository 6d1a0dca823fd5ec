#!/bin/bash
# 40-recovery-damage.sh with every combination, on all majors.
# when: long
# timeout: 3600
DAMAGE=all exec bash "$(dirname "$0")/40-recovery-damage.sh" "$@"
