/*
 * Goal: of random archives of one timeline (holes, clocks that go back, transactions over many
 * segments, numbers that wrap, few or no lists of what runs, maps here and there) the segments that
 * a narrowed search reads hold every end that was asked for, all of its transaction, and what leads
 * to the maps around it; and many others are left out.
 */
#include "tap.h"

#include <stdlib.h>

#include "pg/facts.h"
#include "repo/find_choose.h"

enum { SEGMENTS = 40, SEG = 1 << 20, ENDS = 400, OPEN = 8, TRIALS = 20000 };

struct end_of {
    uint32_t xid;
    int64_t time;
    unsigned begun; /* segment */
    unsigned at;
    bool crosses; /* its record began in the segment before */
};

static uint64_t seed = 1;
static struct inventory v;
static bool there[SEGMENTS];
static struct end_of ends[ENDS];
static unsigned n_ends;
static bool want[SEGMENTS];     /* by segment */
static bool by_place[SEGMENTS]; /* as find_choose fills it */
static size_t left_out;
static size_t all_of_them;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static void must(bool ok, const struct err *e)
{
    if (!ok) {
        printf("Bail out! the test itself failed: %s\n", e->msg);
        exit(1);
    }
}

static lsn_t start_of(unsigned segno)
{
    return (lsn_t)segno * SEG;
}

struct open_xact {
    uint32_t xid;
    unsigned begun;
};

struct stream {
    struct open_xact open[OPEN];
    unsigned n_open;
    uint32_t next;
    int64_t clock;
    bool steady;    /* the clock never goes back */
    unsigned lists; /* one step of so many is a list; 0: none */
};

static void end_one(struct stream *st, struct plan_segment *s, unsigned segno, bool crosses)
{
    unsigned k = rnd(st->n_open);
    int64_t time;

    st->clock += rnd(100);
    time = st->clock - (st->steady ? 0 : (int64_t)rnd(300));
    ends[n_ends++] = (struct end_of){st->open[k].xid, time, st->open[k].begun, segno, crosses};
    st->open[k] = st->open[--st->n_open];
    if (crosses) {
        s->flags |= FACTS_HEAD_ENDS;
        return;
    }
    s->last_time = time;
    s->least = s->ends == 0 || time < s->least ? time : s->least;
    s->greatest = s->ends == 0 || time > s->greatest ? time : s->greatest;
    s->ends++;
}

static void step(struct stream *st, struct plan_segment *s, unsigned segno)
{
    if (st->lists > 0 && rnd(st->lists) == 0) {
        s->has_run = true;
        s->run = start_of(segno) + 100;
        s->next = s->oldest = st->next;
        for (unsigned i = 0; i < st->n_open; i++)
            if ((int32_t)(st->open[i].xid - s->oldest) < 0)
                s->oldest = st->open[i].xid;
    } else if (st->n_open < OPEN && (st->n_open == 0 || rnd(2) == 0)) {
        st->open[st->n_open++] = (struct open_xact){st->next++, segno};
        if (st->next < 3) /* 0 to 2 are no transactions */
            st->next = 3;
    } else if (st->n_open > 0 && n_ends < ENDS) {
        end_one(st, s, segno, false);
    }
}

static void make_maps(struct err *e)
{
    unsigned n = rnd(5);

    for (unsigned i = 0; i < n; i++) {
        struct plan_backup b = {.start_tli = 1, .stop_tli = 1};
        unsigned segno = 1 + rnd(SEGMENTS - 1);

        b.stop = start_of(segno) + (rnd(3) == 0 ? 0 : 1 + rnd(SEG - 1));
        b.start = b.stop - 1;
        b.damaged = rnd(6) == 0;
        must(plan_backups_push(&v.in.backups, b, e) == 0, e);
    }
}

static void make_archive(struct err *e)
{
    struct stream st = {
        .next = rnd(4) == 0 ? UINT32_MAX - rnd(30) : 1000, .clock = 1000000, .steady = rnd(2) == 0};
    unsigned holes = rnd(3) == 0 ? 10 : 1000;

    st.lists = rnd(8) == 0 ? 0 : 2 + rnd(8);
    n_ends = 0;
    memset(&v, 0, sizeof v);
    plan_input_init(&v.in, SEG);
    must(plan_lines_push(&v.in.lines, (struct plan_line){.tli = 1, .known = true}, e) == 0, e);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct plan_segment s = {.tli = 1, .segno = i};
        unsigned steps = rnd(3) == 0 ? 0 : rnd(6);

        s.first = start_of(i) + 24;
        if (st.steady && st.n_open > 0 && n_ends < ENDS && i > 0 && rnd(6) == 0)
            end_one(&st, &s, i, true);
        for (unsigned k = 0; k < steps; k++)
            step(&st, &s, i);
        there[i] = rnd(holes) != 0;
        if (there[i])
            must(plan_segments_push(&v.in.segments, s, e) == 0, e);
    }
    make_maps(e);
}

static bool is_asked(const struct end_of *x, const struct find_bounds *b)
{
    if (!there[x->at] || (b->xid != 0 && x->xid != b->xid))
        return false;
    return (b->since == COVERAGE_NO_TIME || x->time >= b->since) &&
           (b->until == COVERAGE_NO_TIME || x->time <= b->until);
}

