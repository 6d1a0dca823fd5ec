/*
 * absence: is a file that is not in the archive missing, or was it never there?
 *
 * PostgreSQL takes a failed restore_command for the end of WAL and opens the server.  So "not
 * there" may only be said when it is proven: when nothing later needs the file.
 *
 *   segment      normal before the first segment of its timeline, and when neither a later segment
 *                of the timeline nor a child timeline that left it after this segment exists
 *   history      normal when its timeline has no segment and no higher timeline has anything
 *   others       always normal: the server never needs them
 *
 * Everything else is a hole.  What cannot be read cannot prove anything and is an error, and so is
 * a place for WAL in which nobody ever wrote: a mount point.
 */
#ifndef REPO_ABSENCE_H
#define REPO_ABSENCE_H

#include <stdbool.h>

#include "base/err.h"
#include "object/reader.h"
#include "pg/walname.h"
#include "repo/repo.h"

enum absence { ABSENCE_NORMAL = 0, ABSENCE_HOLE = 1 };

/* ABSENCE_NORMAL, ABSENCE_HOLE (with the reason in *e, ERR_HOLE), or -1: not proven. */
int absence_judge(struct repo *r, const struct walname *name, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));

#endif
