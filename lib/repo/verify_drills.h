/*
 * verify_drills: reads the drill records of a cluster back, as far as the keys here open them. What
 * is wrong with one becomes a problem; it harms nothing else.
 */
#ifndef REPO_VERIFY_DRILLS_H
#define REPO_VERIFY_DRILLS_H

#include "object/reader.h"
#include "repo/drill.h"
#include "repo/problem.h"
#include "repo/repo.h"
#include "repo/verify_part.h"

/* *looked_at is added to. */
int verify_drills(const struct drill_list *list, struct repo *repo, const struct verify_part *part,
                  struct problems *problems, uint64_t *looked_at, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));

#endif
