/* Which WAL the kept backups need, and which moments are lost with the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "pg/join.h"
#include "repo/plan_walk.h"
#include "repo/retention.h"

/* Segments first <= n < behind of a timeline are needed. */
struct span {
    tli_t tli;
    uint64_t first;
    uint64_t behind;
};
VEC_DECLARE(spans, struct span);

/* LSNs from <= x < to. */
struct stretch {
    lsn_t from;
    lsn_t to;
};
VEC_DECLARE(stretches, struct stretch);

/* A recovery that comes into first <= n < behind from the segment before gets to `to`. */
struct run {
    tli_t tli;
    uint64_t first;
    uint64_t behind;
    lsn_t to;
};

struct wal {
    const struct retention_input *in;
    struct retention *r;
    struct plan_parts parts; /* the way to the timeline in hand */
    struct spans needed;
    struct stretches before; /* moments on the timeline in hand that can be reached now, */
    struct stretches after;  /* and when all is done */
    struct run run[2];       /* the last ones found: now, and when all is done */
};

static uint32_t segsize(const struct wal *w)
{
    return w->in->wal->segsize;
}

static uint64_t segno_of(const struct wal *w, lsn_t lsn)
{
    return walname_segno_of(lsn, segsize(w));
}

static int need(struct wal *w, tli_t tli, uint64_t first, uint64_t behind, struct err *e)
{
    struct span one = {tli, first, behind};

    return first < behind ? spans_push(&w->needed, one, e) : 0;
}

/* Where a part of the way begins and ends, in segments.  The segment with the switch is the
 * child's; the parent's is kept beside it, since a server falls back to it. */
static uint64_t part_first(const struct wal *w, size_t i)
{
    return i == 0 ? 0 : segno_of(w, w->parts.v[i].begin);
}

static uint64_t part_behind(const struct wal *w, size_t i)
{
    return i + 1 == w->parts.n ? UINT64_MAX : segno_of(w, w->parts.v[i + 1].begin) + 1;
}

/* The segments first <= n < behind along the way in hand. */
static int need_way(struct wal *w, uint64_t first, uint64_t behind, struct err *e)
{
    for (size_t i = 0; i < w->parts.n; i++) {
        uint64_t a = part_first(w, i);
        uint64_t b = part_behind(w, i);

        if (need(w, w->parts.v[i].tli, a > first ? a : first, b < behind ? b : behind, e) != 0)
            return -1;
    }
    return 0;
}

static const struct retention_verdict *verdict(const struct wal *w, size_t i)
{
    return &w->r->verdicts.v[i];
}

static bool is_base(const struct wal *w, size_t i)
{
    const struct retention_item *item = &w->in->items.v[i];

    return item->kind == KIND_MANIFEST && item->readable && verdict(w, i)->keep;
}

/* --- wal_within --- */

/* The first segment on the way in hand that is younger; UINT64_MAX: none is.  Times go by the
 * greatest so far, so a clock that was set back makes nothing look old; what is in the future says
 * nothing. */
static uint64_t find_cut(const struct wal *w)
{
    const struct plan_segments *all = &w->in->wal->segments;
    int64_t limit = w->in->now - (int64_t)w->in->wal_within;

    for (size_t i = 0; i < w->parts.n; i++) {
        uint64_t behind = i + 1 == w->parts.n ? UINT64_MAX : segno_of(w, w->parts.v[i + 1].begin);

        for (size_t k = 0; k < all->n; k++) {
            const struct plan_segment *s = &all->v[k];

            if (s->tli != w->parts.v[i].tli || s->segno < part_first(w, i) || s->segno >= behind)
                continue;
            if (s->greatest != COVERAGE_NO_TIME && s->greatest >= limit &&
                s->greatest <= w->in->now + RETENTION_AHEAD)
                return s->segno;
        }
    }
    return UINT64_MAX;
}

/* The backup from which the oldest of the moments that count is reached: the newest that ends
 * before the cut, else the oldest of all.  The number of items: none. */
