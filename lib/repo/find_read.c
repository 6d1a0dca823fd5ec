#include "repo/find_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "os/signal.h"
#include "pg/join.h"
#include "pg/metaread.h"
#include "repo/inventory_wal.h"
#include "repo/manifest_read.h"

/* From PostgreSQL's epoch to ours. */
static const int64_t EPOCH_2000 = INT64_C(946684800) * USEC_PER_SEC;

enum { SEEDS_MAX = 1 << 20, MARK_SEGMENTS = 64, RMID_AT = 17, MAPS_NEAR = 4 };

/* What a branch goes on with. */
struct seed {
    tli_t tli; /* the segment behind which it was kept */
    uint64_t segno;
    struct join join;
    struct find_state state;
};
VEC_DECLARE(seeds, struct seed);

struct reading {
    struct find *f;
    const struct inventory *v;
    struct repo *repo;
    struct object_reader *scratch;
    struct find_read *how;
    struct seeds seeds;
    struct join join;
    struct wal_summary summary;
    struct meta_item item;
    struct walevent event; /* for one joined record */
    struct facts facts;
    uint8_t meta[META_BYTES_MAX];
};

/* --- branches --- */

/* The segment in front of a timeline's first one. */
static bool before_birth(const struct inventory *v, const struct plan_line *line, tli_t *tli,
                         uint64_t *segno)
{
    uint64_t birth = walname_segno_of(line->birth, v->in.segsize);

    if (line->parent == 0 || line->birth == 0 || birth == 0)
        return false;
    *segno = birth - 1;
    *tli = find_owner(&v->in.lines, line->parent, walname_start(birth, v->in.segsize) - 1);
    return true;
}

static int keep_seeds(struct reading *g, tli_t tli, uint64_t segno, struct err *e)
{
    for (size_t i = 0; i < g->v->in.lines.n; i++) {
        struct seed *s;
        tli_t from;
        uint64_t at;

        if (!before_birth(g->v, &g->v->in.lines.v[i], &from, &at) || from != tli || at != segno)
            continue;
        s = seeds_add(&g->seeds, e);
        if (s == NULL)
            return -1;
        s->tli = tli;
        s->segno = segno;
        s->join = g->join;
        find_state_init(&s->state);
        return find_state_copy(&s->state, &g->f->state, e);
    }
    return 0;
}

static int use_seed(struct reading *g, tli_t tli, uint64_t segno, struct err *e)
{
    const struct plan_line *line = plan_line(&g->v->in, tli);
    const struct find_state none = {0};
    tli_t from;
    uint64_t at;

    join_init(&g->join);
    if (find_state_copy(&g->f->state, &none, e) != 0)
        return -1;
    if (line == NULL || !before_birth(g->v, line, &from, &at) || at + 1 != segno)
        return 0;
    for (size_t i = 0; i < g->seeds.n; i++)
        if (g->seeds.v[i].tli == from && g->seeds.v[i].segno == at) {
            g->join = g->seeds.v[i].join;
            return find_state_copy(&g->f->state, &g->seeds.v[i].state, e);
        }
    return 0;
}

/* --- one segment --- */

static int take_meta(struct reading *g, const void *p, size_t len, lsn_t start, struct err *e)
{
    struct metaread r;
    int rc;

    metaread_open(&r, p, len, start);
    while ((rc = metaread_next(&r, &g->item)) == 0)
        if (find_item(g->f, &g->item, e) != 0)
            return -1;
    if (rc < 0)
        find_gap(g->f);
    return 0;
}

/* The record that the segment before began, put together. */
static int take_joined(struct reading *g, const struct version *v, struct err *e)
{
    const struct join *j = &g->join;
    uint32_t segsize = g->v->in.segsize;

    if (j->record_lsn == 0 || j->record_len < WALRECORD_HEADER)
        return 0;
    memset(&g->facts, 0, sizeof g->facts);
    g->facts.magic = v->magic;
    g->facts.segsize = segsize;
    g->facts.start = walname_start(walname_segno_of(j->record_lsn, segsize), segsize);
    walevent_init(&g->event, v, &g->facts, g->meta);
    g->event.rows_min = 1;
    if (walevent_want(&g->event, j->record[RMID_AT], j->record[RMID_AT - 1]) == 0 ||
        walevent_record(&g->event, j->record, j->record_len, j->record_lsn) != 0)
        return 0;
    walevent_finish(&g->event);
    return take_meta(g, g->meta, g->event.meta.len, g->facts.start, e);
}

