/*
 * plan_walk: the way of a recovery: a path of timelines, and the segments on it as far as they can
 * be read.  Inside repo/plan.
 */
#ifndef REPO_PLAN_WALK_H
#define REPO_PLAN_WALK_H

#include "repo/plan.h"

/* The timelines from the oldest ancestor to tli.  0; 1 when a history is missing (*missing says
 * whose); -1. */
int plan_path(const struct plan_input *in, tli_t tli, struct plan_parts *parts, tli_t *missing,
              struct err *e) __attribute__((warn_unused_result));

/* Whose file holds that segment on this path: the newest timeline that had begun by then. */
const struct plan_part *plan_owner(const struct plan_input *in, const struct plan_parts *parts,
                                   uint64_t segno);

/* The stretch of a timeline, or NULL. */
const struct plan_part *plan_part_of(const struct plan_parts *parts, tli_t tli);

/* Is the backup on the path? */
bool plan_is_on(const struct plan_parts *parts, const struct plan_backup *b);

struct plan_walk {
    const struct plan_input *in;
    const struct plan_parts *parts;
    const struct plan_backup *backup;
    uint64_t segno;                     /* the next one */
    const struct plan_segment *segment; /* the one in hand; NULL when it comes with the backup */
    lsn_t limit;   /* records that start here or behind it cannot be replayed */
    lsn_t reach;   /* all up to here was or can be read */
    lsn_t last;    /* start of the last record that can; 0 */
    lsn_t tail;    /* a record goes on in the next segment */
    lsn_t crossed; /* the record that ends in the one in hand; 0 */
    bool cut;      /* the segment in hand can be read to `limit` only */
    const struct plan_segment *partial; /* that one */
    bool begun;
    bool unsure;
    enum plan_why why; /* when there is no next one */
    tli_t tli;
    /* totals */
    uint64_t segments;
    uint64_t stored;
    uint64_t inside;
    int64_t time;   /* of the last commit, the segment in hand included */
    int64_t before; /* and without it */
};

void plan_walk_init(struct plan_walk *w, const struct plan_input *in,
                    const struct plan_parts *parts, const struct plan_backup *backup);

/* The next segment: true, or false at the end, with w->why. */
bool plan_walk_next(struct plan_walk *w);

#endif
