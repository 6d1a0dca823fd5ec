/*
 * store_stray: what lies in the WAL tree of a lineage and is not where a reader looks.
 *
 * Part of the directory driver.  Listings pass over temps and over what has no place in the layout;
 * this is how `verify` and `list` see them.  Nothing is changed or removed.
 */
#ifndef REPO_STORE_STRAY_H
#define REPO_STORE_STRAY_H

#include "base/err.h"
#include "repo/store.h"

enum store_stray {
    STORE_STRAY_TEMP, /* an unfinished file whose writer is gone */
    STORE_STRAY_FILE  /* a name, or a kind of file, that belongs nowhere or elsewhere */
};

/* path is below the repository.  0 goes on, positive stops and is returned, -1 is an error. */
typedef int (*store_stray_fn)(void *arg, enum store_stray what, const char *path, struct err *e);

/* Temps of a living writer are passed over; so are those of which nothing can be told. */
int store_each_stray(struct store *s, const struct store_lineage *l, uint32_t segment_size,
                     store_stray_fn fn, void *arg, struct err *e);

#endif
