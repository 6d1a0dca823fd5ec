#include "pg/meta.h"

#include <string.h>

void meta_list_add(struct meta_list *l, uint32_t v)
{
    if (meta_list_has(l, v))
        return;
    l->total++;
    if (l->n < META_LIST_MAX)
        l->v[l->n++] = v;
}

bool meta_list_has(const struct meta_list *l, uint32_t v)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->v[i] == v)
            return true;
    return false;
}

static void put_lsn(struct tlv_out *o, lsn_t start, lsn_t lsn)
{
    tlv_varint(o, lsn == 0 ? 0 : lsn - start + 1);
}

/* Numbers of one transaction lie close together, so each is stored as the step from the last. */
static void put_list(struct tlv_out *o, const struct meta_list *l)
{
    uint32_t last = 0;

    tlv_varint(o, l->total);
    if (l->total == 0)
        return;
    tlv_varint(o, l->n);
    for (uint32_t i = 0; i < l->n; i++) {
        tlv_signed(o, (int64_t)l->v[i] - last);
        last = l->v[i];
    }
}

static void put_node(struct tlv_out *o, const struct relnode *n, struct relnode *last)
{
    bool same = n->spc == last->spc && n->db == last->db;
    int64_t step = (int64_t)n->rel - last->rel;

    tlv_u8(o, same ? 0 : 1);
    if (!same) {
        tlv_varint(o, n->spc);
        tlv_varint(o, n->db);
    }
    tlv_signed(o, step);
    *last = *n;
}

bool meta_put_head(struct tlv_out *o, const struct meta_head *h)
{
    tlv_begin(o, META_HEAD);
    tlv_u32(o, h->crc[0]);
    for (int i = 1; i < 3; i++) {
        tlv_u32(o, h->crc[i]);
        tlv_u32(o, h->mix[i]);
    }
    return tlv_end(o);
}

bool meta_put_tail(struct tlv_out *o, const struct meta_tail *t)
{
    tlv_begin(o, META_TAIL);
    tlv_u8(o, t->header_len);
    tlv_bytes(o, t->header, t->header_len);
    tlv_u32(o, t->crc);
    return tlv_end(o);
}

bool meta_put_restore_point(struct tlv_out *o, lsn_t start, const struct meta_restore_point *r)
{
    tlv_begin(o, META_RESTORE_POINT);
    put_lsn(o, start, r->lsn);
    tlv_u64(o, (uint64_t)r->time);
    tlv_bytes(o, r->name, strlen(r->name));
    return tlv_end(o);
}

bool meta_put_event(struct tlv_out *o, lsn_t start, const struct meta_event *ev)
{
    struct relnode last = {0, ev->db, 0};

    tlv_begin(o, META_EVENT);
    tlv_u8(o, ev->flags);
    put_lsn(o, start, ev->lsn);
    tlv_u64(o, (uint64_t)ev->time);
    tlv_varint(o, ev->xid);
    tlv_varint(o, ev->db);
    put_lsn(o, start, ev->lock);
    tlv_varint(o, ev->volume);
    tlv_varint(o, ev->dropped.total);
    tlv_varint(o, ev->dropped.n);
    for (uint32_t i = 0; i < ev->dropped.n; i++)
        put_node(o, &ev->dropped.v[i], &last);
    put_list(o, &ev->created);
    put_list(o, &ev->stats);
    put_list(o, &ev->invals);
    put_list(o, &ev->locked);
    put_list(o, &ev->truncated);
    return tlv_end(o);
}

bool meta_put_change(struct tlv_out *o, lsn_t start, const struct meta_change *c)
{
    tlv_begin(o, META_CHANGE);
    tlv_u8(o, c->flags);
    put_lsn(o, start, c->lsn);
    tlv_u64(o, (uint64_t)c->time);
    tlv_varint(o, c->xid);
    tlv_varint(o, c->rel.spc);
    tlv_varint(o, c->rel.db);
    tlv_varint(o, c->rel.rel);
    tlv_varint(o, c->deletes);
    tlv_varint(o, c->updates);
    return tlv_end(o);
}

bool meta_put_database(struct tlv_out *o, lsn_t start, const struct meta_database *d)
{
    tlv_begin(o, META_DATABASE);
    tlv_u8(o, d->flags);
    put_lsn(o, start, d->lsn);
    tlv_varint(o, d->xid);
    tlv_varint(o, d->db);
    tlv_varint(o, d->spc);
    tlv_varint(o, d->source);
    return tlv_end(o);
}

bool meta_put_tablespace(struct tlv_out *o, lsn_t start, const struct meta_tablespace *t)
{
    tlv_begin(o, META_TABLESPACE);
    tlv_u8(o, t->flags);
    put_lsn(o, start, t->lsn);
    tlv_varint(o, t->xid);
    tlv_varint(o, t->spc);
    tlv_bytes(o, t->path, strlen(t->path));
    return tlv_end(o);
}

bool meta_put_outcome(struct tlv_out *o, lsn_t start, struct meta_base *b,
                      const struct meta_outcome *oc)
{
    lsn_t from = b->lsn == 0 ? start : b->lsn;

    tlv_begin(o, META_OUTCOME);
    tlv_u8(o, oc->flags);
    tlv_signed(o, (int64_t)oc->xid - b->xid);
    tlv_varint(o, oc->lsn - from);
    tlv_signed(o, (int64_t)((uint64_t)oc->time - (uint64_t)b->time));
    put_list(o, &oc->subs);
    if (!tlv_end(o))
        return false;
    *b = (struct meta_base){oc->xid, oc->lsn, oc->time};
    return true;
}

bool meta_put_open(struct tlv_out *o, lsn_t start, const struct meta_open *x)
{
    struct relnode last = {0};

    tlv_begin(o, META_OPEN);
    tlv_u8(o, x->flags);
    tlv_varint(o, x->xid);
    tlv_varint(o, x->top);
    put_lsn(o, start, x->lock);
    tlv_varint(o, x->volume);
    tlv_varint(o, x->counts_total);
    tlv_varint(o, x->counts_n);
    for (uint32_t i = 0; i < x->counts_n; i++) {
        put_node(o, &x->counts[i].rel, &last);
        tlv_varint(o, x->counts[i].deletes);
        tlv_varint(o, x->counts[i].updates);
    }
    put_list(o, &x->created);
    put_list(o, &x->locked);
    put_list(o, &x->truncated);
    return tlv_end(o);
}

bool meta_put_running(struct tlv_out *o, lsn_t start, const struct meta_running *r)
{
    tlv_begin(o, META_RUNNING);
    put_lsn(o, start, r->lsn);
    tlv_varint(o, r->next);
    tlv_varint(o, r->next - r->oldest);
    return tlv_end(o);
}
