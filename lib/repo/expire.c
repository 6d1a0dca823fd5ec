/*
 * What expire does with the decision.  A crash behind each step leaves:
 *
 *   condemned list    restores leave alone what is on it; the next run decides anew
 *   expire record     what it names is gone for every reader; the next run removes it
 *   backups, dumps    the same
 *   WAL               the same
 *   packs             what was condemned by an earlier run is gone; the next run goes on
 *   lists removed     nothing is left to do
 */
#include "repo/expire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/signal.h"
#include "repo/manifest_chain.h"
#include "repo/plan_walk.h"

enum { LISTS_MAX = 100 * 1000 };

struct removal {
    struct expire *x;
    struct retention first; /* the decision that was condemned */
    struct expired what;    /* to be written */
    struct expire_lists lists;
    struct err why; /* of a failure that does not end the run */
};

/* --- proof --- */

/* Without what goes, is every kept backup that is good now still good?  Retention sees to it; this
 * is the last look before files go. */
static int prove(struct expire *x, struct err *e)
{
    struct plan_input then = x->inventory.in;
    struct plan p;
    int rc = 0;

    plan_init(&p);
    plan_segments_init(&then.segments, COVERAGE_ROWS_MAX);
    for (size_t i = 0; rc == 0 && i < x->inventory.in.segments.n; i++) {
        const struct plan_segment *s = &x->inventory.in.segments.v[i];

        if (!retention_takes(&x->r, s->tli, s->segno))
            rc = plan_segments_push(&then.segments, *s, e);
    }
    for (size_t i = 0; rc == 0 && i < x->in.items.n; i++) {
        const struct retention_item *item = &x->in.items.v[i];
        const struct plan_target t = {
            .kind = PLAN_IMMEDIATE, .current = true, .backup = item->name};

        if (item->kind != KIND_MANIFEST || !item->good || !x->r.verdicts.v[i].keep)
            continue;
        rc = plan_make(&p, &then, &t, e);
        if (rc == 0 && p.verdict == PLAN_NO)
            rc = err_set(e, ERR_INTERNAL, "backup %s could not be restored afterwards", item->name);
    }
    plan_segments_fini(&then.segments);
    plan_fini(&p);
    return rc;
}

/* --- what is written --- */

static bool is_on_record(const struct expire *x, const struct retention_range *range)
{
    uint32_t size = x->inventory.in.segsize;

    return expired_segment(&x->records, range->tli, range->first, size) &&
           expired_until(&x->records, range->tli, range->first, size) >= range->behind;
}

/* Of the decision in x->r, what the one in `first` (NULL: itself) takes, too. */
static bool goes(const struct removal *m, size_t i)
{
    return !m->x->r.verdicts.v[i].keep &&
           (i >= m->first.verdicts.n || !m->first.verdicts.v[i].keep);
}

