#include "repo/find_choose.h"

#include <string.h>

#include "repo/find.h"
#include "repo/inventory_peek.h"

/* Servers list what runs every 15 s: where none is found among so many, no key opens them. */
enum { LISTS_AMONG = 1024 };

struct choice {
    bool *want;
    const struct find_bounds *b;
    struct inventory *v;
    struct repo *repo;
    struct object_reader *scratch;
};

bool find_is_bounded(const struct find_bounds *b)
{
    return b->since != COVERAGE_NO_TIME || b->until != COVERAGE_NO_TIME || b->xid != 0;
}

/* Did transaction a begin before b?  Numbers go round. */
static bool precedes(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* --- by time --- */

/* May it hold what its ends do not date: a commit that comes over from the segment before, or a
 * restore point? */
static bool is_loose(const struct plan_segment *s)
{
    return (s->flags & FACTS_HEAD_ENDS) != 0 || s->named;
}

/* Of one timeline: segments first <= i < end. */
static void choose_times(const struct choice *c, size_t first, size_t end)
{
    const struct plan_segment *s = c->v->in.segments.v;
    int64_t before = INT64_MIN;
    int64_t behind = INT64_MAX;

    for (size_t i = first; i < end; i++) {
        bool wanted = is_loose(&s[i]) && before <= c->b->until;

        if (s[i].ends > 0) {
            wanted = wanted || s[i].least <= c->b->until;
            before = s[i].last_time;
        }
        c->want[i] = wanted;
    }
    for (size_t i = end; i > first; i--) {
        bool wanted = is_loose(&s[i - 1]) && behind >= c->b->since;

        if (s[i - 1].ends > 0) {
            wanted = wanted || s[i - 1].greatest >= c->b->since;
            behind = s[i - 1].least;
        }
        c->want[i - 1] = c->want[i - 1] && wanted;
    }
}

/* --- by transaction --- */

static int peek(const struct choice *c, size_t i, struct err *e)
{
    return inventory_peek(c->v, c->repo, i, i + 1, NULL, c->scratch, e);
}

/* The next segment that has a list, from *at up to before `end`. */
static int next_list(const struct choice *c, size_t *at, size_t end, struct err *e)
{
    for (; *at < end; (*at)++) {
        if (peek(c, *at, e) != 0)
            return -1;
        if (c->v->in.segments.v[*at].has_run)
            return 0;
    }
    return 0;
}

/* Its own list, or of two neighbours the later one's, says that the transaction had begun (`over`:
 * that it had ended) by then. */
static bool is_past(const struct choice *c, size_t i, bool over)
{
    const struct plan_segment *s = &c->v->in.segments.v[i];

    return precedes(c->b->xid, over ? s->oldest : s->next);
}

/* The first segment of first <= i < end with such a list; end: none has. */
static int first_past(const struct choice *c, size_t first, size_t end, bool over, size_t *found,
                      struct err *e)
{
    size_t low = first;
    size_t high = end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t at = middle;

        if (next_list(c, &at, high, e) != 0)
            return -1;
        if (at == high || is_past(c, at, over))
            high = middle;
        else
            low = at + 1;
    }
    *found = low;
    return next_list(c, found, end, e);
}

static int choose_xid(const struct choice *c, size_t first, size_t end, struct err *e)
{
    size_t begun;
    size_t over;
    size_t from;

    if (first_past(c, first, end, false, &begun, e) != 0 ||
        first_past(c, begun, end, true, &over, e) != 0)
        return -1;
    /* Behind the last list that does not know it, which is in an earlier segment. */
    for (from = begun; from > first;) {
        if (peek(c, --from, e) != 0)
            return -1;
        if (c->v->in.segments.v[from].has_run)
            break;
    }
    for (size_t i = first; i < end; i++)
        c->want[i] = c->want[i] && i >= from && i <= over;
    return 0;
}

/* --- what else must be known --- */

static lsn_t start_of(const struct choice *c, size_t i)
{
    return walname_start(c->v->in.segments.v[i].segno, c->v->in.segsize);
}

/* Is there a map before this place, on the way to it? */
static bool has_map_before(const struct choice *c, tli_t tli, lsn_t lsn)
{
    const struct plan_backups *b = &c->v->in.backups;

    for (size_t i = 0; i < b->n; i++)
        if (!b->v[i].damaged && b->v[i].stop <= lsn &&
            find_leads_to(&c->v->in.lines, b->v[i].stop_tli, b->v[i].stop, tli))
            return true;
    return false;
}

