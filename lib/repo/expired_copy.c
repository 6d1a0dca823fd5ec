/*
 * Expire records in a copy.  Those of the repository came with everything else and must not take
 * away what the copy keeps longer; but they tell why something was never copied.
 */
#include <stdlib.h>
#include <string.h>

#include "pg/tlv.h"
#include "repo/expired.h"

bool expired_is_own(const struct repo *r, const uint8_t *part, size_t len)
{
    struct cur c = cur_of(part, len);
    struct cur item;
    uint8_t tag;

    while (tlv_next(&c, &tag, &item) == 0)
        if (tag == EXPIRED_TAG_COPY)
            return r->copy.there && item.left == COPY_ID &&
                   memcmp(item.p, r->copy.id, COPY_ID) == 0;
    return false;
}

VEC_DECLARE(segnos, uint64_t);

struct present {
    struct segnos list;
    uint32_t segsize;
    uint64_t first; /* of the range that is looked at, */
    uint64_t behind;
};

static int note(void *arg, const char *name, struct err *e)
{
    struct present *p = arg;
    struct walname n;
    uint64_t segno;

    if (!walname_parse(name, &n) || n.kind != WALNAME_SEGMENT ||
        !walname_segno(&n, p->segsize, &segno) || segno < p->first || segno >= p->behind)
        return 0;
    return segnos_push(&p->list, segno, e);
}

struct grouping {
    struct present *present;
    struct repo *repo;
    tli_t tli;
};

static int note_group(void *arg, uint32_t group, struct err *e)
{
    const struct grouping *g = arg;
    uint64_t per_group = UINT64_C(0x100000000) / g->present->segsize;

    if (group < g->present->first / per_group || group > g->present->behind / per_group)
        return 0;
    return store_each_wal(&g->repo->store, &g->repo->where, g->tli, group, note, g->present, e);
}

static int push(struct expired *x, tli_t tli, uint64_t first, uint64_t behind, uint32_t segsize,
                struct err *e)
{
    struct expired_range one = {tli, walname_start(first, segsize), walname_start(behind, segsize)};

    return first < behind ? expired_ranges_push(&x->ranges, one, e) : 0;
}

/* The range without the segments that are there. */
static int add_range(struct expired *x, const struct expired_range *range, struct repo *r,
                     struct err *e)
{
    uint32_t size = r->lineage.segment_size;
    struct present p = {.segsize = size,
                        .first = walname_segno_of(range->from, size),
                        .behind = walname_segno_of(range->to, size)};
    struct grouping g = {&p, r, range->tli};
    uint64_t next = p.first;
    int rc;

    segnos_init(&p.list, EXPIRED_MAX);
    /* Groups and the names in them come in order. */
    rc = store_each_group(&r->store, &r->where, range->tli, note_group, &g, e);
    for (size_t i = 0; rc == 0 && i < p.list.n; i++) {
        rc = push(x, range->tli, next, p.list.v[i], size, e);
        next = p.list.v[i] + 1;
    }
    if (rc == 0)
        rc = push(x, range->tli, next, p.behind, size, e);
    segnos_fini(&p.list);
    return rc;
}

static int add_object(struct expired *x, const struct expired_object *o, struct repo *r,
                      struct err *e)
{
    char job[EXPIRED_NAME_MAX];
    struct store_name name = {.kind = o->kind, .name = o->name};
    const char *slash = strchr(o->name, '/');
    int rc;

    if (o->kind == KIND_DUMP && slash != NULL) {
        memcpy(job, o->name, (size_t)(slash - o->name));
        job[slash - o->name] = '\0';
        name.job = job;
        name.name = slash + 1;
    }
    if (o->kind == KIND_DUMP && slash == NULL)
        return 0;
    rc = store_has(&r->store, &r->where, &name, e);
    if (rc < 0)
        return -1;
    return rc == STORE_ABSENT ? expired_objects_push(&x->objects, *o, e) : 0;
}

int expired_explain(struct expired *x, const struct expired *theirs, struct repo *r, struct err *e)
{
    for (size_t i = 0; i < theirs->objects.n; i++)
        if (add_object(x, &theirs->objects.v[i], r, e) != 0)
            return -1;
    for (size_t i = 0; i < theirs->ranges.n; i++)
        if (add_range(x, &theirs->ranges.v[i], r, e) != 0)
            return -1;
    for (size_t i = 0; i < theirs->heads.n; i++)
        if (expired_heads_push(&x->heads, theirs->heads.v[i], e) != 0)
            return -1;
    for (size_t i = 0; i < theirs->beliefs.n; i++)
        if (expired_beliefs_push(&x->beliefs, theirs->beliefs.v[i], e) != 0)
            return -1;
    for (size_t i = 0; i < theirs->lasts.n; i++)
        if (expired_lasts_push(&x->lasts, theirs->lasts.v[i], e) != 0)
            return -1;
    if (theirs->clock > x->clock)
        x->clock = theirs->clock;
    x->unreadable += theirs->unreadable;
    return 0;
}
