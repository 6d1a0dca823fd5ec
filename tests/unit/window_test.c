/*
 * Goal: windows and plans agree, for random histories (branches, missing, lost, damaged and
 * disjoint segments, several backups): a simulated server reaches exactly the records that lie in a
 * window of their timeline, and the times between a window's ends, where clocks do not step; in a
 * gap it reaches nothing.
 */
#include "tap.h"

#include "pg/join.h"
#include "plan_sim.h"
#include "repo/window.h"

enum { ROUNDS = 20000 };

static const struct window *window_of(const struct windows *w, tli_t tli, lsn_t lsn)
{
    for (size_t i = 0; i < w->list.n; i++)
        if (w->list.v[i].tli == tli && w->list.v[i].start <= lsn && lsn < w->list.v[i].end)
            return &w->list.v[i];
    return NULL;
}

static bool reaches(struct plan_target t, tli_t tli)
{
    lsn_t stop;

    t.timeline = tli;
    return sim_best(&t, &stop) >= 0;
}

static struct plan_input *now;

/* Where wal_level became minimal twice in one segment, only its records tell whether a backup began
 * between the two: a plan reads them, a window claims nothing. */
static bool is_unclear(tli_t tli, lsn_t lsn)
{
    const struct plan_segment *s = plan_segment(now, tli, sim_segno(lsn));

    return s != NULL && s->minimal != s->minimal_to;
}

static void show(const struct windows *w, tli_t tli)
{
    for (size_t i = 0; i < w->list.n; i++)
        if (w->list.v[i].tli == tli)
            printf("#   window %llx..%llx, %zu backups\n", (unsigned long long)w->list.v[i].start,
                   (unsigned long long)w->list.v[i].end, w->list.v[i].backups);
    printf("#   timeline %u left %u at %llx\n", (unsigned)tli, (unsigned)sim_line[tli].parent,
           (unsigned long long)sim_line[tli].birth);
    for (unsigned i = 0; i < sim_backups; i++)
        printf("#   %s: tli %u %llx..%u %llx%s%s time %lld\n", sim_backup[i].label,
               (unsigned)sim_backup[i].start_tli, (unsigned long long)sim_backup[i].start,
               (unsigned)sim_backup[i].stop_tli, (unsigned long long)sim_backup[i].stop,
               sim_backup[i].inside ? " inside" : "", sim_backup[i].damaged ? " damaged" : "",
               (long long)sim_backup[i].stop_time);
}

static unsigned tried;
static unsigned inside;
static unsigned wrong;

static void compare_places(const struct windows *w, tli_t tli)
{
    const struct sim_line *l = &sim_line[tli];

    for (unsigned i = l->own; i < l->n; i++) {
        const struct sim_rec *r = &l->rec[i];
        const struct plan_target t = {.kind = PLAN_LSN, .lsn = r->lsn};
        const struct window *in = window_of(w, tli, r->lsn);
        bool can = reaches(t, tli);

        if (r->lsn < l->birth)
            continue;
        tried++;
        inside += in != NULL ? 1 : 0;
        /* The last record of a window may go on behind it, where nothing can be read. */
        if (can == (in != NULL) || (!can && in != NULL && r->end > in->end) ||
            (can && is_unclear(tli, r->lsn)))
            continue;
        if (++wrong < 10)
            printf("# timeline %u, %llx: %s, but %s\n", (unsigned)tli, (unsigned long long)r->lsn,
                   can ? "reachable" : "not reachable", in == NULL ? "in no window" : "in one");
        if (wrong < 10)
            show(w, tli);
    }
}

/* Do the clocks of a timeline's servers never step back? */
static bool is_steady(const struct sim_line *l)
{
    int64_t last = INT64_MIN;

    for (unsigned i = 0; i < l->n; i++) {
        if (l->rec[i].time < last)
            return false;
        last = l->rec[i].time;
    }
    return true;
}

static unsigned times;
static unsigned times_wrong;

static void compare_times(const struct windows *w, tli_t tli)
{
    for (size_t i = 0; i < w->list.n; i++) {
        const struct window *one = &w->list.v[i];

        if (one->tli != tli || one->end_time == COVERAGE_NO_TIME)
            continue;
        for (int64_t time = one->start_time; time < one->end_time; time += 1 + sim_random(3)) {
            const struct plan_target t = {.kind = PLAN_TIME, .time = time};

            times++;
            if (reaches(t, tli) || ++times_wrong > 3)
                continue;
            printf("# timeline %u: %lld is in %lld..%lld, but not reachable\n", (unsigned)tli,
                   (long long)time, (long long)one->start_time, (long long)one->end_time);
            show(w, tli);
        }
    }
}

static unsigned gaps;
static unsigned gaps_wrong;

