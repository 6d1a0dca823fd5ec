#include "repo/coverage.h"

#include <string.h>

#include "repo/expired.h"

void coverage_init(struct coverage *c, uint32_t segsize)
{
    c->segsize = segsize;
    coverage_rows_init(&c->rows, COVERAGE_ROWS_MAX);
    coverage_timelines_init(&c->timelines, COVERAGE_TIMELINES_MAX);
    coverage_holes_init(&c->holes, COVERAGE_ROWS_MAX);
    coverage_holes_init(&c->expired, COVERAGE_ROWS_MAX);
    c->why = NULL;
}

void coverage_fini(struct coverage *c)
{
    coverage_rows_fini(&c->rows);
    coverage_timelines_fini(&c->timelines);
    coverage_holes_fini(&c->holes);
    coverage_holes_fini(&c->expired);
}

/* The place of the first timeline that is not below tli. */
static size_t place_of(const struct coverage *c, tli_t tli)
{
    size_t low = 0;
    size_t high = c->timelines.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->timelines.v[middle].tli < tli)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct coverage_timeline *coverage_find(const struct coverage *c, tli_t tli)
{
    size_t at = place_of(c, tli);

    if (at == c->timelines.n || c->timelines.v[at].tli != tli)
        return NULL;
    return &c->timelines.v[at];
}

struct coverage_timeline *coverage_timeline(struct coverage *c, tli_t tli, struct err *e)
{
    size_t at = place_of(c, tli);
    struct coverage_timeline *t;

    if (at < c->timelines.n && c->timelines.v[at].tli == tli)
        return &c->timelines.v[at];
    if (coverage_timelines_add(&c->timelines, e) == NULL)
        return NULL;
    t = &c->timelines.v[at];
    memmove(t + 1, t, (c->timelines.n - 1 - at) * sizeof *t);
    *t = (struct coverage_timeline){.tli = tli};
    return t;
}

int coverage_add(struct coverage *c, const struct coverage_row *row, struct err *e)
{
    const struct coverage_row *last = c->rows.n == 0 ? NULL : &c->rows.v[c->rows.n - 1];

    if (last != NULL &&
        (row->tli < last->tli || (row->tli == last->tli && row->segno <= last->segno)))
        return err_set(e, ERR_INTERNAL, "segments do not come in order");
    if (coverage_timeline(c, row->tli, e) == NULL)
        return -1;
    return coverage_rows_push(&c->rows, *row, e);
}

uint64_t coverage_birth(const struct coverage *c, const struct coverage_timeline *t)
{
    return t->parent == 0 ? 0 : walname_segno_of(t->birth, c->segsize);
}

int coverage_branches(struct coverage *c, tli_t tli, const struct wal_branches *b, struct err *e)
{
    struct coverage_timeline *t;

    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].parent == 0 || b->v[i].parent >= (i + 1 < b->n ? b->v[i + 1].parent : tli) ||
            (i > 0 && b->v[i].end < b->v[i - 1].end))
            return err_set(e, ERR_DAMAGED, "the branches in the history of timeline %u cannot be",
                           (unsigned)tli);
    for (size_t i = 0; i < b->n; i++) {
        uint64_t need = walname_segno_of(b->v[i].end, c->segsize);

        t = coverage_timeline(c, b->v[i].parent, e);
        if (t == NULL)
            return -1;
        if (need > t->need) {
            t->need = need;
            t->needed_by = tli;
        }
        /* Its own history has the last word on where an ancestor began; this is for a lost one. */
        if (t->history != COVERAGE_HISTORY && i > 0) {
            t->parent = b->v[i - 1].parent;
            t->birth = b->v[i - 1].end;
        }
    }
    t = coverage_timeline(c, tli, e);
    if (t == NULL)
        return -1;
    t->history = COVERAGE_HISTORY;
    t->parent = b->n == 0 ? 0 : b->v[b->n - 1].parent;
    t->birth = b->n == 0 ? 0 : b->v[b->n - 1].end;
    return 0;
}

/* The place of the first of a timeline's rows whose number is not below segno. */
static size_t row_of(const struct coverage *c, const struct coverage_timeline *t, uint64_t segno)
{
    size_t low = t->row;
    size_t high = t->row + t->rows;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->rows.v[middle].segno < segno)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct coverage_row *coverage_row(const struct coverage *c, const struct coverage_timeline *t,
                                  uint64_t segno)
{
    size_t at = row_of(c, t, segno);

    if (at == t->row + t->rows || c->rows.v[at].segno != segno)
        return NULL;
    return &c->rows.v[at];
}

struct coverage_row *coverage_before_birth(const struct coverage *c,
                                           const struct coverage_timeline *t)
{
    uint64_t segno = coverage_birth(c, t);
    const struct coverage_timeline *p = t;

    if (segno == 0)
        return NULL;
    segno--;
    /* A parent may have been left in the segment in which it began: then its own parent has it. */
    do {
        p = coverage_find(c, p->parent);
    } while (p != NULL && p->parent != 0 && coverage_birth(c, p) > segno);
    return p == NULL ? NULL : coverage_row(c, p, segno);
}