static int step_join(struct reading *g, const struct version *v, struct err *e)
{
    struct wal_summary *s = &g->summary;
    bool open = object_can_read(g->scratch);
    /* The kind is told by the record's header, where that is whole. */
    bool ends = g->join.pending && (g->join.header_len < WALRECORD_HEADER ||
                                    g->join.header[RMID_AT] == WALRECORD_XACT);
    uint8_t *data = NULL;
    size_t len = 0;
    struct err quiet = {0};

    if (open && object_data(g->scratch, &data, &len, &quiet) != 0)
        open = false;
    s->data = data;
    s->data_len = len;
    (void)join_step(&g->join, s); /* whether they belong together is the scan's matter */
    s->data = NULL;
    s->data_len = 0;
    free(data);
    if ((s->facts.flags & FACTS_HEAD_ENDS) == 0)
        return 0;
    if (open && g->join.record_lsn != 0)
        return take_joined(g, v, e);
    g->how->crossing += ends && !open ? 1 : 0;
    return 0;
}

static void span(struct find_read *how, const struct facts *f)
{
    if (f->commits == 0)
        return;
    if (how->first == COVERAGE_NO_TIME || f->commit_times.least + EPOCH_2000 < how->first)
        how->first = f->commit_times.least + EPOCH_2000;
    if (how->last == COVERAGE_NO_TIME || f->commit_times.greatest + EPOCH_2000 > how->last)
        how->last = f->commit_times.greatest + EPOCH_2000;
}

static int take_segment(struct reading *g, const struct plan_segment *s, struct err *e)
{
    const struct frame_tail *t = &g->scratch->tail;
    struct find_segment segment = {.tli = s->tli, .segno = s->segno};
    struct facts *f = &g->summary.facts;
    const struct version *v;
    uint8_t *meta = NULL;
    int rc;

    memset(&g->summary, 0, sizeof g->summary);
    if (facts_decode(t->public_part, t->public_len, f, e) != 0)
        return -1;
    v = version_by_magic(f->magic);
    span(g->how, f);
    if (v == NULL || (g->scratch->head.sealed && !g->scratch->has_metadata)) {
        g->how->sealed++;
        join_init(&g->join);
        find_gap(g->f);
        return 0;
    }
    if (object_metadata(g->scratch, &meta, &g->summary.meta_len, e) != 0)
        return -1;
    g->summary.meta = meta;
    segment.lost = f->lost;
    segment.has_stats = v->stats_item != 0;
    find_begin(g->f, &segment);
    rc = step_join(g, v, e);
    if (rc == 0)
        rc = take_meta(g, meta, g->summary.meta_len, f->start, e);
    if (rc == 0)
        rc = find_end(g->f, e);
    g->how->segments++;
    free(meta);
    return rc;
}

static bool ends_all(const struct err *e)
{
    return e->code == ERR_NOMEM || e->code == ERR_INTERRUPTED || e->code == ERR_INTERNAL;
}

static int get_segment(const struct inventory *v, struct repo *r, tli_t tli, uint64_t segno,
                       struct store_object *o, struct object_reader *scratch, struct err *e)
{
    char leaf[WALNAME_MAX];
    struct store_name name = {.kind = KIND_SEGMENT, .timeline = tli, .name = leaf};
    int rc;

    walname_segment(leaf, tli, segno, v->in.segsize);
    rc = repo_get(r, &name, o, scratch, e);
    return rc > 0 ? err_set(e, ERR_HOLE, "\"%s\" is gone", leaf) : rc;
}

static int read_segment(struct reading *g, const struct plan_segment *s, struct err *e)
{
    struct store_object o;
    struct err why = {0};
    int rc = get_segment(g->v, g->repo, s->tli, s->segno, &o, g->scratch, &why);

    if (rc == 0) {
        rc = take_segment(g, s, &why);
        object_close(g->scratch);
        store_release(&o);
    }
    if (rc == 0)
        return keep_seeds(g, s->tli, s->segno, e);
    if (ends_all(&why)) {
        *e = why;
        return -1;
    }
    if (g->how->broken++ == 0)
        g->how->why = why;
    join_init(&g->join);
    find_gap(g->f);
    return 0;
}

