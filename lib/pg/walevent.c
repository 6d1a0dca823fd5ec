#include "pg/walevent.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum {
    INFO_OP = 0xf0,
    HEAP_OP = 0x70,
    FIRST_USER_FILE = 16384,   /* below are the system catalogs that came with initdb */
    OUTCOMES_UNSURE = 128,     /* so many are told before seen_max is believed */
    META_WALK_MAX = 24 * 1024, /* while walking, frequent items stop here, */
    META_RARE_MAX = 32 * 1024  /* rare ones here; the rest is for the end */
};

enum {
    XLOG_CHECKPOINT_SHUTDOWN = 0x00,
    XLOG_CHECKPOINT_ONLINE = 0x10,
    XLOG_PARAMETERS = 0x60,
    XLOG_RESTORE_POINT = 0x70,
    XLOG_END_OF_RECOVERY = 0x90,
    STANDBY_LOCK = 0x00,
    STANDBY_RUNNING = 0x10,
    TBLSPC_CREATE = 0x00,
    HEAP_INSERT = 0x00,
    HEAP_DELETE = 0x10,
    HEAP_UPDATE = 0x20,
    HEAP_TRUNCATE = 0x30,
    HEAP_HOT_UPDATE = 0x40,
    DELETE_SUPER = 0x08, /* a speculative insertion taken back */
    DELETE_MOVED = 0x10  /* the row went to another partition */
};

void walevent_init(struct walevent *ev, const struct version *v, struct facts *facts, uint8_t *meta)
{
    ev->v = v;
    ev->facts = facts;
    tlv_init(&ev->meta, meta, META_WALK_MAX);
    ev->base = (struct meta_base){0};
    ev->outcomes = 0;
    ev->rows_min = WALEVENT_ROWS_MIN;
    ev->knows_old = false;
    ev->old_max = 0;
    ev->seen_max = 0;
    ev->running = (struct meta_running){0};
    ev->changes = 0;
    walxids_init(&ev->xids);
}

/* Transaction ids live on a circle. */
static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static void saw_xid(struct walevent *ev, uint32_t xid)
{
    if (!ev->knows_old && (ev->seen_max == 0 || is_after(xid, ev->seen_max)))
        ev->seen_max = xid;
}

/* Rare items may use room that frequent ones may not. */
static struct tlv_out *rare(struct walevent *ev)
{
    ev->meta.cap = META_RARE_MAX;
    return &ev->meta;
}

static void rare_done(struct walevent *ev, bool fitted)
{
    ev->meta.cap = META_WALK_MAX;
    if (!fitted)
        ev->facts->lost |= FACTS_LOST_EVENTS;
}

/* --- XLOG --- */

static void tli_switched(struct walevent *ev, lsn_t lsn, const uint8_t *ids)
{
    struct facts *f = ev->facts;
    tli_t to = get_u32(ids);
    tli_t from = get_u32(ids + 4);

    if (from == to)
        return;
    if (f->switches < FACTS_CHANGES_MAX) {
        f->tli_switch[f->switches].lsn = lsn;
        f->tli_switch[f->switches].from = from;
        f->tli_switch[f->switches].to = to;
    }
    f->switches++;
}

static int checkpoint(struct walevent *ev, const struct walrecord *r, bool shutdown)
{
    struct facts *f = ev->facts;
    lsn_t redo;

    if (r->main_avail < 32)
        return 1;
    redo = get_u64(r->main);
    f->checkpoints++;
    f->last_checkpoint = r->lsn;
    f->last_redo = redo;
    if (shutdown)
        tli_switched(ev, r->lsn, r->main + 8);
    /* Its next transaction id is as of the redo point, so it bounds older transactions only when
     * that lies in this segment. */
    if (redo >= f->start && !ev->knows_old) {
        ev->knows_old = true;
        ev->old_max = get_u32(r->main + 24) - 1;
    }
    return 0;
}

