/*
 * condemned: what a restore must leave alone, for walden expire is about to remove it (FORMAT.md
 * section 10): backups, and WAL that the plan would read.
 */
#ifndef REPO_CONDEMNED_H
#define REPO_CONDEMNED_H

#include "repo/expired.h"
#include "repo/plan.h"

/* Makes backups that are condemned, or on record as removed, unusable for planning: a file that a
 * power cut brought back has lost its packs and WAL. */
int condemned_mark(struct plan_input *in, struct repo *repo, struct object_reader *scratch,
                   struct err *e) __attribute__((warn_unused_result));

/* After the lease was taken: -1 with ERR_HOLE when the plan's backup or a segment on its way is
 * condemned. */
int condemned_check(const struct plan_input *in, const struct plan *p, struct repo *repo,
                    struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
