/*
 * Goal: over random histories (timelines with branches, backups that failed, are pinned, held,
 * running, unreadable or came back, clocks that jump, WAL with holes) retention decides as a model
 * does that was written from the rules alone; whatever was restorable from a kept backup before is
 * restorable after the removal, says the planner; nothing goes that a kept backup needs, and
 * nothing stays that none needs.
 *
 * retention_test [HISTORIES]: 2,000, with WALDEN_LONG in the environment 100,000.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/parse.h"
#include "plan_sim.h"
#include "repo/retention.h"
#include "retention_model.h"

#define DAY_US (INT64_C(86400) * 1000000)
#define EPOCH  (INT64_C(1750000000) * 1000000)

static int64_t real_time(int64_t sim)
{
    return EPOCH + sim * (DAY_US / 4);
}

/* --- a random situation --- */

static void plan_now(struct plan *p, struct plan_input *in, const struct plan_target *t)
{
    struct err e = {0};

    for (;;) {
        sim_must(plan_make(p, in, t, &e) == 0);
        if (p->verdict != PLAN_DETAIL)
            return;
        sim_read(in, p->detail);
    }
}

static bool is_good(struct plan_input *in, const char *label)
{
    struct plan_target t = {.kind = PLAN_IMMEDIATE, .backup = label, .current = true};
    struct plan p;
    bool good;

    plan_init(&p);
    plan_now(&p, in, &t);
    good = p.verdict == PLAN_YES;
    plan_fini(&p);
    return good;
}

static void random_rule(struct settings_rule *r)
{
    memset(r, 0, sizeof *r);
    if (sim_random(3) == 0)
        r->last = 1 + sim_random(4);
    if (sim_random(3) == 0)
        r->daily = 1 + sim_random(7);
    if (sim_random(3) == 0)
        r->weekly = 1 + sim_random(5);
    if (sim_random(4) == 0)
        r->monthly = 1 + sim_random(6);
    if (sim_random(8) == 0)
        r->yearly = 1 + sim_random(2);
    if (sim_random(3) == 0)
        r->within = (uint64_t)(1 + sim_random(60)) * (uint64_t)DAY_US;
}

static void random_keep(struct settings_keep *k)
{
    memset(k, 0, sizeof *k);
    random_rule(&k->rule);
    if (sim_random(3) == 0) {
        k->n = 1;
        (void)snprintf(k->named[0].name, sizeof k->named[0].name, "t1");
        random_rule(&k->named[0].rule);
    }
}

static void random_state(struct retention_item *item)
{
    item->readable = sim_random(25) != 0;
    item->removed = sim_random(15) == 0;
    item->held = sim_random(15) == 0;
    item->pinned = sim_random(12) == 0;
    item->verified = sim_random(3) == 0 ? (uint8_t)(1 + sim_random(3)) : 0;
    if (sim_random(3) == 0)
        (void)snprintf(item->group, sizeof item->group, "t%u", 1 + sim_random(2));
    (void)snprintf(item->note, sizeof item->note, "note");
}

static void make(struct situation *s)
{
    struct err e = {0};
    int64_t newest = 0;

    sim_make();
    sim_fill(&s->wal, true);
    retention_input_init(&s->in);
    retention_init(&s->r);
    s->in.wal = &s->wal;
    for (unsigned i = 0; i < sim_backups; i++) {
        const struct plan_backup *b = &sim_backup[i];
        struct retention_item *item = retention_items_add(&s->in.items, &e);

        sim_must(item != NULL);
        item->kind = KIND_MANIFEST;
        (void)snprintf(item->name, sizeof item->name, "%s", b->label);
        item->start_tli = b->start_tli;
        item->stop_tli = b->stop_tli;
        item->start = b->start;
        item->stop = b->stop;
        item->inside = b->inside;
        item->time = real_time(b->stop_time);
        item->good = is_good(&s->wal, b->label);
        random_state(item);
        newest = item->time > newest ? item->time : newest;
    }
    for (size_t i = 0; i < s->wal.segments.n; i++) {
        struct plan_segment *g = &s->wal.segments.v[i];

        g->stored = 100;
        if (g->greatest != COVERAGE_NO_TIME)
            g->greatest = real_time(g->greatest);
        if (g->last_commit != COVERAGE_NO_TIME)
            g->last_commit = real_time(g->last_commit);
    }
    random_keep(&s->in.keep_backups);
    random_keep(&s->in.keep_dumps);
    if (sim_random(3) == 0)
        s->in.wal_within = (uint64_t)(1 + sim_random(40)) * (uint64_t)DAY_US;
    s->in.intents = sim_random(12) == 0 ? 1 : 0;
    s->in.now = newest + (int64_t)sim_random(30) * DAY_US - (sim_random(10) == 0 ? 20 * DAY_US : 0);
    s->in.accept_clock = sim_random(2) == 0;
}

