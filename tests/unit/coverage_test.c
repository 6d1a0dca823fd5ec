/*
 * Goal: ranges and holes are exactly those that the definition gives, for thousands of random
 * archives with branches, lost segments and lost histories, computed here in the slow and obvious
 * way; and what cannot be a history is refused.
 */
#include "tap.h"

#include <stdlib.h>

#include "pg/join.h"
#include "repo/coverage.h"
#include "repo/problem.h"

enum { SEGSIZE = 1 << 20, TIMELINES = 8, SEGMENTS = 24, ROUNDS = 20000 };

static uint64_t state = 1;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((state >> 33) % n);
}

/* --- an archive, and the definition of a hole --- */

struct world {
    unsigned n; /* timelines 1..n */
    unsigned parent[TIMELINES + 1];
    lsn_t birth[TIMELINES + 1];
    bool history[TIMELINES + 1];
    bool there[TIMELINES + 1][SEGMENTS];
};

static unsigned born(const struct world *w, unsigned t)
{
    return t == 1 ? 0 : (unsigned)(w->birth[t] / SEGSIZE);
}

/* Where `ancestor` was left by the path that leads to t; false when it is not on that path. */
static bool left_at(const struct world *w, unsigned t, unsigned ancestor, lsn_t *end)
{
    while (t > 1) {
        *end = w->birth[t];
        t = w->parent[t];
        if (t == ancestor)
            return true;
    }
    return false;
}

/* Is the birth of a timeline known: from its history, or from that of a descendant? */
static bool birth_known(const struct world *w, unsigned t)
{
    lsn_t end;

    if (w->history[t])
        return true;
    for (unsigned c = t + 1; c <= w->n; c++)
        if (w->history[c] && left_at(w, c, t, &end))
            return true;
    return false;
}

/* Does anything that a recovery reads lie on the path before the birth of t? */
static bool anything_before(const struct world *w, unsigned t)
{
    unsigned p;

    if (t == 1 || !birth_known(w, t))
        return false;
    p = w->parent[t];
    for (unsigned s = birth_known(w, p) ? born(w, p) : 0; s < born(w, t); s++)
        if (w->there[p][s])
            return true;
    return anything_before(w, p);
}

/* Is segment s of timeline t missing although it is needed? */
static bool is_hole(const struct world *w, unsigned t, unsigned s)
{
    bool known = t > 1 && birth_known(w, t);
    bool needed = false;
    bool before = known && anything_before(w, t);
    lsn_t end;

    if (w->there[t][s] || (known && s < born(w, t)))
        return false;
    for (unsigned i = s + 1; i < SEGMENTS; i++)
        needed = needed || w->there[t][i];
    for (unsigned c = t + 1; c <= w->n; c++)
        if (w->history[c] && left_at(w, c, t, &end))
            needed = needed || end / SEGSIZE > s;
    for (unsigned i = known ? born(w, t) : 0; i < s; i++)
        before = before || w->there[t][i];
    return needed && before;
}

/* --- making one, and telling coverage of it --- */

static void make_world(struct world *w)
{
    unsigned dense = below(10);

    memset(w, 0, sizeof *w);
    w->n = 1 + below(TIMELINES);
    for (unsigned t = 2; t <= w->n; t++) {
        lsn_t from;

        w->parent[t] = 1 + below(t - 1);
        from = w->parent[t] == 1 ? 0 : w->birth[w->parent[t]];
        w->birth[t] = from + below((unsigned)((SEGMENTS - 1) * (lsn_t)SEGSIZE - from) + 1);
        if (below(4) == 0) /* on a boundary */
            w->birth[t] = w->birth[t] / SEGSIZE * SEGSIZE;
        if (w->birth[t] < from)
            w->birth[t] = from;
        w->history[t] = below(8) != 0;
    }
    for (unsigned t = 1; t <= w->n; t++) {
        unsigned first = below(12) == 0 ? 0 : born(w, t); /* now and then before its birth */
        unsigned last = first + below(SEGMENTS - first + 1);

        for (unsigned s = first; s < last; s++)
            w->there[t][s] = below(10) <= dense;
        if (below(6) == 0)
            memset(w->there[t], 0, sizeof w->there[t]);
    }
}

static int tell_history(struct coverage *c, const struct world *w, unsigned t, struct err *e)
{
    struct wal_branches b;
    unsigned path[TIMELINES + 1];
    unsigned n = 0;
    int rc = 0;

    wal_branches_init(&b, TIMELINES);
    for (unsigned x = t; x > 1; x = w->parent[x])
        path[n++] = x;
    while (rc == 0 && n-- > 0)
        rc = wal_branches_push(
            &b, (struct wal_branch){(tli_t)w->parent[path[n]], w->birth[path[n]]}, e);
    if (rc == 0)
        rc = coverage_branches(c, (tli_t)t, &b, e);
    wal_branches_fini(&b);
    return rc;
}

