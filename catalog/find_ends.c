/* Moments that only the records of a segment tell. */
#include <string.h>

#include "find.h"

enum { NEAR_EACH = 5, NEAR_SEGMENTS = 3 };

static bool is_event(const struct find_run *f, tli_t tli, lsn_t lsn)
{
    for (size_t i = 0; i < f->shown.n; i++)
        if (f->shown.v[i].tli == tli && f->shown.v[i].lsn == lsn)
            return true;
    return false;
}

/* The segment in which the first end of a transaction is that is not before the time. */
static size_t segment_near(const struct find_run *f)
{
    const struct plan_segments *s = &f->r->inventory.in.segments;
    size_t last = s->n;

    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].ends == 0)
            continue;
        last = i;
        if (s->v[i].greatest >= f->near)
            return i;
    }
    return last;
}

static int add_ends(struct find_run *f, const struct plan_segment *s, struct err *e)
{
    const struct plan_lines *lines = &f->r->inventory.in.lines;
    struct plan_ends ends;
    int rc;

    plan_ends_init(&ends, PLAN_ENDS_MAX);
    if (s->cross == PLAN_CROSS_END && plan_ends_push(&ends, s->crossing, e) != 0)
        return -1;
    rc = find_read_ends(&ends, &f->r->inventory, &f->r->repo, s->tli, s->segno, &f->r->scratch, e);
    f->no_ends = f->no_ends || rc > 0;
    for (size_t i = 0; rc == 0 && i < ends.n; i++) {
        const struct plan_end *end = &ends.v[i];
        struct find_candidate c = {.kind = FIND_COMMIT,
                                   .lsn = end->lsn,
                                   .before = end->lsn,
                                   .time = end->time,
                                   .tli = find_owner(lines, s->tli, end->lsn),
                                   .xid = end->xid};

        if (!end->aborted && !is_event(f, c.tli, c.lsn))
            rc = find_candidates_push(&f->shown, c, e);
    }
    plan_ends_fini(&ends);
    return rc < 0 ? -1 : 0;
}

static int by_time(const void *a, const void *b)
{
    const struct find_candidate *x = a;
    const struct find_candidate *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

int find_near(struct find_run *f, struct err *e)
{
    const struct plan_segments *s = &f->r->inventory.in.segments;
    size_t at = segment_near(f);
    size_t split = 0;
    size_t first;
    size_t behind;

    /* That segment, and one with commits on each side. */
    for (size_t i = at, n = 0; i < s->n && n + 1 < NEAR_SEGMENTS; i++)
        if (s->v[i].ends > 0 && ++n > 0 && add_ends(f, &s->v[i], e) != 0)
            return -1;
    for (size_t i = at < s->n ? at : 0; i > 0; i--)
        if (s->v[i - 1].ends > 0) {
            if (add_ends(f, &s->v[i - 1], e) != 0)
                return -1;
            break;
        }
    if (f->shown.n == 0)
        return 0;
    qsort(f->shown.v, f->shown.n, sizeof f->shown.v[0], by_time);
    while (split < f->shown.n && f->shown.v[split].time <= f->near)
        split++;
    first = split > NEAR_EACH ? split - NEAR_EACH : 0;
    behind = split + NEAR_EACH < f->shown.n ? split + NEAR_EACH : f->shown.n;
    memmove(f->shown.v, f->shown.v + first, (behind - first) * sizeof f->shown.v[0]);
    f->shown.n = behind - first;
    return 0;
}

int find_xid(struct find_run *f, struct err *e)
{
    struct restore *r = f->r;
    struct find_candidate c = {.kind = FIND_COMMIT, .xid = f->xid};
    struct err why = {0};

    if (f->shown.n > 0)
        return 0;
    r->target = (struct plan_target){.kind = PLAN_XID, .xid = f->xid};
    if (restore_plan(r, &why) != 0) {
        if (r->plan.verdict == PLAN_NO)
            return 0;
        *e = why;
        return -1;
    }
    if (r->plan.reached.lsn != r->plan.stop) {
        f->aborted = r->plan.stop;
        f->aborted_time = r->plan.stop_time;
        return 0;
    }
    c.lsn = c.before = r->plan.stop;
    c.time = r->plan.stop_time;
    c.tli = find_owner(&r->inventory.in.lines, r->plan.tli, c.lsn);
    return find_candidates_push(&f->shown, c, e);
}
