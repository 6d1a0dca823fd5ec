#include "plan_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/facts.h"
#include "pg/join.h"

struct sim_line sim_line[SIM_TLIS + 1];
unsigned sim_lines;
struct sim_file sim_file[SIM_TLIS + 1][SIM_SEGS];
struct plan_backup sim_backup[SIM_BACKUPS];
unsigned sim_backups;
static uint32_t xids;

uint32_t sim_random(uint32_t n)
{
    static uint64_t state = 88172645463325252ULL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

/* --- a random history --- */

static void grow(struct sim_line *l, unsigned count, int64_t *clock)
{
    lsn_t lsn = l->n == 0 ? SIM_SEG + 40 : l->rec[l->n - 1].end;

    while (count-- > 0 && l->n < SIM_RECS * SIM_TLIS && lsn < (lsn_t)(SIM_SEGS - 3) * SIM_SEG) {
        struct sim_rec *r = &l->rec[l->n++];
        uint32_t dice = sim_random(20);

        memset(r, 0, sizeof *r);
        r->lsn = lsn;
        r->end = lsn + 24 + 8 * sim_random(sim_random(12) == 0 ? 700 : 40);
        lsn = r->end;
        *clock += 1 + sim_random(3);
        if (sim_random(60) == 0)
            *clock -= sim_random(40);
        r->time = *clock;
        if (dice < 9)
            r->kind = SIM_COMMIT;
        else if (dice < 11)
            r->kind = SIM_ABORT;
        else if (dice < 13)
            r->kind = SIM_POINT;
        else if (dice == 13 && sim_random(40) == 0)
            r->kind = SIM_MINIMAL;
        r->xid = r->kind == SIM_COMMIT || r->kind == SIM_ABORT ? ++xids : 0;
        snprintf(r->name, sizeof r->name, "p%u", r->kind == SIM_POINT ? sim_random(12) : 0);
    }
}

uint64_t sim_segno(lsn_t lsn)
{
    return lsn / SIM_SEG;
}

static void archive(tli_t tli)
{
    struct sim_line *l = &sim_line[tli];
    lsn_t end = l->rec[l->n - 1].end;
    uint64_t first = tli == 1 ? 1 : sim_segno(l->birth);
    uint64_t behind = sim_segno(end - 1) + 1;

    if (sim_random(3) == 0 && behind > first)
        behind--; /* the last one is not archived yet */
    for (uint64_t s = first; s < behind; s++) {
        struct sim_file *f = &sim_file[tli][s];

        f->there = sim_random(25) != 0;
        f->lost = sim_random(50) == 0;
        f->broken = sim_random(50) == 0;
        if (sim_random(30) == 0)
            for (unsigned i = 0; i < l->n; i++)
                if (sim_segno(l->rec[i].lsn) == s && sim_random(3) == 0) {
                    f->damage = l->rec[i].lsn;
                    break;
                }
    }
    l->last_seg = behind - 1;
}

static void add_backup(void)
{
    tli_t tli = 1 + sim_random(sim_lines);
    struct sim_line *l = &sim_line[tli];
    struct plan_backup *b = &sim_backup[sim_backups];
    unsigned from;
    unsigned to;

    if (l->n - l->own < 4)
        return;
    from = l->own + sim_random(l->n - l->own - 3);
    to = from + 1 + sim_random(l->n - from - 1);
    if (sim_random(2) == 0 && to > from + 6)
        to = from + 6;
    if (l->rec[to].kind != SIM_OTHER)
        return;
    for (unsigned i = from; i <= to; i++)
        if (l->rec[i].kind == SIM_MINIMAL)
            return; /* the server would have refused */
    memset(b, 0, sizeof *b);
    snprintf(b->label, sizeof b->label, "backup%u", sim_backups);
    b->start_tli = b->stop_tli = tli;
    b->start = l->rec[from].lsn;
    b->stop = l->rec[to].end;
    b->start_time = l->rec[from].time;
    b->stop_time = l->rec[to].time;
    b->inside = sim_random(8) == 0;
    b->damaged = sim_random(20) == 0;
    sim_backups++;
}

void sim_make(void)
{
    int64_t clock = 1000000;

    memset(sim_line, 0, sizeof sim_line);
    memset(sim_file, 0, sizeof sim_file);
    xids = 700;
    sim_backups = 0;
    sim_lines = 1 + sim_random(SIM_TLIS);
    for (tli_t tli = 1; tli <= sim_lines; tli++) {
        struct sim_line *l = &sim_line[tli];

        if (tli > 1) {
            const struct sim_line *p;

            l->parent = 1 + sim_random(tli - 1);
            p = &sim_line[l->parent];
            l->own = l->n = p->own + 1 + sim_random(p->n - p->own);
            memcpy(l->rec, p->rec, l->n * sizeof *l->rec);
            l->birth = l->rec[l->n - 1].end;
        }
        grow(l, 5 + sim_random(40), &clock);
        if (l->n == l->own) { /* no room was left */
            sim_lines = tli - 1;
            break;
        }
        archive(tli);
    }
    for (unsigned i = 0; i < 20 && sim_backups < SIM_BACKUPS; i++)
        add_backup();
}

struct way {
    tli_t tli[SIM_TLIS + 1]; /* youngest first */
    unsigned n;
};

static struct way way_to(tli_t tli)
{
    struct way w = {.n = 0};

    for (; tli != 0; tli = sim_line[tli].parent)
        w.tli[w.n++] = tli;
    return w;
}

static tli_t file_for(const struct way *w, uint64_t segno)
{
    for (unsigned i = 0; i + 1 < w->n; i++)
        if (sim_segno(sim_line[w->tli[i]].birth) <= segno)
            return w->tli[i];
    return w->tli[w->n - 1];
}

/* --- as the inventory would tell it --- */

bool sim_is_end(const struct sim_rec *r)
{
    return r->kind == SIM_COMMIT || r->kind == SIM_ABORT;
}

static void fill_segment(struct plan_segment *s, tli_t tli, uint64_t segno, bool keys)
{
    const struct sim_line *l = &sim_line[tli];
    const struct sim_file *f = &sim_file[tli][segno];
    lsn_t start = segno * SIM_SEG;
    lsn_t end = start + SIM_SEG;
    unsigned aborts = 0;

    s->tli = tli;
    s->segno = segno;
    s->state = f->lost ? COVERAGE_LOST : f->damage != 0 ? COVERAGE_DAMAGED : COVERAGE_GOOD;
    s->join = f->broken ? JOIN_PREV : JOIN_OK;
    s->damage = f->damage;
    s->detail = keys ? PLAN_UNREAD : PLAN_UNREADABLE;
    s->last_time = s->greatest = s->last_commit = COVERAGE_NO_TIME;
    for (unsigned i = 0; i < l->n; i++) {
        const struct sim_rec *r = &l->rec[i];

        if (r->lsn < start && r->end > start && r->end <= end) {
            s->flags |= FACTS_HEAD_ENDS;
            s->cross = keys ? PLAN_CROSS_NONE : PLAN_CROSS_UNKNOWN;
            if (keys && sim_is_end(r)) {
                s->cross = PLAN_CROSS_END;
                s->crossing = (struct plan_end){r->lsn, r->time, r->xid, r->kind == SIM_ABORT};
            }
            if (r->kind == SIM_MINIMAL)
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
        if (r->kind == SIM_MINIMAL) {
            s->minimal = s->minimal == 0 ? r->lsn : s->minimal;
            s->minimal_to = r->lsn;
        }
        if (!sim_is_end(r))
            continue;
        s->ends++;
        s->last_time = r->time;
        if (r->kind == SIM_COMMIT) {
            s->last_commit = r->time;
            s->last_commit_at = aborts > 0 ? 0 : r->lsn;
        } else {
            aborts++;
            s->last_commit_at = 0;
        }
        if (s->ends == 1 || r->time > s->greatest)
            s->greatest = r->time;
    }
}

void sim_must(bool ok)
{
    if (!ok) {
        printf("Bail out! no memory\n");
        exit(1);
    }
}

/* What was running is told by a list at a random place. */
static void fill_run(struct plan_segment *s, tli_t tli)
{
    const struct sim_line *l = &sim_line[tli];
    uint32_t next = 701;

    if (sim_random(2) == 0 || s->first == 0)
        return;
    for (unsigned i = 0; i < l->n && l->rec[i].end <= s->first; i++)
        next = sim_is_end(&l->rec[i]) ? l->rec[i].xid + 1 : next;
    s->has_run = true;
    s->run = s->first;
    s->next = next;
    s->oldest = next;
}

/* A joiner needs both pieces of a record. */
static bool joins(tli_t tli, const struct sim_rec *r)
{
    struct way w = way_to(tli);

    for (uint64_t s = sim_segno(r->lsn); s <= sim_segno(r->end - 1); s++)
        if (!sim_file[file_for(&w, s)][s].there)
            return false;
    return true;
}

static void fill_points(struct plan_input *in, tli_t tli)
{
    struct err e = {0};

    for (unsigned i = 0; i < sim_line[tli].n; i++) {
        const struct sim_rec *r = &sim_line[tli].rec[i];
        uint64_t segno = sim_segno(r->end - 1);
        struct plan_point *p;

        if (r->kind != SIM_POINT || !sim_file[tli][segno].there || sim_file[tli][segno].lost ||
            sim_file[tli][segno].damage == r->lsn)
            continue;
        if (!joins(tli, r))
            continue;
        p = plan_points_add(&in->points, &e);
        sim_must(p != NULL);
        *p = (struct plan_point){.tli = tli, .segno = segno, .lsn = r->lsn, .time = r->time};
        snprintf(p->name, sizeof p->name, "%s", r->name);
    }
}

void sim_fill(struct plan_input *in, bool keys)
{
    struct err e = {0};

    plan_input_init(in, SIM_SEG);
    for (tli_t tli = 1; tli <= sim_lines; tli++) {
        sim_must(plan_lines_push(&in->lines,
                                 (struct plan_line){tli, sim_line[tli].parent, sim_line[tli].birth,
                                                    true, false},
                                 &e) == 0);
        for (uint64_t s = 0; s < SIM_SEGS; s++) {
            struct plan_segment *segment;

            if (!sim_file[tli][s].there)
                continue;
            segment = plan_segments_add(&in->segments, &e);
            sim_must(segment != NULL);
            fill_segment(segment, tli, s, keys);
            fill_run(segment, tli);
        }
        fill_points(in, tli);
    }
    for (unsigned i = 0; i < sim_backups; i++)
        sim_must(plan_backups_push(&in->backups, sim_backup[i], &e) == 0);
}

/* Reads one segment, as the plan asks for it. */
void sim_read(struct plan_input *in, size_t index)
{
    struct plan_segment *s = &in->segments.v[index];
    const struct sim_line *l = &sim_line[s->tli];
    struct err e = {0};

    s->detail = PLAN_READ;
    s->detail_at = in->ends.n;
    for (unsigned i = 0; i < l->n; i++) {
        const struct sim_rec *r = &l->rec[i];

        if (r->lsn < s->segno * SIM_SEG || r->end > (s->segno + 1) * SIM_SEG ||
            (s->damage != 0 && r->lsn >= s->damage))
            continue;
        if (s->minimal == 0 || r->lsn < s->minimal)
            s->detail_last = r->lsn;
        if (!sim_is_end(r))
            continue;
        sim_must(plan_ends_push(&in->ends,
                                (struct plan_end){r->lsn, r->time, r->xid, r->kind == SIM_ABORT},
                                &e) == 0);
        s->detail_n++;
    }
}

/* --- the simulated server --- */

static bool is_ancestor(const struct way *w, tli_t tli, lsn_t lsn)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->tli[i] == tli)
            return i == 0 || lsn < sim_line[w->tli[i - 1]].birth;
    return false;
}