static int tell(struct coverage *c, const struct world *w, struct err *e)
{
    coverage_init(c, SEGSIZE);
    for (unsigned t = 1; t <= w->n; t++)
        for (unsigned s = 0; s < SEGMENTS; s++) {
            struct coverage_row row = {.tli = (tli_t)t,
                                       .segno = s,
                                       .state = COVERAGE_GOOD,
                                       .first_time = COVERAGE_NO_TIME,
                                       .last_time = COVERAGE_NO_TIME};

            if (s % 3 == 0) /* not every segment has commits */
                row.first_time = row.last_time = (int64_t)(1000 * t + s);
            if (w->there[t][s] && coverage_add(c, &row, e) != 0)
                return -1;
        }
    for (unsigned t = 2; t <= w->n; t++)
        if (w->history[t] && tell_history(c, w, t, e) != 0)
            return -1;
    return coverage_finish(c, e);
}

/* --- comparing --- */

static bool same_holes(const struct coverage *c, const struct world *w)
{
    bool found[TIMELINES + 1][SEGMENTS] = {{false}};

    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_timeline *t = &c->timelines.v[i];

        for (size_t k = t->hole; k < t->hole + t->holes; k++) {
            const struct coverage_hole *h = &c->holes.v[k];

            if (h->tli != t->tli || h->first >= h->end || h->end > SEGMENTS)
                return false;
            for (uint64_t s = h->first; s < h->end; s++)
                found[t->tli][s] = true;
        }
    }
    for (unsigned t = 1; t <= w->n; t++)
        for (unsigned s = 0; s < SEGMENTS; s++)
            if (found[t][s] != is_hole(w, t, s))
                return false;
    return true;
}

/* The last commit on the path up to a segment, the slow way. */
static int64_t seen_slow(const struct world *w, unsigned t, int s)
{
    bool known = t > 1 && birth_known(w, t);
    int from = known ? (int)born(w, t) : 0;

    for (; s >= from; s--)
        if (w->there[t][s] && s % 3 == 0)
            return (int64_t)(1000 * t + (unsigned)s);
    return known ? seen_slow(w, w->parent[t], from - 1) : COVERAGE_NO_TIME;
}

static bool same_times(const struct coverage *c, const struct world *w)
{
    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_timeline *t = &c->timelines.v[i];

        for (size_t k = t->row + t->early; k < t->row + t->rows; k++)
            if (c->rows.v[k].seen != seen_slow(w, t->tli, (int)c->rows.v[k].segno))
                return false;
        for (size_t k = t->hole; k < t->hole + t->holes; k++)
            if (c->holes.v[k].seen != seen_slow(w, t->tli, (int)c->holes.v[k].first - 1))
                return false;
    }
    return true;
}

static bool same_ranges(const struct coverage *c, const struct world *w)
{
    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_timeline *t = &c->timelines.v[i];
        bool known = t->tli > 1 && birth_known(w, t->tli);
        unsigned first = SEGMENTS;
        unsigned last = 0;
        lsn_t start;

        for (unsigned s = known ? born(w, t->tli) : 0; s < SEGMENTS; s++)
            if (w->there[t->tli][s]) {
                first = s < first ? s : first;
                last = s + 1;
            }
        if (first == SEGMENTS) {
            if (t->start != t->end)
                return false;
            continue;
        }
        start = (lsn_t)first * SEGSIZE;
        if (known && start < w->birth[t->tli])
            start = w->birth[t->tli];
        if (t->start != start || t->end != (lsn_t)last * SEGSIZE)
            return false;
    }
    return true;
}

/* The segment that a recovery reads before the first one of t. */
static bool same_before(const struct coverage *c, const struct world *w)
{
    for (unsigned t = 2; t <= w->n; t++) {
        const struct coverage_timeline *x = coverage_find(c, (tli_t)t);
        const struct coverage_row *r = x == NULL ? NULL : coverage_before_birth(c, x);
        unsigned p = t;
        unsigned s = born(w, t);

        if (x == NULL || !birth_known(w, t) || s == 0)
            continue;
        do
            p = w->parent[p];
        while (p > 1 && birth_known(w, p) && born(w, p) >= s);
        if (w->there[p][s - 1] != (r != NULL) || (r != NULL && (r->tli != p || r->segno != s - 1)))
            return false;
    }
    return true;
}