static int fill(struct removal *m, bool again, struct err *e)
{
    struct expire *x = m->x;
    uint32_t size = x->inventory.in.segsize;

    for (size_t i = 0; i < x->in.items.n; i++) {
        const struct retention_item *item = &x->in.items.v[i];

        if (!goes(m, i) || (item->removed && !again))
            continue;
        if (expire_record_gone(&m->what, item->kind, item->name, x->r.verdicts.v[i].reason, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < x->r.ranges.n; i++) {
        const struct retention_range *r = &x->r.ranges.v[i];
        struct expired_range one = {r->tli, walname_start(r->first, size),
                                    walname_start(r->behind, size)};

        if ((again || !is_on_record(x, r)) && expired_ranges_push(&m->what.ranges, one, e) != 0)
            return -1;
    }
    return 0;
}

/* An item's name in the store; job is room for a dump's. */
static struct store_name name_of(const struct retention_item *item, char job[EXPIRED_NAME_MAX])
{
    struct store_name name = {.kind = item->kind, .name = item->name};
    const char *leaf = strchr(item->name, '/');

    if (item->kind == KIND_DUMP && leaf != NULL) {
        (void)snprintf(job, EXPIRED_NAME_MAX, "%.*s", (int)(leaf - item->name), item->name);
        name.job = job;
        name.name = leaf + 1;
    }
    return name;
}

/* The newest record of each writer that goes, when nothing newer of it stays. */
static int fill_lasts(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    for (size_t i = 0; i < x->in.items.n; i++) {
        const struct expire_place *p = &x->places.v[i];
        char job[EXPIRED_NAME_MAX];
        const struct store_name name = name_of(&x->in.items.v[i], job);
        struct expired_last last = {.sequence = p->sequence};
        bool is_newest = p->is_known && goes(m, i);

        for (size_t k = 0; k < x->in.items.n && is_newest; k++) {
            const struct expire_place *other = &x->places.v[k];

            is_newest = !other->is_known || other->sequence <= p->sequence ||
                        memcmp(other->writer, p->writer, sizeof p->writer) != 0;
        }
        if (!is_newest)
            continue;
        memcpy(last.writer, p->writer, sizeof last.writer);
        if (manifest_chain_digest(x->repo, &name, last.digest, e) != 0 ||
            expired_lasts_push(&m->what.lasts, last, e) != 0)
            return -1;
    }
    return 0;
}

static int fill_clock(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    if (x->r.doubts.n == 0)
        return 0;
    m->what.clock = x->how->now;
    for (size_t i = 0; i < x->r.doubts.n; i++) {
        const struct retention_doubt *d = &x->r.doubts.v[i];
        struct expired_belief b = {.kind = d->kind, .time = d->propose};

        memcpy(b.name, d->name, sizeof b.name);
        if (expired_beliefs_push(&m->what.beliefs, b, e) != 0)
            return -1;
    }
    return 0;
}

/* --- the steps --- */

/* Publishes what goes, then looks who took hold of something meanwhile: that stays. */
static int condemn(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    if (fill(m, true, e) != 0 || expire_record_condemn(&m->what, x->repo, &m->lists, e) != 0)
        return -1;
    expired_fini(&m->what);
    expired_init(&m->what);
    if (expire_holds(x, e) != 0)
        return -1;
    m->first = x->r;
    retention_init(&x->r);
    if (retention_decide(&x->r, &x->in, e) != 0)
        return -1;
    if (retention_is_blocked(&x->r, &x->in)) /* the input did not change in that */
        return err_set(e, ERR_INTERNAL, "the clock changed its mind");
    for (size_t i = 0; i < x->in.items.n; i++)
        x->done.spared += !m->first.verdicts.v[i].keep && x->r.verdicts.v[i].keep ? 1 : 0;
    return 0;
}

static int record(struct removal *m, struct err *e)
{
    struct expire *x = m->x;
    struct expire_writing how = {.host = x->how->host,
                                 .state_dir = x->how->state_dir,
                                 .now = x->how->now,
                                 .copy = x->repo->copy.there ? x->repo->copy.id : NULL};
    const struct plan_segments *all = &x->inventory.in.segments;

    if (all->n > 0) {
        how.wal_tli = all->v[all->n - 1].tli;
        how.wal_lsn = all->v[all->n - 1].end;
    }
    if (fill(m, false, e) != 0 || fill_lasts(m, e) != 0 || fill_clock(m, e) != 0)
        return -1;
    return expire_record_put(&m->what, x->repo, &how, x->scratch, &x->done.records, e);
}

static int remove_item(struct expire *x, const struct retention_item *item, struct err *e)
{
    char job[EXPIRED_NAME_MAX];
    const struct store_name name = name_of(item, job);
    int rc;

    /* On record: it counts as gone already. */
    rc = store_remove(&x->repo->writer, &x->repo->where, &name, e);
    if (rc < 0 || store_flush(&x->repo->writer, &x->repo->where, &name, e) != 0)
        return -1;
    x->done.backups += rc == 0 && item->kind == KIND_MANIFEST ? 1 : 0;
    x->done.dumps += rc == 0 && item->kind == KIND_DUMP ? 1 : 0;
    return 0;
}

static int remove_items(struct removal *m, struct err *e)
{
    for (size_t i = 0; i < m->x->in.items.n; i++)
        if (goes(m, i) &&
            (os_signal_check(e) != 0 || remove_item(m->x, &m->x->in.items.v[i], e) != 0))
            return -1;
    return 0;
}

struct group {
    const struct removal *m;
    tli_t tli;
};

/* 1: a file of a segment that goes. */
static int take_file(void *arg, const char *name, struct err *e)
{
    const struct group *g = arg;
    struct walname n;
    uint64_t segno;

    if (os_signal_check(e) != 0)
        return -1;
    if (!walname_parse(name, &n) || n.kind == WALNAME_HISTORY || n.tli != g->tli ||
        !walname_segno(&n, g->m->x->inventory.in.segsize, &segno))
        return 0;
    return retention_takes(&g->m->x->r, g->tli, segno) &&
                   retention_takes(&g->m->first, g->tli, segno)
               ? 1
               : 0;
}

/* Directories from this segment's on may be written to right now.  Whoever still writes on a
 * timeline that was left makes its directory anew. */
static uint64_t busy_from(const struct expire *x, tli_t tli)
{
    const struct plan_segments *all = &x->inventory.in.segments;

    if (all->n == 0 || all->v[all->n - 1].tli != tli)
        return UINT64_MAX;
    return all->v[all->n - 1].segno;
}

static int remove_wal(struct removal *m, struct err *e)
{
    struct expire *x = m->x;
    uint64_t per_group = UINT64_C(0x100000000) / x->inventory.in.segsize;
    tli_t tli = 0;
    uint64_t next = 0; /* group: a range may begin in the one where the last ended */

    for (size_t i = 0; i < x->r.ranges.n; i++) {
        const struct retention_range *r = &x->r.ranges.v[i];
        uint64_t newest = busy_from(x, r->tli) / per_group;
        struct group g = {m, r->tli};
        uint64_t group = r->first / per_group;

        if (r->tli == tli && group < next)
            group = next;
        for (; group <= (r->behind - 1) / per_group; group++)
            if (store_remove_wal(&x->repo->writer, &x->repo->where, r->tli, (uint32_t)group,
                                 group < newest, take_file, &g, &x->done.wal, e) != 0)
                return -1;
        tli = r->tli;
        next = group;
    }
    return 0;
}

static int drop_lists(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    for (size_t i = 0; i < m->lists.n; i++) {
        const struct store_name name = {.kind = KIND_CONDEMNED, .name = m->lists.v[i].name};

        if (store_remove(&x->repo->writer, &x->repo->where, &name, e) < 0)
            return -1;
    }
    return 0;
}

static bool is_something_to_do(const struct expire *x)
{
    bool any = x->r.ranges.n > 0;

    for (size_t i = 0; i < x->in.items.n; i++)
        any = any || !x->r.verdicts.v[i].keep;
    return any;
}

/* A full disk takes no record; what earlier runs condemned may make room for one. */
static int make_room(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    if (m->why.code != ERR_IO || (m->why.sys != ENOSPC && m->why.sys != EDQUOT))
        return 0;
    return expire_packs(x, e) == 0 && x->done.packs.removed > 0 ? 1 : 0;
}

static int attempt(struct removal *m, struct err *e)
{
    expired_fini(&m->what);
    expired_init(&m->what);
    if (m->first.verdicts.n == 0 && condemn(m, e) != 0)
        return -1;
    return record(m, e);
}

static int announce(struct removal *m, struct err *e)
{
    if (attempt(m, &m->why) == 0 || (make_room(m, e) > 0 && attempt(m, e) == 0))
        return 0;
    *e = m->why;
    if (e->sys == ENOSPC || e->sys == EDQUOT)
        (void)err_hint(e, "Nothing was removed: what goes must be on record first, which takes a "
                          "few kilobytes. Make that much room, and run it again.");
    return -1;
}

static int do_all(struct removal *m, struct err *e)
{
    struct expire *x = m->x;

    if (is_something_to_do(x) || x->r.doubts.n > 0) {
        if (prove(x, e) != 0 || announce(m, e) != 0)
            return -1;
        if (remove_items(m, e) != 0 || remove_wal(m, e) != 0)
            return -1;
    }
    err_clear(&m->why);
    if (expire_packs(x, &m->why) != 0) {
        if (m->why.code == ERR_INTERRUPTED || m->why.code == ERR_NOMEM) {
            *e = m->why;
            return -1;
        }
        x->done.packs_failed = true;
        if (x->how->warn != NULL)
            x->how->warn(x->how->arg, &m->why);
    }
    return drop_lists(m, e);
}

int expire_do(struct expire *x, struct err *e)
{
    struct removal m = {.x = x};
    int rc;

    if (retention_is_blocked(&x->r, &x->in))
        return err_set(e, ERR_REFUSED, "a clock is in doubt");
    if (x->lock < 0)
        return err_set(e, ERR_INTERNAL, "nothing was locked");
    retention_init(&m.first);
    expired_init(&m.what);
    expire_lists_init(&m.lists, LISTS_MAX);
    rc = do_all(&m, e);
    retention_fini(&m.first);
    expired_fini(&m.what);
    expire_lists_fini(&m.lists);
    return rc;
}