enum reading { READS, HOLE, NATURAL, BAD };

static enum reading gap(tli_t tli, uint64_t segno)
{
    for (uint64_t s = segno + 1; s < SIM_SEGS; s++)
        if (sim_file[tli][s].there)
            return HOLE;
    for (tli_t t = 1; t <= sim_lines; t++)
        if (sim_line[t].parent == tli && sim_segno(sim_line[t].birth) > segno)
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
        const struct sim_line *l = &sim_line[up];

        if (sim_line[w->tli[i]].birth / SIM_SEG != segno || !sim_file[up][segno].there)
            continue;
        if (sim_file[up][segno].lost)
            return BAD;
        for (unsigned k = 0; k < l->n; k++)
            if (l->rec[k].lsn >= sim_line[w->tli[i]].birth && sim_segno(l->rec[k].lsn) == segno)
                return BAD;
    }
    return NATURAL;
}

static bool comes_inside(const struct plan_backup *b, tli_t tli, uint64_t segno)
{
    bool before = false;
    bool behind = false;

    if (!b->inside || segno > sim_segno(b->stop - 1))
        return false;
    for (uint64_t s = 0; s < SIM_SEGS; s++) {
        before = before || (s < segno && sim_file[tli][s].there);
        behind = behind || (s > segno && sim_file[tli][s].there);
    }
    return !(before && behind);
}

