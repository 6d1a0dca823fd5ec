/*
 * expire_record: writes what a run of `walden expire` removes (FORMAT.md section 10), before the
 * first file goes.  repo/expired reads it.
 */
#ifndef REPO_EXPIRE_RECORD_H
#define REPO_EXPIRE_RECORD_H

#include "repo/expired.h"

struct expire_writing {
    const char *host;
    const char *state_dir; /* may be NULL */
    int64_t now;
    const uint8_t *copy; /* id of the copy that it is written for; NULL: it is none */
    tli_t wal_tli;       /* newest acknowledged WAL */
    lsn_t wal_lsn;
};

/*
 * Publishes objects, ranges, beliefs, lasts and the accepted clock of *what as one record, or as
 * several when it is much, each with the next place in this host's chain.  After it everything is
 * on stable storage.  *count: how many; nothing to say writes none.
 */
int expire_record_put(const struct expired *what, struct repo *repo,
                      const struct expire_writing *how, struct object_reader *scratch,
                      unsigned *count, struct err *e) __attribute__((warn_unused_result));

/* Names of condemned lists. */
struct expire_list {
    char name[40];
};
VEC_DECLARE(expire_lists, struct expire_list);

/* Publishes objects and ranges of *what as condemned lists: whoever looks from now on treats them
 * as absent.  Their names are added to *lists. */
int expire_record_condemn(const struct expired *what, struct repo *repo, struct expire_lists *lists,
                          struct err *e) __attribute__((warn_unused_result));

/* Adds to what will be written.  The reason is made harmless and cut. */
int expire_record_gone(struct expired *what, enum object_kind kind, const char *name,
                       const char *reason, struct err *e) __attribute__((warn_unused_result));

#endif
