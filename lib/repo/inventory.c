#include "repo/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "pg/join.h"
#include "pg/metaread.h"
#include "repo/inventory_wal.h"
#include "repo/manifest_read.h"
#include "repo/pack_set.h"

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

enum { SEEDS_MAX = 1 << 20 };

/* Where a timeline begins a join is taken up again that an ancestor's segment left. */
struct seed {
    tli_t tli; /* the ancestor's segment */
    uint64_t segno;
    struct join *join;
};
VEC_DECLARE(seeds, struct seed);

struct gather {
    struct inventory *v;
    struct repo *repo;
    struct seeds seeds;
    bool seeded; /* seeds are known */
    struct join join;
    struct meta_item item;
    struct walevent event; /* for one joined record */
    struct facts facts;
    uint8_t meta[META_BYTES_MAX];
};

/* --- what the metadata of a segment tells --- */

static int take_item(struct gather *g, tli_t tli, uint64_t segno, struct plan_segment *s,
                     struct err *e)
{
    const struct meta_item *item = &g->item;
    struct plan_point *p;
    struct plan_space *t;

    switch (item->tag) {
    case META_RESTORE_POINT:
        p = plan_points_add(&g->v->in.points, e);
        if (p == NULL)
            return -1;
        *p = (struct plan_point){.tli = tli,
                                 .segno = segno,
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
        t->tli = tli;
        t->segno = segno;
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

static int take_meta(struct gather *g, const void *meta, size_t len, lsn_t start, tli_t tli,
                     uint64_t segno, struct plan_segment *s, struct err *e)
{
    struct metaread r;
    int rc;

    metaread_open(&r, meta, len, start);
    while ((rc = metaread_next(&r, &g->item)) == 0)
        if (take_item(g, tli, segno, s, e) != 0)
            return -1;
    if (rc < 0) /* what cannot be read is as good as left out */
        s->lost |= FACTS_LOST_EVENTS;
    return 0;
}

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

/* --- the record that comes over --- */

/* Which segments another timeline goes on from. */
static int find_seeds(struct gather *g, struct err *e)
{
    const struct coverage *c = &g->v->scan.cover;

    g->seeded = true;
    for (size_t i = 0; i < c->timelines.n; i++) {
        const struct coverage_row *row = coverage_before_birth(c, &c->timelines.v[i]);

        if (row != NULL && seeds_push(&g->seeds, (struct seed){row->tli, row->segno, NULL}, e) != 0)
            return -1;
    }
    return 0;
}

static int keep_seed(struct gather *g, tli_t tli, uint64_t segno, struct err *e)
{
    for (size_t i = 0; i < g->seeds.n; i++) {
        struct seed *s = &g->seeds.v[i];

        if (s->tli != tli || s->segno != segno || s->join != NULL)
            continue;
        s->join = malloc(sizeof *s->join);
        if (s->join == NULL)
            return err_set(e, ERR_NOMEM, "no memory to read the archive");
        *s->join = g->join;
    }
    return 0;
}

/* The first segment of a timeline: what does it go on from? */
static void use_seed(struct gather *g, tli_t tli, uint64_t segno)
{
    const struct coverage *c = &g->v->scan.cover;
    const struct coverage_timeline *t = coverage_find(c, tli);
    const struct coverage_row *row;

    join_init(&g->join);
    if (t == NULL || segno != coverage_birth(c, t))
        return;
    row = coverage_before_birth(c, t);
    for (size_t i = 0; row != NULL && i < g->seeds.n; i++)
        if (g->seeds.v[i].tli == row->tli && g->seeds.v[i].segno == row->segno &&
            g->seeds.v[i].join != NULL)
            g->join = *g->seeds.v[i].join;
}

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
    walevent_init(&g->event, v, &g->facts, g->meta);
    g->event.rows_min = 1;
    if (walevent_record(&g->event, p, j->record_len, j->record_lsn) != 0)
        return 0;
    walevent_finish(&g->event);
    take_levels(s, &g->facts);
    return take_meta(g, g->meta, g->event.meta.len, g->facts.start, s->tli, s->segno, s, e);
}

static int join_on(struct gather *g, const struct scan_object *o, struct wal_summary *sum,
                   struct plan_segment *s, struct err *e)
{
    const struct version *v = version_by_magic(sum->facts.magic);
    bool open = object_can_read(o->reader);
    uint8_t *data = NULL;
    size_t len = 0;
    struct err quiet = {0};

    /* A data part that cannot be read says nothing; reading the segment itself would tell. */
    if (open && object_data(o->reader, &data, &len, &quiet) != 0)
        open = false;
    sum->data = data;
    sum->data_len = len;
    (void)join_step(&g->join, sum); /* the scan has its own verdict */
    sum->data = NULL;
    sum->data_len = 0;
    free(data);
    if ((sum->facts.flags & FACTS_HEAD_ENDS) == 0)
        return keep_seed(g, s->tli, s->segno, e);
    s->cross = PLAN_CROSS_UNKNOWN;
    if (open && v != NULL && g->join.record_lsn != 0) {
        /* No bytes are kept of kinds that nobody looks into. */
        s->cross = PLAN_CROSS_NONE;
        if (g->join.record_len >= WALRECORD_HEADER && take_joined(g, v, s, e) != 0)
            return -1;
    }
    return keep_seed(g, s->tli, s->segno, e);
}

/* --- segments --- */

static int take_segment(void *arg, const struct scan_object *o, struct wal_summary *found,
                        struct err *e)
{
    struct gather *g = arg;
    const struct facts *f = o->facts;
    struct plan_segments *all = &g->v->in.segments;
    const struct plan_segment *before = all->n == 0 ? NULL : &all->v[all->n - 1];
    struct plan_segment *s;
    bool follows;

    if (f == NULL || o->name->kind != WALNAME_SEGMENT)
        return 0;
    if (!g->seeded && find_seeds(g, e) != 0)
        return -1;
    follows =
        before != NULL && before->tli == f->tli && (before->segno + 1) * f->segsize == f->start;
    s = plan_segments_add(all, e);
    if (s == NULL)
        return -1;
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
    s->last_time = s->greatest = s->last_commit = COVERAGE_NO_TIME;
    if (f->commits > 0)
        s->last_commit = f->commit_times.last + EPOCH_2000;
    if (s->ends > 0) {
        s->last_time = f->xact_times.last + EPOCH_2000;
        s->greatest = f->xact_times.greatest + EPOCH_2000;
    }
    take_levels(s, f);
    if (found->meta_len > 0 &&
        take_meta(g, found->meta, found->meta_len, f->start, s->tli, s->segno, s, e) != 0)
        return -1;
    if (!follows)
        use_seed(g, s->tli, s->segno);
    return join_on(g, o, found, s, e);
}

/* Gives the segments what only the scan knows, and adds those that could not be opened. */
static int merge_rows(struct inventory *v, struct err *e)
{
    const struct coverage_rows *rows = &v->scan.cover.rows;
    struct plan_segments all;
    size_t at = 0;

    plan_segments_init(&all, COVERAGE_ROWS_MAX);
    for (size_t i = 0; i < rows->n; i++) {
        const struct coverage_row *row = &rows->v[i];
        struct plan_segment s = {.tli = row->tli,
                                 .segno = row->segno,
                                 .last_time = COVERAGE_NO_TIME,
                                 .greatest = COVERAGE_NO_TIME,
                                 .last_commit = COVERAGE_NO_TIME};

        while (at < v->in.segments.n &&
               (v->in.segments.v[at].tli < row->tli ||
                (v->in.segments.v[at].tli == row->tli && v->in.segments.v[at].segno < row->segno)))
            at++;
        if (at < v->in.segments.n && v->in.segments.v[at].tli == row->tli &&
            v->in.segments.v[at].segno == row->segno)
            s = v->in.segments.v[at];
        s.state = row->state;
        s.join = row->join;
        s.stored = row->stored;
        if (plan_segments_push(&all, s, e) != 0) {
            plan_segments_fini(&all);
            return -1;
        }
    }
    plan_segments_fini(&v->in.segments);
    v->in.segments = all;
    return 0;
}

static int take_lines(struct inventory *v, struct err *e)
{
    const struct coverage_timelines *t = &v->scan.cover.timelines;

    for (size_t i = 0; i < t->n; i++) {
        struct plan_line line = {.tli = t->v[i].tli,
                                 .parent = t->v[i].parent,
                                 .birth = t->v[i].birth,
                                 .known = t->v[i].tli == 1 || t->v[i].history == COVERAGE_HISTORY};

        if (plan_lines_push(&v->in.lines, line, e) != 0)
            return -1;
    }
    return 0;
}

/* --- backups --- */

struct backups {
    struct inventory *v;
    const struct pack_set *set;
};

/* Is every pack there that the backup needs? */
static void check_packs(const struct backups *b, struct plan_backup *backup, const uint8_t *part,
                        size_t len)
{
    struct cur c = cur_of(part, len);
    struct manifest_in_use use;
    struct err quiet = {0};
    unsigned missing = 0;
    int rc;

    while ((rc = manifest_in_use_next(&c, &use, &quiet)) == 0) {
        size_t n = 0;

        if (pack_set_direct(b->set, use.pack) == NULL &&
            (pack_set_places(b->set, use.pack, &n) == NULL || n == 0))
            missing++;
    }
    if (rc > 0 && missing == 0)
        return;
    backup->damaged = true;
    if (rc < 0)
        (void)snprintf(backup->why, sizeof backup->why, "%.250s", quiet.msg);
    else
        (void)snprintf(backup->why, sizeof backup->why, "%u of its packs %s missing", missing,
                       missing == 1 ? "is" : "are");
}

static int take_backup(void *arg, const char *label, const struct manifest_public *p,
                       const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    const struct backups *b = arg;
    struct plan_backup *backup;

    if (strlen(label) >= PLAN_LABEL_MAX)
        return 0;
    backup = plan_backups_add(&b->v->in.backups, e);
    if (backup == NULL)
        return -1;
    (void)snprintf(backup->label, sizeof backup->label, "%s", label);
    if (p == NULL) {
        backup->damaged = true;
        (void)snprintf(backup->why, sizeof backup->why, "%.250s", why->msg);
        return 0;
    }
    backup->start_tli = p->start_timeline;
    backup->stop_tli = p->stop_timeline;
    backup->start = p->start_lsn;
    backup->stop = p->stop_lsn;
    backup->start_time = p->start_time;
    backup->stop_time = p->stop_time;
    backup->bytes = p->bytes;
    backup->files = p->files;
    backup->version = p->server_version;
    backup->inside = p->wal_inside;
    check_packs(b, backup, part, len);
    return 0;
}

static int take_backups(struct inventory *v, struct repo *r, struct object_reader *scratch,
                        struct err *e)
{
    struct pack_set set;
    struct backups b = {v, &set};
    int rc;

    if (pack_set_load(&set, r, scratch, e) != 0)
        return -1;
    rc = manifest_each(r, take_backup, &b, scratch, e);
    pack_set_fini(&set);
    return rc < 0 ? -1 : 0;
}

/* --- all --- */

int inventory_read(struct inventory *v, struct repo *r, struct object_reader *scratch,
                   struct err *e)
{
    struct gather *g = calloc(1, sizeof *g);
    struct scan_how how = {.deep = take_segment, .arg = g};
    int rc = -1;

    memset(v, 0, sizeof *v);
    plan_input_init(&v->in, r->lineage.segment_size);
    scan_init(&v->scan);
    if (g == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the archive");
    g->v = v;
    g->repo = r;
    seeds_init(&g->seeds, SEEDS_MAX);
    if (scan_lineage(&v->scan, r, &how, scratch, e) == 0 && merge_rows(v, e) == 0 &&
        take_lines(v, e) == 0)
        rc = take_backups(v, r, scratch, e);
    for (size_t i = 0; i < g->seeds.n; i++)
        free(g->seeds.v[i].join);
    seeds_fini(&g->seeds);
    free(g);
    return rc;
}

void inventory_fini(struct inventory *v)
{
    plan_input_fini(&v->in);
    scan_fini(&v->scan);
}

/* --- what a plan asks for --- */

static int read_segment(struct inventory *v, struct repo *r, struct plan_segment *s,
                        struct object_reader *scratch, struct err *e)
{
    char leaf[WALNAME_MAX];
    struct store_name name = {.kind = KIND_SEGMENT, .timeline = s->tli, .name = leaf};
    struct inventory_wal *w;
    struct store_object o;
    int rc;

    walname_segment(leaf, s->tli, s->segno, v->in.segsize);
    rc = repo_get(r, &name, &o, scratch, e);
    if (rc != 0)
        return rc > 0 ? err_set(e, ERR_HOLE, "\"%s\" is gone", leaf) : -1;
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        rc = err_set(e, ERR_NOMEM, "no memory to read \"%s\"", leaf);
    } else if (!object_can_read(scratch)) {
        rc = err_set(e, ERR_KEY, "\"%s\" is sealed", leaf);
    } else {
        s->detail_at = v->in.ends.n;
        inventory_wal_init(w, &v->in.ends, walname_start(s->segno, v->in.segsize), s->damage,
                           s->minimal);
        rc = object_content(scratch, &w->sink, e);
        s->detail_n = v->in.ends.n - s->detail_at;
        s->detail_last = w->last;
    }
    free(w);
    object_close(scratch);
    store_release(&o);
    return rc;
}

int inventory_plan(struct inventory *v, struct repo *r, const struct plan_target *t, struct plan *p,
                   struct object_reader *scratch, struct err *e)
{
    for (;;) {
        struct plan_segment *s;
        struct err why = {0};

        if (plan_make(p, &v->in, t, e) != 0)
            return -1;
        if (p->verdict != PLAN_DETAIL)
            return 0;
        s = &v->in.segments.v[p->detail];
        if (s->detail != PLAN_UNREAD)
            return err_set(e, ERR_INTERNAL, "a plan asks for the same segment twice");
        v->asked++;
        s->detail = PLAN_READ;
        if (read_segment(v, r, s, scratch, &why) == 0)
            continue;
        if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
            *e = why;
            return -1;
        }
        /* Damage that the scan could not see stops a recovery; a missing key hides only details. */
        v->in.ends.n = s->detail_at < v->in.ends.n ? s->detail_at : v->in.ends.n;
        s->detail_n = 0;
        s->detail = PLAN_UNREADABLE;
        if (why.code != ERR_KEY)
            s->state = COVERAGE_LOST;
    }
}

size_t inventory_backup(const struct inventory *v, const char *label)
{
    for (size_t i = 0; i < v->in.backups.n; i++)
        if (strcmp(v->in.backups.v[i].label, label) == 0)
            return i;
    return v->in.backups.n;
}