/* May the server go on into this segment? */
static enum reading enters(const struct way *w, const struct plan_backup *b, uint64_t segno)
{
    tli_t tli = file_for(w, segno);
    const struct sim_file *f = &sim_file[tli][segno];

    if (!f->there)
        return comes_inside(b, tli, segno) ? READS : missing(w, tli, segno);
    if (f->lost || (f->broken && segno != sim_segno(b->start)))
        return BAD;
    return READS;
}

/* What the server can read from the backup's start on: *n records; how it ends. */
static enum reading read_on(const struct way *w, const struct plan_backup *b,
                            const struct sim_rec **out, unsigned *n, lsn_t *to)
{
    const struct sim_line *l = &sim_line[w->tli[0]];
    uint64_t entered = sim_segno(b->start);
    enum reading how = enters(w, b, entered);

    *n = 0;
    *to = b->start;
    if (how == READS && sim_file[file_for(w, entered)][entered].there &&
        sim_file[file_for(w, entered)][entered].damage != 0 &&
        sim_file[file_for(w, entered)][entered].damage < b->start)
        return BAD; /* nobody knows what is sound behind it */
    for (unsigned i = 0; i < l->n && how == READS; i++) {
        const struct sim_rec *r = &l->rec[i];
        tli_t tli;

        if (r->lsn < b->start)
            continue;
        while (how == READS && entered < sim_segno(r->lsn))
            how = enters(w, b, ++entered);
        if (how != READS)
            return how;
        tli = file_for(w, entered);
        if (!sim_file[tli][entered].there && r->lsn >= b->stop)
            return gap(tli, entered); /* what came with the backup ends with it */
        if (sim_file[tli][entered].there && sim_file[tli][entered].damage == r->lsn)
            return BAD;
        while (how == READS && entered < sim_segno(r->end - 1)) {
            how = enters(w, b, ++entered);
            tli = file_for(w, entered);
            if (how == READS && sim_file[tli][entered].there &&
                sim_file[tli][entered].damage == r->lsn)
                how = BAD;
        }
        if (how != READS || r->kind == SIM_MINIMAL)
            return how != READS ? how : BAD;
        out[(*n)++] = r;
        *to = r->end;
    }
    while (how == READS)
        how = enters(w, b, ++entered);
    return how;
}

