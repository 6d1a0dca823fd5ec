/*
 * buf: a growable byte buffer that is born with a ceiling, and a cursor that reads bytes back.
 *
 * Every buffer knows the most it may ever hold, so that no input, however hostile, makes a program
 * grow without bound.  Meeting the ceiling is ERR_NOMEM, like a refused malloc, and leaves the
 * buffer as it was.  The byte after the last one is always 0 once something was added, so that a
 * buffer of text can be read as a string (buf_text).
 *
 * The cursor is the reading side for bytes of unknown origin: each get checks what is left, takes
 * its bytes, or takes nothing and says false.  It never reads past the end and never needs a
 * length to be trusted.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

enum { VARINT_MAX = 10 }; /* bytes of the longest variable-length integer */

struct buf {
    uint8_t *p;
    size_t len;
    size_t cap; /* allocated, one byte for the closing 0 not counted */
    size_t max;
};

/* An empty buffer that will never hold more than max bytes.  Allocates nothing. */
void buf_init(struct buf *b, size_t max);

/* Frees the memory; the buffer is empty and usable again, with the same ceiling. */
void buf_fini(struct buf *b);

/* Forgets the content and keeps the memory. */
void buf_clear(struct buf *b);

/* Makes room for n more bytes, so that b->p + b->len may be written directly.  0 or -1. */
int buf_reserve(struct buf *b, size_t n, struct err *e) __attribute__((warn_unused_result));

/* Append; 0, or -1 with ERR_NOMEM and the buffer unchanged.  p may be NULL when n is 0. */
int buf_add(struct buf *b, const void *p, size_t n, struct err *e)
    __attribute__((warn_unused_result));
int buf_str(struct buf *b, const char *s, struct err *e) __attribute__((warn_unused_result));
int buf_fmt(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));
int buf_u8(struct buf *b, uint8_t v, struct err *e) __attribute__((warn_unused_result));
int buf_u16(struct buf *b, uint16_t v, struct err *e) __attribute__((warn_unused_result));
int buf_u32(struct buf *b, uint32_t v, struct err *e) __attribute__((warn_unused_result));
int buf_u64(struct buf *b, uint64_t v, struct err *e) __attribute__((warn_unused_result));

/* Appends v in 7-bit groups, least significant first, the high bit set on all but the last. */
int buf_varint(struct buf *b, uint64_t v, struct err *e) __attribute__((warn_unused_result));

/* The content as a string; "" when empty.  Valid until the buffer changes. */
const char *buf_text(const struct buf *b);

/* Hands the memory to the caller, who frees it; *len (may be NULL) is its length without the
 * closing 0.  The buffer is empty afterwards.  NULL only with ERR_NOMEM in *e. */
uint8_t *buf_take(struct buf *b, size_t *len, struct err *e) __attribute__((warn_unused_result));

/* What is still to be read.  The bytes are borrowed. */
struct cur {
    const uint8_t *p;
    size_t left;
};

static inline struct cur cur_of(const void *p, size_t n)
{
    struct cur c = {p, n};

    return c;
}

/* Points *out at the next n bytes and passes them; false when there are fewer. */
static inline bool cur_bytes(struct cur *c, size_t n, const uint8_t **out)
{
    if (c->left < n)
        return false;
    *out = c->p;
    if (n > 0)
        c->p += n;
    c->left -= n;
    return true;
}

/* Copies the next n bytes to out. */
static inline bool cur_copy(struct cur *c, void *out, size_t n)
{
    const uint8_t *p;

    if (!cur_bytes(c, n, &p))
        return false;
    if (n > 0)
        memcpy(out, p, n);
    return true;
}

/* Splits the next n bytes off into a cursor of their own, for a section inside a section. */
static inline bool cur_split(struct cur *c, size_t n, struct cur *out)
{
    const uint8_t *p;

    if (!cur_bytes(c, n, &p))
        return false;
    *out = cur_of(p, n);
    return true;
}

static inline bool cur_u8(struct cur *c, uint8_t *v)
{
    return cur_copy(c, v, 1);
}

static inline bool cur_u16(struct cur *c, uint16_t *v)
{
    const uint8_t *p;

    if (!cur_bytes(c, 2, &p))
        return false;
    *v = get_u16(p);
    return true;
}

static inline bool cur_u32(struct cur *c, uint32_t *v)
{
    const uint8_t *p;

    if (!cur_bytes(c, 4, &p))
        return false;
    *v = get_u32(p);
    return true;
}

static inline bool cur_u64(struct cur *c, uint64_t *v)
{
    const uint8_t *p;

    if (!cur_bytes(c, 8, &p))
        return false;
    *v = get_u64(p);
    return true;
}

/* Reads what buf_varint writes.  False, with nothing taken, for a number that is cut off, that
 * does not fit 64 bits, or that is written longer than needed: one value has one spelling, so
 * that what was signed or digested cannot be respelled. */
static inline bool cur_varint(struct cur *c, uint64_t *v)
{
    uint64_t value = 0;

    for (size_t i = 0; i < c->left && i < VARINT_MAX; i++) {
        uint8_t byte = c->p[i];

        if (i == VARINT_MAX - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if (byte == 0 && i > 0)
            return false;
        c->p += i + 1;
        c->left -= i + 1;
        *v = value;
        return true;
    }
    return false;
}

#endif
