/*
 * What `walden expire` shows: the decision with its reasons, and what was done.
 */
#ifndef CATALOG_EXPIRE_H
#define CATALOG_EXPIRE_H

#include "command.h"
#include "repo/expire.h"

enum { EXPIRE_SCHEMA = 1 };

/* The decision, before anything is done; with a clock in doubt, that. */
int expire_show_decision(const struct expire *x, const struct settings *s, struct buf *out,
                         struct err *e) __attribute__((warn_unused_result));

/* What was done, or would be. */
int expire_show_done(const struct expire *x, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

/* All of it; finished: the work was done. */
int expire_print_json(const struct expire *x, const struct settings *s, bool finished,
                      struct err *e) __attribute__((warn_unused_result));

#endif
