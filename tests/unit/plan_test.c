/*
 * Goal: for random histories (timelines with branches, segments that are missing, lost, damaged or
 * do not join, records and transactions' ends across segments, clocks that step) the plan says the
 * same as a simulated server that reads record by record: the same backup, the same place to stop,
 * a refusal exactly when no backup would get there, and nearest moments that can be reached indeed
 * with nothing between them and the target.
 */
#include "tap.h"

#include <stdlib.h>

#include "pg/facts.h"
#include "pg/join.h"
#include "repo/plan.h"

enum { SEG = 4096, TLIS = 6, RECS = 120, SEGS = 24, BACKUPS = 5 };

enum kind { OTHER, COMMIT, ABORT, POINT, MINIMAL };

struct rec {
    lsn_t lsn;
    lsn_t end;
    enum kind kind;
    int64_t time;
    uint32_t xid;
    char name[8];
};

/* One timeline as its newest server sees it: the records of its ancestors, then its own. */
struct line {
    tli_t parent;
    lsn_t birth;
    struct rec rec[RECS * TLIS];
    unsigned n;
    unsigned own; /* index of its first own record */
    uint64_t last_seg;
};

/* What was done to one archived file. */
struct file {
    bool there;
    bool lost;
    bool broken; /* does not join with the one before */
    lsn_t damage;
};

static struct line line[TLIS + 1];
static unsigned lines;
static struct file file[TLIS + 1][SEGS];
static struct plan_backup backup[BACKUPS];
static unsigned backups;
static uint32_t xids;