static size_t find_base(const struct wal *w, uint64_t cut)
{
    size_t n = w->in->items.n;
    size_t best = n;
    size_t oldest = n;

    for (size_t i = 0; i < n; i++) {
        const struct retention_item *item = &w->in->items.v[i];

        if (!is_base(w, i) || !item->good || !retention_leads(&w->parts, item))
            continue;
        if (oldest == n || item->start < w->in->items.v[oldest].start)
            oldest = i;
        if (walname_segno_before(item->stop, segsize(w)) < cut &&
            (best == n || item->stop > w->in->items.v[best].stop))
            best = i;
    }
    return best != n ? best : oldest;
}

/* --- what is needed --- */

/* Along the way to one timeline. */
static int need_for_way(struct wal *w, bool *has_base, struct err *e)
{
    const struct retention_items *items = &w->in->items;
    uint64_t from = UINT64_MAX;
    bool is_cut = false;

    *has_base = false;
    if (w->in->wal_within != 0) {
        size_t base = find_base(w, find_cut(w));

        is_cut = base != items->n;
        if (is_cut)
            from = segno_of(w, items->v[base].start);
    }
    for (size_t i = 0; i < items->n; i++) {
        const struct retention_item *item = &items->v[i];
        uint64_t start = segno_of(w, item->start);

        if (!is_base(w, i) || !retention_leads(&w->parts, item))
            continue;
        *has_base = true;
        if (!is_cut || item->held)
            from = start < from ? start : from;
        else if (need_way(w, start, walname_segno_before(item->stop, segsize(w)) + 1, e) != 0)
            return -1;
    }
    return need_way(w, from, UINT64_MAX, e);
}

/* Nobody can tell what leads where: all that may be needed stays. */
static int need_unknown(struct wal *w, const struct retention_item *item, struct err *e)
{
    const struct plan_lines *lines = &w->in->wal->lines;

    for (size_t i = 0; i < lines->n; i++)
        if (lines->v[i].tli >= item->start_tli &&
            need(w, lines->v[i].tli, segno_of(w, item->start), UINT64_MAX, e) != 0)
            return -1;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    if (x->tli != y->tli)
        return x->tli < y->tli ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static void join_spans(struct spans *s)
{
    size_t n = 0;

    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_place);
    for (size_t i = 0; i < s->n; i++) {
        struct span *last = n == 0 ? NULL : &s->v[n - 1];

        if (last == NULL || last->tli != s->v[i].tli || s->v[i].first > last->behind)
            s->v[n++] = s->v[i];
        else if (s->v[i].behind > last->behind)
            last->behind = s->v[i].behind;
    }
    s->n = n;
}