static bool is_wanted(const struct reading *g, size_t i)
{
    return g->how->want == NULL || g->how->want[i];
}

/* What segment i goes on with. */
static int go_on(struct reading *g, size_t i, struct err *e)
{
    const struct plan_segment *s = &g->v->in.segments.v[i];

    if (i == 0 || s[-1].tli != s->tli)
        return use_seed(g, s->tli, s->segno, e);
    if (s[-1].segno + 1 != s->segno) {
        g->how->holes++;
        join_init(&g->join);
        find_gap(g->f);
    }
    /* Whoever chose what is read began where nothing was open. */
    return is_wanted(g, i - 1) ? 0 : use_seed(g, s->tli, s->segno, e);
}

static int read_all(struct reading *g, struct err *e)
{
    const struct plan_segments *all = &g->v->in.segments;
    uint64_t total = 0;
    uint64_t done = 0;

    for (size_t i = 0; i < all->n; i++)
        total += is_wanted(g, i) ? 1 : 0;
    g->how->skipped = all->n - total;
    for (size_t i = 0; i < all->n; i++) {
        if (!is_wanted(g, i))
            continue;
        if (os_signal_check(e) != 0 || go_on(g, i, e) != 0 || read_segment(g, &all->v[i], e) != 0)
            return -1;
        if (g->how->judge != NULL && find_pending(g->f) > FIND_PENDING_MAX &&
            g->how->judge(g->how->judge_arg, e) != 0)
            return -1;
        done++;
        if (g->how->progress != NULL)
            g->how->progress(g->how->progress_arg, done, total);
    }
    return 0;
}

int find_read_segments(struct find *f, const struct inventory *v, struct repo *r,
                       struct object_reader *scratch, struct find_read *how, struct err *e)
{
    struct reading *g = calloc(1, sizeof *g);
    int rc;

    how->first = how->last = COVERAGE_NO_TIME;
    if (g == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the archive");
    g->f = f;
    g->v = v;
    g->repo = r;
    g->scratch = scratch;
    g->how = how;
    seeds_init(&g->seeds, SEEDS_MAX);
    rc = read_all(g, e);
    for (size_t i = 0; i < g->seeds.n; i++)
        find_state_fini(&g->seeds.v[i].state);
    seeds_fini(&g->seeds);
    free(g);
    find_finish(f);
    return rc;
}

/* --- maps --- */

struct mapping {
    struct find_map *map;
    const struct find_numbers *wanted;
    const struct find_table *table;
    bool any;
};

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    struct mapping *m = arg;

    if (type != MANIFEST_RELATIONS)
        return 0;
    m->any = true;
    return find_map_feed(m->map, bytes, len, m->wanted->v, m->wanted->n, m->table, e);
}

static int read_map(struct find *f, const struct plan_backup *b, size_t index, struct repo *r,
                    struct mapping *m, struct object_reader *scratch, struct find_read *how,
                    struct err *e)
{
    static const struct manifest_events events = {.text = on_text};
    struct err why = {0};
    int rc = -1;

    m->map = find_maps_add(&f->maps, index, b->stop_tli, b->stop, e);
    m->any = false;
    if (m->map == NULL)
        return -1;
    m->map->guess = &how->guess;
    if (!b->damaged || b->stop != 0)
        rc = manifest_read(r, b->label, &events, m, NULL, scratch, &why);
    m->map->guess = NULL;
    if (rc == 0)
        rc = find_map_done(m->map, &why);
    if (rc == 0 && m->any) {
        how->maps++;
        return 0;
    }
    if (rc < 0 && ends_all(&why)) {
        *e = why;
        return -1;
    }
    how->no_maps++;
    m->map->rels.n = m->map->files.n = m->map->dbs.n = 0; /* half a map is none */
    return 0;
}

/* The backup that ends next behind `after`; by number where several end at one place. */
static size_t next_backup(const struct plan_backups *b, lsn_t after, size_t last)
{
    size_t best = b->n;

    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].stop == 0 || b->v[i].stop < after || (b->v[i].stop == after && i <= last))
            continue;
        if (best == b->n || b->v[i].stop < b->v[best].stop)
            best = i;
    }
    return best;
}

