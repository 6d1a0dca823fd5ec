/*
 * tlv: the shape of every part of a segment summary: items of tag (one byte), length (varint) and
 * payload, one behind the other.
 *
 * The writer fills a fixed array and never fails half-way: an item that does not fit is taken back
 * whole, and the caller is told, so that it can say in the summary that something is missing.
 * A reader skips items whose tag it does not know; that is how later versions add to the format.
 */
#ifndef PG_TLV_H
#define PG_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct tlv_out {
    uint8_t *p;
    uint32_t cap;
    uint32_t len;  /* whole items */
    uint32_t at;   /* where the open item is being written */
    bool overflow; /* the open item does not fit */
};

/* Writes into the cap bytes at p, which stay the caller's. */
void tlv_init(struct tlv_out *o, uint8_t *p, uint32_t cap);

/* An item: begin, any number of puts, end.  tlv_end: false when it did not fit and was dropped. */
void tlv_begin(struct tlv_out *o, uint8_t tag);
void tlv_u8(struct tlv_out *o, uint8_t v);
void tlv_u32(struct tlv_out *o, uint32_t v);
void tlv_u64(struct tlv_out *o, uint64_t v);
void tlv_varint(struct tlv_out *o, uint64_t v);
void tlv_signed(struct tlv_out *o, int64_t v);
void tlv_bytes(struct tlv_out *o, const void *p, size_t n);
bool tlv_end(struct tlv_out *o);

/* Takes the next item off c: 0 with *tag and *item set, 1 at the end, -1 when what is left is no
 * item. */
int tlv_next(struct cur *c, uint8_t *tag, struct cur *item);

/* A varint that must fit 32 bits, and one written by tlv_signed. */
bool tlv_get_u32(struct cur *c, uint32_t *v);
bool tlv_get_signed(struct cur *c, int64_t *v);

#endif
