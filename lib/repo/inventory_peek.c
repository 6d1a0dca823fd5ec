#include "repo/inventory_peek.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/signal.h"
#include "pg/join.h"
#include "pg/metaread.h"
#include "pg/walevent.h"
#include "repo/inventory_wal.h"

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

#define NOTHING SIZE_MAX

enum {
    FAR_BACK = 1100,            /* a record has at most 1 GB, a segment at least 1 MB */
    POINT_LEN = 24 + 2 + 8 + 64 /* a restore point: headers, time, name; the same since 9.1 */
};

struct gather {
    struct inventory *v;
    struct repo *repo;
    struct object_reader *reader;
    size_t last; /* the segment that the join has taken last; NOTHING: none */
    struct join join;
    struct wal_summary sum;
    struct store_object object;
    bool is_open;
    uint8_t *meta;
    uint8_t *data;
    size_t back[FAR_BACK];
    struct meta_item item;
    struct walevent event; /* for one joined record */
    struct facts facts;
    uint8_t text[META_BYTES_MAX];
};

/* --- facts --- */

static void take_levels(struct plan_segment *s, const struct facts *f)
{
    uint32_t n = f->levels < FACTS_CHANGES_MAX ? f->levels : (uint32_t)FACTS_CHANGES_MAX;

    for (uint32_t i = 0; i < n; i++) {
        if (f->wal_level[i].level != 0)
            continue;
        if (s->minimal == 0)
            s->minimal = f->wal_level[i].lsn;
        s->minimal_to = f->wal_level[i].lsn;
    }
    if (f->levels > FACTS_CHANGES_MAX && s->minimal != 0)
        s->minimal_to = f->end;
}

void inventory_facts(struct plan_segment *s, const struct facts *f)
{
    s->tli = f->tli;
    s->segno = walname_segno_of(f->start, f->segsize);
    s->flags = f->flags;
    s->lost = f->lost;
    s->first = f->first_rec;
    s->last = f->last_rec;
    s->end = f->end;
    s->tail = f->tail;
    s->damage = f->damages > 0 ? f->damage[0].lsn : 0;
    if (f->damages > 0 && s->damage == 0)
        s->damage = f->start;
    s->ends = f->commits + f->aborts;
    s->last_time = s->least = s->greatest = s->last_commit = COVERAGE_NO_TIME;
    if (f->commits > 0) {
        s->last_commit = f->commit_times.last + EPOCH_2000;
        s->last_commit_at = f->aborts == 0 ? f->last_commit : 0;
    }
    if (s->ends > 0) {
        s->last_time = f->xact_times.last + EPOCH_2000;
        s->least = f->xact_times.least + EPOCH_2000;
        s->greatest = f->xact_times.greatest + EPOCH_2000;
    }
    s->named = f->points > 0 || f->spaces > 0 || (f->lost & FACTS_LOST_EVENTS) != 0;
    s->cut_point = f->tail != 0 && f->tail_len == POINT_LEN;
    s->closed = true;
    take_levels(s, f);
}

/* --- metadata --- */

static int take_item(struct gather *g, struct plan_segment *s, struct err *e)
{
    const struct meta_item *item = &g->item;
    struct plan_point *p;
    struct plan_space *t;

    switch (item->tag) {
    case META_RESTORE_POINT:
        p = plan_points_add(&g->v->in.points, e);
        if (p == NULL)
            return -1;
        *p = (struct plan_point){.tli = s->tli,
                                 .segno = s->segno,
                                 .lsn = item->u.restore_point.lsn,
                                 .time = item->u.restore_point.time + EPOCH_2000};
        memcpy(p->name, item->u.restore_point.name, sizeof p->name);
        return 0;
    case META_TABLESPACE:
        if ((item->u.tablespace.flags & META_CREATED) == 0)
            return 0;
        t = plan_spaces_add(&g->v->in.spaces, e);
        if (t == NULL)
            return -1;
        t->tli = s->tli;
        t->segno = s->segno;
        t->lsn = item->u.tablespace.lsn;
        t->oid = item->u.tablespace.spc;
        memcpy(t->path, item->u.tablespace.path, sizeof t->path);
        return 0;
    case META_RUNNING:
        s->has_run = true;
        s->run = item->u.running.lsn;
        s->next = item->u.running.next;
        s->oldest = item->u.running.oldest;
        return 0;
    case META_HEAD:
    case META_TAIL:
    case META_EVENT:
    case META_CHANGE:
    case META_DATABASE:
    case META_OUTCOME:
    case META_OPEN:
        break;
    }
    return 0;
}