/* Dumps: no WAL, many. */
static void add_dumps(struct situation *s)
{
    unsigned n = sim_random(25);
    struct err e = {0};

    for (unsigned i = 0; i < n; i++) {
        struct retention_item *item = retention_items_add(&s->in.items, &e);

        sim_must(item != NULL);
        item->kind = KIND_DUMP;
        random_state(item);
        if (item->group[0] == '\0')
            (void)snprintf(item->group, sizeof item->group, "job");
        (void)snprintf(item->name, sizeof item->name, "%s/d%u", item->group, i);
        item->time = s->in.now - (int64_t)sim_random(400) * (DAY_US / 3);
        item->good = sim_random(6) != 0;
    }
}

static void drop(struct situation *s)
{
    plan_input_fini(&s->wal);
    retention_input_fini(&s->in);
    retention_fini(&s->r);
}

static void after(struct plan_input *out, const struct situation *s)
{
    struct err e = {0};

    plan_input_init(out, s->wal.segsize);
    for (size_t i = 0; i < s->wal.lines.n; i++)
        sim_must(plan_lines_push(&out->lines, s->wal.lines.v[i], &e) == 0);
    for (size_t i = 0; i < s->wal.segments.n; i++) {
        struct plan_segment g = s->wal.segments.v[i];

        g.detail = PLAN_UNREAD;
        g.detail_at = g.detail_n = 0;
        g.detail_last = 0;
        if (!retention_takes(&s->r, g.tli, g.segno))
            sim_must(plan_segments_push(&out->segments, g, &e) == 0);
    }
    for (unsigned i = 0; i < sim_backups; i++)
        if (s->r.verdicts.v[i].keep)
            sim_must(plan_backups_push(&out->backups, sim_backup[i], &e) == 0);
}

static bool same_plan(struct plan_input *before, struct plan_input *then,
                      const struct plan_target *t)
{
    struct plan a;
    struct plan b;
    bool same;

    plan_init(&a);
    plan_init(&b);
    plan_now(&a, before, t);
    plan_now(&b, then, t);
    same = a.verdict != PLAN_YES || (b.verdict == PLAN_YES && b.stop == a.stop);
    plan_fini(&a);
    plan_fini(&b);
    return same;
}

/* Every kept backup that could be restored still can be: to its end, and, unless wal_within cuts
 * that, to every end of WAL and random places. */
static bool still_restorable(struct situation *s)
{
    struct plan_input then;
    bool right = true;

    after(&then, s);
    for (unsigned i = 0; right && i < sim_backups; i++) {
        struct plan_target t = {
            .kind = PLAN_IMMEDIATE, .backup = sim_backup[i].label, .current = true};

        if (!s->r.verdicts.v[i].keep || !s->in.items.v[i].good || !s->in.items.v[i].readable)
            continue;
        right = same_plan(&s->wal, &then, &t);
        for (tli_t tli = 1; right && tli <= sim_lines && s->in.wal_within == 0; tli++) {
            const struct sim_line *l = &sim_line[tli];

            t = (struct plan_target){
                .kind = PLAN_LATEST, .backup = sim_backup[i].label, .timeline = tli};
            right = same_plan(&s->wal, &then, &t);
            t.kind = PLAN_LSN;
            t.lsn = l->rec[sim_random(l->n)].lsn;
            right = right && same_plan(&s->wal, &then, &t);
        }
    }
    plan_input_fini(&then);
    return right;
}

