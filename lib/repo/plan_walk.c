#include "repo/plan_walk.h"

#include "pg/facts.h"
#include "pg/join.h"
#include "repo/expired.h"

enum { GENERATIONS_MAX = 1 << 16 };

/* --- paths --- */

/* Turns the list, which was made from the youngest on, round. */
static void reverse(struct plan_parts *parts)
{
    for (size_t i = 0; i + 1 < parts->n - i; i++) {
        struct plan_part swap = parts->v[i];

        parts->v[i] = parts->v[parts->n - 1 - i];
        parts->v[parts->n - 1 - i] = swap;
    }
}

int plan_path(const struct plan_input *in, tli_t tli, struct plan_parts *parts, tli_t *missing,
              struct err *e)
{
    lsn_t end = UINT64_MAX;

    parts->n = 0;
    for (unsigned i = 0; tli != 0; i++) {
        const struct plan_line *line = plan_line(in, tli);
        struct plan_part part = {.tli = tli, .end = end};

        /* Only the wanted timeline's own history is read by a server; it names all ancestors. */
        if (tli > 1 &&
            (line == NULL || (i == 0 && !line->known && !line->inside) || i >= GENERATIONS_MAX)) {
            *missing = tli;
            return 1;
        }
        if (line != NULL && line->parent != 0)
            part.begin = line->birth;
        if (plan_parts_push(parts, part, e) != 0)
            return -1;
        end = part.begin;
        tli = line == NULL ? 0 : line->parent;
    }
    reverse(parts);
    return 0;
}

const struct plan_part *plan_owner(const struct plan_input *in, const struct plan_parts *parts,
                                   uint64_t segno)
{
    for (size_t i = parts->n; i > 1; i--)
        if (walname_segno_of(parts->v[i - 1].begin, in->segsize) <= segno)
            return &parts->v[i - 1];
    return &parts->v[0];
}

const struct plan_part *plan_part_of(const struct plan_parts *parts, tli_t tli)
{
    for (size_t i = 0; i < parts->n; i++)
        if (parts->v[i].tli == tli)
            return &parts->v[i];
    return NULL;
}

bool plan_is_on(const struct plan_parts *parts, const struct plan_backup *b)
{
    const struct plan_part *from = plan_part_of(parts, b->start_tli);
    const struct plan_part *to = plan_part_of(parts, b->stop_tli);

    return from != NULL && to != NULL && b->start < from->end && b->stop <= to->end &&
           b->stop >= to->begin;
}

/* --- the way --- */

void plan_walk_init(struct plan_walk *w, const struct plan_input *in,
                    const struct plan_parts *parts, const struct plan_backup *backup)
{
    *w = (struct plan_walk){.in = in,
                            .parts = parts,
                            .backup = backup,
                            .segno = walname_segno_of(backup->start, in->segsize),
                            .time = COVERAGE_NO_TIME,
                            .before = COVERAGE_NO_TIME};
}

/* Are there segments of that timeline before this one, and behind it? */
static void neighbours(const struct plan_input *in, tli_t tli, uint64_t segno, bool *before,
                       bool *behind)
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
    *before = low > 0 && in->segments.v[low - 1].tli == tli;
    *behind = low < in->segments.n && in->segments.v[low].tli == tli;
}

/* Does a child of the timeline need the segment?  It left behind it. */
static bool child_needs(const struct plan_input *in, tli_t tli, uint64_t segno)
{
    for (size_t i = 0; i < in->lines.n; i++)
        if (in->lines.v[i].parent == tli &&
            walname_segno_of(in->lines.v[i].birth, in->segsize) > segno)
            return true;
    return false;
}

/* Is a segment that is not there a hole or the end, as the restore hook will see it?
 * (repo/absence) */
static enum plan_why gap(const struct plan_walk *w, const struct plan_part *part)
{
    bool before;
    bool behind;

    neighbours(w->in, part->tli, w->segno, &before, &behind);
    if (!behind && !child_needs(w->in, part->tli, w->segno))
        return PLAN_ENDS;
    if (w->in->expired != NULL &&
        expired_segment(w->in->expired, part->tli, w->segno, w->in->segsize))
        return PLAN_EXPIRED;
    return PLAN_HOLE;
}

static enum plan_why absent(const struct plan_walk *w, const struct plan_part *part)
{
    enum plan_why why = gap(w, part);

    if (why != PLAN_ENDS)
        return why;
    /* Where a timeline has nothing yet the server falls back to its parent's file, which goes on
     * with what the timeline has left behind. */
    for (const struct plan_part *p = part;
         p > w->parts->v && w->segno == walname_segno_of(p->begin, w->in->segsize); p--) {
        const struct plan_segment *s = plan_segment(w->in, p[-1].tli, w->segno);

        if (s != NULL && (s->end > p->begin || s->state == COVERAGE_LOST))
            return PLAN_DIVERGES;
    }
    return PLAN_ENDS;
}

/* A segment that comes with the backup.  The hook must not call it a hole: only before the first or
 * behind the last archived one of its timeline does it let the server look for itself. */