static uint32_t rnd(uint32_t n)
{
    static uint64_t state = 88172645463325252ULL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

/* --- a random history --- */

static void grow(struct line *l, unsigned count, int64_t *clock)
{
    lsn_t lsn = l->n == 0 ? SEG + 40 : l->rec[l->n - 1].end;

    while (count-- > 0 && l->n < RECS * TLIS && lsn < (lsn_t)(SEGS - 3) * SEG) {
        struct rec *r = &l->rec[l->n++];
        uint32_t dice = rnd(20);

        memset(r, 0, sizeof *r);
        r->lsn = lsn;
        r->end = lsn + 24 + 8 * rnd(rnd(12) == 0 ? 700 : 40);
        lsn = r->end;
        *clock += 1 + rnd(3);
        if (rnd(60) == 0)
            *clock -= rnd(40);
        r->time = *clock;
        if (dice < 9)
            r->kind = COMMIT;
        else if (dice < 11)
            r->kind = ABORT;
        else if (dice < 13)
            r->kind = POINT;
        else if (dice == 13 && rnd(40) == 0)
            r->kind = MINIMAL;
        r->xid = r->kind == COMMIT || r->kind == ABORT ? ++xids : 0;
        snprintf(r->name, sizeof r->name, "p%u", r->kind == POINT ? rnd(12) : 0);
    }
}

static uint64_t seg_of(lsn_t lsn)
{
    return lsn / SEG;
}

static void archive(tli_t tli)
{
    struct line *l = &line[tli];
    lsn_t end = l->rec[l->n - 1].end;
    uint64_t first = tli == 1 ? 1 : seg_of(l->birth);
    uint64_t behind = seg_of(end - 1) + 1;

    if (rnd(3) == 0 && behind > first)
        behind--; /* the last one is not archived yet */
    for (uint64_t s = first; s < behind; s++) {
        struct file *f = &file[tli][s];

        f->there = rnd(25) != 0;
        f->lost = rnd(50) == 0;
        f->broken = rnd(50) == 0;
        if (rnd(30) == 0)
            for (unsigned i = 0; i < l->n; i++)
                if (seg_of(l->rec[i].lsn) == s && rnd(3) == 0) {
                    f->damage = l->rec[i].lsn;
                    break;
                }
    }
    l->last_seg = behind - 1;
}

static void add_backup(void)
{
    tli_t tli = 1 + rnd(lines);
    struct line *l = &line[tli];
    struct plan_backup *b = &backup[backups];
    unsigned from;
    unsigned to;

    if (l->n - l->own < 4)
        return;
    from = l->own + rnd(l->n - l->own - 3);
    to = from + 1 + rnd(l->n - from - 1);
    if (rnd(2) == 0 && to > from + 6)
        to = from + 6;
    if (l->rec[to].kind != OTHER)
        return;
    for (unsigned i = from; i <= to; i++)
        if (l->rec[i].kind == MINIMAL)
            return; /* the server would have refused */
    memset(b, 0, sizeof *b);
    snprintf(b->label, sizeof b->label, "backup%u", backups);
    b->start_tli = b->stop_tli = tli;
    b->start = l->rec[from].lsn;
    b->stop = l->rec[to].end;
    b->start_time = l->rec[from].time;
    b->stop_time = l->rec[to].time;
    b->inside = rnd(8) == 0;
    b->damaged = rnd(20) == 0;
    backups++;
}

static void make_history(void)
{
    int64_t clock = 1000000;

    memset(line, 0, sizeof line);
    memset(file, 0, sizeof file);
    xids = 700;
    backups = 0;
    lines = 1 + rnd(TLIS);
    for (tli_t tli = 1; tli <= lines; tli++) {
        struct line *l = &line[tli];

        if (tli > 1) {
            const struct line *p;

            l->parent = 1 + rnd(tli - 1);
            p = &line[l->parent];
            l->own = l->n = p->own + 1 + rnd(p->n - p->own);
            memcpy(l->rec, p->rec, l->n * sizeof *l->rec);
            l->birth = l->rec[l->n - 1].end;
        }
        grow(l, 5 + rnd(40), &clock);
        if (l->n == l->own) { /* no room was left */
            lines = tli - 1;
            break;
        }
        archive(tli);
    }
    for (unsigned i = 0; i < 12 && backups < BACKUPS; i++)
        add_backup();
}

struct way {
    tli_t tli[TLIS + 1]; /* youngest first */
    unsigned n;
};

static struct way way_to(tli_t tli)
{
    struct way w = {.n = 0};

    for (; tli != 0; tli = line[tli].parent)
        w.tli[w.n++] = tli;
    return w;
}

static tli_t file_for(const struct way *w, uint64_t segno)
{
    for (unsigned i = 0; i + 1 < w->n; i++)
        if (seg_of(line[w->tli[i]].birth) <= segno)
            return w->tli[i];
    return w->tli[w->n - 1];
}

/* --- as the inventory would tell it --- */

static bool is_end(const struct rec *r)
{
    return r->kind == COMMIT || r->kind == ABORT;
}

static void fill_segment(struct plan_segment *s, tli_t tli, uint64_t segno, bool keys)
{
    const struct line *l = &line[tli];
    const struct file *f = &file[tli][segno];
    lsn_t start = segno * SEG;
    lsn_t end = start + SEG;

    s->tli = tli;
    s->segno = segno;
    s->state = f->lost ? COVERAGE_LOST : f->damage != 0 ? COVERAGE_DAMAGED : COVERAGE_GOOD;
    s->join = f->broken ? JOIN_PREV : JOIN_OK;
    s->damage = f->damage;
    s->detail = keys ? PLAN_UNREAD : PLAN_UNREADABLE;
    s->last_time = s->greatest = COVERAGE_NO_TIME;
    for (unsigned i = 0; i < l->n; i++) {
        const struct rec *r = &l->rec[i];

        if (r->lsn < start && r->end > start && r->end <= end) {
            s->flags |= FACTS_HEAD_ENDS;
            s->cross = keys ? PLAN_CROSS_NONE : PLAN_CROSS_UNKNOWN;
            if (keys && is_end(r)) {
                s->cross = PLAN_CROSS_END;
                s->crossing = (struct plan_end){r->lsn, r->time, r->xid, r->kind == ABORT};
            }
            if (r->kind == MINIMAL)
                s->minimal = s->minimal_to = r->lsn;
        }
        if (r->lsn < start || r->lsn >= end)
            continue;
        if (s->first == 0)
            s->first = r->lsn;
        s->end = r->end < end ? r->end : end;
        if (r->end > end) {
            s->tail = r->lsn;
            continue;
        }
        if (r->lsn == f->damage)
            continue;
        s->last = r->lsn;
        if (r->kind == MINIMAL) {
            s->minimal = s->minimal == 0 ? r->lsn : s->minimal;
            s->minimal_to = r->lsn;
        }
        if (!is_end(r))
            continue;
        s->ends++;
        s->last_time = r->time;
        if (s->ends == 1 || r->time > s->greatest)
            s->greatest = r->time;
    }
}

static void must(bool ok)
{
    if (!ok) {
        printf("Bail out! no memory\n");
        exit(1);
    }
}

/* What was running is told by a list at a random place. */
static void fill_run(struct plan_segment *s, tli_t tli)
{
    const struct line *l = &line[tli];
    uint32_t next = 701;

    if (rnd(2) == 0 || s->first == 0)
        return;
    for (unsigned i = 0; i < l->n && l->rec[i].end <= s->first; i++)
        next = is_end(&l->rec[i]) ? l->rec[i].xid + 1 : next;
    s->has_run = true;
    s->run = s->first;
    s->next = next;
    s->oldest = next;
}

/* A joiner needs both pieces of a record. */
static bool joins(tli_t tli, const struct rec *r)
{
    struct way w = way_to(tli);

    for (uint64_t s = seg_of(r->lsn); s <= seg_of(r->end - 1); s++)
        if (!file[file_for(&w, s)][s].there)
            return false;
    return true;
}

static void fill_points(struct plan_input *in, tli_t tli)
{
    struct err e = {0};

    for (unsigned i = 0; i < line[tli].n; i++) {
        const struct rec *r = &line[tli].rec[i];
        uint64_t segno = seg_of(r->end - 1);
        struct plan_point *p;

        if (r->kind != POINT || !file[tli][segno].there || file[tli][segno].lost ||
            file[tli][segno].damage == r->lsn)
            continue;
        if (!joins(tli, r))
            continue;
        p = plan_points_add(&in->points, &e);
        must(p != NULL);
        *p = (struct plan_point){.tli = tli, .segno = segno, .lsn = r->lsn, .time = r->time};
        snprintf(p->name, sizeof p->name, "%s", r->name);
    }
}

static void fill(struct plan_input *in, bool keys)
{
    struct err e = {0};

    plan_input_init(in, SEG);
    for (tli_t tli = 1; tli <= lines; tli++) {
        must(plan_lines_push(&in->lines,
                             (struct plan_line){tli, line[tli].parent, line[tli].birth, true},
                             &e) == 0);
        for (uint64_t s = 0; s < SEGS; s++) {
            struct plan_segment *segment;

            if (!file[tli][s].there)
                continue;
            segment = plan_segments_add(&in->segments, &e);
            must(segment != NULL);
            fill_segment(segment, tli, s, keys);
            fill_run(segment, tli);
        }
        fill_points(in, tli);
    }
    for (unsigned i = 0; i < backups; i++)
        must(plan_backups_push(&in->backups, backup[i], &e) == 0);
}

/* Reads one segment, as the plan asks for it. */
static void read_detail(struct plan_input *in, size_t index)
{
    struct plan_segment *s = &in->segments.v[index];
    const struct line *l = &line[s->tli];
    struct err e = {0};

    s->detail = PLAN_READ;
    s->detail_at = in->ends.n;
    for (unsigned i = 0; i < l->n; i++) {
        const struct rec *r = &l->rec[i];

        if (r->lsn < s->segno * SEG || r->end > (s->segno + 1) * SEG ||
            (s->damage != 0 && r->lsn >= s->damage))
            continue;
        if (s->minimal == 0 || r->lsn < s->minimal)
            s->detail_last = r->lsn;
        if (!is_end(r))
            continue;
        must(plan_ends_push(&in->ends, (struct plan_end){r->lsn, r->time, r->xid, r->kind == ABORT},
                            &e) == 0);
        s->detail_n++;
    }
}

static unsigned details;

static void plan_fully(struct plan *p, struct plan_input *in, const struct plan_target *t)
{
    struct err e = {0};

    for (;;) {
        must(plan_make(p, in, t, &e) == 0);
        if (p->verdict != PLAN_DETAIL)
            return;
        must(in->segments.v[p->detail].detail == PLAN_UNREAD);
        read_detail(in, p->detail);
        details++;
    }
}

/* --- the simulated server --- */

static bool is_ancestor(const struct way *w, tli_t tli, lsn_t lsn)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->tli[i] == tli)
            return i == 0 || lsn < line[w->tli[i - 1]].birth;
    return false;
}