/* An LSN that could be reached before and cannot be any more is in a loss, and no other is. */
static bool losses_are_right(struct situation *s)
{
    struct plan_input then;
    struct plan_input before;
    bool right = true;

    after(&then, s);
    plan_input_init(&before, s->wal.segsize);
    for (unsigned k = 0; right && k < 12; k++) {
        tli_t tli = 1 + sim_random(sim_lines);
        const struct sim_line *l = &sim_line[tli];
        const struct sim_rec *rec = &l->rec[sim_random(l->n)];
        bool could = false;
        bool can = false;
        bool told = false;

        if (rec->lsn < l->birth)
            continue;
        for (unsigned i = 0; i < sim_backups; i++) {
            struct plan_target t = {
                .kind = PLAN_LSN, .lsn = rec->lsn, .timeline = tli, .backup = sim_backup[i].label};
            struct plan p;

            if (s->in.items.v[i].removed || !s->in.items.v[i].readable || !s->in.items.v[i].good ||
                rec->lsn < sim_backup[i].stop)
                continue;
            plan_init(&p);
            plan_now(&p, &s->wal, &t);
            could = could || p.verdict == PLAN_YES;
            if (s->r.verdicts.v[i].keep) {
                plan_now(&p, &then, &t);
                can = can || p.verdict == PLAN_YES;
            }
            plan_fini(&p);
        }
        for (size_t i = 0; i < s->r.losses.n; i++)
            told = told || (s->r.losses.v[i].tli == tli && s->r.losses.v[i].from <= rec->lsn &&
                            rec->lsn < s->r.losses.v[i].to);
        right = !could || can != told;
        if (!right)
            printf("# LSN %llx on %u: could %d, can %d, told %d\n", (unsigned long long)rec->lsn,
                   (unsigned)tli, could, can, told);
    }
    plan_input_fini(&then);
    plan_input_fini(&before);
    return right;
}

/* --- all together --- */

struct tally {
    unsigned decided;
    unsigned blocked;
    unsigned removed;
    unsigned ranges;
    unsigned losses;
};

static void show(const struct situation *s)
{
    printf("# wal_within %llu days, intents %u, now %lld\n",
           (unsigned long long)(s->in.wal_within / (uint64_t)DAY_US), s->in.intents,
           (long long)((s->in.now - EPOCH) / DAY_US));
    for (tli_t t = 1; t <= sim_lines; t++)
        printf("# timeline %u left %u at %llx\n", (unsigned)t, (unsigned)sim_line[t].parent,
               (unsigned long long)sim_line[t].birth);
    for (size_t i = 0; i < s->wal.segments.n; i++) {
        const struct plan_segment *g = &s->wal.segments.v[i];

        printf(
            "# %u/%llu%s: state %u join %u last %llx end %llx tail %llx damage %llx minimal %llx\n",
            (unsigned)g->tli, (unsigned long long)g->segno,
            retention_takes(&s->r, g->tli, g->segno) ? " goes" : "", g->state, g->join,
            (unsigned long long)g->last, (unsigned long long)g->end, (unsigned long long)g->tail,
            (unsigned long long)g->damage, (unsigned long long)g->minimal);
    }
    for (size_t i = 0; i < s->r.losses.n; i++)
        printf("# loss on %u: %llx..%llx\n", (unsigned)s->r.losses.v[i].tli,
               (unsigned long long)s->r.losses.v[i].from, (unsigned long long)s->r.losses.v[i].to);
    for (size_t i = 0; i < s->in.items.n; i++) {
        const struct retention_item *x = &s->in.items.v[i];

        printf("# %s (%s) tli %u %llx..%llx day %lld%s%s%s%s%s%s verified %u\n", x->name, x->group,
               (unsigned)x->stop_tli, (unsigned long long)x->start, (unsigned long long)x->stop,
               (long long)((x->time - EPOCH) / DAY_US), x->good ? " good" : "",
               x->readable ? "" : " unreadable", x->removed ? " removed" : "",
               x->held ? " held" : "", x->pinned ? " pinned" : "", x->inside ? " inside" : "",
               x->verified);
        if (i < s->r.verdicts.n)
            printf("#    %s: %s\n", s->r.verdicts.v[i].keep ? "kept" : "goes",
                   s->r.verdicts.v[i].reason);
    }
}