static int restore_point(struct walevent *ev, const struct walrecord *r)
{
    struct meta_restore_point p = {.lsn = r->lsn};

    if (r->main_avail < 8 + META_NAME_MAX)
        return 1;
    p.time = get_i64(r->main);
    memcpy(p.name, r->main + 8, META_NAME_MAX);
    p.name[META_NAME_MAX - 1] = '\0';
    ev->facts->points++;
    rare_done(ev, meta_put_restore_point(rare(ev), ev->facts->start, &p));
    return 0;
}

static int parameters(struct walevent *ev, const struct walrecord *r)
{
    struct facts *f = ev->facts;

    if (r->main_avail < 24)
        return 1;
    if (f->levels < FACTS_CHANGES_MAX) {
        f->wal_level[f->levels].lsn = r->lsn;
        f->wal_level[f->levels].level = get_u32(r->main + 20);
    }
    f->levels++;
    return 0;
}

static int xlog_record(struct walevent *ev, const struct walrecord *r)
{
    switch (r->info & INFO_OP) {
    case XLOG_CHECKPOINT_SHUTDOWN:
        return checkpoint(ev, r, true);
    case XLOG_CHECKPOINT_ONLINE:
        return checkpoint(ev, r, false);
    case XLOG_PARAMETERS:
        return parameters(ev, r);
    case XLOG_RESTORE_POINT:
        return restore_point(ev, r);
    case XLOG_END_OF_RECOVERY:
        if (r->main_avail < 16)
            return 1;
        tli_switched(ev, r->lsn, r->main + 8);
        return 0;
    default:
        return 0;
    }
}

/* --- ends of transactions --- */

static void put_change(struct walevent *ev, const struct meta_change *c)
{
    uint32_t least = 0;

    if (ev->changes < WALEVENT_CHANGES) {
        ev->change[ev->changes++] = *c;
        return;
    }
    ev->facts->lost |= FACTS_LOST_CHANGES;
    for (uint32_t i = 1; i < WALEVENT_CHANGES; i++)
        if ((uint64_t)ev->change[i].deletes + ev->change[i].updates <
            (uint64_t)ev->change[least].deletes + ev->change[least].updates)
            least = i;
    if ((uint64_t)ev->change[least].deletes + ev->change[least].updates <
        (uint64_t)c->deletes + c->updates)
        ev->change[least] = *c;
}

static void put_changes(struct walevent *ev, const struct walxact *x, lsn_t lsn,
                        const struct walxids_xact *t)
{
    for (uint16_t i = t->counts; i != WALXIDS_NONE; i = ev->xids.count[i].next) {
        const struct meta_count *n = &ev->xids.count[i].c;
        struct meta_change c = {lsn, x->time, x->xid, t->flags, n->rel, n->deletes, n->updates};

        if (x->prepared)
            c.flags |= META_PREPARED;
        if ((uint64_t)n->deletes + n->updates >= ev->rows_min)
            put_change(ev, &c);
    }
}

static void event_lists(const struct walxact *x, struct meta_event *m)
{
    uint32_t oid;

    for (uint32_t i = 0; i < x->rels.n && i < META_LIST_MAX; i++)
        m->dropped.v[m->dropped.n++] = walxact_rel(x, i);
    m->dropped.total = x->rels.total;
    for (uint32_t i = 0; i < x->stats.n; i++)
        if ((oid = walxact_stat_relation(x, i)) != 0)
            meta_list_add(&m->stats, oid);
    for (uint32_t i = 0; i < x->invals.n; i++)
        if ((oid = walxact_inval_relation(x, i)) >= FIRST_USER_FILE)
            meta_list_add(&m->invals, oid);
    if (x->rels.n < x->rels.total || x->stats.n < x->stats.total || x->invals.n < x->invals.total)
        m->flags |= META_APPROXIMATE;
    m->db = x->db;
    if (m->db == 0 && m->dropped.n > 0)
        m->db = m->dropped.v[0].db;
}