/* The segment in front of whose end a map was made. */
static unsigned map_segment(const struct plan_backup *b)
{
    return (unsigned)((b->stop - 1) / SEG);
}

/* Is everything there and wanted, from i back to `to`, as far as no segment is missing? */
static bool has_back_to(unsigned i, unsigned to)
{
    for (; there[i]; i--) {
        if (!want[i])
            return false;
        if (i <= to)
            break;
    }
    return true;
}

static bool has_maps(unsigned i)
{
    const struct plan_backups *maps = &v.in.backups;
    const struct plan_backup *before = NULL;
    const struct plan_backup *behind = NULL;

    for (size_t k = 0; k < maps->n; k++) {
        const struct plan_backup *b = &maps->v[k];

        if (b->damaged)
            continue;
        if (b->stop <= start_of(i) && (before == NULL || b->stop > before->stop))
            before = b;
        if (b->stop >= start_of(i + 1) && (behind == NULL || b->stop < behind->stop))
            behind = b;
    }
    if (before != NULL && !has_back_to(i, map_segment(before)))
        return false;
    return behind == NULL || has_back_to(map_segment(behind), i);
}

static void explain(const struct end_of *x, const struct find_bounds *b)
{
    printf(
        "# transaction %u, segments %u to %u, time %lld%s; asked: since %lld until %lld xid %u\n",
        x->xid, x->begun, x->at, (long long)x->time, x->crosses ? ", crossing" : "",
        (long long)(b->since == COVERAGE_NO_TIME ? -1 : b->since),
        (long long)(b->until == COVERAGE_NO_TIME ? -1 : b->until), b->xid);
    for (size_t i = 0; i < v.in.segments.n; i++) {
        const struct plan_segment *s = &v.in.segments.v[i];

        printf("# segment %u%s: %u ends, least %lld greatest %lld last %lld%s; list %s oldest %u "
               "next %u\n",
               (unsigned)s->segno, by_place[i] ? " wanted" : "", (unsigned)s->ends,
               (long long)s->least, (long long)s->greatest, (long long)s->last_time,
               (s->flags & FACTS_HEAD_ENDS) != 0 ? ", head ends" : "", s->has_run ? "yes" : "no",
               s->oldest, s->next);
    }
    for (size_t i = 0; i < v.in.backups.n; i++)
        printf("# map at %.2f%s\n", (double)v.in.backups.v[i].stop / SEG,
               v.in.backups.v[i].damaged ? ", damaged" : "");
}

static bool has_all(const struct find_bounds *b)
{
    for (unsigned i = 0; i < n_ends; i++) {
        const struct end_of *x = &ends[i];

        if (!is_asked(x, b))
            continue;
        if (!want[x->at] || !has_back_to(x->at, x->begun) || !has_maps(x->at) ||
            (x->crosses && there[x->at - 1] && !want[x->at - 1])) {
            explain(x, b);
            return false;
        }
    }
    return true;
}

static bool ask(const struct find_bounds *b, struct err *e)
{
    memset(by_place, 0, sizeof by_place);
    memset(want, 0, sizeof want);
    must(find_choose(by_place, b, &v, NULL, NULL, e) == 0, e);
    for (size_t i = 0; i < v.in.segments.n; i++) {
        want[v.in.segments.v[i].segno] = by_place[i];
        left_out += by_place[i] ? 0 : 1;
        all_of_them++;
    }
    return has_all(b);
}

static struct find_bounds random_bounds(void)
{
    struct find_bounds b = {COVERAGE_NO_TIME, COVERAGE_NO_TIME, 0};
    const struct end_of *x = &ends[rnd(n_ends)];
    unsigned kind = rnd(5);

    if (kind == 0 || kind == 4) {
        b.xid = x->xid;
        if (kind == 0)
            return b;
    }
    if (kind != 2)
        b.since = x->time - (int64_t)rnd(200);
    if (kind != 1)
        b.until = (b.since == COVERAGE_NO_TIME ? x->time : b.since) + (int64_t)rnd(400);
    return b;
}

static void bounds(void)
{
    struct find_bounds b = {COVERAGE_NO_TIME, COVERAGE_NO_TIME, 0};

    OK(!find_is_bounded(&b), "nothing asked for is no bound");
    b.until = 0;
    OK(find_is_bounded(&b), "an end is one");
    b = (struct find_bounds){0, COVERAGE_NO_TIME, 0};
    OK(find_is_bounded(&b), "a beginning is one");
    b = (struct find_bounds){COVERAGE_NO_TIME, COVERAGE_NO_TIME, 7};
    OK(find_is_bounded(&b), "a transaction is one");
}

int main(void)
{
    struct err e = {0};
    unsigned bad = 0;
    unsigned asked = 0;
    uint64_t first_bad = 0;

    bounds();
    for (unsigned i = 0; i < TRIALS && bad == 0; i++) {
        uint64_t from = seed;

        make_archive(&e);
        if (n_ends > 0) {
            struct find_bounds b = random_bounds();

            asked++;
            if (!ask(&b, &e)) {
                bad++;
                first_bad = from;
            }
        }
        plan_input_fini(&v.in);
    }
    OK(bad == 0, "all that %u searches need is read (seed of the first that lacks something: %llu)",
       asked, (unsigned long long)first_bad);
    OK(left_out > all_of_them / 10, "%zu of %zu segments were left out", left_out, all_of_them);
    return tap_done();
}