static void test_random(void)
{
    unsigned wrong[4] = {0};
    unsigned holes = 0;
    unsigned failed = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct world w;
        struct coverage c;
        struct err e = {0};

        make_world(&w);
        failed += tell(&c, &w, &e) != 0;
        holes += c.holes.n > 0;
        wrong[0] += !same_holes(&c, &w);
        wrong[1] += !same_times(&c, &w);
        wrong[2] += !same_ranges(&c, &w);
        wrong[3] += !same_before(&c, &w);
        coverage_fini(&c);
    }
    OK(failed == 0, "%d random archives are taken", ROUNDS);
    OK(holes > ROUNDS / 10 && holes < ROUNDS, "some with holes and some without (%u)", holes);
    OK(wrong[0] == 0, "holes are those of the definition (%u are not)", wrong[0]);
    OK(wrong[1] == 0, "last commits are those of the path (%u are not)", wrong[1]);
    OK(wrong[2] == 0, "ranges are right (%u are not)", wrong[2]);
    OK(wrong[3] == 0, "neighbours across a fork are right (%u are not)", wrong[3]);
}

/* --- cases with a name --- */

static void add_range(struct coverage *c, tli_t tli, uint64_t first, uint64_t end)
{
    struct err e = {0};

    for (uint64_t s = first; s < end; s++) {
        struct coverage_row row = {.tli = tli,
                                   .segno = s,
                                   .state = COVERAGE_GOOD,
                                   .first_time = COVERAGE_NO_TIME,
                                   .last_time = COVERAGE_NO_TIME};

        if (coverage_add(c, &row, &e) != 0)
            OK(false, "segment %u of timeline %u is taken", (unsigned)s, (unsigned)tli);
    }
}

static int branch(struct coverage *c, tli_t tli, tli_t parent, lsn_t end, struct err *e)
{
    struct wal_branch v = {parent, end};
    struct wal_branches b = {.v = &v, .n = 1};

    return coverage_branches(c, tli, &b, e);
}

static void test_fork(void)
{
    struct coverage c;
    struct err e = {0};

    coverage_init(&c, SEGSIZE);
    add_range(&c, 1, 1, 5);
    add_range(&c, 2, 6, 9);
    OK(branch(&c, 2, 1, 6 * (lsn_t)SEGSIZE + 328, &e) == 0 && coverage_finish(&c, &e) == 0,
       "a timeline leaves another");
    OK(c.holes.n == 1 && c.holes.v[0].tli == 1 && c.holes.v[0].first == 5 &&
           c.holes.v[0].end == 6 && c.holes.v[0].needed_by == 2,
       "what is missing before the fork is a hole of the parent");
    OK(c.timelines.v[1].start == 6 * (lsn_t)SEGSIZE + 328, "the child begins at the fork");
    coverage_fini(&c);

    coverage_init(&c, SEGSIZE);
    add_range(&c, 1, 1, 6);
    add_range(&c, 2, 6, 9);
    OK(branch(&c, 2, 1, 6 * (lsn_t)SEGSIZE, &e) == 0 && coverage_finish(&c, &e) == 0 &&
           c.holes.n == 0,
       "a fork on a boundary needs nothing behind it");
    c.rows.v[2].state = COVERAGE_GONE;
    OK(coverage_finish(&c, &e) == 0 && c.holes.n == 1 && c.holes.v[0].first == 3 && c.rows.n == 7,
       "a segment that vanished leaves a hole");
    coverage_fini(&c);
}

static void test_refused(void)
{
    struct coverage c;
    struct err e = {0};
    struct wal_branch v[2] = {{1, 500}, {2, 400}};
    struct wal_branches b = {.v = v, .n = 2};

    coverage_init(&c, SEGSIZE);
    OK(coverage_branches(&c, 3, &b, &e) != 0 && e.code == ERR_DAMAGED, "ends that go backwards");
    err_clear(&e);
    OK(branch(&c, 3, 3, 5, &e) != 0 && e.code == ERR_DAMAGED, "a timeline that is its own parent");
    err_clear(&e);
    OK(branch(&c, 3, 4, 5, &e) != 0 && e.code == ERR_DAMAGED, "a parent that is younger");
    err_clear(&e);
    OK(branch(&c, 3, 0, 5, &e) != 0 && e.code == ERR_DAMAGED, "timeline 0");
    err_clear(&e);
    add_range(&c, 2, 5, 6);
    OK(coverage_add(&c, &(struct coverage_row){.tli = 2, .segno = 5}, &e) != 0 &&
           e.code == ERR_INTERNAL,
       "the same segment twice");
    coverage_fini(&c);
}

/* --- what a person is told --- */

static const struct problem *find(const struct problems *p, enum problem_kind kind)
{
    for (size_t i = 0; i < p->list.n; i++)
        if (p->list.v[i].kind == kind)
            return &p->list.v[i];
    return NULL;
}

