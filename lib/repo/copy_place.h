/*
 * copy_place: the directory of a copy: made, recognised, and its small text files brought up to
 * date, so that it can be opened like the repository.
 */
#ifndef REPO_COPY_PLACE_H
#define REPO_COPY_PLACE_H

#include <stdbool.h>

#include "base/err.h"
#include "repo/copy.h"
#include "repo/repo.h"
#include "repo/settings.h"

/* Each lineage of a repository: 0 goes on, -1 ends.  last: of those of its cluster. */
typedef int copy_lineage_fn(void *arg, const char *cluster, uint64_t system_id, bool last,
                            struct err *e);
/* One that is left out: its file cannot be read, so nothing in it can be proven. */
typedef void copy_unusable_fn(void *arg, const char *cluster, uint64_t system_id,
                              const struct err *why);
int copy_each_lineage(struct repo *from, copy_lineage_fn *fn, copy_unusable_fn *unusable, void *arg,
                      struct err *e) __attribute__((warn_unused_result));

/*
 * Opens the copy of `from` (open with REPO_ANY_LINEAGE) that is at s->repo into *to, without a
 * lineage.  make: an empty directory becomes one; else that is refused, for it may be where a disk
 * is not mounted.  Refused as well: another repository, a repository that is no copy, `from`
 * itself. how: whom to tell of a lineage file of the copy that was mended.  0; -1, and *to is
 * closed.
 */
int copy_place_open(struct repo *to, struct repo *from, const struct settings *s, bool make,
                    const struct copy_how *how, struct err *e) __attribute__((warn_unused_result));

/* Do both lie on one filesystem, so that one disk's end is the end of both? */
bool copy_place_is_near(const struct repo *a, const struct repo *b);

/* Makes the copy at s->repo a repository of its own.  0, 1 when it is one, -1. */
int copy_place_adopt(const struct settings *s, struct err *e) __attribute__((warn_unused_result));

#endif
