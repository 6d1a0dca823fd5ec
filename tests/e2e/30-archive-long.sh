#!/bin/bash
# 30-archive.sh with segments of 1 GB.
# when: long
# timeout: 900
ARCHIVE_SIZES=1024 exec bash "$(dirname "$0")/30-archive.sh" "$@"
