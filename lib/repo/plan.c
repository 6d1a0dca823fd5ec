#include "repo/plan.h"

#include <string.h>

#include "pg/facts.h"
#include "repo/plan_walk.h"

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

/* --- one backup --- */

/* A backup on trial. */
struct trial {
    const struct plan_input *in;
    const struct plan_target *t;
    const struct plan_backup *backup;
    struct plan_walk walk;
    enum plan_why why;
    const struct plan_segment *detail; /* must be read to go on: its records, */
    size_t peek;                       /* or the metadata of so many from there on */
    lsn_t stop;
    int64_t stop_time;
    struct plan_end reached; /* the last commit seen that was read exactly */
    int64_t last;            /* time of the last commit before the stop, by summaries */
    int64_t held;            /* time of the last transaction that is in the backup, if known */
    lsn_t point;             /* PLAN_NAME: where it is */
    int64_t point_time;
};

enum { TRIAL_GOES_ON = 0, TRIAL_OVER = 1, PEEK_AHEAD = 512 };

static int over(struct trial *t, enum plan_why why)
{
    t->why = why;
    return TRIAL_OVER;
}

static int reach(struct trial *t, lsn_t stop, int64_t time)
{
    t->stop = stop;
    t->stop_time = time;
    return over(t, stop < t->backup->stop ? PLAN_TOO_NEW : PLAN_CHOSEN);
}

/* Is this the end of a transaction at which the server would stop? */
static bool stops(const struct plan_target *t, const struct plan_end *end)
{
    if (t->kind == PLAN_XID)
        return end->xid == t->xid;
    return t->exclusive ? end->time >= t->time : end->time > t->time;
}

static int look_at(struct trial *t, const struct plan_end *end)
{
    if (end->lsn < t->backup->start || end->lsn >= t->walk.limit)
        return TRIAL_GOES_ON;
    if (stops(t->t, end)) {
        if (t->t->kind == PLAN_XID && !t->t->exclusive && !end->aborted)
            t->reached = *end;
        return reach(t, end->lsn, end->time);
    }
    if (!end->aborted)
        t->reached = *end;
    return TRIAL_GOES_ON;
}

/* The metadata of a segment, and soon of those behind it, must be known to go on. */
static int peek(struct trial *t, const struct plan_segment *s, size_t n)
{
    t->detail = s;
    t->peek = n;
    return TRIAL_OVER;
}

/* All ends in a segment, one by one. */
static int look_closely(struct trial *t, const struct plan_segment *s)
{
    if (s->detail == PLAN_UNREAD) {
        t->detail = s;
        return TRIAL_OVER;
    }
    for (size_t i = 0; i < s->detail_n; i++)
        if (look_at(t, &t->in->ends.v[s->detail_at + i]) == TRIAL_OVER)
            return TRIAL_OVER;
    return TRIAL_GOES_ON;
}

/* Nothing in this segment stops it. */
static int pass_over(struct trial *t, const struct plan_segment *s)
{
    if (s->last_commit != COVERAGE_NO_TIME) {
        t->held = s->last_commit;
        t->reached.lsn = 0;
    }
    return TRIAL_GOES_ON;
}

static int step_time(struct trial *t, const struct plan_segment *s)
{
    lsn_t start = walname_start(s->segno, t->in->segsize);
    struct plan_end greatest = {.time = s->greatest};

    if (s->ends == 0 || !stops(t->t, &greatest))
        return pass_over(t, s);
    if (start >= t->backup->start && t->walk.limit <= t->backup->stop && !t->walk.cut)
        return over(t, PLAN_TOO_NEW); /* wherever it is, it is before the end */
    if (s->detail != PLAN_UNREADABLE)
        return look_closely(t, s);
    if (start < t->backup->stop || t->walk.cut)
        return over(t, PLAN_UNSURE);
    t->walk.unsure = true;
    return reach(t, start, COVERAGE_NO_TIME);
}