enum reading { READS, HOLE, NATURAL, BAD };

static enum reading gap(tli_t tli, uint64_t segno)
{
    for (uint64_t s = segno + 1; s < SEGS; s++)
        if (file[tli][s].there)
            return HOLE;
    for (tli_t t = 1; t <= lines; t++)
        if (line[t].parent == tli && seg_of(line[t].birth) > segno)
            return HOLE;
    return NATURAL;
}

static enum reading missing(const struct way *w, tli_t tli, uint64_t segno)
{
    if (gap(tli, segno) == HOLE)
        return HOLE;
    /* The server would go on with the parent's file, which is not this history. */
    for (unsigned i = 0; i + 1 < w->n; i++) {
        tli_t up = w->tli[i + 1];
        const struct line *l = &line[up];

        if (line[w->tli[i]].birth / SEG != segno || !file[up][segno].there)
            continue;
        if (file[up][segno].lost)
            return BAD;
        for (unsigned k = 0; k < l->n; k++)
            if (l->rec[k].lsn >= line[w->tli[i]].birth && seg_of(l->rec[k].lsn) == segno)
                return BAD;
    }
    return NATURAL;
}

static bool comes_inside(const struct plan_backup *b, tli_t tli, uint64_t segno)
{
    bool before = false;
    bool behind = false;

    if (!b->inside || segno > seg_of(b->stop - 1))
        return false;
    for (uint64_t s = 0; s < SEGS; s++) {
        before = before || (s < segno && file[tli][s].there);
        behind = behind || (s > segno && file[tli][s].there);
    }
    return !(before && behind);
}