static bool one_history(struct tally *t)
{
    struct situation s;
    struct err e = {0};
    bool right;
    bool wal;

    make(&s);
    add_dumps(&s);
    sim_must(retention_decide(&s.r, &s.in, &e) == 0);
    right = model_doubts(&s);
    if (!right)
        printf("# doubts: %zu\n", s.r.doubts.n);
    if (retention_is_blocked(&s.r, &s.in)) {
        t->blocked++;
        right = right && s.r.verdicts.n == 0 && s.r.ranges.n == 0 && s.r.losses.n == 0;
        drop(&s);
        return right;
    }
    t->decided++;
    for (size_t i = 0; right && i < s.in.items.n; i++) {
        right = s.r.verdicts.v[i].keep == model_keeps(&s, &s.in.items.v[i]) &&
                s.r.verdicts.v[i].reason[0] != '\0';
        t->removed += s.r.verdicts.v[i].keep ? 0 : 1;
        if (!right)
            printf("# %s (%s): %s: %s\n", s.in.items.v[i].name, s.in.items.v[i].group,
                   s.r.verdicts.v[i].keep ? "kept" : "removed", s.r.verdicts.v[i].reason);
    }
    wal = model_may_remove(&s);
    for (size_t i = 0; right && i < s.wal.segments.n; i++) {
        const struct plan_segment *g = &s.wal.segments.v[i];
        bool goes = retention_takes(&s.r, g->tli, g->segno);

        right = goes == (wal && !model_needs(&s, g->tli, g->segno));
        if (!right)
            printf("# timeline %u segment %u: %s\n", (unsigned)g->tli, (unsigned)g->segno,
                   goes ? "goes" : "stays");
    }
    t->ranges += (unsigned)s.r.ranges.n;
    t->losses += (unsigned)s.r.losses.n;
    right = right && still_restorable(&s) && losses_are_right(&s);
    if (!right)
        show(&s);
    drop(&s);
    return right;
}

static void test_random(unsigned histories)
{
    struct tally t = {0};
    unsigned i;

    for (i = 0; i < histories; i++)
        if (!one_history(&t)) {
            printf("# history %u\n", i);
            break;
        }
    OK(i == histories, "%u random histories: decided as the model does", histories);
    printf("# decided %u, blocked %u, removed %u, ranges %u, losses %u\n", t.decided, t.blocked,
           t.removed, t.ranges, t.losses);
    OK(t.decided > histories / 4 && t.blocked > histories / 50 && t.removed > histories / 2 &&
           t.ranges > histories / 20 && t.losses > histories / 20,
       "there was something to decide");
}

/* --- by hand --- */

static struct retention_item *backup(struct situation *s, const char *name, int64_t day, lsn_t stop)
{
    struct err e = {0};
    struct retention_item *item = retention_items_add(&s->in.items, &e);

    sim_must(item != NULL);
    item->kind = KIND_MANIFEST;
    (void)snprintf(item->name, sizeof item->name, "%s", name);
    item->start_tli = item->stop_tli = 1;
    item->start = stop - 100;
    item->stop = stop;
    item->time = EPOCH + day * DAY_US;
    item->readable = item->good = true;
    return item;
}

static void begin(struct situation *s, int64_t day)
{
    struct err e = {0};

    memset(s, 0, sizeof *s);
    plan_input_init(&s->wal, SIM_SEG);
    retention_input_init(&s->in);
    retention_init(&s->r);
    s->in.wal = &s->wal;
    s->in.now = EPOCH + day * DAY_US;
    sim_must(plan_lines_push(&s->wal.lines, (struct plan_line){1, 0, 0, true, false}, &e) == 0);
    for (uint64_t n = 1; n < 12; n++)
        sim_must(
            plan_segments_push(&s->wal.segments,
                               (struct plan_segment){.segno = n,
                                                     .tli = 1,
                                                     .state = COVERAGE_GOOD,
                                                     .stored = 10,
                                                     .end = (n + 1) * SIM_SEG,
                                                     .greatest = EPOCH + (int64_t)n * DAY_US,
                                                     .last_commit = EPOCH + (int64_t)n * DAY_US},
                               &e) == 0);
}

