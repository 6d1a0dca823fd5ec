/*
 * window: the moments that can be restored, as ranges: per timeline, from where a backup is
 * consistent to where its WAL ends.
 *
 * Pure, over what a plan works on (repo/plan), and walking as a plan does (repo/plan_walk), so a
 * moment inside a window is one that a plan reaches and a moment in a gap is one that none does.
 * Each timeline has the stretch from where it left its parent: what lies before is the parent's.
 *
 * A time can be the target when a transaction ended later than that is in the window, so the last
 * commit of a window is reached by its LSN, or, at the end of the archive, by asking for the
 * latest.
 */
#ifndef REPO_WINDOW_H
#define REPO_WINDOW_H

#include "repo/plan.h"

struct window {
    tli_t tli;
    lsn_t start;
    lsn_t end;          /* all records before it */
    int64_t start_time; /* of the backup's end, or of the last commit before the timeline began */
    int64_t end_time;   /* of the last commit; COVERAGE_NO_TIME: none is in it */
    enum plan_why why;  /* what ends it: PLAN_ENDS: the archive of its timeline */
    tli_t at_tli;       /* the segment that does */
    uint64_t at_segno;
    size_t backup; /* from these it is reached: backups.v[backup .. backup + backups) */
    size_t backups;
};
VEC_DECLARE(window_list, struct window);

/* What cannot be restored although there is WAL before it and behind it. */
struct window_gap {
    tli_t tli;
    lsn_t from;
    lsn_t to;          /* where the next window begins; without one, where the archive ends */
    int64_t from_time; /* the last commit before, or COVERAGE_NO_TIME */
    int64_t to_time;   /* the first commit behind it that the next window's backups hold, or where
                          that begins; without one, the last commit; COVERAGE_NO_TIME: not known */
    bool is_open;      /* no later backup covers the WAL behind it */
    enum plan_why why;
    tli_t at_tli;
    uint64_t at_segno;
};
VEC_DECLARE(window_gaps, struct window_gap);
VEC_DECLARE(window_backups, size_t);

struct windows {
    struct window_list list;       /* by timeline and place */
    struct window_gaps gaps;       /* likewise */
    struct window_backups backups; /* indices into plan_input.backups, by place */
    tli_t latest;                  /* the timeline that a restore follows unless told otherwise */
};

void windows_init(struct windows *w);
void windows_fini(struct windows *w);

int windows_make(struct windows *w, const struct plan_input *in, struct err *e)
    __attribute__((warn_unused_result));

/* The one that holds the newest moment of the latest timeline, or NULL. */
const struct window *windows_newest(const struct windows *w);

/* Why it ends, or what is in the way: a stable word for JSON. */
const char *window_why_word(enum plan_why why);

#endif
