/*
 * plan_trial: one backup on trial: can the target be reached from it?  Inside repo/plan.
 */
#ifndef REPO_PLAN_TRIAL_H
#define REPO_PLAN_TRIAL_H

#include "repo/plan_walk.h"

struct plan_trial {
    const struct plan_input *in;
    const struct plan_target *t;
    const struct plan_backup *backup;
    struct plan_walk walk;
    enum plan_why why;
    bool ended;                        /* the walk came to its end and found nothing to stop at */
    const struct plan_segment *detail; /* must be read to go on: its records, */
    size_t peek;                       /* or the metadata of so many from there on */
    lsn_t stop;
    int64_t stop_time;
    struct plan_end reached; /* the last commit seen that was read exactly */
    int64_t last;            /* time of the last commit before the stop, by summaries */
    int64_t held;            /* time of the last transaction that is in the backup, if known */
    lsn_t point;             /* PLAN_NAME: where it is */
    int64_t point_time;
    bool unborn; /* PLAN_XID: it had not begun where this way begins, so no older backup's way
                    comes by its end before */
    bool looked; /* PLAN_XID: some segment was looked into */
};

/*
 * Tries one backup; t->why, or t->detail.  known: a trial of a newer backup on the same path that
 * ended, or NULL: nobody has to walk what it has walked.
 */
void plan_trial(struct plan_trial *t, const struct plan_input *in, const struct plan_target *target,
                const struct plan_parts *parts, const struct plan_backup *backup,
                const struct plan_trial *known);

/* Does the server stop at this end of a transaction? */
bool plan_trial_stops(const struct plan_target *t, const struct plan_end *end);

#endif