static void test_problems(void)
{
    struct coverage c;
    struct problems p;
    struct err e = {0};
    const struct problem *one;

    coverage_init(&c, SEGSIZE);
    problems_init(&p);
    add_range(&c, 1, 1, 3);
    add_range(&c, 1, 5, 9);
    add_range(&c, 4, 8, 9);
    c.rows.v[1].first_time = c.rows.v[1].last_time = 1;
    c.rows.v[3].state = COVERAGE_DAMAGED;
    c.rows.v[3].at = 6 * (lsn_t)SEGSIZE + 40;
    c.rows.v[3].reason = FACTS_BAD_CRC;
    c.rows.v[4].join = JOIN_PREV;
    OK(coverage_finish(&c, &e) == 0 && problems_derive(&p, &c, 0, &e) == 0, "problems are derived");
    one = find(&p, PROBLEM_HOLE);
    OK(one != NULL && one->first == 3 && one->end == 5 && one->seen == 1 &&
           one->at == 3 * (lsn_t)SEGSIZE,
       "a hole");
    if (one != NULL) {
        IS_STR(one->name, "000000010000000000000003 to 000000010000000000000004", "its name");
        OK(strstr(one->consequence, "cannot go past 0/300000") != NULL &&
               strstr(one->consequence, "0/500000 or later") != NULL,
           "its consequence: %s", one->consequence);
    }
    one = find(&p, PROBLEM_DAMAGED_WAL);
    OK(one != NULL && one->at == 6 * (lsn_t)SEGSIZE + 40 && problem_is_damage(one), "damage");
    one = find(&p, PROBLEM_BROKEN_CHAIN);
    OK(one != NULL && one->first == 7, "a broken chain");
    one = find(&p, PROBLEM_NO_HISTORY);
    OK(one != NULL, "missing histories");
    if (one != NULL)
        IS_STR(one->name, "00000002.history to 00000004.history", "all up to the newest timeline");
    OK(problems_count(&p) == 4, "and nothing else (%zu)", problems_count(&p));
    problems_fini(&p);
    coverage_fini(&c);

    coverage_init(&c, SEGSIZE);
    problems_init(&p);
    add_range(&c, 1, 1, 3);
    OK(branch(&c, 2, 1, SEGSIZE, &e) == 0 && branch(&c, 5, 1, 2 * (lsn_t)SEGSIZE, &e) == 0 &&
           coverage_finish(&c, &e) == 0 && problems_derive(&p, &c, 0, &e) == 0,
       "histories with a gap between them");
    OK(problems_count(&p) == 1, "are one problem (%zu)", problems_count(&p));
    one = find(&p, PROBLEM_NO_HISTORY);
    if (one != NULL)
        IS_STR(one->name, "00000003.history to 00000004.history", "those in between");
    problems_fini(&p);
    coverage_fini(&c);
}

/* Timeline 1 is broken at `at` in segment 2, behind its last good record's end `end`; timeline 2
 * left it at `birth`; timeline 1 has `more` segments behind it.  How many problems are told. */
static size_t problems_left(lsn_t end, lsn_t at, lsn_t birth, uint64_t more)
{
    struct coverage c;
    struct problems p;
    struct err e = {0};
    size_t n;

    coverage_init(&c, SEGSIZE);
    problems_init(&p);
    add_range(&c, 1, 1, 3 + more);
    add_range(&c, 2, 2, 4);
    c.rows.v[1].state = COVERAGE_DAMAGED;
    c.rows.v[1].end = end;
    c.rows.v[1].at = at;
    OK(branch(&c, 2, 1, birth, &e) == 0 && coverage_finish(&c, &e) == 0 &&
           problems_derive(&p, &c, 0, &e) == 0,
       "derived");
    n = problems_count(&p);
    problems_fini(&p);
    coverage_fini(&c);
    return n;
}

static void test_left(void)
{
    const lsn_t at = 2 * (lsn_t)SEGSIZE + 400;

    OK(problems_left(at - 6, at, at, 0) == 0,
       "a standby's copy that ends where the timeline was left");
    OK(problems_left(at - 6, at + 100, at, 0) == 0, "behind it the beginning of a record");
    OK(problems_left(at - 6, at, at + 8, 0) == 1, "left later: damage");
    OK(problems_left(at - 6, at, at - 16, 0) == 1, "left before: damage");
    OK(problems_left(at + 100, at, at, 0) == 1, "records behind it: damage");
    OK(problems_left(at - 6, at, at, 1) == 1, "a segment behind it: damage");
}

int main(void)
{
    test_random();
    test_fork();
    test_refused();
    test_problems();
    test_left();
    OK(sizeof(struct coverage_row) <= 100, "a row has %zu bytes", sizeof(struct coverage_row));
    return tap_done();
}
