#include "repo/plan_trial.h"

#include <string.h>

#include "pg/facts.h"

enum { TRIAL_GOES_ON = 0, TRIAL_OVER = 1, PEEK_LEAST = 4, PEEK_AHEAD = 512 };

static int over(struct plan_trial *t, enum plan_why why)
{
    t->why = why;
    return TRIAL_OVER;
}

static int reach(struct plan_trial *t, lsn_t stop, int64_t time)
{
    t->stop = stop;
    t->stop_time = time;
    return over(t, stop < t->backup->stop ? PLAN_TOO_NEW : PLAN_CHOSEN);
}

/* Is this the end of a transaction at which the server would stop? */
bool plan_trial_stops(const struct plan_target *t, const struct plan_end *end)
{
    if (t->kind == PLAN_XID)
        return end->xid == t->xid;
    return t->exclusive ? end->time >= t->time : end->time > t->time;
}

static int look_at(struct plan_trial *t, const struct plan_end *end)
{
    if (end->lsn < t->backup->start || end->lsn >= t->walk.limit)
        return TRIAL_GOES_ON;
    if (plan_trial_stops(t->t, end)) {
        if (t->t->kind == PLAN_XID && !t->t->exclusive && !end->aborted)
            t->reached = *end;
        return reach(t, end->lsn, end->time);
    }
    if (!end->aborted)
        t->reached = *end;
    return TRIAL_GOES_ON;
}

/* The metadata of a segment must be known to go on. */
static int peek(struct plan_trial *t, const struct plan_segment *s, size_t n)
{
    t->detail = s;
    t->peek = n;
    return TRIAL_OVER;
}

/* And soon of those behind it: of the more, the farther this trial has come. */
static int peek_on(struct plan_trial *t, const struct plan_segment *s)
{
    uint64_t n = t->walk.segments;

    return peek(t, s,
                n < PEEK_LEAST   ? (size_t)PEEK_LEAST
                : n > PEEK_AHEAD ? (size_t)PEEK_AHEAD
                                 : (size_t)n);
}

/* All ends in a segment, one by one. */
static int look_closely(struct plan_trial *t, const struct plan_segment *s)
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
static int pass_over(struct plan_trial *t, const struct plan_segment *s)
{
    if (s->last_commit != COVERAGE_NO_TIME) {
        t->held = s->last_commit;
        t->reached.lsn = 0;
    }
    return TRIAL_GOES_ON;
}