static int take_meta(struct gather *g, const void *meta, size_t len, lsn_t start,
                     struct plan_segment *s, struct err *e)
{
    struct metaread r;
    int rc;

    metaread_open(&r, meta, len, start);
    while ((rc = metaread_next(&r, &g->item)) == 0)
        if (take_item(g, s, e) != 0)
            return -1;
    if (rc < 0) /* what cannot be read is as good as left out */
        s->lost |= FACTS_LOST_EVENTS;
    return 0;
}

/* --- the record that comes over --- */

/* Reads the joined record as the collector that makes summaries does. */
static int take_joined(struct gather *g, const struct version *v, struct plan_segment *s,
                       struct err *e)
{
    const struct join *j = &g->join;
    const uint8_t *p = j->record;
    uint8_t rmid = p[17];
    uint8_t op = p[16] & 0xf0;
    bool wanted =
        rmid == WALRECORD_TBLSPC || (rmid == WALRECORD_XLOG && (op == 0x60 || op == 0x70));

    if (inventory_wal_end(v, p, j->record_len, j->record_lsn, &s->crossing)) {
        s->cross = PLAN_CROSS_END;
        return 0;
    }
    if (!wanted)
        return 0;
    memset(&g->facts, 0, sizeof g->facts);
    g->facts.magic = v->magic;
    g->facts.segsize = g->v->in.segsize;
    g->facts.start =
        walname_start(walname_segno_of(j->record_lsn, g->facts.segsize), g->facts.segsize);
    walevent_init(&g->event, v, &g->facts, g->text);
    g->event.rows_min = 1;
    if (walevent_record(&g->event, p, j->record_len, j->record_lsn) != 0)
        return 0;
    walevent_finish(&g->event);
    take_levels(s, &g->facts);
    return take_meta(g, g->text, g->event.meta.len, g->facts.start, s, e);
}

/* --- one object --- */

static void let_go(struct gather *g)
{
    free(g->meta);
    free(g->data);
    g->meta = NULL;
    g->data = NULL;
    if (!g->is_open)
        return;
    object_close(g->reader);
    store_release(&g->object);
    g->is_open = false;
}

/* Opens the object of segment i and reads its summary into g->sum, as far as the keys here open
 * it; let_go afterwards. */
static int open_one(struct gather *g, size_t i, struct err *e)
{
    const struct plan_segment *s = &g->v->in.segments.v[i];
    const struct frame_tail *t = &g->reader->tail;
    char leaf[WALNAME_MAX];
    struct store_name name = {.kind = KIND_SEGMENT, .timeline = s->tli, .name = leaf};
    struct facts *f = &g->sum.facts;
    struct err quiet = {0};
    int rc;

    memset(&g->sum, 0, sizeof g->sum);
    walname_segment(leaf, s->tli, s->segno, g->v->in.segsize);
    rc = repo_get(g->repo, &name, &g->object, g->reader, e);
    if (rc != 0)
        return rc > 0 ? err_set(e, ERR_HOLE, "\"%s\" is gone", leaf) : -1;
    g->is_open = true;
    if (facts_decode(t->public_part, t->public_len, f, e) != 0)
        return -1;
    if (f->tli != s->tli || f->start != walname_start(s->segno, g->v->in.segsize) ||
        f->segsize != g->v->in.segsize)
        return err_set(e, ERR_DAMAGED, "\"%s\": its summary is of another segment", leaf);
    /* Parts that cannot be read say nothing; reading the segment itself would tell. */
    if (object_metadata(g->reader, &g->meta, &g->sum.meta_len, &quiet) != 0)
        err_clear(&quiet);
    if (object_can_read(g->reader) &&
        object_data(g->reader, &g->data, &g->sum.data_len, &quiet) != 0)
        err_clear(&quiet);
    g->sum.meta = g->meta;
    g->sum.data = g->data;
    return 0;
}

