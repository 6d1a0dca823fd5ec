/*
 * lease: that a backup is being read, for whoever would remove it meanwhile
 * (repo/pages_lease), with what a command says and does about it.
 */
#ifndef CATALOG_LEASE_H
#define CATALOG_LEASE_H

#include "base/msg.h"
#include "repo/pages_lease.h"

struct lease {
    struct pages_lease held;
    bool is_held;
    int64_t beat;
};

/* Who may not write into the repository goes on without one, and is told so.  word: "restore". */
void lease_take(struct lease *l, struct repo *repo, const char *label, const char *word,
                const struct msg *m);

/* To be called often; -1 when others took us for dead. */
int lease_beat(struct lease *l, struct err *e) __attribute__((warn_unused_result));

void lease_drop(struct lease *l); /* accepts a zeroed struct */

#endif
