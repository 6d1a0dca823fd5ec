#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t max)
{
    b->p = NULL;
    b->len = 0;
    b->cap = 0;
    b->max = max < SIZE_MAX - 1 ? max : SIZE_MAX - 1;
}

void buf_fini(struct buf *b)
{
    free(b->p);
    b->p = NULL;
    b->len = 0;
    b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->p != NULL)
        b->p[0] = 0;
}

int buf_reserve(struct buf *b, size_t n, struct err *e)
{
    size_t need;
    size_t cap;
    uint8_t *p;

    if (!size_add(b->len, n, &need) || need > b->max)
        return err_set(e, ERR_NOMEM, "buffer would grow beyond its limit of %zu bytes", b->max);
    if (b->p != NULL && need <= b->cap)
        return 0;
    /* Doubling keeps the copies linear; the ceiling wins over it. */
    cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    if (cap > b->max)
        cap = b->max;
    p = realloc(b->p, cap + 1);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory (%zu bytes)", cap + 1);
    b->p = p;
    b->cap = cap;
    b->p[b->len] = 0;
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n, struct err *e)
{
    if (buf_reserve(b, n, e) < 0)
        return -1;
    if (n > 0)
        memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = 0;
    return 0;
}

int buf_str(struct buf *b, const char *s, struct err *e)
{
    return buf_add(b, s, strlen(s), e);
}

int buf_fmt(struct buf *b, struct err *e, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return err_set(e, ERR_INTERNAL, "could not format a text");
    if (buf_reserve(b, (size_t)n, e) < 0)
        return -1;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

int buf_u8(struct buf *b, uint8_t v, struct err *e)
{
    return buf_add(b, &v, 1, e);
}

int buf_u16(struct buf *b, uint16_t v, struct err *e)
{
    uint8_t raw[2];

    put_u16(raw, v);
    return buf_add(b, raw, sizeof raw, e);
}

int buf_u32(struct buf *b, uint32_t v, struct err *e)
{
    uint8_t raw[4];

    put_u32(raw, v);
    return buf_add(b, raw, sizeof raw, e);
}

int buf_u64(struct buf *b, uint64_t v, struct err *e)
{
    uint8_t raw[8];

    put_u64(raw, v);
    return buf_add(b, raw, sizeof raw, e);
}

int buf_varint(struct buf *b, uint64_t v, struct err *e)
{
    uint8_t raw[VARINT_MAX];
    size_t n = 0;

    while (v >= 0x80) {
        raw[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    raw[n++] = (uint8_t)v;
    return buf_add(b, raw, n, e);
}

const char *buf_text(const struct buf *b)
{
    return b->p == NULL ? "" : (const char *)b->p;
}

uint8_t *buf_take(struct buf *b, size_t *len, struct err *e)
{
    uint8_t *p;

    if (b->p == NULL && buf_reserve(b, 0, e) < 0)
        return NULL;
    p = b->p;
    if (len != NULL)
        *len = b->len;
    b->p = NULL;
    b->len = 0;
    b->cap = 0;
    return p;
}
