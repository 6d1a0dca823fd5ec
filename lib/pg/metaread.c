#include "pg/metaread.h"

#include <string.h>

static bool get_lsn(struct cur *c, lsn_t start, lsn_t *lsn)
{
    uint64_t v;

    if (!cur_varint(c, &v) || v > (uint64_t)WALNAME_SEGSIZE_MAX + 1)
        return false;
    *lsn = v == 0 ? 0 : start + v - 1;
    return true;
}

static bool get_time(struct cur *c, int64_t *time)
{
    uint64_t v;

    if (!cur_u64(c, &v))
        return false;
    *time = (int64_t)v;
    return true;
}

static bool get_step(struct cur *c, uint32_t last, uint32_t *v)
{
    int64_t step;

    if (!tlv_get_signed(c, &step) || step < -(int64_t)last || step > (int64_t)UINT32_MAX - last)
        return false;
    *v = (uint32_t)((int64_t)last + step);
    return true;
}

static bool get_size(struct cur *c, uint32_t *total, uint32_t *n)
{
    return tlv_get_u32(c, total) && tlv_get_u32(c, n) && *n <= *total && *n <= META_LIST_MAX;
}

static bool get_list(struct cur *c, struct meta_list *l)
{
    uint32_t last = 0;

    if (!tlv_get_u32(c, &l->total))
        return false;
    if (l->total == 0)
        return true;
    if (!tlv_get_u32(c, &l->n) || l->n > l->total || l->n > META_LIST_MAX)
        return false;
    for (uint32_t i = 0; i < l->n; i++) {
        if (!get_step(c, last, &l->v[i]))
            return false;
        last = l->v[i];
    }
    return true;
}

static bool get_node(struct cur *c, struct relnode *last, struct relnode *n)
{
    uint8_t other;

    *n = *last;
    if (!cur_u8(c, &other) || other > 1)
        return false;
    if (other == 1 && (!tlv_get_u32(c, &n->spc) || !tlv_get_u32(c, &n->db)))
        return false;
    if (!get_step(c, last->rel, &n->rel))
        return false;
    *last = *n;
    return true;
}

static bool get_text(struct cur *c, char *out, size_t cap)
{
    size_t n = c->left;

    if (n >= cap || memchr(c->p, 0, n) != NULL || !cur_copy(c, out, n))
        return false;
    out[n] = '\0';
    return true;
}

bool metaread_head(struct cur *c, struct meta_head *h)
{
    return cur_u32(c, &h->crc[0]) && cur_u32(c, &h->crc[1]) && cur_u32(c, &h->mix[1]) &&
           cur_u32(c, &h->crc[2]) && cur_u32(c, &h->mix[2]);
}

bool metaread_tail(struct cur *c, struct meta_tail *t)
{
    return cur_u8(c, &t->header_len) &&
           (t->header_len == 8 || t->header_len == 16 || t->header_len == WALRECORD_HEADER) &&
           cur_copy(c, t->header, t->header_len) && cur_u32(c, &t->crc);
}

static bool get_event(struct cur *c, lsn_t start, struct meta_event *ev)
{
    struct relnode last = {0};

    if (!cur_u8(c, &ev->flags) || !get_lsn(c, start, &ev->lsn) || !get_time(c, &ev->time) ||
        !tlv_get_u32(c, &ev->xid) || !tlv_get_u32(c, &ev->db) || !get_lsn(c, start, &ev->lock) ||
        !cur_varint(c, &ev->volume) || !get_size(c, &ev->dropped.total, &ev->dropped.n))
        return false;
    last.db = ev->db;
    for (uint32_t i = 0; i < ev->dropped.n; i++)
        if (!get_node(c, &last, &ev->dropped.v[i]))
            return false;
    return get_list(c, &ev->created) && get_list(c, &ev->stats) && get_list(c, &ev->invals) &&
           get_list(c, &ev->locked) && get_list(c, &ev->truncated);
}

static bool get_change(struct cur *c, lsn_t start, struct meta_change *ch)
{
    return cur_u8(c, &ch->flags) && get_lsn(c, start, &ch->lsn) && get_time(c, &ch->time) &&
           tlv_get_u32(c, &ch->xid) && tlv_get_u32(c, &ch->rel.spc) &&
           tlv_get_u32(c, &ch->rel.db) && tlv_get_u32(c, &ch->rel.rel) &&
           tlv_get_u32(c, &ch->deletes) && tlv_get_u32(c, &ch->updates);
}