static void put_event(struct walevent *ev, const struct walxact *x, lsn_t lsn,
                      const struct walxids_xact *t)
{
    struct meta_event *m = &ev->scratch.event;

    memset(m, 0, sizeof *m);
    event_lists(x, m);
    if (t != NULL) {
        walxids_notes(&ev->xids, t, WALXIDS_CREATED, &m->created);
        walxids_notes(&ev->xids, t, WALXIDS_LOCKED, &m->locked);
        walxids_notes(&ev->xids, t, WALXIDS_TRUNCATED, &m->truncated);
        m->flags |= t->flags;
        m->lock = t->lock;
        m->volume = t->volume;
        if (m->db == 0)
            m->db = t->db;
    }
    if (m->dropped.total + m->created.total + m->stats.total + m->truncated.total == 0)
        return;
    m->lsn = lsn;
    m->time = x->time;
    m->xid = x->xid;
    if (x->prepared)
        m->flags |= META_PREPARED;
    if (!meta_put_event(&ev->meta, ev->facts->start, m))
        ev->facts->lost |= FACTS_LOST_EVENTS;
}

/* May this transaction have begun before the segment? */
static bool is_old(struct walevent *ev, uint32_t xid)
{
    if (!ev->knows_old && ev->outcomes >= OUTCOMES_UNSURE) {
        /* So many transactions have ended that a new one was surely among those seen. */
        ev->knows_old = true;
        ev->old_max = ev->seen_max;
    }
    return !ev->knows_old || !is_after(xid, ev->old_max);
}

static void put_outcome(struct walevent *ev, const struct walxact *x, lsn_t lsn)
{
    struct meta_outcome *o = &ev->scratch.outcome;

    memset(o, 0, sizeof *o);
    o->lsn = lsn;
    o->time = x->time;
    o->xid = x->xid;
    o->flags = (uint8_t)((x->commit ? 0 : META_ABORTED) | (x->prepared ? META_PREPARED : 0));
    for (uint32_t i = 0; i < x->subs.n && o->subs.n < META_LIST_MAX; i++) {
        uint32_t sub = walxact_sub(x, i);

        if (!ev->knows_old || !is_after(sub, ev->old_max)) {
            o->subs.v[o->subs.n++] = sub;
            o->subs.total++;
        }
    }
    if (o->subs.n == META_LIST_MAX && x->subs.total > o->subs.n)
        o->subs.total = x->subs.total;
    if (ev->outcomes < WALEVENT_OUTCOMES &&
        meta_put_outcome(&ev->meta, ev->facts->start, &ev->base, o))
        ev->outcomes++;
    else
        ev->facts->lost |= FACTS_LOST_OUTCOMES;
}

static void count_end(struct facts *f, const struct walxact *x, lsn_t lsn)
{
    facts_time(&f->xact_times, x->time, f->commits + f->aborts > 0);
    if (x->commit) {
        facts_time(&f->commit_times, x->time, f->commits > 0);
        if (f->commits == 0)
            f->first_commit = lsn;
        f->last_commit = lsn;
        f->commits++;
    } else {
        f->aborts++;
    }
}

static int xact_end(struct walevent *ev, const struct walrecord *r)
{
    struct walxact x;
    struct walxids_xact *t;
    bool must_tell;

    if (walxact_parse(ev->v, r, &x) != 0)
        return 1;
    count_end(ev->facts, &x, r->lsn);
    if (x.xid != 0)
        saw_xid(ev, x.xid);
    for (uint32_t i = 0; i < x.subs.n; i++) {
        uint32_t sub = walxact_sub(&x, i);

        if (x.commit)
            (void)walxids_fold(&ev->xids, x.xid, sub); /* NULL: nothing known of either */
        else if ((t = walxids_find(&ev->xids, sub)) != NULL)
            walxids_drop(&ev->xids, t);
    }
    t = walxids_find(&ev->xids, x.xid);
    must_tell = t != NULL && t->must_tell;
    if (x.commit) {
        if (x.subs.n < x.subs.total && t != NULL)
            t->flags |= META_APPROXIMATE;
        if (t != NULL)
            put_changes(ev, &x, r->lsn, t);
        if ((t != NULL && t->notes != WALXIDS_NONE) || x.rels.total > 0 || x.stats.total > 0)
            put_event(ev, &x, r->lsn, t);
    }
    if (x.xid != 0 && (is_old(ev, x.xid) || must_tell))
        put_outcome(ev, &x, r->lsn);
    if (t != NULL)
        walxids_drop(&ev->xids, t);
    return 0;
}