/* May the server go on into this segment? */
static enum reading enters(const struct way *w, const struct plan_backup *b, uint64_t segno)
{
    tli_t tli = file_for(w, segno);
    const struct file *f = &file[tli][segno];

    if (!f->there)
        return comes_inside(b, tli, segno) ? READS : missing(w, tli, segno);
    if (f->lost || (f->broken && segno != seg_of(b->start)))
        return BAD;
    return READS;
}

/* What the server can read from the backup's start on: *n records; how it ends. */
static enum reading read_on(const struct way *w, const struct plan_backup *b,
                            const struct rec **out, unsigned *n, lsn_t *to)
{
    const struct line *l = &line[w->tli[0]];
    uint64_t entered = seg_of(b->start);
    enum reading how = enters(w, b, entered);

    *n = 0;
    *to = b->start;
    if (how == READS && file[file_for(w, entered)][entered].there &&
        file[file_for(w, entered)][entered].damage != 0 &&
        file[file_for(w, entered)][entered].damage < b->start)
        return BAD; /* nobody knows what is sound behind it */
    for (unsigned i = 0; i < l->n && how == READS; i++) {
        const struct rec *r = &l->rec[i];
        tli_t tli;

        if (r->lsn < b->start)
            continue;
        while (how == READS && entered < seg_of(r->lsn))
            how = enters(w, b, ++entered);
        if (how != READS)
            return how;
        tli = file_for(w, entered);
        if (!file[tli][entered].there && r->lsn >= b->stop)
            return gap(tli, entered); /* what came with the backup ends with it */
        if (file[tli][entered].there && file[tli][entered].damage == r->lsn)
            return BAD;
        while (how == READS && entered < seg_of(r->end - 1)) {
            how = enters(w, b, ++entered);
            tli = file_for(w, entered);
            if (how == READS && file[tli][entered].there && file[tli][entered].damage == r->lsn)
                how = BAD;
        }
        if (how != READS || r->kind == MINIMAL)
            return how != READS ? how : BAD;
        out[(*n)++] = r;
        *to = r->end;
    }
    while (how == READS)
        how = enters(w, b, ++entered);
    return how;
}

/* A segment that came with the backup is not looked into beyond the backup's end. */
static bool is_known(const struct way *w, const struct plan_backup *b, const struct rec *r)
{
    for (uint64_t s = seg_of(r->lsn); s <= seg_of(r->end - 1); s++)
        if (!file[file_for(w, s)][s].there)
            return false;
    (void)b;
    return true;
}