/* Those that end behind `from`, up to some behind `to`. */
static int read_maps(struct find *f, const struct inventory *v, struct repo *r, lsn_t from,
                     lsn_t to, struct mapping *m, struct object_reader *scratch,
                     struct find_read *how, struct err *e)
{
    const struct plan_backups *backups = &v->in.backups;
    size_t i = next_backup(backups, 1, backups->n);
    unsigned behind = 0;

    for (; i < backups->n && behind < MAPS_NEAR; i = next_backup(backups, backups->v[i].stop, i)) {
        behind += backups->v[i].stop > to ? 1 : 0;
        if (backups->v[i].stop >= from &&
            read_map(f, &backups->v[i], i, r, m, scratch, how, e) != 0)
            return -1;
    }
    return 0;
}

int find_read_maps(struct find *f, const struct inventory *v, struct repo *r,
                   const struct find_table *table, struct object_reader *scratch,
                   struct find_read *how, struct err *e)
{
    struct find_numbers wanted;
    struct mapping m = {.wanted = &wanted, .table = table};
    int rc;

    how->maps = how->no_maps = 0;
    find_numbers_init(&wanted, (size_t)FIND_MAX * 16);
    rc = find_wanted(f, &wanted, e);
    if (rc == 0)
        rc = read_maps(f, v, r, 0, UINT64_MAX, &m, scratch, how, e);
    find_numbers_fini(&wanted);
    return rc;
}

/* Where the maps begin of which enough lie before this place. */
static lsn_t enough_before(const struct plan_backups *b, lsn_t lsn)
{
    lsn_t last[MAPS_NEAR] = {0};

    for (size_t i = next_backup(b, 1, b->n); i < b->n && b->v[i].stop <= lsn;
         i = next_backup(b, b->v[i].stop, i)) {
        memmove(last, last + 1, sizeof last - sizeof last[0]);
        last[MAPS_NEAR - 1] = b->v[i].stop;
    }
    return last[0];
}

int find_read_maps_near(struct find *f, const struct inventory *v, struct repo *r,
                        const struct find_table *table, struct object_reader *scratch,
                        struct find_read *how, struct err *e)
{
    struct find_numbers wanted;
    struct mapping m = {.wanted = &wanted, .table = table};
    lsn_t from = UINT64_MAX;
    lsn_t to = 0;
    int rc;

    for (size_t i = 0; i < f->events.n; i++) {
        from = f->events.v[i].lsn < from ? f->events.v[i].lsn : from;
        to = f->events.v[i].lsn > to ? f->events.v[i].lsn : to;
    }
    for (size_t i = 0; i < f->changes.n; i++) {
        from = f->changes.v[i].lsn < from ? f->changes.v[i].lsn : from;
        to = f->changes.v[i].lsn > to ? f->changes.v[i].lsn : to;
    }
    find_numbers_init(&wanted, (size_t)FIND_MAX * 16);
    rc = find_wanted(f, &wanted, e);
    if (rc == 0)
        rc = read_maps(f, v, r, enough_before(&v->in.backups, from), to, &m, scratch, how, e);
    find_numbers_fini(&wanted);
    return rc;
}

/* --- records --- */

static int read_records(struct inventory_wal *w, const struct inventory *v, struct repo *r,
                        tli_t tli, uint64_t segno, struct object_reader *scratch, struct err *e)
{
    struct store_object o;
    struct err why = {0};
    int rc = get_segment(v, r, tli, segno, &o, scratch, &why);

    if (rc == 0) {
        rc = object_can_read(scratch) ? object_content(scratch, &w->sink, &why) : 1;
        object_close(scratch);
        store_release(&o);
    }
    if (rc < 0 && ends_all(&why)) {
        *e = why;
        return -1;
    }
    return rc == 0 ? 0 : 1;
}