/* Did transaction a begin before b?  Numbers go round. */
static bool precedes(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static int step_xid(struct trial *t, const struct plan_segment *s)
{
    uint32_t xid = t->t->xid;
    const struct plan_segment *next;

    if (s->ends == 0)
        return TRIAL_GOES_ON;
    /* Had it not begun when the next segment's last list of running ones was made? */
    next = plan_segment(t->in, s->tli, s->segno + 1);
    if (next != NULL && next->closed)
        return peek(t, next, PEEK_AHEAD);
    if (next != NULL && next->has_run && !precedes(xid, next->next))
        return pass_over(t, s);
    if (s->detail != PLAN_UNREADABLE) {
        if (look_closely(t, s) == TRIAL_OVER)
            return TRIAL_OVER;
    } else {
        t->walk.unsure = true;
    }
    /* All that are older than the oldest that ran have ended. */
    if (s->has_run && s->run < t->walk.limit && s->run >= t->backup->start &&
        precedes(xid, s->oldest))
        return over(t, t->walk.unsure ? PLAN_UNSURE : PLAN_NOT_FOUND);
    return TRIAL_GOES_ON;
}

/*
 * Does it matter which record comes over into a segment?  For a time only when the ends in here do
 * not tell: a way that is chosen is read as a whole in the end, so a clock that was wrong for just
 * that one record is seen then.
 */
static bool must_peek(const struct trial *t, const struct plan_segment *s)
{
    struct plan_end greatest = {.time = s->greatest};

    if (t->t->kind != PLAN_TIME)
        return true;
    return t->walk.crossed != 0 && (s->ends == 0 || stops(t->t, &greatest));
}

/* The record that came over from the segment before, then those in here. */
static int step_ends(struct trial *t, const struct plan_segment *s)
{
    if (s == NULL)
        return TRIAL_GOES_ON;
    if (s->closed && must_peek(t, s))
        return peek(t, s, PEEK_AHEAD);
    if (t->walk.crossed != 0 && s->cross == PLAN_CROSS_END &&
        look_at(t, &s->crossing) == TRIAL_OVER)
        return TRIAL_OVER;
    return t->t->kind == PLAN_TIME ? step_time(t, s) : step_xid(t, s);
}

/* The last commit before the place where it stops: for people, and exact where it can be. */
static int find_last(struct trial *t, lsn_t stop)
{
    const struct plan_segment *s = t->walk.segment;

    t->last = t->walk.before;
    if (s == NULL)
        return TRIAL_GOES_ON;
    if (s->ends > 0 && s->detail == PLAN_UNREAD) {
        t->detail = s;
        return TRIAL_OVER;
    }
    for (size_t i = s->detail == PLAN_READ ? s->detail_n : 0; i > 0; i--) {
        const struct plan_end *end = &t->in->ends.v[s->detail_at + i - 1];

        if (end->aborted || end->lsn > stop ||
            (end->lsn == stop && (t->t->kind != PLAN_LSN || t->t->exclusive)))
            continue;
        t->reached = *end;
        return TRIAL_GOES_ON;
    }
    if (t->walk.crossed != 0 && s->cross == PLAN_CROSS_END && !s->crossing.aborted &&
        s->crossing.lsn < stop)
        t->reached = s->crossing;
    return TRIAL_GOES_ON;
}

static int reach_place(struct trial *t, lsn_t stop, int64_t time)
{
    return find_last(t, stop) == TRIAL_OVER ? (int)TRIAL_OVER : reach(t, stop, time);
}

static int step_lsn(struct trial *t, const struct plan_segment *s)
{
    const struct plan_walk *w = &t->walk;

    if (w->last >= t->t->lsn)
        return reach_place(t, t->t->lsn, COVERAGE_NO_TIME);
    if (s != NULL && w->cut && s->detail == PLAN_UNREAD && t->t->lsn < w->limit) {
        t->detail = s;
        return TRIAL_OVER;
    }
    return TRIAL_GOES_ON;
}

/* Every record that starts before the place where a segment is cut can be read. */
static int step_name(struct trial *t)
{
    const struct plan_walk *w = &t->walk;

    if (w->last >= t->point || (w->cut && t->point < w->limit))
        return reach_place(t, t->point, t->point_time);
    return TRIAL_GOES_ON;
}

static int step_immediate(struct trial *t)
{
    if (t->walk.reach < t->backup->stop)
        return TRIAL_GOES_ON;
    return reach_place(t, t->backup->stop, COVERAGE_NO_TIME);
}

static int step(struct trial *t)
{
    switch (t->t->kind) {
    case PLAN_IMMEDIATE:
        return step_immediate(t);
    case PLAN_LSN:
        return step_lsn(t, t->walk.segment);
    case PLAN_NAME:
        return step_name(t);
    case PLAN_TIME:
    case PLAN_XID:
        return step_ends(t, t->walk.segment);
    case PLAN_LATEST:
        break;
    }
    return TRIAL_GOES_ON;
}

/* The first restore point of that name that the recovery comes by. */
static bool find_point(struct trial *t, const struct plan_parts *parts)
{
    bool found = false;

    for (size_t i = 0; i < t->in->points.n; i++) {
        const struct plan_point *p = &t->in->points.v[i];

        if (strcmp(p->name, t->t->name) != 0 || p->lsn < t->backup->start ||
            plan_owner(t->in, parts, p->segno)->tli != p->tli || (found && p->lsn >= t->point))
            continue;
        t->point = p->lsn;
        t->point_time = p->time;
        found = true;
    }
    return found;
}

/* --- what a backup holds already --- */

/* Nothing is on record that tells: then the clock of the backup counts. */
static int by_clock(struct trial *t)
{
    const struct plan_end end = {.time = t->backup->stop_time};

    return stops(t->t, &end) ? over(t, PLAN_TOO_NEW) : TRIAL_GOES_ON;
}

static int by_last(struct trial *t, const struct plan_end *end)
{
    if (!end->aborted)
        t->held = end->time;
    return stops(t->t, end) ? over(t, PLAN_TOO_NEW) : TRIAL_GOES_ON;
}

/*
 * A time: the last transaction that ended before the backup's end must not be later than the
 * target, for it is in.  (Not "none of all": a clock that was wrong once must not spoil all
 * later moments.)
 */
static int judge_held(struct trial *t, const struct plan_parts *parts)
{
    uint64_t segno = walname_segno_before(t->backup->stop, t->in->segsize);
    bool first = true;

    for (;; segno--, first = false) {
        const struct plan_segment *s =
            plan_segment(t->in, plan_owner(t->in, parts, segno)->tli, segno);

        if (s == NULL || s->state != COVERAGE_GOOD)
            return by_clock(t);
        if (s->ends > 0 && !first) {
            const struct plan_end end = {.time = s->last_time, .aborted = true};

            t->held = s->last_time;
            return by_last(t, &end);
        }
        if (s->ends > 0 && s->detail == PLAN_UNREAD) {
            t->detail = s;
            return TRIAL_OVER;
        }
        if (s->ends > 0 && s->detail == PLAN_UNREADABLE) {
            const struct plan_end end = {.time = s->greatest};

            return stops(t->t, &end) ? over(t, PLAN_UNSURE) : TRIAL_GOES_ON;
        }
        for (size_t i = first ? s->detail_n : 0; i > 0; i--)
            if (t->in->ends.v[s->detail_at + i - 1].lsn < t->backup->stop)
                return by_last(t, &t->in->ends.v[s->detail_at + i - 1]);
        if (s->closed && (s->flags & FACTS_HEAD_ENDS) != 0)
            return peek(t, s, 1);
        if (s->cross == PLAN_CROSS_END)
            return by_last(t, &s->crossing);
        if (segno == 0)
            return by_clock(t);
    }
}

/* Was the clock set back before?  Then the copy has transactions that are later than the target. */
static bool clock_went_back(const struct plan_input *in, const struct plan_target *target,
                            const struct plan_parts *parts, const struct plan_backup *b)
{
    for (size_t i = 0; i < in->segments.n; i++) {
        const struct plan_segment *s = &in->segments.v[i];
        const struct plan_end end = {.time = s->greatest};

        if (walname_start(s->segno + 1, in->segsize) <= b->start && s->ends > 0 &&
            stops(target, &end) && plan_owner(in, parts, s->segno)->tli == s->tli)
            return true;
    }
    return false;
}

/* Is the backup on the path? */
static bool is_on(const struct plan_parts *parts, const struct plan_backup *b)
{
    const struct plan_part *from = plan_part_of(parts, b->start_tli);
    const struct plan_part *to = plan_part_of(parts, b->stop_tli);

    return from != NULL && to != NULL && b->start < from->end && b->stop <= to->end &&
           b->stop >= to->begin;
}

/* What ended the way, when the target was not met. */
static enum plan_why verdict(const struct trial *t)
{
    const struct plan_walk *w = &t->walk;

    if (t->t->kind == PLAN_LATEST && w->why == PLAN_ENDS && w->reach >= t->backup->stop)
        return PLAN_CHOSEN;
    if (t->t->kind == PLAN_XID && w->why == PLAN_ENDS && w->reach >= t->backup->stop)
        return w->unsure ? PLAN_UNSURE : PLAN_NOT_FOUND;
    return w->why;
}

/* Tries one backup; t->why, or t->detail. */
static void try_backup(struct trial *t, const struct plan_input *in,
                       const struct plan_target *target, const struct plan_parts *parts,
                       const struct plan_backup *backup)
{
    *t = (struct trial){.in = in,
                        .t = target,
                        .backup = backup,
                        .stop_time = COVERAGE_NO_TIME,
                        .last = COVERAGE_NO_TIME,
                        .held = COVERAGE_NO_TIME};
    plan_walk_init(&t->walk, in, parts, backup);
    if (backup->damaged) {
        t->why = PLAN_UNUSABLE;
        return;
    }
    if (!is_on(parts, backup)) {
        t->why = PLAN_OTHER_BRANCH;
        return;
    }
    if (target->kind == PLAN_LSN && target->lsn < backup->stop) {
        t->why = PLAN_TOO_NEW;
        return;
    }
    if (target->kind == PLAN_NAME && !find_point(t, parts)) {
        t->why = PLAN_NOT_FOUND;
        return;
    }
    if (target->kind == PLAN_TIME && judge_held(t, parts) == TRIAL_OVER)
        return;
    while (plan_walk_next(&t->walk))
        if (step(t) == TRIAL_OVER)
            return;
    t->why = verdict(t);
    t->stop = t->walk.reach;
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

/* The newest timeline that has a history, and the first one. */
static tli_t latest(const struct plan_input *in)
{
    tli_t tli = 1;

    for (size_t i = 0; i < in->lines.n; i++)
        if (in->lines.v[i].known || in->lines.v[i].tli == 1)
            tli = in->lines.v[i].tli > tli ? in->lines.v[i].tli : tli;
    /* A cluster that was restored elsewhere first may have no timeline 1 here at all. */
    if (plan_line(in, tli) == NULL && in->lines.n > 0)
        tli = in->lines.v[in->lines.n - 1].tli;
    return tli;
}

/* Does the backup lie behind the target? */
static bool is_behind(const struct trial *t)
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
static const struct plan_segment *keep_near(struct plan *p, const struct trial *t, size_t index)
{
    const struct plan_backup *b = t->backup;
    struct plan_near *before = &p->before_target;
    struct plan_near *after = &p->after_target;
    struct plan_walk w;

    /* As far as one gets from this backup. */
    plan_walk_init(&w, t->in, t->walk.parts, b);
    while (plan_walk_next(&w))
        ;
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

static void keep(struct plan *p, const struct trial *t, size_t index)
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

static int try_all(struct plan *p, const struct plan_input *in, const struct plan_target *t,
                   bool *done, struct err *e)
{
    bool found = false;
    size_t i;

    while ((i = next_backup(in, done)) < in->backups.n) {
        struct plan_judged *j = &p->judged.v[i];
        const struct plan_backup *b = &in->backups.v[i];
        struct trial trial;
        tli_t missing = 0;

        done[i] = true;
        if (found || (t->backup != NULL && strcmp(t->backup, b->label) != 0)) {
            j->why = found ? PLAN_OLDER : PLAN_UNWANTED;
            if (t->backup != NULL && strcmp(t->backup, b->label) != 0)
                j->why = PLAN_UNWANTED;
            continue;
        }
        if (t->current) {
            int rc = plan_path(in, b->start_tli, &p->parts, &missing, e);

            if (rc < 0)
                return -1;
            if (rc > 0) {
                *j = (struct plan_judged){.why = PLAN_OTHER_BRANCH, .tli = missing};
                continue;
            }
        }
        try_backup(&trial, in, t, &p->parts, b);
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
        if (trial.why != PLAN_OTHER_BRANCH && trial.why != PLAN_UNUSABLE)
            trial.detail = keep_near(p, &trial, i);
        if (trial.detail != NULL)
            return ask(p, in, trial.detail, 0);
        if (p->why == PLAN_CHOSEN || tells_more(j->why, p->why)) {
            p->why = j->why;
            p->at = j->at;
            p->at_tli = j->tli;
            p->at_segno = j->segno;
        }
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
        p->tli = t->timeline != 0 ? t->timeline : latest(in);
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
    rc = try_all(p, in, t, done, e);
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
