/*
 * metaread: the reading half of pg/meta.
 *
 * What it is given may come from anywhere; every length, step and place is checked before it is
 * believed.  An item is some kilobytes, so a reader keeps one and fills it again.
 */
#ifndef PG_METAREAD_H
#define PG_METAREAD_H

#include "pg/meta.h"

struct metaread {
    struct cur c;
    lsn_t start;
    struct meta_base base;
};

/* Walks the n bytes at p, borrowed; start is the segment's. */
void metaread_open(struct metaread *r, const void *p, size_t n, lsn_t start);

/* The next item of a known kind: 0 with *out filled, 1 at the end, -1 when the bytes make no
 * sense. */
int metaread_next(struct metaread *r, struct meta_item *out);

/* The payload of one META_HEAD or META_TAIL item.  False when it makes no sense. */
bool metaread_head(struct cur *c, struct meta_head *out);
bool metaread_tail(struct cur *c, struct meta_tail *out);

#endif
