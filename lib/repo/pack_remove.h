/*
 * pack_remove: removes pack files that nobody needs (FORMAT.md section 10).
 *
 * One run condemns, only a later one removes: a file goes when an earlier run condemned it, it is
 * still superfluous, and nobody is at work.  A backup takes its intent first, then treats what is
 * condemned as absent (pack_remove_exclude).  So no lock and no common clock is needed.
 */
#ifndef REPO_PACK_REMOVE_H
#define REPO_PACK_REMOVE_H

#include "repo/pack_use.h"
#include "repo/pages_lease.h"

struct pack_removed {
    unsigned condemned; /* by this run, for the next one */
    unsigned removed;
    uint64_t bytes; /* of the removed files' entries */
    unsigned busy;  /* backups and restores at work: nothing was removed because of them */
};

/* Told of every file before it goes; -1 stops. */
typedef int (*pack_remove_fn)(void *arg, const char *name, struct err *e);

struct pack_remove_how {
    pages_wait_fn wait;    /* see pages_lease_look */
    pack_remove_fn before; /* may be NULL */
    void *arg;             /* of both */
};

/* One run.  It reads manifests and packs itself, in the order that the protocol demands. */
int pack_remove_run(struct pack_removed *done, struct repo *repo, const struct pack_remove_how *how,
                    struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* Excludes what is condemned from a set: for backups, after taking their intent and before loading
 * the set would be too early - after it. */
int pack_remove_exclude(struct pack_set *set, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
