/* Items of segments become transactions. */
#include "repo/find.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "pg/facts.h"

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

enum { STATE_MAX = 1 << 20 };

void find_state_init(struct find_state *s)
{
    find_opens_init(&s->opens, STATE_MAX);
    find_counts_init(&s->counts, STATE_MAX);
    find_notes_init(&s->notes, STATE_MAX);
}

void find_state_fini(struct find_state *s)
{
    find_opens_fini(&s->opens);
    find_counts_fini(&s->counts);
    find_notes_fini(&s->notes);
}

int find_state_copy(struct find_state *to, const struct find_state *from, struct err *e)
{
    find_state_fini(to);
    for (size_t i = 0; i < from->opens.n; i++)
        if (find_opens_push(&to->opens, from->opens.v[i], e) != 0)
            return -1;
    for (size_t i = 0; i < from->counts.n; i++)
        if (find_counts_push(&to->counts, from->counts.v[i], e) != 0)
            return -1;
    for (size_t i = 0; i < from->notes.n; i++)
        if (find_notes_push(&to->notes, from->notes.v[i], e) != 0)
            return -1;
    return 0;
}

void find_init(struct find *f, const struct plan_lines *lines)
{
    memset(f, 0, sizeof *f);
    f->lines = lines;
    find_numbers_init(&f->pool, (size_t)FIND_MAX * 16);
    find_events_init(&f->events, FIND_MAX);
    find_changes_init(&f->changes, FIND_MAX);
    find_bases_init(&f->bases, FIND_MAX);
    find_points_init(&f->points, FIND_MAX);
    find_endeds_init(&f->ends, FIND_MAX);
    find_places_init(&f->told, FIND_MAX);
    find_maps_init(&f->maps, lines);
    find_state_init(&f->state);
}

void find_fini(struct find *f)
{
    find_numbers_fini(&f->pool);
    find_events_fini(&f->events);
    find_changes_fini(&f->changes);
    find_bases_fini(&f->bases);
    find_points_fini(&f->points);
    find_endeds_fini(&f->ends);
    find_places_fini(&f->told);
    find_maps_fini(&f->maps);
    find_state_fini(&f->state);
}

/* --- timelines --- */

static const struct plan_line *line_of(const struct plan_lines *lines, tli_t tli)
{
    for (size_t i = 0; i < lines->n; i++)
        if (lines->v[i].tli == tli)
            return &lines->v[i];
    return NULL;
}

tli_t find_owner(const struct plan_lines *lines, tli_t tli, lsn_t lsn)
{
    const struct plan_line *line = line_of(lines, tli);

    while (line != NULL && line->parent != 0 && line->parent < line->tli && lsn < line->birth) {
        tli = line->parent;
        line = line_of(lines, tli);
    }
    return tli;
}

bool find_leads_to(const struct plan_lines *lines, tli_t a, lsn_t lsn, tli_t b)
{
    return b >= a && find_owner(lines, b, lsn) == a;
}

/* --- lists --- */

static int keep_list(struct find *f, const struct meta_list *from, struct find_list *to,
                     struct err *e)
{
    *to = (struct find_list){(uint32_t)f->pool.n, from->n, from->total};
    for (uint32_t i = 0; i < from->n; i++)
        if (find_numbers_push(&f->pool, from->v[i], e) != 0)
            return -1;
    return 0;
}

static bool list_has(const struct find *f, const struct find_list *l, uint32_t x)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (f->pool.v[l->at + i] == x)
            return true;
    return false;
}

/* --- items --- */

void find_begin(struct find *f, const struct find_segment *s)
{
    f->segment = *s;
    f->ends.n = 0;
    f->running = (struct meta_running){0};
    f->first_event = f->events.n;
    f->first_change = f->changes.n;
    if ((s->lost &
         (FACTS_LOST_EVENTS | FACTS_LOST_CHANGES | FACTS_LOST_OUTCOMES | FACTS_LOST_OPEN)) != 0)
        f->lost++;
}

