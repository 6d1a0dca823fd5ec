/*
 * Which entries of a scattered file are hardly used any more.
 *
 * A table of one word per entry: slot (20 bits), first page (18 bits), count (8 bits); open
 * addressing.  It is made anew for each scattered file and dropped with it.
 */
#include <string.h>

#include "repo/prior.h"

enum { COUNT_BITS = 8, PAGE_BITS = 18, LIVE_FIRST = 4096 };

static const uint64_t COUNT_MASK = (UINT64_C(1) << COUNT_BITS) - 1;

static uint64_t key_of(uint32_t slot, uint32_t first)
{
    return ((uint64_t)slot << PAGE_BITS | first) << COUNT_BITS;
}

/* The word of a key, or the free one where it belongs. */
static uint64_t *find(const struct prior_index *t, uint64_t key)
{
    size_t mask = t->n - 1;
    size_t at = (size_t)((key >> COUNT_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

    while (t->v[at] != 0 && (t->v[at] & ~COUNT_MASK) != key)
        at = (at + 1) & mask;
    return &t->v[at];
}

/* Makes room for one more; false when the table may not grow further. */
static int grow(struct prior *p, bool *room, struct err *e)
{
    struct prior_index bigger;
    size_t n = p->live.n == 0 ? LIVE_FIRST : p->live.n * 2;

    *room = true;
    if (p->lives * 4 < p->live.n * 3)
        return 0;
    *room = n <= PRIOR_LIVE_MAX;
    if (!*room)
        return 0;
    prior_index_init(&bigger, PRIOR_LIVE_MAX);
    bigger.v = calloc(n, sizeof *bigger.v);
    if (bigger.v == NULL)
        return err_set(e, ERR_NOMEM, "no memory to count a file's entries");
    bigger.n = n;
    for (size_t i = 0; i < p->live.n; i++)
        if (p->live.v[i] != 0)
            *find(&bigger, p->live.v[i] & ~COUNT_MASK) = p->live.v[i];
    prior_index_fini(&p->live);
    p->live = bigger;
    return 0;
}

/* Counts `count` pages for an entry. */
static int count_entry(struct prior *p, uint32_t slot, uint32_t first, uint32_t count,
                       struct err *e)
{
    uint64_t key = key_of(slot, first);
    uint64_t *word;
    bool room;

    if (grow(p, &room, e) != 0)
        return -1;
    if (!room)
        return 0; /* not counted, so not sparse */
    word = find(&p->live, key);
    if (*word == 0) {
        *word = key;
        p->lives++;
    }
    *word += count;
    return 0;
}

static int count_run(struct prior *p, const struct pages_run *run, struct err *e)
{
    const struct prior_slot *s = &p->slots.v[run->pack];
    uint32_t page = run->page;
    uint32_t end = run->page + run->count;

    if (run->pack == 0)
        return 0;
    if (s->state == PRIOR_UNSEEN && prior_touch(p, run->pack, e) != 0)
        return -1;
    if (s->state != PRIOR_GOOD || end > s->pages)
        return 0;
    while (page < end) {
        uint32_t pages;
        uint32_t first = prior_entry(s, page, &pages);
        uint32_t stop = first + pages < end ? first + pages : end;

        if (count_entry(p, run->pack, first, stop - page, e) != 0)
            return -1;
        page = stop;
    }
    return 0;
}

int prior_count_live(struct prior *p, const struct prior_file *f, struct err *e)
{
    uint64_t size = f->size / PAGES_SIZE;
    uint64_t spread = f->spread * 100;
    struct prior_source s;
    bool more = true;

    p->eighths = 0;
    if (!f->known || size < 2 * (uint64_t)PAGES_ENTRY || spread <= size * PRIOR_SPREAD_2)
        return 0;
    p->eighths = spread <= size * PRIOR_SPREAD_3 ? 2 : spread <= size * PRIOR_SPREAD_4 ? 3 : 4;
    p->lives = 0;
    if (p->live.n > 0)
        memset(p->live.v, 0, p->live.n * sizeof *p->live.v);
    s = f->source[0]; /* a reader of its own */
    while (more) {
        if (prior_next_run(p, &s, &more, e) != 0 || (more && count_run(p, &s.run, e) != 0))
            return -1;
    }
    return 0;
}

bool prior_is_sparse(const struct prior *p, const struct pages_run *run)
{
    uint32_t pages;
    uint32_t first;
    uint64_t live;

    if (run->pack == 0 || p->live.n == 0)
        return false;
    first = prior_entry(&p->slots.v[run->pack], run->page, &pages);
    live = *find(&p->live, key_of(run->pack, first)) & COUNT_MASK;
    return live > 0 && live * PAGES_ENTRY <= (uint64_t)p->eighths * pages;
}
