#include "repo/plan.h"

#include <string.h>

#include "pg/facts.h"
#include "repo/plan_trial.h"

void plan_input_init(struct plan_input *in, uint32_t segsize)
{
    in->segsize = segsize;
    in->expired = NULL;
    plan_backups_init(&in->backups, PLAN_BACKUPS_MAX);
    plan_segments_init(&in->segments, COVERAGE_ROWS_MAX);
    plan_lines_init(&in->lines, COVERAGE_TIMELINES_MAX);
    plan_points_init(&in->points, COVERAGE_ROWS_MAX);
    plan_spaces_init(&in->spaces, COVERAGE_ROWS_MAX);
    plan_ends_init(&in->ends, PLAN_ENDS_MAX);
}

void plan_input_fini(struct plan_input *in)
{
    plan_backups_fini(&in->backups);
    plan_segments_fini(&in->segments);
    plan_lines_fini(&in->lines);
    plan_points_fini(&in->points);
    plan_spaces_fini(&in->spaces);
    plan_ends_fini(&in->ends);
}

size_t plan_place(const struct plan_input *in, tli_t tli, uint64_t segno)
{
    size_t low = 0;
    size_t high = in->segments.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct plan_segment *s = &in->segments.v[middle];

        if (s->tli < tli || (s->tli == tli && s->segno < segno))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct plan_segment *plan_segment(const struct plan_input *in, tli_t tli, uint64_t segno)
{
    size_t at = plan_place(in, tli, segno);

    if (at == in->segments.n || in->segments.v[at].tli != tli || in->segments.v[at].segno != segno)
        return NULL;
    return &in->segments.v[at];
}

const struct plan_line *plan_line(const struct plan_input *in, tli_t tli)
{
    for (size_t i = 0; i < in->lines.n; i++)
        if (in->lines.v[i].tli == tli)
            return &in->lines.v[i];
    return NULL;
}

void plan_init(struct plan *p)
{
    memset(p, 0, sizeof *p);
    plan_judgements_init(&p->judged, PLAN_BACKUPS_MAX);
    plan_parts_init(&p->parts, COVERAGE_TIMELINES_MAX);
}

void plan_fini(struct plan *p)
{
    plan_judgements_fini(&p->judged);
    plan_parts_fini(&p->parts);
}

const char *plan_why_text(enum plan_why why)
{
    static const char *const text[] = {
        [PLAN_CHOSEN] = "chosen: the newest one that can reach the target",
        [PLAN_OLDER] = "a newer one can reach the target",
        [PLAN_UNWANTED] = "another one was asked for",
        [PLAN_UNUSABLE] = "it is damaged",
        [PLAN_OTHER_BRANCH] = "it is not on the way to this timeline",
        [PLAN_TOO_NEW] = "it ends after the target",
        [PLAN_HOLE] = "a segment on the way is missing",
        [PLAN_EXPIRED] = "a segment on the way was expired",
        [PLAN_LOST] = "a segment on the way cannot be read",
        [PLAN_DAMAGE] = "the WAL on the way is broken",
        [PLAN_JOIN] = "two segments on the way do not belong together",
        [PLAN_MINIMAL] = "wal_level was minimal on the way",
        [PLAN_ENDS] = "the archive ends before",
        [PLAN_NOT_FOUND] = "there is no such record behind it",
        [PLAN_DIVERGES] = "the first segment of a timeline is not in the archive",
        [PLAN_UNSURE] = "that cannot be told without a secret key",
    };

    return text[why];
}

/* --- all of them --- */

/* The order in which backups are tried: newest start first. */
static bool is_newer(const struct plan_backup *a, const struct plan_backup *b)
{
    if (a->start != b->start)
        return a->start > b->start;
    return strcmp(a->label, b->label) > 0;
}

/* The newest backup that has not been judged yet; the count when there is none. */
static size_t next_backup(const struct plan_input *in, const bool *done)
{
    size_t found = in->backups.n;

    for (size_t i = 0; i < in->backups.n; i++)
        if (!done[i] &&
            (found == in->backups.n || is_newer(&in->backups.v[i], &in->backups.v[found])))
            found = i;
    return found;
}

tli_t plan_latest(const struct plan_input *in)
{
    tli_t tli = 1;
    tli_t last = 0;
    tli_t inside = 0;

    for (size_t i = 0; i < in->lines.n; i++) {
        const struct plan_line *line = &in->lines.v[i];

        if (line->inside)
            inside = line->tli > inside ? line->tli : inside;
        else
            last = line->tli;
        if ((line->known || line->tli == 1) && line->tli > tli)
            tli = line->tli;
    }
    if (last == 0)
        return inside != 0 ? inside : 1;
    /* A cluster that was restored elsewhere first may have no timeline 1 here at all. */
    return plan_line(in, tli) == NULL ? last : tli;
}

/* Does the backup lie behind the target? */
static bool is_behind(const struct plan_trial *t)
{
    switch (t->t->kind) {
    case PLAN_LSN:
        return t->t->lsn < t->backup->stop;
    case PLAN_TIME:
        return t->why == PLAN_TOO_NEW;
    case PLAN_NAME:
        return t->point != 0 && t->point < t->backup->stop;
    case PLAN_LATEST:
    case PLAN_XID:
    case PLAN_IMMEDIATE:
        break;
    }
    return false;
}

/* Answers a segment that must be read to tell. */
static const struct plan_segment *keep_near(struct plan *p, const struct plan_trial *t,
                                            size_t index)
{
    const struct plan_backup *b = t->backup;
    struct plan_near *before = &p->before_target;
    struct plan_near *after = &p->after_target;
    struct plan_walk w;

    /* As far as one gets from this backup; behind the target its end will do. */
    if (t->ended) {
        w = t->walk;
    } else {
        plan_walk_init(&w, t->in, t->walk.parts, b);
        while ((!is_behind(t) || w.reach < b->stop) && plan_walk_next(&w))
            ;
    }
    if (w.reach < b->stop)
        return NULL;
    if (is_behind(t)) {
        if (!after->is_set || b->stop < after->lsn)
            *after = (struct plan_near){true, true, index, b->stop, b->stop_time};
        return NULL;
    }
    if (w.partial != NULL && w.partial->detail == PLAN_UNREAD &&
        (!before->is_set || w.limit > before->lsn))
        return w.partial;
    if (w.last < b->stop) {
        if (!before->is_set || b->stop > before->lsn)
            *before = (struct plan_near){true, true, index, b->stop, b->stop_time};
    } else if (!before->is_set || w.last > before->lsn) {
        *before = (struct plan_near){true, false, index, w.last, w.time};
    }
    return NULL;
}

/* Was the clock set back before?  Then the copy has transactions that are later than the target. */
static bool clock_went_back(const struct plan_input *in, const struct plan_target *target,
                            const struct plan_parts *parts, const struct plan_backup *b)
{
    for (size_t i = 0; i < in->segments.n; i++) {
        const struct plan_segment *s = &in->segments.v[i];
        const struct plan_end end = {.time = s->greatest};

        if (walname_start(s->segno + 1, in->segsize) <= b->start && s->ends > 0 &&
            plan_trial_stops(target, &end) && plan_owner(in, parts, s->segno)->tli == s->tli)
            return true;
    }
    return false;
}

static void keep(struct plan *p, const struct plan_trial *t, size_t index)
{
    p->verdict = PLAN_YES;
    p->backup = index;
    p->stop = t->stop;
    p->stop_time = t->stop_time;
    p->reached = t->reached;
    p->reached_time = t->last;
    if (t->t->kind == PLAN_TIME || t->t->kind == PLAN_XID)
        p->reached_time = t->held;
    else if (t->t->kind == PLAN_LATEST)
        p->reached_time = t->walk.time;
    if (t->reached.lsn != 0)
        p->reached_time = t->reached.time;
    p->went_back =
        t->t->kind == PLAN_TIME && clock_went_back(t->in, t->t, t->walk.parts, t->backup);
    p->before = t->t->kind == PLAN_TIME || t->t->exclusive;
    if (t->t->kind == PLAN_NAME || t->t->kind == PLAN_LATEST || t->t->kind == PLAN_IMMEDIATE)
        p->before = false;
    p->segments = t->walk.segments;
    p->stored = t->walk.stored;
    p->inside = t->walk.inside;
    p->unsure = t->walk.unsure;
}

/* Which segments of each timeline are read. */
static void set_parts(struct plan *p, const struct plan_input *in, uint64_t behind)
{
    uint64_t segno = walname_segno_of(in->backups.v[p->backup].start, in->segsize);

    for (size_t i = 0; i < p->parts.n; i++)
        p->parts.v[i].first = p->parts.v[i].behind = 0;
    for (; segno < behind; segno++) {
        struct plan_part *part = &p->parts.v[plan_owner(in, &p->parts, segno) - p->parts.v];
        const struct plan_segment *s = plan_segment(in, part->tli, segno);

        if (part->behind == 0)
            part->first = segno;
        part->behind = segno + 1;
        if (s != NULL && (s->lost & FACTS_LOST_EVENTS) != 0)
            p->lost_names = true;
    }
}

/* Is the thing that was asked for on another timeline? */
static tli_t find_elsewhere(const struct plan *p, const struct plan_input *in,
                            const struct plan_target *t)
{
    if (t->kind == PLAN_NAME)
        for (size_t i = 0; i < in->points.n; i++)
            if (strcmp(in->points.v[i].name, t->name) == 0 &&
                (p->parts.n == 0 ||
                 plan_owner(in, &p->parts, in->points.v[i].segno)->tli != in->points.v[i].tli))
                return in->points.v[i].tli;
    if (t->kind == PLAN_LSN)
        for (size_t i = in->segments.n; i > 0; i--) {
            const struct plan_segment *s = &in->segments.v[i - 1];

            if (s->segno == walname_segno_of(t->lsn, in->segsize) && s->end > t->lsn &&
                (p->parts.n == 0 || plan_part_of(&p->parts, s->tli) == NULL))
                return s->tli;
        }
    return 0;
}

/* Of several reasons the one that tells most: that of the newest backup that was on the way. */
static bool tells_more(enum plan_why a, enum plan_why b)
{
    static const uint8_t rank[] = {
        [PLAN_UNWANTED] = 1,  [PLAN_OTHER_BRANCH] = 2, [PLAN_UNUSABLE] = 3, [PLAN_TOO_NEW] = 4,
        [PLAN_NOT_FOUND] = 5, [PLAN_ENDS] = 6,         [PLAN_UNSURE] = 7,   [PLAN_DIVERGES] = 8,
        [PLAN_MINIMAL] = 8,   [PLAN_HOLE] = 8,         [PLAN_LOST] = 8,     [PLAN_DAMAGE] = 8,
        [PLAN_JOIN] = 8,      [PLAN_EXPIRED] = 8,
    };

    return rank[a] > rank[b];
}

static int ask(struct plan *p, const struct plan_input *in, const struct plan_segment *s, size_t n)
{
    p->verdict = PLAN_DETAIL;
    p->detail = (size_t)(s - in->segments.v);
    p->peek = n;
    return 0;
}

/* Is it left out before it is tried? */
static bool is_out(const struct plan_target *t, const struct plan_backup *b, bool found,
                   struct plan_judged *j)
{
    if (t->backup != NULL && strcmp(t->backup, b->label) != 0)
        j->why = PLAN_UNWANTED;
    else if (found)
        j->why = PLAN_OLDER;
    else
        return false;
    return true;
}

static void take_reason(struct plan *p, const struct plan_judged *j)
{
    if (p->why != PLAN_CHOSEN && !tells_more(j->why, p->why))
        return;
    p->why = j->why;
    p->at = j->at;
    p->at_tli = j->tli;
    p->at_segno = j->segno;
}

/* May a trial of an older backup make use of this one? */
static bool is_of_use(const struct plan_target *t, const struct plan_trial *trial)
{
    return !t->current && (trial->ended || (trial->unborn && trial->why == PLAN_NOT_FOUND));
}

/* near: look also for the nearest moments that can be reached. */
static int try_all(struct plan *p, const struct plan_input *in, const struct plan_target *t,
                   bool *done, bool near, struct err *e)
{
    struct plan_trial known = {.ended = false};
    bool found = false;
    size_t i;

    while ((i = next_backup(in, done)) < in->backups.n) {
        struct plan_judged *j = &p->judged.v[i];
        const struct plan_backup *b = &in->backups.v[i];
        struct plan_trial trial;
        tli_t missing = 0;

        done[i] = true;
        if (is_out(t, b, found, j))
            continue;
        if (t->current) {
            int rc = plan_path(in, b->start_tli, &p->parts, &missing, e);

            if (rc < 0)
                return -1;
            if (rc > 0) {
                *j = (struct plan_judged){.why = PLAN_OTHER_BRANCH, .tli = missing};
                continue;
            }
        }
        plan_trial(&trial, in, t, &p->parts, b, is_of_use(t, &known) ? &known : NULL);
        if (trial.detail != NULL)
            return ask(p, in, trial.detail, trial.peek);
        *j = (struct plan_judged){trial.why, trial.walk.reach, trial.walk.tli, trial.walk.segno};
        if (trial.why == PLAN_CHOSEN) {
            found = true;
            keep(p, &trial, i);
            p->tli = t->current ? b->start_tli : p->tli;
            set_parts(p, in, trial.walk.segno);
            continue;
        }
        if (is_of_use(t, &trial))
            known = trial;
        if (near && trial.why != PLAN_OTHER_BRANCH && trial.why != PLAN_UNUSABLE)
            trial.detail = keep_near(p, &trial, i);
        if (trial.detail != NULL)
            return ask(p, in, trial.detail, 0);
        take_reason(p, j);
    }
    return 0;
}

static void reset(struct plan *p)
{
    struct plan_judgements judged = p->judged;
    struct plan_parts parts = p->parts;

    memset(p, 0, sizeof *p);
    p->judged = judged;
    p->parts = parts;
    p->judged.n = 0;
    p->parts.n = 0;
    p->verdict = PLAN_NO;
    p->reached_time = COVERAGE_NO_TIME;
    p->stop_time = COVERAGE_NO_TIME;
}

int plan_make(struct plan *p, const struct plan_input *in, const struct plan_target *t,
              struct err *e)
{
    tli_t missing = 0;
    bool *done;
    int rc = 0;

    reset(p);
    for (size_t i = 0; i < in->backups.n; i++)
        if (plan_judgements_add(&p->judged, e) == NULL)
            return -1;
    if (!t->current) {
        p->tli = t->timeline != 0 ? t->timeline : plan_latest(in);
        rc = plan_path(in, p->tli, &p->parts, &missing, e);
        if (rc < 0)
            return -1;
    }
    if (rc > 0) {
        p->why = PLAN_OTHER_BRANCH;
        p->at_tli = missing;
        for (size_t i = 0; i < p->judged.n; i++)
            p->judged.v[i].why = PLAN_OTHER_BRANCH;
        p->parts.n = 0;
        return 0;
    }
    done = calloc(in->backups.n + 1, sizeof *done);
    if (done == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a plan");
    /* A transaction may have to be looked for in many segments, each time anew: what is near need
     * not be found until it is clear that nothing else is asked for. */
    if (t->kind == PLAN_XID && !t->current) {
        rc = try_all(p, in, t, done, false, e);
        if (rc == 0 && p->verdict == PLAN_NO)
            memset(done, 0, in->backups.n * sizeof *done);
    }
    if (rc == 0 && p->verdict == PLAN_NO)
        rc = try_all(p, in, t, done, true, e);
    free(done);
    if (rc == 0 && p->verdict == PLAN_NO)
        p->elsewhere = find_elsewhere(p, in, t);
    return rc;
}

bool plan_replays(const struct plan *p, const struct plan_input *in, tli_t tli, uint64_t segno,
                  lsn_t lsn)
{
    const struct plan_part *part = plan_part_of(&p->parts, tli);

    if (p->verdict != PLAN_YES || part == NULL || segno < part->first || segno >= part->behind ||
        lsn < in->backups.v[p->backup].start)
        return false;
    return p->before ? lsn < p->stop : lsn <= p->stop;
}
