#include "repo/window.h"

#include <stdlib.h>
#include <string.h>

#include "pg/facts.h"
#include "repo/plan_walk.h"

void windows_init(struct windows *w)
{
    window_list_init(&w->list, PLAN_BACKUPS_MAX);
    window_gaps_init(&w->gaps, PLAN_BACKUPS_MAX);
    window_backups_init(&w->backups, (size_t)PLAN_BACKUPS_MAX * 16);
    w->latest = 0;
}

void windows_fini(struct windows *w)
{
    window_list_fini(&w->list);
    window_gaps_fini(&w->gaps);
    window_backups_fini(&w->backups);
}

const char *window_why_word(enum plan_why why)
{
    switch (why) {
    case PLAN_HOLE:
        return "hole";
    case PLAN_EXPIRED:
        return "expired";
    case PLAN_LOST:
        return "unreadable";
    case PLAN_DAMAGE:
        return "damaged-wal";
    case PLAN_JOIN:
        return "broken-chain";
    case PLAN_MINIMAL:
        return "wal-level-minimal";
    case PLAN_DIVERGES:
        return "missing-first-segment";
    case PLAN_ENDS:
    case PLAN_CHOSEN:
    case PLAN_OLDER:
    case PLAN_UNWANTED:
    case PLAN_UNUSABLE:
    case PLAN_OTHER_BRANCH:
    case PLAN_TOO_NEW:
    case PLAN_NOT_FOUND:
    case PLAN_UNSURE:
        break;
    }
    return "end";
}

/* One timeline on its way. */
struct making {
    struct windows *w;
    const struct plan_input *in;
    struct plan_parts parts;
    const size_t *order; /* the backups by start */
    const struct plan_part *own;
    size_t from;  /* its windows begin here in the list, */
    size_t first; /* and their backups here */
};

/* How far one gets from a backup. */
struct way {
    struct plan_walk walk;
    int64_t at_birth; /* the last commit before the timeline's own stretch */
    int64_t ends; /* the last end of a transaction before the segment in which the backup ends */
};

static void walk(const struct making *m, const struct plan_backup *b, struct way *way)
{
    uint64_t stop = walname_segno_before(b->stop, m->in->segsize);

    way->at_birth = COVERAGE_NO_TIME;
    way->ends = COVERAGE_NO_TIME;
    plan_walk_init(&way->walk, m->in, &m->parts, b);
    while (plan_walk_next(&way->walk)) {
        const struct plan_segment *s = way->walk.segment;

        if (s == NULL)
            continue;
        if (s->tli != m->own->tli)
            way->at_birth = way->walk.time;
        if (s->ends > 0 && s->segno < stop)
            way->ends = s->last_time;
    }
}

/* Can this backup be restored, and leads it to the timeline? */
static bool is_usable(const struct making *m, size_t i)
{
    const struct plan_backup *b = &m->in->backups.v[m->order[i]];

    return !b->damaged && plan_is_on(&m->parts, b);
}

/* Backups order[i] to order[end - 1] all get as far as the first of them. */
static int add_window(struct making *m, size_t i, size_t end, const struct way *way, struct err *e)
{
    const struct plan_walk *w = &way->walk;
    const struct plan_backup *first = NULL;
    struct window one = {.tli = m->own->tli,
                         .end = w->reach < m->own->end ? w->reach : m->own->end,
                         .end_time = w->time,
                         .why = w->why,
                         .at_tli = w->tli,
                         .at_segno = w->segno,
                         .backup = m->w->backups.n};

    for (; i < end; i++) {
        const struct plan_backup *b = &m->in->backups.v[m->order[i]];

        if (!is_usable(m, i) || b->stop > w->reach)
            continue;
        if (window_backups_push(&m->w->backups, m->order[i], e) != 0)
            return -1;
        one.backups++;
        if (first == NULL || b->stop < first->stop)
            first = b;
    }
    if (first == NULL || w->reach < m->own->begin ||
        (w->reach == m->own->begin && w->reach != 0 && first->stop < m->own->begin)) {
        m->w->backups.n = one.backup; /* it does not come to this timeline */
        return 0;
    }
    one.start = first->stop;
    one.start_time = first->stop_time > way->ends ? first->stop_time : way->ends;
    if (first->stop < m->own->begin) {
        one.start = m->own->begin;
        if (way->at_birth != COVERAGE_NO_TIME && way->at_birth > one.start_time)
            one.start_time = way->at_birth;
    }
    return window_list_push(&m->w->list, one, e);
}