static bool is_inside(struct plan_walk *w, const struct plan_part *part)
{
    bool before;
    bool behind;

    if (!w->backup->inside || w->segno > walname_segno_before(w->backup->stop, w->in->segsize))
        return false;
    neighbours(w->in, part->tli, w->segno, &before, &behind);
    return !(before && behind);
}

static void take_inside(struct plan_walk *w, const struct plan_part *part)
{
    w->segment = NULL;
    w->limit = walname_start(w->segno + 1, w->in->segsize);
    w->cut = w->limit > w->backup->stop;
    if (w->cut) { /* what lies behind the backup's end is nobody's promise */
        w->limit = w->backup->stop;
        w->why = gap(w, part);
    }
    w->reach = w->limit;
    w->last = w->reach - 1;
    w->tail = 0;
    w->crossed = 0;
    w->begun = true;
    w->inside++;
    w->segno++;
}

/* How far the segment in hand can be read, and what is in the way. */
static void set_limit(struct plan_walk *w, const struct plan_segment *s)
{
    lsn_t begin = w->backup->start;

    w->limit = walname_start(s->segno + 1, w->in->segsize);
    w->cut = false;
    if ((s->flags & FACTS_OPEN_END) != 0 && s->end >= begin && s->end < w->limit) {
        w->limit = s->end;
        w->why = PLAN_DAMAGE;
        w->cut = true;
    }
    /* Also where it lies before the backup's start: nobody knows what is sound behind it. */
    if (s->damage != 0 && s->damage < w->limit) {
        w->limit = s->damage > begin ? s->damage : begin;
        w->why = PLAN_DAMAGE;
        w->cut = true;
    }
    if (s->minimal != 0 && s->minimal_to >= begin && s->minimal < w->limit) {
        w->limit = s->minimal > begin ? s->minimal : begin;
        w->why = PLAN_MINIMAL;
        w->cut = true;
    }
}

/* The last record that can be read. */
static void set_last(struct plan_walk *w, const struct plan_segment *s)
{
    lsn_t last = w->cut ? (s->detail == PLAN_READ ? s->detail_last : s->first) : s->last;

    w->crossed = 0;
    if (w->tail != 0 && (s->flags & FACTS_HEAD_ENDS) != 0 &&
        w->limit > walname_start(s->segno, w->in->segsize)) {
        w->crossed = w->tail;
        if (w->tail > w->last)
            w->last = w->tail;
    }
    if (w->cut && s->last != 0 && s->last < w->limit)
        last = s->last;
    if (last >= w->backup->start && last < w->limit && last > w->last)
        w->last = last;
    if ((s->flags & FACTS_HEAD_ENDS) != 0 || s->first != 0 || w->tail == 0)
        w->tail = 0;
    if (!w->cut && s->tail != 0 && s->tail >= w->backup->start)
        w->tail = s->tail;
}

static bool is_broken(uint8_t join)
{
    switch ((enum join_result)join) {
    case JOIN_OK:
    case JOIN_FIRST:
    case JOIN_UNPROVEN:
        return false;
    case JOIN_GAP:
    case JOIN_FOREIGN:
    case JOIN_PREV:
    case JOIN_LENGTH:
    case JOIN_CRC:
    case JOIN_GARBLED:
        break;
    }
    return true;
}

static bool stop(struct plan_walk *w, enum plan_why why)
{
    w->why = why;
    w->segment = NULL;
    return false;
}

/* The next segment is mostly the next row. */
static const struct plan_segment *find(const struct plan_walk *w, tli_t tli)
{
    const struct plan_segment *s = w->segment;

    if (s != NULL && s + 1 < w->in->segments.v + w->in->segments.n && s[1].tli == tli &&
        s[1].segno == w->segno)
        return s + 1;
    return plan_segment(w->in, tli, w->segno);
}

bool plan_walk_next(struct plan_walk *w)
{
    const struct plan_part *part = plan_owner(w->in, w->parts, w->segno);
    const struct plan_segment *s;

    w->tli = part->tli;
    if (w->begun && w->cut) {
        w->segment = NULL;
        return false;
    }
    s = find(w, part->tli);
    if (s == NULL && is_inside(w, part)) {
        take_inside(w, part);
        return true;
    }
    if (s == NULL)
        return stop(w, absent(w, part));
    if (s->state != COVERAGE_GOOD && s->state != COVERAGE_DAMAGED)
        return stop(w, PLAN_LOST);
    if (w->begun && is_broken(s->join))
        return stop(w, PLAN_JOIN);
    w->segment = s;
    set_limit(w, s);
    w->partial = w->cut ? s : NULL;
    set_last(w, s);
    w->reach = w->limit;
    w->before = w->time;
    if (w->crossed != 0 && s->cross == PLAN_CROSS_END && !s->crossing.aborted)
        w->time = s->crossing.time;
    if (s->last_commit != COVERAGE_NO_TIME && !w->cut)
        w->time = s->last_commit;
    if (w->crossed != 0 && s->cross == PLAN_CROSS_UNKNOWN)
        w->unsure = true;
    w->begun = true;
    w->segments++;
    w->stored += s->stored;
    w->segno++;
    return true;
}