/* Would a recovery from this backup reach the target?  *stop: the record it stops at. */
static bool simulate(const struct plan_backup *b, const struct plan_target *t, tli_t tli,
                     lsn_t *stop)
{
    static const struct rec *rec[RECS * TLIS];
    struct way w = way_to(tli);
    enum reading how;
    unsigned n;
    lsn_t to;

    *stop = 0;
    if (b->damaged || !is_ancestor(&w, b->start_tli, b->start) ||
        !is_ancestor(&w, b->stop_tli, b->stop - 1))
        return false;
    how = read_on(&w, b, rec, &n, &to);
    if (to < b->stop)
        return false;
    if (t->kind == PLAN_LATEST)
        return how == NATURAL;
    if (t->kind == PLAN_IMMEDIATE) {
        *stop = b->stop;
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct rec *r = rec[i];
        bool here = false;

        if (!is_known(&w, b, r))
            continue;
        if (t->kind == PLAN_LSN)
            here = r->lsn >= t->lsn;
        else if (t->kind == PLAN_NAME)
            here = r->kind == POINT && strcmp(r->name, t->name) == 0;
        else if (is_end(r) && t->kind == PLAN_XID)
            here = r->xid == t->xid;
        else if (is_end(r) && t->kind == PLAN_TIME)
            here = t->exclusive ? r->time >= t->time : r->time > t->time;
        if (!here)
            continue;
        *stop = t->kind == PLAN_LSN ? t->lsn : r->lsn;
        return *stop >= b->stop;
    }
    return false;
}

/* The backup that a careful person would take: the newest that gets there. */
static int best(const struct plan_target *t, lsn_t *stop)
{
    int found = -1;
    lsn_t at = 0;

    for (unsigned i = 0; i < backups; i++) {
        tli_t tli = t->current ? backup[i].start_tli : t->timeline != 0 ? t->timeline : lines;
        lsn_t here;

        if (t->backup != NULL && strcmp(t->backup, backup[i].label) != 0)
            continue;
        if (!simulate(&backup[i], t, tli, &here))
            continue;
        if (found < 0 || backup[i].start > backup[found].start ||
            (backup[i].start == backup[found].start &&
             strcmp(backup[i].label, backup[found].label) > 0)) {
            found = (int)i;
            at = here;
        }
    }
    *stop = at;
    return found;
}

/* --- comparing --- */

static struct plan_target random_target(void)
{
    static char name[8];
    const struct line *l = &line[1 + rnd(lines)];
    const struct rec *r = &l->rec[rnd(l->n)];
    struct plan_target t = {.kind = (enum plan_kind)rnd(6), .exclusive = rnd(2) == 0};

    t.time = r->time + (int64_t)rnd(3) - 1;
    t.lsn = rnd(2) == 0 ? r->lsn : r->lsn + rnd(9) - 4;
    if (rnd(10) == 0)
        t.lsn = rnd(SEGS * SEG);
    t.xid = rnd(8) == 0 ? 600 + rnd(300) : is_end(r) ? r->xid : 701;
    snprintf(name, sizeof name, "p%u", rnd(13));
    t.name = name;
    if (t.kind == PLAN_NAME || t.kind == PLAN_IMMEDIATE || t.kind == PLAN_LATEST)
        t.exclusive = false;
    if (rnd(3) == 0)
        t.timeline = 1 + rnd(lines);
    else if (rnd(4) == 0)
        t.current = true;
    if (rnd(6) == 0 && backups > 0)
        t.backup = backup[rnd(backups)].label;
    return t;
}

static void show(const struct plan_target *t, const struct plan *p, int want, lsn_t stop)
{
    printf("# kind %d time %lld lsn %llx xid %u name %s %s tli %u%s backup %s\n", (int)t->kind,
           (long long)t->time, (unsigned long long)t->lsn, (unsigned)t->xid, t->name,
           t->exclusive ? "exclusive" : "", (unsigned)t->timeline, t->current ? " current" : "",
           t->backup == NULL ? "any" : t->backup);
    printf("#  plan: verdict %d backup %zu stop %llx why %s\n", (int)p->verdict, p->backup,
           (unsigned long long)p->stop, plan_why_text(p->why));
    printf("#  want: backup %d stop %llx\n", want, (unsigned long long)stop);
    for (unsigned i = 0; i < backups; i++)
        printf("#   %s: tli %u %llx..%llx %s%s: %s, to %llx\n", backup[i].label,
               (unsigned)backup[i].start_tli, (unsigned long long)backup[i].start,
               (unsigned long long)backup[i].stop, backup[i].inside ? "inside " : "",
               backup[i].damaged ? "damaged" : "", plan_why_text(p->judged.v[i].why),
               (unsigned long long)p->judged.v[i].at);
}