static int take_event(struct find *f, const struct meta_event *m, struct err *e)
{
    struct find_event *ev = find_events_add(&f->events, e);
    struct meta_list nodes = {.total = m->dropped.total};

    if (ev == NULL)
        return -1;
    ev->lsn = m->lsn;
    ev->lock = m->lock;
    ev->time = m->time + EPOCH_2000;
    ev->volume = m->volume;
    ev->tli = find_owner(f->lines, f->segment.tli, m->lsn);
    ev->xid = m->xid;
    ev->db = m->db;
    ev->has_stats = f->segment.has_stats;
    ev->incomplete = (m->flags & META_APPROXIMATE) != 0 || m->dropped.n < m->dropped.total ||
                     m->stats.n < m->stats.total || m->invals.n < m->invals.total;
    for (uint32_t i = 0; i < m->dropped.n; i++)
        if (m->dropped.v[i].db == m->db)
            nodes.v[nodes.n++] = m->dropped.v[i].rel;
    if (keep_list(f, &nodes, &ev->dropped, e) != 0 ||
        keep_list(f, &m->created, &ev->created, e) != 0 ||
        keep_list(f, &m->stats, &ev->stats, e) != 0 ||
        keep_list(f, &m->invals, &ev->invals, e) != 0 ||
        keep_list(f, &m->locked, &ev->locked, e) != 0)
        return -1;
    return keep_list(f, &m->truncated, &ev->truncated, e);
}

static int take_change(struct find *f, const struct meta_change *m, struct err *e)
{
    bool lost = (f->segment.lost & FACTS_LOST_COUNTS) != 0;

    return find_changes_push(
        &f->changes,
        (struct find_change){.lsn = m->lsn,
                             .time = m->time + EPOCH_2000,
                             .tli = find_owner(f->lines, f->segment.tli, m->lsn),
                             .xid = m->xid,
                             .rel = m->rel,
                             .deletes = m->deletes,
                             .updates = m->updates,
                             .at_least = lost || (m->flags & META_APPROXIMATE) != 0},
        e);
}

static int take_base(struct find *f, const struct meta_database *m, struct err *e)
{
    if ((m->flags & META_CREATED) != 0)
        return 0;
    return find_bases_push(&f->bases,
                           (struct find_base){.lsn = m->lsn,
                                              .time = COVERAGE_NO_TIME,
                                              .tli = find_owner(f->lines, f->segment.tli, m->lsn),
                                              .xid = m->xid,
                                              .db = m->db},
                           e);
}

static int take_point(struct find *f, const struct meta_restore_point *m, struct err *e)
{
    struct find_point *p = find_points_add(&f->points, e);

    if (p == NULL)
        return -1;
    p->lsn = m->lsn;
    p->time = m->time + EPOCH_2000;
    p->tli = find_owner(f->lines, f->segment.tli, m->lsn);
    (void)memcpy(p->name, m->name, sizeof p->name);
    return 0;
}

static int take_outcome(struct find *f, const struct meta_outcome *m, struct err *e)
{
    struct find_ended *x = find_endeds_add(&f->ends, e);

    if (x == NULL)
        return -1;
    x->lsn = m->lsn;
    x->time = m->time + EPOCH_2000;
    x->xid = m->xid;
    x->aborted = (m->flags & META_ABORTED) != 0;
    return keep_list(f, &m->subs, &x->subs, e);
}

static struct find_open *open_of(struct find *f, uint32_t xid, struct err *e)
{
    struct find_open *o;

    for (size_t i = 0; i < f->state.opens.n; i++)
        if (f->state.opens.v[i].xid == xid)
            return &f->state.opens.v[i];
    o = find_opens_add(&f->state.opens, e);
    if (o != NULL)
        o->xid = xid;
    return o;
}

static int add_count(struct find *f, uint32_t xid, const struct meta_count *c, struct err *e)
{
    struct find_counts *all = &f->state.counts;
    struct find_count *n;

    for (size_t i = 0; i < all->n; i++) {
        n = &all->v[i];
        if (n->xid == xid && n->rel.rel == c->rel.rel && n->rel.db == c->rel.db) {
            n->deletes += c->deletes;
            n->updates += c->updates;
            return 0;
        }
    }
    return find_counts_push(all, (struct find_count){xid, c->rel, c->deletes, c->updates}, e);
}

static int add_notes(struct find *f, uint32_t xid, enum find_note_kind kind,
                     const struct meta_list *l, struct err *e)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (find_notes_push(&f->state.notes, (struct find_note){xid, l->v[i], (uint8_t)kind}, e) !=
            0)
            return -1;
    return 0;
}

