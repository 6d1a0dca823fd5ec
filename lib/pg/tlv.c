#include "pg/tlv.h"

#include <string.h>

#include "base/bytes.h"

enum { LENGTH_ROOM = 3 /* a varint up to 2 MB, far above any item */ };

void tlv_init(struct tlv_out *o, uint8_t *p, uint32_t cap)
{
    *o = (struct tlv_out){.p = p, .cap = cap};
}

static uint8_t *reserve(struct tlv_out *o, size_t n)
{
    uint8_t *p;

    if (o->overflow || o->cap < o->at || n > o->cap - o->at) {
        o->overflow = true;
        return NULL;
    }
    p = o->p + o->at;
    o->at += (uint32_t)n;
    return p;
}

void tlv_begin(struct tlv_out *o, uint8_t tag)
{
    uint8_t *p;

    o->at = o->len;
    o->overflow = false;
    p = reserve(o, 1 + LENGTH_ROOM);
    if (p != NULL)
        p[0] = tag;
}

void tlv_bytes(struct tlv_out *o, const void *p, size_t n)
{
    uint8_t *to = reserve(o, n);

    if (to != NULL && n > 0)
        memcpy(to, p, n);
}

void tlv_u8(struct tlv_out *o, uint8_t v)
{
    tlv_bytes(o, &v, 1);
}

void tlv_u32(struct tlv_out *o, uint32_t v)
{
    uint8_t b[4];

    put_u32(b, v);
    tlv_bytes(o, b, sizeof b);
}

void tlv_u64(struct tlv_out *o, uint64_t v)
{
    uint8_t b[8];

    put_u64(b, v);
    tlv_bytes(o, b, sizeof b);
}

static size_t put_varint(uint8_t b[VARINT_MAX], uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        b[n++] = (uint8_t)(v | 0x80);
    b[n++] = (uint8_t)v;
    return n;
}

void tlv_varint(struct tlv_out *o, uint64_t v)
{
    uint8_t b[VARINT_MAX];

    tlv_bytes(o, b, put_varint(b, v));
}

void tlv_signed(struct tlv_out *o, int64_t v)
{
    tlv_varint(o, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

bool tlv_end(struct tlv_out *o)
{
    uint8_t length[VARINT_MAX];
    size_t payload;
    size_t n;

    if (o->overflow)
        return false;
    payload = o->at - o->len - 1 - LENGTH_ROOM;
    n = put_varint(length, payload);
    if (n > LENGTH_ROOM)
        return false;
    memmove(o->p + o->len + 1 + n, o->p + o->len + 1 + LENGTH_ROOM, payload);
    memcpy(o->p + o->len + 1, length, n);
    o->len += (uint32_t)(1 + n + payload);
    return true;
}

int tlv_next(struct cur *c, uint8_t *tag, struct cur *item)
{
    uint64_t length;

    if (c->left == 0)
        return 1;
    if (!cur_u8(c, tag) || !cur_varint(c, &length) || length > c->left ||
        !cur_split(c, (size_t)length, item))
        return -1;
    return 0;
}

bool tlv_get_u32(struct cur *c, uint32_t *v)
{
    uint64_t wide;

    if (!cur_varint(c, &wide) || wide > UINT32_MAX)
        return false;
    *v = (uint32_t)wide;
    return true;
}

bool tlv_get_signed(struct cur *c, int64_t *v)
{
    uint64_t raw;

    if (!cur_varint(c, &raw))
        return false;
    *v = (int64_t)(raw >> 1 ^ ((raw & 1) != 0 ? UINT64_MAX : 0));
    return true;
}
