#include "pg/walxact.h"

#include "base/bytes.h"

enum {
    INFO_HAS_XINFO = 0x80,
    XINFO_DB = 0x001,
    XINFO_SUBS = 0x002,
    XINFO_RELS = 0x004,
    XINFO_INVALS = 0x008,
    XINFO_TWOPHASE = 0x010,
    XINFO_STATS = 0x100,
    REL_SIZE = 12,
    INVAL_SIZE = 16,
    STATS_KIND_RELATION = 2,
    INVAL_RELCACHE = 0xfe /* -2 */
};

/* Where a record was cut off, everything further is missing: *cut turns true and stays so. */
struct reader {
    struct cur c;
    bool cut;     /* the end of what was given has been met */
    bool may_cut; /* and that may happen */
};

static bool read_list(struct reader *r, uint32_t item, struct walxact_list *out)
{
    uint64_t whole;

    if (r->cut)
        return true;
    if (!cur_u32(&r->c, &out->total)) {
        r->cut = true;
        return r->may_cut;
    }
    if (out->total > INT32_MAX)
        return false;
    whole = (uint64_t)out->total * item;
    if (whole > r->c.left) {
        out->n = (uint32_t)(r->c.left / item);
        whole = r->c.left;
        r->cut = true;
    } else {
        out->n = out->total;
    }
    return cur_bytes(&r->c, (size_t)whole, &out->p) && (!r->cut || r->may_cut);
}

static bool read_parts(struct reader *r, uint32_t xinfo, const struct version *v,
                       struct walxact *out)
{
    const uint8_t *p;

    if ((xinfo & XINFO_DB) != 0) {
        if (!cur_bytes(&r->c, 8, &p))
            return r->may_cut;
        out->db = get_u32(p);
    }
    if ((xinfo & XINFO_SUBS) != 0 && !read_list(r, 4, &out->subs))
        return false;
    if ((xinfo & XINFO_RELS) != 0 && !read_list(r, REL_SIZE, &out->rels))
        return false;
    if ((xinfo & XINFO_STATS) != 0 &&
        (v->stats_item == 0 || !read_list(r, v->stats_item, &out->stats)))
        return false;
    if ((xinfo & XINFO_INVALS) != 0 && !read_list(r, INVAL_SIZE, &out->invals))
        return false;
    if ((xinfo & XINFO_TWOPHASE) != 0 && !r->cut && !cur_u32(&r->c, &out->xid))
        return r->may_cut;
    return true;
}

int walxact_parse(const struct version *v, const struct walrecord *rec, struct walxact *out)
{
    struct reader r = {.c = cur_of(rec->main, rec->main_avail),
                       .may_cut = rec->main_avail < rec->main_len};
    uint8_t op = rec->info & WALXACT_OP;
    uint32_t xinfo = 0;
    uint64_t time;

    *out = (struct walxact){.xid = rec->xid, .stats_item = v->stats_item};
    out->commit = op == WALXACT_COMMIT || op == WALXACT_COMMIT_PREPARED;
    out->prepared = op == WALXACT_COMMIT_PREPARED || op == WALXACT_ABORT_PREPARED;
    if (rec->main == NULL || !cur_u64(&r.c, &time))
        return 1;
    out->time = (int64_t)time;
    if ((rec->info & INFO_HAS_XINFO) != 0 && !cur_u32(&r.c, &xinfo))
        return 1;
    return read_parts(&r, xinfo, v, out) ? 0 : 1;
}

uint32_t walxact_sub(const struct walxact *x, uint32_t i)
{
    return get_u32(x->subs.p + (size_t)i * 4);
}

struct relnode walxact_rel(const struct walxact *x, uint32_t i)
{
    const uint8_t *p = x->rels.p + (size_t)i * REL_SIZE;

    return (struct relnode){get_u32(p), get_u32(p + 4), get_u32(p + 8)};
}

uint32_t walxact_stat_relation(const struct walxact *x, uint32_t i)
{
    const uint8_t *p = x->stats.p + (size_t)i * x->stats_item;

    /* Object ids of relations are 32 bits wide in both item sizes. */
    return get_u32(p) == STATS_KIND_RELATION ? get_u32(p + 8) : 0;
}

uint32_t walxact_inval_relation(const struct walxact *x, uint32_t i)
{
    const uint8_t *p = x->invals.p + (size_t)i * INVAL_SIZE;

    return p[0] == INVAL_RELCACHE ? get_u32(p + 8) : 0;
}