static int take_open(struct find *f, const struct meta_open *m, struct err *e)
{
    struct find_open *o = open_of(f, m->xid, e);

    if (o == NULL)
        return -1;
    o->seen = f->segment.segno;
    o->top = m->top != 0 ? m->top : o->top;
    if (o->lock == 0)
        o->lock = m->lock;
    o->volume += m->volume;
    o->approximate = o->approximate || (m->flags & META_APPROXIMATE) != 0 ||
                     m->counts_n < m->counts_total || (f->segment.lost & FACTS_LOST_COUNTS) != 0;
    for (uint32_t i = 0; i < m->counts_n; i++)
        if (add_count(f, m->xid, &m->counts[i], e) != 0)
            return -1;
    if (add_notes(f, m->xid, FIND_MADE, &m->created, e) != 0 ||
        add_notes(f, m->xid, FIND_LOCKED, &m->locked, e) != 0)
        return -1;
    return add_notes(f, m->xid, FIND_TRUNCATED, &m->truncated, e);
}

int find_item(struct find *f, const struct meta_item *item, struct err *e)
{
    switch (item->tag) {
    case META_RESTORE_POINT:
        return take_point(f, &item->u.restore_point, e);
    case META_EVENT:
        return take_event(f, &item->u.event, e);
    case META_CHANGE:
        return take_change(f, &item->u.change, e);
    case META_DATABASE:
        return take_base(f, &item->u.database, e);
    case META_OUTCOME:
        return take_outcome(f, &item->u.outcome, e);
    case META_OPEN:
        return take_open(f, &item->u.open, e);
    case META_RUNNING:
        f->running = item->u.running;
        return 0;
    case META_HEAD:
    case META_TAIL:
    case META_TABLESPACE:
        break;
    }
    return 0;
}

void find_gap(struct find *f)
{
    for (size_t i = 0; i < f->state.opens.n; i++)
        f->state.opens.v[i].approximate = true;
}

/* --- the end of a segment: who has ended, and with what behind it? --- */

static bool belongs(const struct find *f, const struct find_open *o, const struct find_ended *x)
{
    return o->xid == x->xid || o->top == x->xid || list_has(f, &x->subs, o->xid);
}

/* The kinds of notes become lists of the event. */
static int merge_notes(struct find *f, struct find_list *into, uint32_t xid,
                       enum find_note_kind kind, struct err *e)
{
    struct find_list merged = {(uint32_t)f->pool.n, into->n, into->total};

    /* A new list at the end of the pool: the old one cannot grow where it is. */
    for (uint32_t i = 0; i < into->n; i++)
        if (find_numbers_push(&f->pool, f->pool.v[into->at + i], e) != 0)
            return -1;
    for (size_t i = 0; i < f->state.notes.n; i++) {
        const struct find_note *n = &f->state.notes.v[i];

        if (n->xid != xid || n->kind != (uint8_t)kind || list_has(f, &merged, n->value))
            continue;
        if (find_numbers_push(&f->pool, n->value, e) != 0)
            return -1;
        merged.n++;
        merged.total++;
    }
    *into = merged;
    return 0;
}

static int into_event(struct find *f, const struct find_open *o, uint32_t xid, struct err *e)
{
    for (size_t i = f->first_event; i < f->events.n; i++) {
        struct find_event *ev = &f->events.v[i];

        if (ev->xid != xid)
            continue;
        if (o->lock != 0 && (ev->lock == 0 || o->lock < ev->lock))
            ev->lock = o->lock;
        ev->volume += o->volume;
        if (merge_notes(f, &ev->created, o->xid, FIND_MADE, e) != 0 ||
            merge_notes(f, &ev->locked, o->xid, FIND_LOCKED, e) != 0 ||
            merge_notes(f, &ev->truncated, o->xid, FIND_TRUNCATED, e) != 0)
            return -1;
    }
    return 0;
}

static int into_changes(struct find *f, const struct find_open *o, const struct find_ended *x,
                        struct err *e)
{
    for (size_t i = 0; i < f->state.counts.n; i++) {
        const struct find_count *n = &f->state.counts.v[i];
        struct find_change *c = NULL;

        if (n->xid != o->xid)
            continue;
        for (size_t k = f->first_change; k < f->changes.n && c == NULL; k++)
            if (f->changes.v[k].xid == x->xid && f->changes.v[k].rel.rel == n->rel.rel &&
                f->changes.v[k].rel.db == n->rel.db)
                c = &f->changes.v[k];
        if (c == NULL) {
            c = find_changes_add(&f->changes, e);
            if (c == NULL)
                return -1;
            c->lsn = x->lsn;
            c->time = x->time;
            c->tli = find_owner(f->lines, f->segment.tli, x->lsn);
            c->xid = x->xid;
            c->rel = n->rel;
        }
        c->deletes += n->deletes;
        c->updates += n->updates;
        /* What it did in a segment where that was little is told nowhere. */
        c->at_least = true;
    }
    return 0;
}