static bool get_database(struct cur *c, lsn_t start, struct meta_database *d)
{
    return cur_u8(c, &d->flags) && get_lsn(c, start, &d->lsn) && tlv_get_u32(c, &d->xid) &&
           tlv_get_u32(c, &d->db) && tlv_get_u32(c, &d->spc) && tlv_get_u32(c, &d->source);
}

static bool get_tablespace(struct cur *c, lsn_t start, struct meta_tablespace *t)
{
    return cur_u8(c, &t->flags) && get_lsn(c, start, &t->lsn) && tlv_get_u32(c, &t->xid) &&
           tlv_get_u32(c, &t->spc) && get_text(c, t->path, sizeof t->path);
}

static bool get_outcome(struct cur *c, lsn_t start, struct meta_base *b, struct meta_outcome *oc)
{
    lsn_t from = b->lsn == 0 ? start : b->lsn;
    uint64_t ahead;
    int64_t time;

    if (!cur_u8(c, &oc->flags) || !get_step(c, b->xid, &oc->xid) || !cur_varint(c, &ahead) ||
        ahead > WALNAME_SEGSIZE_MAX || from - start > WALNAME_SEGSIZE_MAX - ahead ||
        !tlv_get_signed(c, &time) || !get_list(c, &oc->subs))
        return false;
    oc->lsn = from + ahead;
    oc->time = (int64_t)((uint64_t)b->time + (uint64_t)time);
    *b = (struct meta_base){oc->xid, oc->lsn, oc->time};
    return true;
}

static bool get_open(struct cur *c, lsn_t start, struct meta_open *x)
{
    struct relnode last = {0};

    if (!cur_u8(c, &x->flags) || !tlv_get_u32(c, &x->xid) || !tlv_get_u32(c, &x->top) ||
        !get_lsn(c, start, &x->lock) || !cur_varint(c, &x->volume) ||
        !get_size(c, &x->counts_total, &x->counts_n))
        return false;
    for (uint32_t i = 0; i < x->counts_n; i++)
        if (!get_node(c, &last, &x->counts[i].rel) || !tlv_get_u32(c, &x->counts[i].deletes) ||
            !tlv_get_u32(c, &x->counts[i].updates))
            return false;
    return get_list(c, &x->created) && get_list(c, &x->locked) && get_list(c, &x->truncated);
}

static bool get_running(struct cur *c, lsn_t start, struct meta_running *r)
{
    uint32_t back;

    if (!get_lsn(c, start, &r->lsn) || !tlv_get_u32(c, &r->next) || !tlv_get_u32(c, &back))
        return false;
    r->oldest = r->next - back;
    return true;
}

static bool get_item(struct metaread *r, struct cur *c, struct meta_item *out)
{
    switch (out->tag) {
    case META_HEAD:
        return metaread_head(c, &out->u.head);
    case META_TAIL:
        return metaread_tail(c, &out->u.tail);
    case META_RESTORE_POINT:
        return get_lsn(c, r->start, &out->u.restore_point.lsn) &&
               get_time(c, &out->u.restore_point.time) &&
               get_text(c, out->u.restore_point.name, META_NAME_MAX);
    case META_EVENT:
        return get_event(c, r->start, &out->u.event);
    case META_CHANGE:
        return get_change(c, r->start, &out->u.change);
    case META_DATABASE:
        return get_database(c, r->start, &out->u.database);
    case META_TABLESPACE:
        return get_tablespace(c, r->start, &out->u.tablespace);
    case META_OUTCOME:
        return get_outcome(c, r->start, &r->base, &out->u.outcome);
    case META_OPEN:
        return get_open(c, r->start, &out->u.open);
    case META_RUNNING:
        return get_running(c, r->start, &out->u.running);
    }
    return false;
}

void metaread_open(struct metaread *r, const void *p, size_t n, lsn_t start)
{
    *r = (struct metaread){.c = cur_of(p, n), .start = start};
}

int metaread_next(struct metaread *r, struct meta_item *out)
{
    struct cur item;
    uint8_t tag;
    int rc;

    do {
        rc = tlv_next(&r->c, &tag, &item);
        if (rc != 0)
            return rc;
    } while (tag < META_HEAD || tag > META_RUNNING);

    memset(out, 0, sizeof *out);
    out->tag = (enum meta_tag)tag;
    return get_item(r, &item, out) ? 0 : -1;
}