static void show_history(void)
{
    for (tli_t t = 1; t <= lines; t++) {
        printf("#   timeline %u, left %u at %llx\n", (unsigned)t, (unsigned)line[t].parent,
               (unsigned long long)line[t].birth);
        for (uint64_t s = 0; s < SEGS; s++)
            if (file[t][s].there)
                printf("#    segment %llu%s%s damage %llx\n", (unsigned long long)s,
                       file[t][s].lost ? " lost" : "", file[t][s].broken ? " broken" : "",
                       (unsigned long long)file[t][s].damage);
        for (unsigned i = 0; i < line[t].n && getenv("PLAN_RECORDS") != NULL; i++)
            printf("#     %llx..%llx kind %d time %lld xid %u %s\n",
                   (unsigned long long)line[t].rec[i].lsn, (unsigned long long)line[t].rec[i].end,
                   (int)line[t].rec[i].kind, (long long)line[t].rec[i].time,
                   (unsigned)line[t].rec[i].xid, line[t].rec[i].name);
    }
}

static bool agrees(const struct plan *p, const struct plan_target *t)
{
    lsn_t stop;
    int want = best(t, &stop);
    bool same = (p->verdict == PLAN_YES) == (want >= 0);

    if (same && want >= 0)
        same = p->backup == (size_t)want && (t->kind == PLAN_LATEST || p->stop == stop);
    if (!same) {
        show(t, p, want, stop);
        show_history();
    }
    return same;
}

static bool near_is_true(struct plan_input *in, const struct plan_target *t,
                         const struct plan_near *near, tli_t tli)
{
    struct plan_target again = {.kind = PLAN_LSN, .lsn = near->lsn, .timeline = tli};
    struct plan p;
    lsn_t stop;
    bool ok;

    if (near->at_backup) {
        again.kind = PLAN_IMMEDIATE;
        again.backup = backup[near->backup].label;
    }
    plan_init(&p);
    plan_fully(&p, in, &again);
    ok = p.verdict == PLAN_YES && best(&again, &stop) >= 0;
    if (!ok)
        show(t, &p, -1, near->lsn);
    plan_fini(&p);
    return ok;
}

/* For an LSN: is anything between the target and what is offered? */
static bool near_is_nearest(const struct plan *p, const struct plan_target *t)
{
    const struct line *l = &line[p->tli];
    lsn_t stop;

    for (unsigned i = 0; i < l->n; i++) {
        struct plan_target between = *t;

        between.lsn = l->rec[i].lsn;
        if (between.lsn < t->lsn &&
            (!p->before_target.is_set || between.lsn > p->before_target.lsn) &&
            best(&between, &stop) >= 0)
            return false;
        if (between.lsn > t->lsn && p->after_target.is_set && between.lsn < p->after_target.lsn &&
            best(&between, &stop) >= 0)
            return false;
    }
    return true;
}

static unsigned asked[6];
static unsigned reached[6];