static int find_needed(struct wal *w, struct err *e)
{
    const struct plan_lines *lines = &w->in->wal->lines;

    for (size_t i = 0; i < lines->n; i++) {
        bool has_base = false;
        tli_t missing;
        int rc = plan_path(w->in->wal, lines->v[i].tli, &w->parts, &missing, e);

        if (rc < 0)
            return -1;
        /* Without its history nobody can tell which backups lead to it. */
        if (rc == 0 && need_for_way(w, &has_base, e) != 0)
            return -1;
        if ((rc > 0 || (i + 1 == lines->n && !has_base)) &&
            need(w, lines->v[i].tli, 0, UINT64_MAX, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < w->in->items.n; i++) {
        const struct retention_item *item = &w->in->items.v[i];
        tli_t missing;
        int rc = 1;

        if (item->kind != KIND_MANIFEST || !verdict(w, i)->keep)
            continue;
        if (item->readable) {
            rc = plan_path(w->in->wal, item->stop_tli, &w->parts, &missing, e);
            if (rc < 0)
                return -1;
            rc = rc > 0 || !retention_leads(&w->parts, item);
        }
        if (rc > 0 && need_unknown(w, item, e) != 0)
            return -1;
    }
    join_spans(&w->needed);
    return 0;
}

/* --- what goes --- */

static bool is_needed(const struct wal *w, tli_t tli, uint64_t segno)
{
    size_t low = 0;
    size_t high = w->needed.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct span *s = &w->needed.v[middle];

        if (s->tli < tli || (s->tli == tli && s->behind <= segno))
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->needed.n && w->needed.v[low].tli == tli && w->needed.v[low].first <= segno;
}

/* Does any needed segment lie between?  Also one that is not there: it may still come. */
static bool needs_between(const struct wal *w, tli_t tli, uint64_t first, uint64_t behind)
{
    for (size_t i = 0; i < w->needed.n; i++) {
        const struct span *s = &w->needed.v[i];

        if (s->tli == tli && s->first < behind && s->behind > first)
            return true;
    }
    return false;
}

/* Have all copies that must have it got this segment? */
static bool is_copied(const struct wal *w, const struct plan_segment *s)
{
    for (size_t i = 0; i < w->in->n_copies; i++)
        if (!copied_has_wal(&w->in->copies[i], w->in->place, s->tli,
                            walname_start(s->segno, segsize(w)),
                            walname_start(s->segno + 1, segsize(w))))
            return false;
    return true;
}

static int find_ranges(struct wal *w, struct err *e)
{
    const struct plan_segments *all = &w->in->wal->segments;
    struct retention_ranges *ranges = &w->r->ranges;
    bool cut = false; /* something stays between the last range and here */

    for (size_t i = 0; i < all->n; i++) {
        const struct plan_segment *s = &all->v[i];
        struct retention_range *last = ranges->n == 0 ? NULL : &ranges->v[ranges->n - 1];

        if (is_needed(w, s->tli, s->segno))
            continue;
        if (!is_copied(w, s)) {
            cut = true;
            continue;
        }
        if (cut || last == NULL || last->tli != s->tli ||
            needs_between(w, s->tli, last->behind, s->segno)) {
            last = retention_ranges_add(ranges, e);
            if (last == NULL)
                return -1;
            last->tli = s->tli;
            last->first = s->segno;
            cut = false;
        }
        last->behind = s->segno + 1;
        last->segments++;
        last->bytes += s->stored;
        /* Where a timeline was left a .partial may lie behind its last segment. */
        if ((i + 1 == all->n || all->v[i + 1].tli != s->tli) && !is_needed(w, s->tli, last->behind))
            last->behind++;
    }
    return 0;
}

bool retention_takes(const struct retention *r, tli_t tli, uint64_t segno)
{
    size_t low = 0;
    size_t high = r->ranges.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct retention_range *s = &r->ranges.v[middle];

        if (s->tli < tli || (s->tli == tli && s->behind <= segno))
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->ranges.n && r->ranges.v[low].tli == tli && r->ranges.v[low].first <= segno;
}

/* --- moments --- */

/* How far a recovery gets inside one segment; *over: not beyond it.  start: where it begins in
 * there; 0: it came from the segment before, and got as far as `came`. */
static lsn_t read_segment(const struct wal *w, uint64_t segno, lsn_t start, lsn_t came, bool later,
                          bool *over)
{
    const struct plan_part *part = plan_owner(w->in->wal, &w->parts, segno);
    const struct plan_segment *s = plan_segment(w->in->wal, part->tli, segno);

    *over = true;
    if (s == NULL || s->state == COVERAGE_LOST || s->state == COVERAGE_GONE ||
        (later && retention_takes(w->r, s->tli, s->segno)))
        return came;
    if (start == 0 && (s->join == JOIN_FOREIGN || s->join == JOIN_PREV || s->join == JOIN_LENGTH ||
                       s->join == JOIN_CRC))
        return came;
    if (s->damage != 0 && (s->minimal == 0 || s->damage < s->minimal))
        return s->damage;
    if (s->minimal != 0 && s->minimal_to >= start)
        return s->minimal >= start ? s->minimal : s->minimal_to;
    *over = false;
    if (s->tail != 0)
        return s->tail; /* that record is whole with the next segment only */
    return s->end != 0 ? s->end : walname_start(segno + 1, segsize(w));
}

/* How far a recovery gets along the way in hand from an LSN on; `later`: without what goes. */
static lsn_t reach(struct wal *w, lsn_t start, bool later)
{
    struct run *run = &w->run[later];
    tli_t tli = w->parts.v[w->parts.n - 1].tli;
    uint64_t segno = segno_of(w, start);
    bool over;
    lsn_t to = read_segment(w, segno++, start, 0, later, &over);

    if (over)
        return to;
    if (run->tli == tli && segno >= run->first && segno < run->behind)
        return run->to;
    run->tli = tli;
    run->first = run->behind = segno;
    for (run->to = to; !over; run->behind++)
        run->to = read_segment(w, run->behind, 0, run->to, later, &over);
    run->behind -= run->behind > run->first ? 1 : 0; /* the one that ends it may add nothing */
    return run->to;
}

/* What can be reached of the timeline in hand from one backup. */
static int take_stretch(struct wal *w, struct stretches *out, const struct retention_item *item,
                        bool later, struct err *e)
{
    lsn_t begin = w->parts.v[w->parts.n - 1].begin;
    lsn_t to = reach(w, item->start, later);
    struct stretch one = {item->stop, to + 1};

    if (to < item->stop) {
        if (!item->inside)
            return 0;
        /* What lacks up to its end comes with the backup. */
        to = reach(w, item->stop, later);
        one.to = (to < item->stop ? item->stop : to) + 1;
    }
    if (one.from < begin)
        one.from = begin;
    return one.from < one.to ? stretches_push(out, one, e) : 0;
}

static int stretch_order(const void *a, const void *b)
{
    const struct stretch *x = a;
    const struct stretch *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static void join_stretches(struct stretches *s)
{
    size_t n = 0;

    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, stretch_order);
    for (size_t i = 0; i < s->n; i++) {
        if (n == 0 || s->v[i].from > s->v[n - 1].to)
            s->v[n++] = s->v[i];
        else if (s->v[i].to > s->v[n - 1].to)
            s->v[n - 1].to = s->v[i].to;
    }
    s->n = n;
}

/* The last commit before an LSN of the way in hand, or the end of a backup that ends there. */
static int64_t time_at(const struct wal *w, lsn_t lsn)
{
    const struct plan_segments *all = &w->in->wal->segments;
    int64_t time = COVERAGE_NO_TIME;
    uint64_t best = 0;

    for (size_t i = 0; i < w->in->items.n; i++)
        if (w->in->items.v[i].kind == KIND_MANIFEST && w->in->items.v[i].readable &&
            w->in->items.v[i].stop == lsn)
            return verdict(w, i)->time;
    for (size_t i = 0; i < all->n; i++) {
        const struct plan_segment *s = &all->v[i];

        if (s->last_commit != COVERAGE_NO_TIME && s->end <= lsn && s->segno >= best &&
            plan_owner(w->in->wal, &w->parts, s->segno)->tli == s->tli) {
            best = s->segno;
            time = s->last_commit;
        }
    }
    return time;
}

static int lose(struct wal *w, lsn_t from, lsn_t to, struct err *e)
{
    struct retention_loss *loss = retention_losses_add(&w->r->losses, e);

    if (loss == NULL)
        return -1;
    loss->tli = w->parts.v[w->parts.n - 1].tli;
    loss->from = from;
    loss->to = to;
    loss->from_time = time_at(w, from);
    loss->to_time = time_at(w, to);
    return 0;
}

/* What is in `before` and not in `after`; both are joined and sorted. */
static int subtract(struct wal *w, struct err *e)
{
    size_t k = 0;

    for (size_t i = 0; i < w->before.n; i++) {
        lsn_t from = w->before.v[i].from;
        lsn_t to = w->before.v[i].to;
        lsn_t past = 0; /* stretches end behind the last LSN that is reached */

        while (k < w->after.n && w->after.v[k].to <= from)
            k++;
        for (size_t at = k; at < w->after.n && w->after.v[at].from < to; at++) {
            if (w->after.v[at].from > from && lose(w, from - past, w->after.v[at].from, e) != 0)
                return -1;
            from = w->after.v[at].to;
            past = 1;
        }
        if (from < to && lose(w, from - past, to - 1, e) != 0)
            return -1;
    }
    return 0;
}

static int find_losses(struct wal *w, struct err *e)
{
    const struct plan_lines *lines = &w->in->wal->lines;

    for (size_t i = 0; i < lines->n; i++) {
        tli_t missing;
        int rc = plan_path(w->in->wal, lines->v[i].tli, &w->parts, &missing, e);

        if (rc < 0)
            return -1;
        w->before.n = w->after.n = 0;
        for (size_t k = 0; rc == 0 && k < w->in->items.n; k++) {
            const struct retention_item *item = &w->in->items.v[k];

            if (item->kind != KIND_MANIFEST || !item->readable || !item->good || item->removed ||
                !retention_leads(&w->parts, item))
                continue;
            if (take_stretch(w, &w->before, item, false, e) != 0 ||
                (verdict(w, k)->keep && take_stretch(w, &w->after, item, true, e) != 0))
                return -1;
        }
        join_stretches(&w->before);
        join_stretches(&w->after);
        if (subtract(w, e) != 0)
            return -1;
    }
    return 0;
}

/* --- all --- */

static bool is_ruled(const struct settings_keep *keep)
{
    static const struct settings_rule all;

    for (unsigned i = 0; i < keep->n; i++)
        if (memcmp(&keep->named[i].rule, &all, sizeof all) != 0)
            return true;
    return memcmp(&keep->rule, &all, sizeof all) != 0;
}

/* Why no WAL may go; NULL: it may. */
static const char *hindrance(const struct wal *w)
{
    bool any = false;

    if (!is_ruled(&w->in->keep_backups) && w->in->wal_within == 0)
        return "no rule is set: neither keep_backups nor wal_within";
    for (size_t i = 0; i < w->in->items.n; i++)
        any = any || (is_base(w, i) && w->in->items.v[i].good);
    if (!any)
        return "no good backup needs any, and WAL alone restores nothing: take a backup first";
    if (w->in->intents > 0)
        return "a backup is running, and it may need WAL from before it was seen; the next run "
               "goes on";
    return NULL;
}

int retention_wal(struct retention *r, const struct retention_input *in, struct err *e)
{
    struct wal w = {.in = in, .r = r};
    const char *why = NULL;
    char age[TEXT_SIZE_MAX];
    int rc = -1;

    plan_parts_init(&w.parts, COVERAGE_TIMELINES_MAX);
    spans_init(&w.needed, COVERAGE_ROWS_MAX);
    stretches_init(&w.before, RETENTION_ITEMS_MAX);
    stretches_init(&w.after, RETENTION_ITEMS_MAX);
    why = hindrance(&w);
    if (why == NULL && (find_needed(&w, e) != 0 || find_ranges(&w, e) != 0))
        goto out;
    text_duration(age, in->wal_within);
    if (why != NULL)
        (void)snprintf(r->wal, sizeof r->wal, "no WAL goes: %s", why);
    else if (in->wal_within != 0)
        (void)snprintf(r->wal, sizeof r->wal,
                       "WAL stays for the moments of the last %s, and where a kept backup needs it "
                       "to be consistent",
                       age);
    else
        (void)snprintf(r->wal, sizeof r->wal,
                       "WAL stays from the start of each kept backup on, along every timeline");
    rc = find_losses(&w, e);
out:
    plan_parts_fini(&w.parts);
    spans_fini(&w.needed);
    stretches_fini(&w.before);
    stretches_fini(&w.after);
    return rc;
}