static int step_time(struct plan_trial *t, const struct plan_segment *s)
{
    lsn_t start = walname_start(s->segno, t->in->segsize);
    struct plan_end greatest = {.time = s->greatest};

    if (s->ends == 0 || !plan_trial_stops(t->t, &greatest))
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

static int step_xid(struct plan_trial *t, const struct plan_segment *s)
{
    uint32_t xid = t->t->xid;
    const struct plan_segment *next;

    if (s->ends == 0)
        return TRIAL_GOES_ON;
    /* Had it not begun when the next segment's last list of running ones was made? */
    next = plan_segment(t->in, s->tli, s->segno + 1);
    if (next != NULL && next->closed)
        return peek_on(t, next);
    if (next != NULL && next->has_run && !precedes(xid, next->next)) {
        t->unborn = t->unborn || !t->looked;
        return pass_over(t, s);
    }
    t->looked = true;
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
static bool must_peek(const struct plan_trial *t, const struct plan_segment *s)
{
    struct plan_end greatest = {.time = s->greatest};

    if (t->t->kind != PLAN_TIME)
        return true;
    return t->walk.crossed != 0 && (s->ends == 0 || plan_trial_stops(t->t, &greatest));
}

/* The record that came over from the segment before, then those in here. */
static int step_ends(struct plan_trial *t, const struct plan_segment *s)
{
    if (s == NULL)
        return TRIAL_GOES_ON;
    if (s->closed && must_peek(t, s))
        return peek_on(t, s);
    if (t->walk.crossed != 0 && s->cross == PLAN_CROSS_END &&
        look_at(t, &s->crossing) == TRIAL_OVER)
        return TRIAL_OVER;
    return t->t->kind == PLAN_TIME ? step_time(t, s) : step_xid(t, s);
}

/* The last commit before the place where it stops: for people, and exact where it can be. */
static int find_last(struct plan_trial *t, lsn_t stop)
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

static int reach_place(struct plan_trial *t, lsn_t stop, int64_t time)
{
    return find_last(t, stop) == TRIAL_OVER ? (int)TRIAL_OVER : reach(t, stop, time);
}

static int step_lsn(struct plan_trial *t, const struct plan_segment *s)
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
static int step_name(struct plan_trial *t)
{
    const struct plan_walk *w = &t->walk;

    if (w->last >= t->point || (w->cut && t->point < w->limit))
        return reach_place(t, t->point, t->point_time);
    return TRIAL_GOES_ON;
}

static int step_immediate(struct plan_trial *t)
{
    if (t->walk.reach < t->backup->stop)
        return TRIAL_GOES_ON;
    return reach_place(t, t->backup->stop, COVERAGE_NO_TIME);
}

static int step(struct plan_trial *t)
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
static bool find_point(struct plan_trial *t, const struct plan_parts *parts)
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
static int by_clock(struct plan_trial *t)
{
    const struct plan_end end = {.time = t->backup->stop_time};

    return plan_trial_stops(t->t, &end) ? over(t, PLAN_TOO_NEW) : TRIAL_GOES_ON;
}

static int by_last(struct plan_trial *t, const struct plan_end *end)
{
    if (!end->aborted)
        t->held = end->time;
    return plan_trial_stops(t->t, end) ? over(t, PLAN_TOO_NEW) : TRIAL_GOES_ON;
}

/*
 * A time: the last transaction that ended before the backup's end must not be later than the
 * target, for it is in.  (Not "none of all": a clock that was wrong once must not spoil all
 * later moments.)
 */
static int judge_held(struct plan_trial *t, const struct plan_parts *parts)
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

            return plan_trial_stops(t->t, &end) ? over(t, PLAN_UNSURE) : TRIAL_GOES_ON;
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

/* What ended the way, when the target was not met. */
static enum plan_why verdict(const struct plan_trial *t)
{
    const struct plan_walk *w = &t->walk;

    if (t->t->kind == PLAN_LATEST && w->why == PLAN_ENDS && w->reach >= t->backup->stop)
        return PLAN_CHOSEN;
    if (t->t->kind == PLAN_XID && w->why == PLAN_ENDS && w->reach >= t->backup->stop)
        return w->unsure ? PLAN_UNSURE : PLAN_NOT_FOUND;
    return w->why;
}

/* The trial goes on as the known one did, which found nothing.  False: this one does, for its end
 * is what is wanted; then the whole way counts. */
static bool follow(struct plan_trial *t, const struct plan_trial *known)
{
    struct plan_walk own = t->walk;

    t->walk = known->walk;
    t->walk.backup = t->backup;
    t->walk.inside = own.inside;
    if (verdict(t) != PLAN_CHOSEN)
        return true;
    t->walk = own;
    return false;
}

/*
 * Has a newer backup's trial walked from here on?  In its own first segment it has looked at the
 * rest only, and what came with either backup is no matter of the archive.
 */
static bool is_known(const struct plan_trial *t, const struct plan_trial *known)
{
    uint32_t segsize = t->in->segsize;

    return known != NULL && known->ended && known->walk.inside == 0 &&
           t->walk.segno > walname_segno_of(known->backup->start, segsize) &&
           t->walk.segno > walname_segno_before(known->backup->stop, segsize) &&
           t->walk.segno > walname_segno_before(t->backup->stop, segsize) &&
           t->walk.segno < known->walk.segno && t->point == known->point;
}

void plan_trial(struct plan_trial *t, const struct plan_input *in, const struct plan_target *target,
                const struct plan_parts *parts, const struct plan_backup *backup,
                const struct plan_trial *known)
{
    *t = (struct plan_trial){.in = in,
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
    if (!plan_is_on(parts, backup)) {
        t->why = PLAN_OTHER_BRANCH;
        return;
    }
    if (target->kind == PLAN_LSN && target->lsn < backup->stop) {
        t->why = PLAN_TOO_NEW;
        return;
    }
    if (target->kind == PLAN_XID && known != NULL && known->unborn &&
        known->why == PLAN_NOT_FOUND && backup->start < known->backup->start) {
        t->unborn = true;
        t->why = PLAN_NOT_FOUND;
        return;
    }
    if (target->kind == PLAN_NAME && !find_point(t, parts)) {
        t->why = PLAN_NOT_FOUND;
        return;
    }
    if (target->kind == PLAN_TIME && judge_held(t, parts) == TRIAL_OVER)
        return;
    while (plan_walk_next(&t->walk)) {
        if (step(t) == TRIAL_OVER)
            return;
        if (is_known(t, known) && follow(t, known))
            break;
    }
    t->ended = true;
    t->why = verdict(t);
    t->stop = t->walk.reach;
}
