/*
 * Which entries of a scattered file are given up.
 *
 * A table of one word per entry: slot (20 bits), first page (18 bits), count (8 bits); open
 * addressing.  It is made anew for each scattered file and dropped with it.
 */
#include <string.h>

#include "repo/prior.h"

enum {
    COUNT_BITS = 8,
    PAGE_BITS = 18,
    LIVE_FIRST = 4096,
    CHOOSE_FIRST = 16,
    CHOOSE_EVERY = 256 /* pages */
};

static const uint64_t COUNT_MASK = (UINT64_C(1) << COUNT_BITS) - 1;
static const uint64_t PAGE_MASK = (UINT64_C(1) << PAGE_BITS) - 1;
static const int64_t ONE = 65536;

static uint64_t key_of(uint32_t slot, uint32_t first)
{
    return ((uint64_t)slot << PAGE_BITS | first) << COUNT_BITS;
}

static uint64_t spread_key(uint64_t key)
{
    return (key >> COUNT_BITS) * UINT64_C(0x9e3779b97f4a7c15);
}

/* 0: up to an eighth of the entry is used; 7: all of it, or nearly. */
static unsigned use_of(uint64_t live, uint32_t pages)
{
    unsigned eighths = (unsigned)((live * PRIOR_USES + pages - 1) / pages);

    return eighths < PRIOR_USES ? eighths - 1 : PRIOR_USES - 1;
}

/* The word of a key, or the free one where it belongs. */
static uint64_t *find(const struct prior_index *t, uint64_t key)
{
    size_t mask = t->n - 1;
    size_t at = (size_t)(spread_key(key) >> 32) & mask;

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
    if ((*word & COUNT_MASK) + count <= COUNT_MASK)
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

/* Sorts the entries that were counted by how much of each is used. */
static void sort_uses(struct prior *p)
{
    memset(p->use, 0, sizeof p->use);
    for (size_t i = 0; i < p->live.n; i++) {
        uint64_t word = p->live.v[i];
        uint64_t live = word & COUNT_MASK;
        uint32_t first = (uint32_t)(word >> COUNT_BITS & PAGE_MASK);
        uint32_t slot = (uint32_t)(word >> (COUNT_BITS + PAGE_BITS));
        struct prior_use *u;
        uint32_t pages;

        if (word == 0)
            continue;
        (void)prior_entry(&p->slots.v[slot], first, &pages);
        u = &p->use[use_of(live, pages)];
        u->entries++;
        u->pages += pages;
        u->live += live;
    }
}

int prior_count_live(struct prior *p, const struct prior_file *f, struct err *e)
{
    uint64_t size = f->size / PAGES_SIZE;
    struct prior_source s;
    bool more = true;

    p->scattered = false;
    if (!f->known || size < 2 * (uint64_t)PAGES_ENTRY ||
        f->spread * 100 <= size * PRIOR_SPREAD_SEEN)
        return 0;
    p->lives = 0;
    if (p->live.n > 0)
        memset(p->live.v, 0, p->live.n * sizeof *p->live.v);
    s = f->source[0]; /* a reader of its own */
    while (more) {
        if (prior_next_run(p, &s, &more, e) != 0 || (more && count_run(p, &s.run, e) != 0))
            return -1;
    }
    sort_uses(p);
    p->scattered = true;
    p->seen = 0;
    p->changed = 0;
    p->choose = 0;
    return 0;
}

/*
 * How many entries are to be given up.  The file will be expanded from the pages that change
 * (stored side by side), and from all entries of which one page at least stays: of `live` pages
 * that change independently, all do with the probability changed ^ live.  Giving up an entry saves
 * its pages and costs those of it that stay, so the least used ones go first, until the rest is
 * near the aim.  Of the last kind only a share goes; so a backup pays for no more than is needed.
 */
static void choose_shares(struct prior *p)
{
    int64_t changed = p->seen == 0 ? 0 : (int64_t)p->changed * ONE / (int64_t)p->seen;
    int64_t save[PRIOR_USES];
    int64_t over = 0;

    for (unsigned i = 0; i < PRIOR_USES; i++) {
        const struct prior_use *u = &p->use[i];
        int64_t gone = ONE;
        int64_t keep;

        save[i] = 0;
        if (u->entries == 0)
            continue;
        for (uint64_t n = u->live / u->entries; n > 0; n--)
            gone = gone * changed / ONE;
        keep = (int64_t)u->pages * (ONE - gone);
        save[i] = keep - (int64_t)u->live * (ONE - changed);
        over += keep + (int64_t)u->live * changed - (int64_t)u->live * ONE * PRIOR_SPREAD_AIM / 100;
    }
    for (unsigned i = 0; i < PRIOR_USES; i++) {
        p->use[i].share = 0;
        if (over <= 0 || save[i] <= 0)
            continue;
        p->use[i].share = over >= save[i] ? (uint32_t)ONE : (uint32_t)(over / (save[i] / ONE + 1));
        over -= save[i];
    }
}

void prior_note_page(struct prior *p, bool changed)
{
    if (p->seen == p->choose) {
        choose_shares(p);
        p->choose += p->seen < CHOOSE_EVERY ? p->seen / 2 + CHOOSE_FIRST : (uint64_t)CHOOSE_EVERY;
    }
    p->seen++;
    p->changed += changed;
}

bool prior_gives_up(const struct prior *p, const struct pages_run *run)
{
    uint32_t pages;
    uint32_t first = prior_entry(&p->slots.v[run->pack], run->page, &pages);
    uint64_t key = key_of(run->pack, first);
    uint64_t live;

    if (p->live.n == 0)
        return false;
    live = *find(&p->live, key) & COUNT_MASK;
    return live > 0 && (uint16_t)(spread_key(key) >> 16) < p->use[use_of(live, pages)].share;
}