static int add_windows(struct making *m, struct err *e)
{
    const struct plan_backups *all = &m->in->backups;
    size_t next;

    m->from = m->w->list.n;
    m->first = m->w->backups.n;
    for (size_t i = 0; i < all->n; i = next) {
        struct way way;

        next = i + 1;
        if (!is_usable(m, i))
            continue;
        walk(m, &all->v[m->order[i]], &way);
        /* Those that begin on this way get as far, and no farther; WAL that comes with one of them
         * is no matter of the others. */
        while (way.walk.inside == 0 && next < all->n &&
               all->v[m->order[next]].start < way.walk.reach &&
               (!is_usable(m, next) || !all->v[m->order[next]].inside))
            next++;
        if (add_window(m, i, next, &way, e) != 0)
            return -1;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct window *x = a;
    const struct window *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorts a timeline's windows, and makes one of those that overlap.  Their backups become
 * neighbours. */
static int merge(struct making *m, struct err *e)
{
    struct window_list *list = &m->w->list;
    struct window_backups *all = &m->w->backups;
    size_t old = m->first;
    size_t behind = all->n;
    size_t kept = m->from;

    if (list->n > m->from)
        qsort(list->v + m->from, list->n - m->from, sizeof *list->v, by_place);
    for (size_t i = m->from; i < list->n; i++) {
        const struct window one = list->v[i];
        struct window *last = kept == m->from ? NULL : &list->v[kept - 1];
        size_t to = all->n - behind + old;

        for (size_t k = one.backup; k < one.backup + one.backups; k++)
            if (window_backups_push(all, all->v[k], e) != 0)
                return -1;
        if (last == NULL || one.start > last->end) {
            list->v[kept] = one;
            list->v[kept++].backup = to;
            continue;
        }
        last->backups += one.backups;
        if (one.end <= last->end)
            continue;
        last->end = one.end;
        last->end_time = one.end_time;
        last->why = one.why;
        last->at_tli = one.at_tli;
        last->at_segno = one.at_segno;
    }
    list->n = kept;
    if (all->n > behind)
        memmove(all->v + old, all->v + behind, (all->n - behind) * sizeof *all->v);
    all->n -= behind - old;
    return 0;
}

/* Where a timeline's archive ends, and its last commit. */
static void archive_end(const struct making *m, lsn_t *end, int64_t *time)
{
    size_t i = plan_place(m->in, m->own->tli + 1, 0);

    *end = 0;
    *time = COVERAGE_NO_TIME;
    for (; i > 0 && m->in->segments.v[i - 1].tli == m->own->tli && *time == COVERAGE_NO_TIME; i--) {
        const struct plan_segment *s = &m->in->segments.v[i - 1];

        if (*end == 0)
            *end = s->end != 0 ? s->end : walname_start(s->segno + 1, m->in->segsize);
        *time = s->last_commit;
    }
}

/*
 * For a time, what comes behind a gap begins with the last transaction that the backup there holds:
 * it cannot stop before that.  Mostly its segment tells; where only the records would, the backup's
 * own end counts.
 */
static int64_t gap_end(const struct making *m, const struct window_gap *gap, int64_t start)
{
    uint64_t from = walname_segno_of(gap->from, m->in->segsize);
    uint64_t stop = walname_segno_before(gap->to, m->in->segsize);

    for (uint64_t segno = stop; segno > from; segno--) {
        const struct plan_segment *s =
            plan_segment(m->in, plan_owner(m->in, &m->parts, segno)->tli, segno);
        int64_t time;

        if (s == NULL || s->state != COVERAGE_GOOD || (s->flags & FACTS_HEAD_ENDS) != 0)
            break;
        if (s->ends == 0)
            continue;
        if (segno == stop && (s->last_commit_at == 0 || s->last_commit_at >= gap->to))
            break;
        time = segno == stop ? s->last_commit : s->last_time;
        return time < gap->from_time || time > start ? start : time;
    }
    return start;
}

static int add_gaps(struct making *m, struct err *e)
{
    const struct windows *w = m->w;
    lsn_t end;
    int64_t time;

    archive_end(m, &end, &time);
    for (size_t i = m->from; i < w->list.n; i++) {
        const struct window *one = &w->list.v[i];
        const struct window *next = i + 1 < w->list.n ? one + 1 : NULL;
        struct window_gap gap = {.tli = one->tli,
                                 .from = one->end,
                                 .to = next == NULL ? end : next->start,
                                 .from_time = one->end_time,
                                 .to_time = next == NULL ? time : next->start_time,
                                 .is_open = next == NULL,
                                 .why = one->why,
                                 .at_tli = one->at_tli,
                                 .at_segno = one->at_segno};

        if (next == NULL && one->why == PLAN_ENDS)
            break;
        if (gap.to < gap.from)
            gap.to = gap.from;
        if (next != NULL)
            gap.to_time = gap_end(m, &gap, next->start_time);
        if (gap.is_open && gap.to_time != COVERAGE_NO_TIME && gap.to_time <= gap.from_time)
            gap.to_time = COVERAGE_NO_TIME;
        if (window_gaps_push(&m->w->gaps, gap, e) != 0)
            return -1;
    }
    return 0;
}

struct ordering {
    lsn_t start;
    lsn_t stop;
    size_t i;
};

static int by_start(const void *a, const void *b)
{
    const struct ordering *x = a;
    const struct ordering *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->stop != y->stop)
        return x->stop < y->stop ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* NULL: no memory. */
static size_t *order_backups(const struct plan_input *in)
{
    struct ordering *o = calloc(in->backups.n + 1, sizeof *o);
    size_t *order = calloc(in->backups.n + 1, sizeof *order);

    if (o != NULL && order != NULL) {
        for (size_t i = 0; i < in->backups.n; i++)
            o[i] = (struct ordering){in->backups.v[i].start, in->backups.v[i].stop, i};
        qsort(o, in->backups.n, sizeof *o, by_start);
        for (size_t i = 0; i < in->backups.n; i++)
            order[i] = o[i].i;
    } else {
        free(order);
        order = NULL;
    }
    free(o);
    return order;
}

int windows_make(struct windows *w, const struct plan_input *in, struct err *e)
{
    struct making m = {.w = w, .in = in};
    size_t *order = order_backups(in);
    int rc = 0;

    if (order == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the restorable windows");
    m.order = order;
    plan_parts_init(&m.parts, COVERAGE_TIMELINES_MAX);
    w->latest = plan_latest(in);
    for (size_t i = 0; rc == 0 && i < in->lines.n; i++) {
        tli_t missing;

        rc = plan_path(in, in->lines.v[i].tli, &m.parts, &missing, e);
        if (rc > 0) { /* nobody can follow it: the missing history is a problem of its own */
            rc = 0;
            continue;
        }
        if (rc < 0)
            break;
        m.own = &m.parts.v[m.parts.n - 1];
        if (add_windows(&m, e) != 0 || merge(&m, e) != 0 || add_gaps(&m, e) != 0)
            rc = -1;
    }
    plan_parts_fini(&m.parts);
    free(order);
    return rc;
}

const struct window *windows_newest(const struct windows *w)
{
    const struct window *newest = NULL;

    for (size_t i = 0; i < w->list.n; i++)
        if (w->list.v[i].tli == w->latest)
            newest = &w->list.v[i];
    return newest;
}