/* Drops rows that vanished and tells each timeline which rows are its own. */
static void share_out(struct coverage *c)
{
    size_t kept = 0;
    size_t at = 0;

    for (size_t i = 0; i < c->rows.n; i++)
        if (c->rows.v[i].state != COVERAGE_GONE)
            c->rows.v[kept++] = c->rows.v[i];
    c->rows.n = kept;
    for (size_t i = 0; i < c->timelines.n; i++) {
        struct coverage_timeline *t = &c->timelines.v[i];

        t->row = at;
        while (at < c->rows.n && c->rows.v[at].tli == t->tli)
            at++;
        t->rows = at - t->row;
    }
}

/* What a timeline has from its ancestors: do they reach it, and the last commit before it. */
static void inherit(const struct coverage *c, struct coverage_timeline *t)
{
    const struct coverage_timeline *p = t->parent == 0 ? NULL : coverage_find(c, t->parent);
    size_t last;

    t->reaches = false;
    t->seen = COVERAGE_NO_TIME;
    if (p == NULL)
        return;
    last = row_of(c, p, coverage_birth(c, t));
    t->reaches = p->reaches || last > p->row + p->early;
    t->seen = last > p->row + p->early ? c->rows.v[last - 1].seen : p->seen;
}

static int add_hole(struct coverage *c, const struct coverage_timeline *t, uint64_t first,
                    uint64_t end, int64_t seen, struct err *e)
{
    bool own = t->rows > 0 && c->rows.v[t->row + t->rows - 1].segno >= end;
    struct coverage_hole hole = {t->tli, own ? t->tli : t->needed_by, first, end, seen};

    if (c->why == NULL)
        return coverage_holes_push(&c->holes, hole, e);
    for (; hole.first < end; hole.first = hole.end) {
        bool on_purpose = expired_segment(c->why, t->tli, hole.first, c->segsize);
        uint64_t until = expired_until(c->why, t->tli, hole.first, c->segsize);

        hole.end = until < end ? until : end;
        if (coverage_holes_push(on_purpose ? &c->expired : &c->holes, hole, e) != 0)
            return -1;
    }
    return 0;
}

static void sum_row(struct coverage_timeline *t, const struct coverage_row *r)
{
    t->stored += r->stored;
    if (r->first_time == COVERAGE_NO_TIME)
        return;
    if (t->first_time == COVERAGE_NO_TIME)
        t->first_time = r->first_time;
    t->last_time = r->last_time;
}

/* The range that is shown.  A timeline begins inside a segment, where it left its parent. */
static void set_range(const struct coverage *c, struct coverage_timeline *t)
{
    size_t last = t->row + t->rows;

    if (t->early == t->rows) { /* nothing is there */
        t->start = t->birth;
        if (t->parent == 0 && t->need > 0)
            t->start = walname_start(t->need, c->segsize);
        t->end = t->start;
        return;
    }
    t->start = walname_start(c->rows.v[t->row + t->early].segno, c->segsize);
    if (t->start < t->birth)
        t->start = t->birth;
    t->end = walname_start(c->rows.v[last - 1].segno + 1, c->segsize);
}

/* One timeline; its ancestors are done. */
static int finish_timeline(struct coverage *c, struct coverage_timeline *t, struct err *e)
{
    uint64_t birth = coverage_birth(c, t);
    uint64_t next;
    int64_t seen;

    inherit(c, t);
    t->hole = c->holes.n;
    t->expired = c->expired.n;
    t->early = row_of(c, t, birth) - t->row;
    t->stored = 0;
    t->first_time = COVERAGE_NO_TIME;
    t->last_time = COVERAGE_NO_TIME;
    seen = t->seen;
    if (t->reaches)
        next = birth;
    else if (t->early < t->rows)
        next = c->rows.v[t->row + t->early].segno;
    else
        next = t->need;
    for (size_t i = t->row; i < t->row + t->rows; i++) {
        struct coverage_row *r = &c->rows.v[i];

        sum_row(t, r);
        r->seen = seen;
        if (i < t->row + t->early)
            continue;
        if (r->segno > next && add_hole(c, t, next, r->segno, seen, e) != 0)
            return -1;
        if (r->last_time != COVERAGE_NO_TIME)
            seen = r->last_time;
        r->seen = seen;
        next = r->segno + 1;
    }
    if (t->need > next && add_hole(c, t, next, t->need, seen, e) != 0)
        return -1;
    t->holes = c->holes.n - t->hole;
    t->expireds = c->expired.n - t->expired;
    set_range(c, t);
    return 0;
}

int coverage_finish(struct coverage *c, struct err *e)
{
    c->holes.n = 0;
    c->expired.n = 0;
    share_out(c);
    for (size_t i = 0; i < c->timelines.n; i++)
        if (finish_timeline(c, &c->timelines.v[i], e) != 0)
            return -1;
    return 0;
}