/* Forgets what `keep` is false for. */
static void forget(struct find *f, uint32_t xid)
{
    struct find_state *s = &f->state;
    size_t n = 0;

    for (size_t i = 0; i < s->opens.n; i++)
        if (s->opens.v[i].xid != xid)
            s->opens.v[n++] = s->opens.v[i];
    s->opens.n = n;
    n = 0;
    for (size_t i = 0; i < s->counts.n; i++)
        if (s->counts.v[i].xid != xid)
            s->counts.v[n++] = s->counts.v[i];
    s->counts.n = n;
    n = 0;
    for (size_t i = 0; i < s->notes.n; i++)
        if (s->notes.v[i].xid != xid)
            s->notes.v[n++] = s->notes.v[i];
    s->notes.n = n;
}

static int settle(struct find *f, const struct find_ended *x, struct err *e)
{
    for (size_t i = 0; i < f->bases.n; i++) {
        struct find_base *b = &f->bases.v[i];

        if (b->end != 0 || b->xid != x->xid || x->lsn < b->lsn)
            continue;
        b->end = x->lsn;
        b->time = x->time;
        b->aborted = x->aborted;
    }
    for (size_t i = 0; i < f->state.opens.n;) {
        struct find_open o = f->state.opens.v[i];

        if (!belongs(f, &o, x)) {
            i++;
            continue;
        }
        if (!x->aborted && (into_event(f, &o, x->xid, e) != 0 || into_changes(f, &o, x, e) != 0))
            return -1;
        forget(f, o.xid);
    }
    return 0;
}