/* A segment that came with the backup is not looked into beyond the backup's end. */
static bool is_known(const struct way *w, const struct plan_backup *b, const struct sim_rec *r)
{
    for (uint64_t s = sim_segno(r->lsn); s <= sim_segno(r->end - 1); s++)
        if (!sim_file[file_for(w, s)][s].there)
            return false;
    (void)b;
    return true;
}

/* Is the last transaction that is in the backup as old as the target wants?  Where the archive does
 * not tell, the backup's clock does. */
static bool is_old_enough(const struct way *w, const struct plan_backup *b,
                          const struct plan_target *t)
{
    const struct sim_line *l = &sim_line[w->tli[0]];
    int64_t time = b->stop_time;

    for (uint64_t s = sim_segno(b->stop - 1); s + 1 > 0; s--) {
        const struct sim_file *f = &sim_file[file_for(w, s)][s];
        bool found = false;

        if (!f->there || f->lost || f->damage != 0)
            break;
        for (unsigned i = l->n; i > 0 && !found; i--) {
            const struct sim_rec *r = &l->rec[i - 1];

            found = sim_is_end(r) && r->lsn < b->stop && sim_segno(r->end - 1) == s;
            time = found ? r->time : time;
        }
        if (found)
            break;
    }
    return t->exclusive ? time < t->time : time <= t->time;
}

/* Would a recovery from this backup reach the target?  *stop: the record it stops at. */
bool sim_simulate(const struct plan_backup *b, const struct plan_target *t, tli_t tli, lsn_t *stop)
{
    static const struct sim_rec *rec[SIM_RECS * SIM_TLIS];
    struct way w = way_to(tli);
    enum reading how;
    unsigned n;
    lsn_t to;

    *stop = 0;
    if (b->damaged || !is_ancestor(&w, b->start_tli, b->start) ||
        !is_ancestor(&w, b->stop_tli, b->stop - 1))
        return false;
    if (t->kind == PLAN_TIME && !is_old_enough(&w, b, t))
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
        const struct sim_rec *r = rec[i];
        bool here = false;

        if (!is_known(&w, b, r))
            continue;
        if (t->kind == PLAN_LSN)
            here = r->lsn >= t->lsn;
        else if (t->kind == PLAN_NAME)
            here = r->kind == SIM_POINT && strcmp(r->name, t->name) == 0;
        else if (sim_is_end(r) && t->kind == PLAN_XID)
            here = r->xid == t->xid;
        else if (sim_is_end(r) && t->kind == PLAN_TIME)
            here = t->exclusive ? r->time >= t->time : r->time > t->time;
        if (!here)
            continue;
        *stop = t->kind == PLAN_LSN ? t->lsn : r->lsn;
        return *stop >= b->stop;
    }
    return false;
}

/* The backup that a careful person would take: the newest that gets there. */
int sim_best(const struct plan_target *t, lsn_t *stop)
{
    int found = -1;
    lsn_t at = 0;

    for (unsigned i = 0; i < sim_backups; i++) {
        tli_t tli = t->current         ? sim_backup[i].start_tli
                    : t->timeline != 0 ? t->timeline
                                       : sim_lines;
        lsn_t here;

        if (t->backup != NULL && strcmp(t->backup, sim_backup[i].label) != 0)
            continue;
        if (!sim_simulate(&sim_backup[i], t, tli, &here))
            continue;
        if (found < 0 || sim_backup[i].start > sim_backup[found].start ||
            (sim_backup[i].start == sim_backup[found].start &&
             strcmp(sim_backup[i].label, sim_backup[found].label) > 0)) {
            found = (int)i;
            at = here;
        }
    }
    *stop = at;
    return found;
}