static void compare_gaps(const struct windows *w, tli_t tli)
{
    const struct sim_line *l = &sim_line[tli];

    for (size_t i = 0; i < w->gaps.n; i++) {
        const struct window_gap *g = &w->gaps.v[i];

        for (unsigned k = l->own; g->tli == tli && k < l->n; k++) {
            const struct plan_target t = {.kind = PLAN_LSN, .lsn = l->rec[k].lsn};

            if (l->rec[k].lsn < g->from || (l->rec[k].lsn >= g->to && !g->is_open))
                continue;
            gaps++;
            if (is_unclear(tli, t.lsn) || !reaches(t, tli) || ++gaps_wrong > 3)
                continue;
            printf("# timeline %u: %llx is in gap %llx..%llx, but reachable\n", (unsigned)tli,
                   (unsigned long long)t.lsn, (unsigned long long)g->from,
                   (unsigned long long)g->to);
            show(w, tli);
        }
    }
}

static void add_segment(struct plan_input *in, uint64_t segno, int64_t commit)
{
    struct err e = {0};
    struct plan_segment *s = plan_segments_add(&in->segments, &e);

    sim_must(s != NULL);
    *s = (struct plan_segment){.tli = 1,
                               .segno = segno,
                               .state = COVERAGE_GOOD,
                               .join = JOIN_OK,
                               .first = segno * SIM_SEG + 8,
                               .last = segno * SIM_SEG + 16,
                               .end = (segno + 1) * SIM_SEG,
                               .ends = commit == COVERAGE_NO_TIME ? 0 : 1,
                               .last_time = commit,
                               .greatest = commit,
                               .last_commit = commit,
                               .last_commit_at = segno * SIM_SEG + 16};
}

static void add_backup(struct plan_input *in, lsn_t start, lsn_t stop, int64_t time)
{
    struct err e = {0};
    struct plan_backup *b = plan_backups_add(&in->backups, &e);

    sim_must(b != NULL);
    *b = (struct plan_backup){.start_tli = 1,
                              .stop_tli = 1,
                              .start = start,
                              .stop = stop,
                              .start_time = time - 5,
                              .stop_time = time};
    snprintf(b->label, sizeof b->label, "%llx", (unsigned long long)start);
}

/* Commits that only the next backup holds are no moments to go back to: the gap ends with the last
 * of them, not with the first. */
static void test_gap_end(int64_t beside, int64_t want, const char *what)
{
    const lsn_t stop = 4 * SIM_SEG + 12;
    struct plan_input in;
    struct windows w;
    struct err e = {0};

    plan_input_init(&in, SIM_SEG);
    windows_init(&w);
    sim_must(plan_lines_push(&in.lines, (struct plan_line){1, 0, 0, true, false}, &e) == 0);
    add_segment(&in, 0, 100);
    add_segment(&in, 2, 300); /* 1 is missing */
    add_segment(&in, 3, 400);
    add_segment(&in, 4, beside);
    add_segment(&in, 5, 600);
    add_backup(&in, 8, 12, 50);
    add_backup(&in, 3 * SIM_SEG + 8, stop, 500);
    sim_must(windows_make(&w, &in, &e) == 0);
    OK(w.gaps.n == 1 && w.gaps.v[0].from_time == 100 && w.gaps.v[0].to == stop &&
           w.gaps.v[0].to_time == want,
       "%s", what);
    windows_fini(&w);
    plan_input_fini(&in);
}

int main(void)
{
    unsigned steady = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct plan_input in;
        struct windows w;
        struct err e = {0};

        sim_make();
        plan_input_init(&in, SIM_SEG);
        sim_fill(&in, true);
        windows_init(&w);
        now = &in;
        sim_must(windows_make(&w, &in, &e) == 0);
        for (tli_t tli = 1; tli <= sim_lines; tli++) {
            compare_places(&w, tli);
            compare_gaps(&w, tli);
            if (!is_steady(&sim_line[tli]))
                continue;
            steady++;
            compare_times(&w, tli);
        }
        windows_fini(&w);
        plan_input_fini(&in);
    }
    printf("# %u places, %u of them in a window; %u times; %u places in gaps; %u steady clocks\n",
           tried, inside, times, gaps, steady);
    OK(wrong == 0 && inside > 1000 && tried - inside > 1000,
       "records are reached where windows are");
    OK(gaps_wrong == 0 && gaps > 500, "and not in gaps");
    OK(times_wrong == 0 && times > 1000, "times in a window are reached");
    test_gap_end(COVERAGE_NO_TIME, 400, "a gap ends with the last commit that the backup holds");
    test_gap_end(550, 500, "or, where only records tell which that is, with the backup");
    return tap_done();
}