static void test_random(unsigned histories)
{
    unsigned wrong = 0;
    unsigned untrue = 0;
    unsigned farther = 0;
    unsigned nears = 0;

    for (unsigned h = 0; h < histories; h++) {
        struct plan_input in;
        struct plan p;

        make_history();
        fill(&in, true);
        plan_init(&p);
        for (unsigned i = 0; i < 12; i++) {
            struct plan_target t = random_target();

            plan_fully(&p, &in, &t);
            wrong += agrees(&p, &t) ? 0 : 1;
            asked[t.kind]++;
            reached[t.kind] += p.verdict == PLAN_YES ? 1 : 0;
            if (p.verdict == PLAN_YES || t.current || t.backup != NULL)
                continue;
            nears += p.before_target.is_set || p.after_target.is_set ? 1 : 0;
            if (p.before_target.is_set && !near_is_true(&in, &t, &p.before_target, p.tli))
                untrue++;
            if (p.after_target.is_set && !near_is_true(&in, &t, &p.after_target, p.tli))
                untrue++;
            if (t.kind == PLAN_LSN && !near_is_nearest(&p, &t))
                farther++;
            if (wrong + untrue > 5)
                break;
        }
        plan_fini(&p);
        plan_input_fini(&in);
        if (wrong + untrue > 5)
            break;
    }
    for (unsigned k = 0; k < 6; k++)
        printf("# kind %u: %u asked, %u reachable\n", k, asked[k], reached[k]);
    printf("# %u segments read, %u refusals with something near\n", details, nears);
    OK(wrong == 0, "%u histories: backup and stop are those of the simulated server", histories);
    OK(untrue == 0, "what is offered instead can be reached");
    OK(farther == 0, "and nothing nearer to an LSN can");
    for (unsigned k = 0; k < 6; k++)
        OK(reached[k] > asked[k] / 50 && reached[k] < asked[k], "kind %u: both answers occurred",
           k);
}

/* Without keys nothing inside a segment is known: what is promised must still be true. */
static void test_without_keys(unsigned histories)
{
    unsigned wrong = 0;
    unsigned sure = 0;

    for (unsigned h = 0; h < histories; h++) {
        struct plan_input in;
        struct plan p;

        make_history();
        fill(&in, false);
        plan_init(&p);
        for (unsigned i = 0; i < 12; i++) {
            struct plan_target t = random_target();
            tli_t tli;
            lsn_t stop;

            plan_fully(&p, &in, &t);
            if (p.verdict != PLAN_YES || p.unsure || t.kind == PLAN_XID)
                continue;
            sure++;
            tli = t.current ? backup[p.backup].start_tli : t.timeline != 0 ? t.timeline : lines;
            if (!simulate(&backup[p.backup], &t, tli, &stop)) {
                show(&t, &p, -1, stop);
                wrong++;
            }
        }
        plan_fini(&p);
        plan_input_fini(&in);
    }
    OK(wrong == 0 && sure > histories, "without keys: %u promises, all of them true", sure);
}

/* --- by hand --- */

static void test_tablespaces(void)
{
    struct plan_input in;
    struct plan p;
    struct plan_target t = {.kind = PLAN_LATEST};
    unsigned covered = 0;

    do
        make_history();
    while (lines < 2);
    fill(&in, true);
    plan_init(&p);
    for (unsigned i = 0; i < 3000; i++) {
        const struct rec *r;
        lsn_t stop;
        tli_t tli;

        t = random_target();
        plan_fully(&p, &in, &t);
        if (p.verdict != PLAN_YES || t.kind == PLAN_LATEST)
            continue;
        tli = 1 + rnd(lines);
        r = &line[tli].rec[rnd(line[tli].n)];
        stop = p.stop;
        if (plan_replays(&p, &in, tli, seg_of(r->end - 1), r->lsn)) {
            covered++;
            if (r->lsn < backup[p.backup].start || r->lsn > stop || (p.before && r->lsn == stop))
                covered = UINT32_MAX / 2;
        }
    }
    OK(covered > 0 && covered < UINT32_MAX / 2, "what a plan replays lies between start and stop");
    plan_fini(&p);
    plan_input_fini(&in);
}

static void test_empty(void)
{
    struct plan_input in;
    struct plan p;
    struct plan_target t = {.kind = PLAN_LATEST};

    plan_input_init(&in, SEG);
    plan_init(&p);
    plan_fully(&p, &in, &t);
    OK(p.verdict == PLAN_NO && !p.before_target.is_set && !p.after_target.is_set,
       "nothing there: refused, nothing near");
    t.timeline = 7;
    plan_fully(&p, &in, &t);
    OK(p.verdict == PLAN_NO && p.at_tli == 7, "an unknown timeline is named");
    plan_fini(&p);
    plan_input_fini(&in);
}

int main(int argc, char **argv)
{
    unsigned histories = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 6000;

    test_random(histories);
    test_without_keys(histories / 4);
    test_tablespaces();
    test_empty();
    return tap_done();
}