/* Was one made inside this segment? */
static bool has_map(const struct choice *c, size_t i)
{
    const struct plan_segment *s = &c->v->in.segments.v[i];
    lsn_t start = start_of(c, i);

    for (size_t k = 0; k < c->v->in.backups.n; k++) {
        const struct plan_backup *b = &c->v->in.backups.v[k];

        if (!b->damaged && b->stop > start && b->stop <= start + c->v->in.segsize &&
            find_owner(&c->v->in.lines, s->tli, b->stop) == b->stop_tli)
            return true;
    }
    return false;
}

/* Backwards from segment i: until nothing was open, and a map was made. */
static int lead_in(const struct choice *c, size_t i, struct err *e)
{
    const struct plan_segments *all = &c->v->in.segments;
    bool mapped = !has_map_before(c, all->v[i].tli, start_of(c, i));
    bool known = false;
    bool idle = false;
    uint32_t oldest = 0;

    for (size_t n = 0; !idle || !mapped; n++) {
        const struct plan_segment *s;

        i = inventory_before(c->v, i);
        if (i >= all->n || c->want[i])
            return 0;
        c->want[i] = true;
        mapped = mapped || has_map(c, i);
        s = &all->v[i];
        if (!idle && peek(c, i, e) != 0)
            return -1;
        if (!idle && s->has_run) {
            oldest = known ? oldest : s->oldest;
            known = true;
            /* A record that comes over into the next one begins in here. */
            idle = s->first != 0 && !precedes(oldest, s->next);
        }
        idle = idle || (!known && n >= LISTS_AMONG);
    }
    return 0;
}

/* What lead_out has done for a later segment of the same timeline. */
struct filled {
    const struct plan_backup *map;
    tli_t tli;
    size_t down_to;
};

/* The next map behind segment i names what none before it knows; the files of relations are
 * followed up to it. */
static void lead_out(const struct choice *c, size_t i, struct filled *done)
{
    const struct plan_segment *s = &c->v->in.segments.v[i];
    lsn_t end = start_of(c, i) + c->v->in.segsize;
    const struct plan_backup *found = NULL;
    size_t at = done->down_to;

    for (size_t k = 0; k < c->v->in.backups.n; k++) {
        const struct plan_backup *b = &c->v->in.backups.v[k];

        if (!b->damaged && b->stop >= end && (found == NULL || b->stop < found->stop) &&
            find_leads_to(&c->v->in.lines, s->tli, end - 1, b->stop_tli))
            found = b;
    }
    if (found == NULL)
        return;
    if (found != done->map || s->tli != done->tli) {
        const struct plan_segment *last = plan_segment(
            &c->v->in, found->stop_tli, walname_segno_before(found->stop, c->v->in.segsize));

        at = last == NULL ? c->v->in.segments.n : (size_t)(last - c->v->in.segments.v);
    }
    for (; at < c->v->in.segments.n && at != i; at = inventory_before(c->v, at))
        c->want[at] = true;
    if (at == i)
        *done = (struct filled){found, s->tli, i};
}

int find_choose(bool *want, const struct find_bounds *b, struct inventory *v, struct repo *r,
                struct object_reader *scratch, struct err *e)
{
    const struct find_bounds bounds = {b->since,
                                       b->until == COVERAGE_NO_TIME ? INT64_MAX : b->until, b->xid};
    const struct choice c = {want, &bounds, v, r, scratch};
    const struct plan_segments *all = &v->in.segments;
    struct filled done = {.map = NULL};
    size_t end;

    for (size_t first = 0; first < all->n; first = end) {
        for (end = first; end < all->n && all->v[end].tli == all->v[first].tli; end++)
            continue;
        if (b->since != COVERAGE_NO_TIME || b->until != COVERAGE_NO_TIME)
            choose_times(&c, first, end);
        else
            memset(want + first, true, (end - first) * sizeof *want);
        if (b->xid != 0 && choose_xid(&c, first, end, e) != 0)
            return -1;
    }
    /* Away from those that are still to be looked at, both times. */
    for (size_t i = all->n; i > 0; i--)
        if (want[i - 1] && (i == all->n || !want[i] || all->v[i].tli != all->v[i - 1].tli))
            lead_out(&c, i - 1, &done);
    for (size_t i = 0; i < all->n; i++)
        if (want[i] && (i == 0 || !want[i - 1] || all->v[i - 1].tli != all->v[i].tli) &&
            lead_in(&c, i, e) != 0)
            return -1;
    return 0;
}