size_t inventory_before(const struct inventory *v, size_t i)
{
    const struct plan_segments *all = &v->in.segments;
    const struct coverage *c = &v->scan.cover;
    const struct plan_segment *s = &all->v[i];
    const struct coverage_timeline *t;
    const struct coverage_row *row;
    const struct plan_segment *p;

    if (i > 0 && s[-1].tli == s->tli && s[-1].segno + 1 == s->segno)
        return i - 1;
    t = coverage_find(c, s->tli);
    if (t == NULL || s->segno != coverage_birth(c, t))
        return all->n;
    row = coverage_before_birth(c, t);
    p = row == NULL ? NULL : plan_segment(&v->in, row->tli, row->segno);
    return p == NULL ? all->n : (size_t)(p - all->v);
}

/* Prepares the join for segment i: with the segment before it, and those that the record which
 * comes over began in. */
static int rewind_to(struct gather *g, size_t i, struct err *e)
{
    size_t n = 0;

    join_init(&g->join);
    for (size_t p = inventory_before(g->v, i); p < g->v->in.segments.n && n < FAR_BACK;
         p = inventory_before(g->v, p)) {
        g->back[n++] = p;
        if (g->v->in.segments.v[p].first != 0)
            break;
    }
    for (; n > 0; n--) {
        struct err why = {0};

        if (open_one(g, g->back[n - 1], &why) == 0)
            (void)join_step(&g->join, &g->sum); /* the scan has its own verdict */
        else
            join_init(&g->join);
        let_go(g);
        if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
            *e = why;
            return -1;
        }
    }
    return 0;
}

/* The object is open, and its summary in g->sum. */
static int take_summary(struct gather *g, struct plan_segment *s, struct err *e)
{
    const struct version *v = version_by_magic(g->sum.facts.magic);
    bool whole = object_can_read(g->reader);

    if (g->sum.meta_len > 0 &&
        take_meta(g, g->sum.meta, g->sum.meta_len, g->sum.facts.start, s, e) != 0)
        return -1;
    (void)join_step(&g->join, &g->sum); /* the scan has its own verdict */
    if ((g->sum.facts.flags & FACTS_HEAD_ENDS) == 0 || !whole || v == NULL ||
        g->join.record_lsn == 0)
        return 0;
    /* No bytes are kept of kinds that nobody looks into. */
    s->cross = PLAN_CROSS_NONE;
    return g->join.record_len >= WALRECORD_HEADER ? take_joined(g, v, s, e) : 0;
}

static int peek_one(struct gather *g, size_t i, struct err *e)
{
    struct plan_segment *s = &g->v->in.segments.v[i];
    struct err why = {0};
    int rc;

    s->closed = false;
    if (s->state != COVERAGE_GOOD && s->state != COVERAGE_DAMAGED)
        return 0;
    if ((g->last == NOTHING || g->last != inventory_before(g->v, i)) && rewind_to(g, i, e) != 0)
        return -1;
    g->last = NOTHING;
    if ((s->flags & FACTS_HEAD_ENDS) != 0)
        s->cross = PLAN_CROSS_UNKNOWN;
    rc = open_one(g, i, &why);
    if (rc == 0) {
        rc = take_summary(g, s, e);
        g->last = i;
    } else if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
        *e = why;
    } else {
        /* Damage that the index does not know stops a recovery; a missing key hides only details.
         */
        if (why.code != ERR_KEY)
            s->state = COVERAGE_LOST;
        rc = 0;
    }
    let_go(g);
    return rc;
}

int inventory_peek(struct inventory *v, struct repo *r, size_t first, size_t end, uint64_t *n,
                   struct object_reader *scratch, struct err *e)
{
    struct gather *g = NULL;
    int rc = 0;

    for (size_t i = first; rc == 0 && i < end; i++) {
        if (!v->in.segments.v[i].closed)
            continue;
        if (g == NULL)
            g = calloc(1, sizeof *g);
        if (g == NULL)
            return err_set(e, ERR_NOMEM, "no memory to read the archive");
        if (g->v == NULL) {
            g->v = v;
            g->repo = r;
            g->reader = scratch;
            g->last = NOTHING;
        }
        rc = os_signal_check(e);
        if (rc == 0)
            rc = peek_one(g, i, e);
        if (n != NULL)
            (*n)++;
    }
    free(g);
    return rc;
}