static bool precedes(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static bool is_told(const struct find *f, tli_t tli, lsn_t lsn)
{
    for (size_t i = 0; i < f->told.n; i++)
        if (f->told.v[i].tli == tli && f->told.v[i].lsn == lsn)
            return true;
    return false;
}

/* What the file of this timeline repeats, and was judged. */
static void drop_told(struct find *f)
{
    size_t n = f->first_event;

    if (f->told.n == 0)
        return;
    for (size_t i = n; i < f->events.n; i++)
        if (f->events.v[i].tli == f->segment.tli ||
            !is_told(f, f->events.v[i].tli, f->events.v[i].lsn))
            f->events.v[n++] = f->events.v[i];
    f->events.n = n;
    n = f->first_change;
    for (size_t i = n; i < f->changes.n; i++)
        if (f->changes.v[i].tli == f->segment.tli ||
            !is_told(f, f->changes.v[i].tli, f->changes.v[i].lsn))
            f->changes.v[n++] = f->changes.v[i];
    f->changes.n = n;
}

int find_end(struct find *f, struct err *e)
{
    for (size_t i = 0; i < f->ends.n; i++)
        if (settle(f, &f->ends.v[i], e) != 0)
            return -1;
    /* Where outcomes were lost, an event is one. */
    for (size_t i = f->first_event; f->state.opens.n > 0 && i < f->events.n; i++) {
        struct find_ended x = {
            .lsn = f->events.v[i].lsn, .time = f->events.v[i].time, .xid = f->events.v[i].xid};

        if (x.xid != 0 && settle(f, &x, e) != 0)
            return -1;
    }
    /* What is older than the oldest that runs, and was not told of here, has ended in a crash. */
    for (size_t i = 0; f->running.lsn != 0 && i < f->state.opens.n;) {
        const struct find_open *o = &f->state.opens.v[i];

        if (o->seen != f->segment.segno && precedes(o->xid, f->running.oldest))
            forget(f, o->xid);
        else
            i++;
    }
    drop_told(f);
    return 0;
}

/* --- forgetting --- */

size_t find_pending(const struct find *f)
{
    return f->events.n * sizeof f->events.v[0] + f->changes.n * sizeof f->changes.v[0] +
           f->pool.n * sizeof f->pool.v[0];
}

/* Does a timeline leave the other in the segment of this place? */
static bool is_at_branch(const struct find *f, tli_t tli, lsn_t lsn, uint32_t segsize)
{
    for (size_t i = 0; i < f->lines->n; i++)
        if (f->lines->v[i].tli > tli && f->lines->v[i].birth / segsize == lsn / segsize)
            return true;
    return false;
}

static int keep_told(struct find *f, tli_t tli, lsn_t lsn, uint32_t segsize, struct err *e)
{
    if (!is_at_branch(f, tli, lsn, segsize) || is_told(f, tli, lsn))
        return 0;
    return find_places_push(&f->told, (struct find_place){lsn, tli}, e);
}

int find_forget(struct find *f, uint32_t segsize, struct err *e)
{
    for (size_t i = 0; i < f->events.n; i++)
        if (keep_told(f, f->events.v[i].tli, f->events.v[i].lsn, segsize, e) != 0)
            return -1;
    for (size_t i = 0; i < f->changes.n; i++)
        if (keep_told(f, f->changes.v[i].tli, f->changes.v[i].lsn, segsize, e) != 0)
            return -1;
    find_events_fini(&f->events);
    find_changes_fini(&f->changes);
    find_numbers_fini(&f->pool);
    f->ends.n = 0;
    find_maps_forget(&f->maps);
    return 0;
}

/* --- all of it in order --- */

#define ORDER(type, name, extra)                                                                   \
    static int name(const void *a, const void *b)                                                  \
    {                                                                                              \
        const struct type *x = a;                                                                  \
        const struct type *y = b;                                                                  \
                                                                                                   \
        if (x->tli != y->tli)                                                                      \
            return x->tli < y->tli ? -1 : 1;                                                       \
        if (x->lsn != y->lsn)                                                                      \
            return x->lsn < y->lsn ? -1 : 1;                                                       \
        return extra;                                                                              \
    }

ORDER(find_event, by_event, (int)x->incomplete - (int)y->incomplete)
ORDER(find_change, by_change,
      x->rel.rel != y->rel.rel ? (x->rel.rel < y->rel.rel ? -1 : 1)
                               : (int)x->at_least - (int)y->at_least)
ORDER(find_base, by_base, (x->end == 0) - (y->end == 0))
ORDER(find_point, by_point, 0)

/* The file of a new timeline repeats what the old one's told. */
#define UNIQUE(vec, same)                                                                          \
    do {                                                                                           \
        size_t n = 0;                                                                              \
                                                                                                   \
        for (size_t i = 0; i < (vec).n; i++) {                                                     \
            if (n > 0 && (vec).v[n - 1].tli == (vec).v[i].tli &&                                   \
                (vec).v[n - 1].lsn == (vec).v[i].lsn && (same))                                    \
                continue;                                                                          \
            (vec).v[n++] = (vec).v[i];                                                             \
        }                                                                                          \
        (vec).n = n;                                                                               \
    } while (0)

void find_finish(struct find *f)
{
    if (f->events.n > 0)
        qsort(f->events.v, f->events.n, sizeof f->events.v[0], by_event);
    if (f->changes.n > 0)
        qsort(f->changes.v, f->changes.n, sizeof f->changes.v[0], by_change);
    if (f->bases.n > 0)
        qsort(f->bases.v, f->bases.n, sizeof f->bases.v[0], by_base);
    if (f->points.n > 0)
        qsort(f->points.v, f->points.n, sizeof f->points.v[0], by_point);
    UNIQUE(f->events, true);
    UNIQUE(f->changes, f->changes.v[n - 1].rel.rel == f->changes.v[i].rel.rel);
    UNIQUE(f->bases, true);
    UNIQUE(f->points, true);
}

static int add_all(const struct find *f, const struct find_list *l, struct find_numbers *out,
                   struct err *e)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (find_numbers_push(out, f->pool.v[l->at + i], e) != 0)
            return -1;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

int find_wanted(const struct find *f, struct find_numbers *out, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < f->events.n; i++) {
        const struct find_event *ev = &f->events.v[i];

        if (add_all(f, &ev->dropped, out, e) != 0 || add_all(f, &ev->stats, out, e) != 0 ||
            add_all(f, &ev->invals, out, e) != 0 || add_all(f, &ev->truncated, out, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < f->changes.n; i++)
        if (find_numbers_push(out, f->changes.v[i].rel.rel, e) != 0)
            return -1;
    if (out->n == 0)
        return 0;
    qsort(out->v, out->n, sizeof out->v[0], by_number);
    for (size_t i = 0; i < out->n; i++)
        if (n == 0 || out->v[n - 1] != out->v[i])
            out->v[n++] = out->v[i];
    out->n = n;
    return 0;
}