static void decide(struct situation *s)
{
    struct err e = {0};

    sim_must(retention_decide(&s->r, &s->in, &e) == 0);
}

static void test_words(void)
{
    struct situation s;

    begin(&s, 11);
    s.in.keep_backups.rule.last = 1;
    (void)backup(&s, "a", 2, 2 * SIM_SEG + 500);
    backup(&s, "b", 4, 4 * SIM_SEG + 500)->pinned = true;
    (void)snprintf(s.in.items.v[1].note, sizeof s.in.items.v[1].note, "pinned for ever: audit");
    backup(&s, "c", 6, 6 * SIM_SEG + 500)->verified = 1;
    (void)backup(&s, "d", 8, 8 * SIM_SEG + 500);
    decide(&s);
    IS_STR(s.r.verdicts.v[0].reason, "last=1 does not ask for it", "why one goes");
    IS_STR(s.r.verdicts.v[1].reason, "pinned for ever: audit", "why a pinned one stays");
    IS_STR(s.r.verdicts.v[2].reason, "it is the newest that was verified", "why a verified one");
    IS_STR(s.r.verdicts.v[3].reason, "last", "why the newest");
    OK(s.r.ranges.n == 1 && s.r.ranges.v[0].first == 1 && s.r.ranges.v[0].behind == 4 &&
           s.r.ranges.v[0].segments == 3 && s.r.ranges.v[0].bytes == 30,
       "WAL before the oldest kept backup goes");
    OK(s.r.losses.n == 1 && s.r.losses.v[0].from == 2 * SIM_SEG + 500 &&
           s.r.losses.v[0].to == 4 * SIM_SEG + 500 &&
           s.r.losses.v[0].from_time == EPOCH + 2 * DAY_US &&
           s.r.losses.v[0].to_time == EPOCH + 4 * DAY_US,
       "the moments between the two are lost");
    s.in.intents = 1;
    decide(&s);
    OK(s.r.ranges.n == 0 && strstr(s.r.wal, "a backup is running") != NULL,
       "no WAL goes while a backup runs");
    drop(&s);
}

static void test_clock(void)
{
    struct situation s;

    begin(&s, 11);
    s.in.keep_backups.rule.last = 1;
    (void)backup(&s, "a", 2, 2 * SIM_SEG + 500);
    (void)backup(&s, "b", 400, 4 * SIM_SEG + 500);
    (void)backup(&s, "c", 6, 6 * SIM_SEG + 500);
    decide(&s);
    OK(s.r.doubts.n == 1 && strcmp(s.r.doubts.v[0].name, "b") == 0 &&
           s.r.doubts.v[0].after[0] == '\0' && s.r.doubts.v[0].propose == EPOCH + 2 * DAY_US &&
           s.r.verdicts.n == 0,
       "an entry from the future is named, and nothing is decided");
    s.in.items.v[1].time = EPOCH - 20 * 365 * DAY_US;
    decide(&s);
    OK(s.r.doubts.n == 1 && strcmp(s.r.doubts.v[0].name, "b") == 0 &&
           strcmp(s.r.doubts.v[0].after, "a") == 0,
       "a backup by a clock that was set back is named, with its neighbour");
    s.in.accept_clock = true;
    decide(&s);
    OK(s.r.verdicts.n == 3 && !s.r.verdicts.v[0].keep && s.r.verdicts.v[1].keep &&
           s.r.verdicts.v[1].time == EPOCH + 2 * DAY_US,
       "when the clock is accepted its neighbour's time counts");
    drop(&s);
}

int main(int argc, char **argv)
{
    unsigned histories = getenv("WALDEN_LONG") != NULL ? 100000 : 2000;

    if (argc > 1)
        histories = (unsigned)strtoul(argv[1], NULL, 10);
    test_words();
    test_clock();
    test_random(histories);
    return tap_done();
}