static int xact_record(struct walevent *ev, const struct walrecord *r)
{
    switch (r->info & WALXACT_OP) {
    case WALXACT_COMMIT:
    case WALXACT_ABORT:
    case WALXACT_COMMIT_PREPARED:
    case WALXACT_ABORT_PREPARED:
        return xact_end(ev, r);
    case WALXACT_PREPARE:
        ev->facts->prepares++;
        return 0;
    case WALXACT_ASSIGNMENT:
        if (r->main_avail < 8)
            return 1;
        for (uint32_t i = 0; i < get_u32(r->main + 4) && 12 + 4 * (uint64_t)i <= r->main_avail;
             i++) {
            struct walxids_xact *t = walxids_find(&ev->xids, get_u32(r->main + 8 + 4 * i));

            if (t != NULL)
                t->top = get_u32(r->main);
        }
        return 0;
    default:
        return 0;
    }
}

/* --- files, locks, databases, tablespaces --- */

static int smgr_record(struct walevent *ev, const struct walrecord *r)
{
    enum { MAIN_FORK = 0, INIT_FORK = 3 }; /* the latter is all that is logged of an unlogged one */
    uint32_t rel;
    uint32_t fork;
    struct walxids_xact *t;

    if (r->main_avail < 16)
        return 1;
    rel = get_u32(r->main + 8);
    fork = get_u32(r->main + 12);
    if (r->xid == 0 || (fork != MAIN_FORK && fork != INIT_FORK))
        return 0;
    walxids_note(&ev->xids, r->xid, WALXIDS_CREATED, rel);
    t = walxids_get(&ev->xids, r->xid);
    if (r->top_xid != 0)
        t->top = r->top_xid;
    if (t->db == 0)
        t->db = get_u32(r->main + 4);
    return 0;
}

static int locks(struct walevent *ev, const struct walrecord *r)
{
    uint32_t n;

    if (r->main_avail < 4)
        return 1;
    n = get_u32(r->main);
    for (uint32_t i = 0; i < n && 4 + 12 * ((uint64_t)i + 1) <= r->main_avail; i++) {
        const uint8_t *p = r->main + 4 + 12 * (size_t)i;
        struct walxids_xact *t;

        if (get_u32(p) == 0 || get_u32(p + 8) < FIRST_USER_FILE)
            continue;
        walxids_note(&ev->xids, get_u32(p), WALXIDS_LOCKED, get_u32(p + 8));
        t = walxids_get(&ev->xids, get_u32(p));
        if (t->lock == 0)
            t->lock = r->lsn;
    }
    return 0;
}

static int running(struct walevent *ev, const struct walrecord *r)
{
    if (r->main_avail < 24)
        return 1;
    ev->running = (struct meta_running){r->lsn, get_u32(r->main + 12), get_u32(r->main + 16)};
    if (!ev->knows_old) {
        ev->knows_old = true;
        ev->old_max = ev->running.next - 1;
    }
    return 0;
}

static void tell_outcome(struct walevent *ev, uint32_t xid)
{
    if (xid != 0)
        walxids_get(&ev->xids, xid)->must_tell = true;
}

static int dbase_record(struct walevent *ev, const struct walrecord *r)
{
    struct meta_database d = {.lsn = r->lsn, .xid = r->xid};
    uint8_t op = r->info & INFO_OP;

    if (r->main_avail < 8)
        return 1;
    d.db = get_u32(r->main);
    if (op == ev->v->dbase_drop) {
        /* Version 13 and later list all tablespaces of the database; the first is its own. */
        d.spc = r->main_avail >= 12 ? get_u32(r->main + 8) : 0;
    } else {
        d.flags = META_CREATED;
        d.spc = get_u32(r->main + 4);
        d.source = op == 0 && r->main_avail >= 16 ? get_u32(r->main + 8) : 0;
    }
    rare_done(ev, meta_put_database(rare(ev), ev->facts->start, &d));
    tell_outcome(ev, r->xid);
    return 0;
}

