/*
 * heads: is this the repository that this host has seen, or an older state of it?
 *
 * Everything in a sealed repository is signed, but the storage may put back what it held last
 * month. So a host remembers the newest record of each writer (FORMAT.md section 10,
 * repo/manifest_chain), and whoever reads compares.  A host that has never seen the repository
 * cannot tell: it says so, and remembers what it saw.
 */
#ifndef REPO_HEADS_H
#define REPO_HEADS_H

#include "repo/manifest_chain.h"
#include "repo/problem.h"

enum heads_state {
    HEADS_FORGETS, /* the host has no state directory */
    HEADS_NEW,     /* it has never seen a record of this lineage */
    HEADS_GOOD,    /* nothing is older than what it has seen */
    HEADS_OLDER    /* heads.missing is older now, or not there at all */
};

enum { HEADS_TEXT_MAX = 256 };

struct heads {
    enum heads_state state;
    struct manifest_heads known;
    struct manifest_heads found;
    struct manifest_seen missing; /* as it was seen; */
    uint64_t now;                 /* the newest there is of its writer; 0: none */
};

/* Looks at the current lineage.  state_dir may be NULL, or not exist.  0 or -1; heads_fini in any
 * case. */
int heads_look(struct heads *h, struct repo *repo, const char *state_dir,
               struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));
void heads_fini(struct heads *h);

/* Remembers what was seen, where it is newer; only after HEADS_NEW or HEADS_GOOD.  Who may not
 * write there compares and no more, so a failure may be passed over. */
int heads_keep(struct heads *h, struct repo *repo, const char *state_dir, struct err *e);

/* HEADS_OLDER in one sentence. */
void heads_text(const struct heads *h, char out[HEADS_TEXT_MAX]);

/* The same as a problem; nothing in other states. */
int heads_tell(const struct heads *h, struct problems *p, struct err *e)
    __attribute__((warn_unused_result));

#endif