int find_read_ends(struct plan_ends *ends, const struct inventory *v, struct repo *r, tli_t tli,
                   uint64_t segno, struct object_reader *scratch, struct err *e)
{
    const struct plan_segment *s = plan_segment(&v->in, tli, segno);
    struct inventory_wal *w = calloc(1, sizeof *w);
    int rc;

    if (w == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the archive");
    inventory_wal_init(w, ends, walname_start(segno, v->in.segsize), s == NULL ? 0 : s->damage, 0);
    rc = read_records(w, v, r, tli, segno, scratch, e);
    free(w);
    return rc;
}

enum { DATABASES = 1262, HEAP_OP = 0x70, HEAP_DELETE = 0x10, HEAP_INPLACE = 0x70, ROWS_MAX = 1024 };

/* A change of a row of pg_database. */
struct base_row {
    lsn_t lsn;
    uint16_t place;
};

/* Looking for the mark: rows of pg_database that were changed in place, and the one whose
 * transaction removed it. */
struct marks {
    uint32_t xid;
    lsn_t to;    /* records before this one count */
    lsn_t first; /* of the transaction */
    lsn_t removed;
    uint16_t place;
    size_t n;
    struct base_row row[ROWS_MAX];
};

static void on_record(void *arg, const struct version *v, const uint8_t *record, size_t len,
                      lsn_t lsn)
{
    struct marks *m = arg;
    struct walrecord r;
    uint8_t op = record[RMID_AT - 1] & HEAP_OP;

    if (lsn >= m->to)
        return;
    if (get_u32(record + 4) == m->xid && (m->first == 0 || lsn < m->first))
        m->first = lsn;
    if (record[RMID_AT] != WALRECORD_HEAP || (op != HEAP_DELETE && op != HEAP_INPLACE) ||
        walrecord_parse(v, record, len, lsn, &r) != 0 || !r.has_block || r.rel.db != 0 ||
        r.rel.rel != DATABASES || r.main_avail < 2)
        return;
    if (op == HEAP_INPLACE && m->n < ROWS_MAX)
        m->row[m->n++] = (struct base_row){lsn, get_u16(r.main)};
    if (op == HEAP_DELETE && r.xid == m->xid && r.main_avail >= 6) {
        m->removed = lsn;
        m->place = get_u16(r.main + 4);
    }
}

/* The last change in place of the removed row before it was removed. */
static lsn_t mark_of(const struct marks *m)
{
    lsn_t found = 0;

    for (size_t i = 0; m->removed != 0 && i < m->n; i++)
        if (m->row[i].place == m->place && m->row[i].lsn < m->removed && m->row[i].lsn > found)
            found = m->row[i].lsn;
    return found;
}

int find_read_mark(struct find_candidate *c, const struct inventory *v, struct repo *r,
                   struct object_reader *scratch, struct err *e)
{
    struct inventory_wal *w = calloc(1, sizeof *w);
    struct marks *m = calloc(1, sizeof *m);
    struct plan_ends ends;
    uint64_t segno = walname_segno_of(c->before, v->in.segsize);
    lsn_t found = 0;
    int rc = 0;

    plan_ends_init(&ends, PLAN_ENDS_MAX);
    if (w == NULL || m == NULL)
        rc = err_set(e, ERR_NOMEM, "no memory to read the archive");
    for (int i = 0; rc == 0 && i < MARK_SEGMENTS && segno > 0; i++, segno--) {
        tli_t tli = find_owner(&v->in.lines, c->tli, walname_start(segno + 1, v->in.segsize) - 1);
        bool had = m->removed != 0;

        m->xid = c->xid;
        m->to = c->before;
        /* The newer timeline's file has all of a segment in which a branch began. */
        if (plan_segment(&v->in, tli, segno) == NULL)
            tli = find_owner(&v->in.lines, c->tli, walname_start(segno, v->in.segsize));
        inventory_wal_init(w, &ends, walname_start(segno, v->in.segsize), 0, 0);
        w->each = on_record;
        w->each_arg = m;
        rc = read_records(w, v, r, tli, segno, scratch, e);
        found = mark_of(m);
        /* Servers that do not mark it: nothing more within a segment's reach. */
        if (found != 0 || had)
            break;
    }
    if (rc == 0 || (m != NULL && m->removed != 0 && rc > 0)) {
        rc = 0;
        if (found == 0)
            found = m->first;
        if (found != 0 && found < c->before)
            c->before = found;
    }
    plan_ends_fini(&ends);
    free(w);
    free(m);
    return rc;
}