static int tblspc_record(struct walevent *ev, const struct walrecord *r)
{
    struct meta_tablespace *t = &ev->scratch.tablespace;
    size_t n;

    if (r->main_avail < 4)
        return 1;
    memset(t, 0, sizeof *t);
    t->lsn = r->lsn;
    t->xid = r->xid;
    t->spc = get_u32(r->main);
    if ((r->info & INFO_OP) == TBLSPC_CREATE) {
        t->flags = META_CREATED;
        n = strnlen((const char *)r->main + 4, r->main_avail - 4);
        if (n >= META_PATH_MAX)
            return 1;
        memcpy(t->path, r->main + 4, n);
        ev->facts->spaces++;
    }
    rare_done(ev, meta_put_tablespace(rare(ev), ev->facts->start, t));
    tell_outcome(ev, r->xid);
    return 0;
}

/* --- rows --- */

static void rows(struct walevent *ev, const uint8_t *p, size_t avail, uint32_t xid, bool deleted)
{
    struct relnode rel;

    if (xid == 0 || !walrecord_relation(ev->v, p, avail, &rel) || rel.rel < FIRST_USER_FILE)
        return;
    saw_xid(ev, xid);
    walxids_rows(&ev->xids, xid, &rel, deleted, !deleted);
}

static int deleted_row(struct walevent *ev, const uint8_t *p, size_t avail, lsn_t lsn)
{
    struct walrecord r;

    if (walrecord_parse(ev->v, p, avail, lsn, &r) != 0 || r.main_len < 8)
        return 1;
    if (r.main_avail >= 8 && (r.main[7] & (DELETE_SUPER | DELETE_MOVED)) != 0)
        return 0;
    rows(ev, p, avail, r.xid, true);
    if (r.top_xid != 0 && r.top_xid != r.xid) {
        struct walxids_xact *t = walxids_find(&ev->xids, r.xid);

        if (t != NULL)
            t->top = r.top_xid;
    }
    return 0;
}

static int truncated(struct walevent *ev, const uint8_t *p, size_t avail, lsn_t lsn)
{
    struct walrecord r;

    if (walrecord_parse(ev->v, p, avail, lsn, &r) != 0 || r.main_avail < 12)
        return 1;
    for (uint32_t i = 0; i < get_u32(r.main + 4) && 16 + 4 * (uint64_t)i <= r.main_avail; i++) {
        walxids_note(&ev->xids, r.xid, WALXIDS_TRUNCATED, get_u32(r.main + 12 + 4 * (size_t)i));
        walxids_get(&ev->xids, r.xid)->db = get_u32(r.main);
    }
    return 0;
}

/* Bytes that fill a file which the same transaction made. */
static void fills(struct walevent *ev, const uint8_t *p, size_t avail)
{
    struct relnode rel;
    struct walxids_xact *t = walxids_find(&ev->xids, get_u32(p + 4));

    if (t != NULL && t->creates && walrecord_relation(ev->v, p, avail, &rel) &&
        walxids_made(&ev->xids, t, rel.rel))
        t->volume += get_u32(p);
}

static int heap_record(struct walevent *ev, const uint8_t *p, size_t avail, lsn_t lsn)
{
    switch (p[16] & HEAP_OP) {
    case HEAP_UPDATE:
    case HEAP_HOT_UPDATE:
        rows(ev, p, avail, get_u32(p + 4), false);
        return 0;
    case HEAP_DELETE:
        return deleted_row(ev, p, avail, lsn);
    case HEAP_TRUNCATE:
        return truncated(ev, p, avail, lsn);
    case HEAP_INSERT:
        fills(ev, p, avail);
        return 0;
    default:
        return 0;
    }
}

