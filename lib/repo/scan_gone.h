/*
 * scan_gone: what was stored once and is not there any more.  Inside repo/scan.
 *
 * The index remembers names.  One that the listing does not show, and that no expire record names,
 * is a finding; where it leaves a hole between others, the hole tells it already.
 */
#ifndef REPO_SCAN_GONE_H
#define REPO_SCAN_GONE_H

#include "repo/scan.h"

/* Lists the base backups, so that they count as seen, and takes new ones into the index. */
int scan_gone_backups(struct index *x, struct repo *r, struct object_reader *reader, struct err *e)
    __attribute__((warn_unused_result));

/* Adds the problems; after everything was listed and coverage_finish.  tli: only that timeline's
 * (0: all). */
int scan_gone(struct scan *s, const struct index *x, struct repo *r, tli_t tli, struct err *e)
    __attribute__((warn_unused_result));

#endif