int walevent_record(struct walevent *ev, const uint8_t *p, size_t avail, lsn_t lsn)
{
    struct walrecord r;
    uint8_t rmid = p[17];

    if (rmid == WALRECORD_HEAP)
        return heap_record(ev, p, avail, lsn);
    if (walevent_want(ev, rmid, p[16]) == WALRECORD_RELATION_BYTES) {
        fills(ev, p, avail);
        return 0;
    }
    if (walrecord_parse(ev->v, p, avail, lsn, &r) != 0 || r.main == NULL)
        return 1;
    switch (rmid) {
    case WALRECORD_XLOG:
        return xlog_record(ev, &r);
    case WALRECORD_XACT:
        return xact_record(ev, &r);
    case WALRECORD_SMGR:
        return smgr_record(ev, &r);
    case WALRECORD_DBASE:
        return dbase_record(ev, &r);
    case WALRECORD_TBLSPC:
        return tblspc_record(ev, &r);
    case WALRECORD_STANDBY:
        return (r.info & INFO_OP) == STANDBY_LOCK ? locks(ev, &r) : running(ev, &r);
    default:
        return 0;
    }
}

/* --- the end --- */

/* Subtransactions whose parent is known become part of it: a reader must find one sum. */
static void fold_subs(struct walxids *t)
{
    for (uint16_t i = 0; i < t->xact_used; i++) {
        struct walxids_xact *x = &t->xact[i];

        if (x->in_use && x->top != 0 && x->top != x->xid)
            walxids_fold(t, x->top, x->xid)->flags |= META_APPROXIMATE;
    }
}

static uint64_t open_rows(const struct walxids *t, const struct walxids_xact *x)
{
    uint64_t sum = 0;

    for (uint16_t i = x->counts; i != WALXIDS_NONE; i = t->count[i].next)
        sum += (uint64_t)t->count[i].c.deletes + t->count[i].c.updates;
    return sum;
}

static bool put_open(struct walevent *ev, const struct walxids_xact *x)
{
    struct meta_open *m = &ev->scratch.open;

    memset(m, 0, sizeof *m);
    m->xid = x->xid;
    m->top = x->top;
    m->flags = x->flags;
    m->lock = x->lock;
    m->volume = x->volume;
    for (uint16_t i = x->counts; i != WALXIDS_NONE; i = ev->xids.count[i].next) {
        m->counts_total++;
        if (m->counts_n < META_LIST_MAX)
            m->counts[m->counts_n++] = ev->xids.count[i].c;
    }
    walxids_notes(&ev->xids, x, WALXIDS_CREATED, &m->created);
    walxids_notes(&ev->xids, x, WALXIDS_LOCKED, &m->locked);
    walxids_notes(&ev->xids, x, WALXIDS_TRUNCATED, &m->truncated);
    return meta_put_open(&ev->meta, ev->facts->start, m);
}

static void put_all_open(struct walevent *ev)
{
    uint32_t told = 0;

    fold_subs(&ev->xids);
    for (uint16_t i = 0; i < ev->xids.xact_used; i++) {
        const struct walxids_xact *x = &ev->xids.xact[i];

        if (!x->in_use || (x->notes == WALXIDS_NONE && open_rows(&ev->xids, x) < ev->rows_min))
            continue;
        if (told < WALEVENT_OPEN && put_open(ev, x))
            told++;
        else
            ev->facts->lost |= FACTS_LOST_OPEN;
    }
}

static int by_lsn(const void *a, const void *b)
{
    const struct meta_change *x = a;
    const struct meta_change *y = b;

    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

void walevent_finish(struct walevent *ev)
{
    if (ev->xids.lost)
        ev->facts->lost |= FACTS_LOST_COUNTS;
    ev->meta.cap = META_BYTES_MAX - 256; /* the two ends of the segment follow */
    qsort(ev->change, ev->changes, sizeof ev->change[0], by_lsn);
    for (uint32_t i = 0; i < ev->changes; i++)
        if (!meta_put_change(&ev->meta, ev->facts->start, &ev->change[i]))
            ev->facts->lost |= FACTS_LOST_CHANGES;
    put_all_open(ev);
    ev->meta.cap = META_BYTES_MAX;
    if (ev->running.lsn != 0 && !meta_put_running(&ev->meta, ev->facts->start, &ev->running))
        ev->facts->lost |= FACTS_LOST_OPEN;
}
