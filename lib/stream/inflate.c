#include "stream/inflate.h"

#include <string.h>

enum state { AT_ZLIB, AT_BLOCK, AT_STORED, AT_CODES, AT_CHECK, AT_END };

/* Answers of a step: it was done, or more input has to come first. */
enum { DONE = 0, MORE = 1 };

enum {
    HEADER_BYTES = 400, /* more than any description of codes has */
    SYMBOL_BITS = 48,   /* more than a length and a distance need */
    ADLER = 65521,
    END_OF_BLOCK = 256
};

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "gzip data are damaged: %s", what);
}

/* --- bits --- */

/* Fills the register as far as the input goes; true when n bits are in it. */
static bool have(struct inflate *z, unsigned n)
{
    while (z->n_bits <= 56 && z->from < z->held) {
        z->bits |= (uint64_t)z->in[z->from++] << z->n_bits;
        z->n_bits += 8;
    }
    return z->n_bits >= n;
}

static uint32_t take(struct inflate *z, unsigned n)
{
    uint32_t v = (uint32_t)(z->bits & ((UINT64_C(1) << n) - 1));

    z->bits >>= n;
    z->n_bits -= n;
    return v;
}

/* --- output --- */

static int give(struct inflate *z, struct err *e)
{
    const uint8_t *p = z->window + z->given;
    size_t n = z->at - z->given;
    uint32_t a = z->adler_a;
    uint32_t b = z->adler_b;

    for (size_t i = 0; i < n;) {
        size_t end = n - i < 5552 ? n : i + 5552; /* as long as b does not overflow */

        for (; i < end; i++) {
            a += p[i];
            b += a;
        }
        a %= ADLER;
        b %= ADLER;
    }
    z->adler_a = a;
    z->adler_b = b;
    z->given = z->at == INFLATE_WINDOW ? 0 : z->at;
    if (z->at == INFLATE_WINDOW)
        z->at = 0;
    return n == 0 ? 0 : sink_write(z->sink.next, p, n, e);
}

static int put(struct inflate *z, uint8_t byte, struct err *e)
{
    z->window[z->at++] = byte;
    z->made++;
    return z->at == INFLATE_WINDOW ? give(z, e) : 0;
}

/* --- codes --- */

/* From the lengths of n codes; false when they are more than there can be. */
static bool build(struct inflate_code *c, const uint8_t *lengths, unsigned n)
{
    uint16_t offset[16];
    uint32_t next[16];
    uint32_t code = 0;
    int left = 1;

    memset(c->count, 0, sizeof c->count);
    memset(c->fast, 0, sizeof c->fast);
    for (unsigned i = 0; i < n; i++)
        c->count[lengths[i]]++;
    c->count[0] = 0;
    offset[1] = 0;
    for (unsigned len = 1; len < 16; len++) {
        left = 2 * left - c->count[len];
        if (left < 0)
            return false;
        code = (code + (len > 1 ? c->count[len - 1] : 0U)) << 1;
        next[len] = code;
        if (len < 15)
            offset[len + 1] = (uint16_t)(offset[len] + c->count[len]);
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned len = lengths[i];
        uint32_t back = 0;

        if (len == 0)
            continue;
        c->symbol[offset[len]++] = (uint16_t)i;
        code = next[len]++;
        for (unsigned k = 0; k < len; k++)
            back |= (code >> k & 1) << (len - 1 - k);
        for (; len <= INFLATE_FAST && back < 1U << INFLATE_FAST; back += 1U << len)
            c->fast[back] = (uint16_t)(i << 4 | len);
    }
    return true;
}

/* The next symbol: -1 for no code, -2 when the bits do not suffice. */
static int decode(struct inflate *z, const struct inflate_code *c)
{
    unsigned fast = c->fast[z->bits & ((1U << INFLATE_FAST) - 1)];
    int code = 0;
    int first = 0;
    int index = 0;

    if (fast != 0 && (fast & 15) <= z->n_bits) {
        (void)take(z, fast & 15);
        return (int)(fast >> 4);
    }
    for (unsigned len = 1; len < 16; len++) {
        if (len > z->n_bits)
            return -2;
        code |= (int)(z->bits >> (len - 1) & 1);
        if (code - c->count[len] < first) {
            (void)take(z, len);
            return c->symbol[index + (code - first)];
        }
        index += c->count[len];
        first = (first + c->count[len]) << 1;
        code <<= 1;
    }
    return -1;
}

static int fixed_codes(struct inflate *z)
{
    uint8_t lengths[288];

    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    (void)build(&z->literal, lengths, 288); /* these are right */
    memset(lengths, 5, 30);
    (void)build(&z->distance, lengths, 30);
    return DONE;
}

/* The lengths of all codes, themselves coded. */
static int read_lengths(struct inflate *z, uint8_t *lengths, unsigned n, struct err *e)
{
    unsigned i = 0;

    while (i < n) {
        unsigned times = 1;
        uint8_t value = 0;
        int symbol;

        (void)have(z, 22); /* decode looks itself whether they are enough */
        symbol = decode(z, &z->literal);
        if (symbol < 0 || z->n_bits < 7)
            return damaged(e, "impossible code lengths");
        if (symbol < 16) {
            value = (uint8_t)symbol;
        } else if (symbol == 16) {
            if (i == 0)
                return damaged(e, "impossible code lengths");
            value = lengths[i - 1];
            times = 3 + take(z, 2);
        } else {
            times = symbol == 17 ? 3 + take(z, 3) : 11 + take(z, 7);
        }
        if (times > n - i)
            return damaged(e, "impossible code lengths");
        memset(lengths + i, value, times);
        i += times;
    }
    return DONE;
}

static int dynamic_codes(struct inflate *z, struct err *e)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[INFLATE_SYMBOLS] = {0};
    unsigned literals;
    unsigned distances;
    unsigned n;

    if (!have(z, 14))
        return damaged(e, "it is cut short");
    literals = take(z, 5) + 257;
    distances = take(z, 5) + 1;
    n = take(z, 4) + 4;
    if (literals > 286 || distances > 30)
        return damaged(e, "impossible number of codes");
    for (unsigned i = 0; i < n; i++) {
        if (!have(z, 3))
            return damaged(e, "it is cut short");
        lengths[order[i]] = (uint8_t)take(z, 3);
    }
    if (!build(&z->literal, lengths, 19))
        return damaged(e, "impossible codes");
    memset(lengths, 0, sizeof lengths);
    if (read_lengths(z, lengths, literals + distances, e) != 0)
        return -1;
    if (lengths[END_OF_BLOCK] == 0 || !build(&z->literal, lengths, literals) ||
        !build(&z->distance, lengths + literals, distances))
        return damaged(e, "impossible codes");
    return DONE;
}

/* --- steps --- */

static size_t waiting(const struct inflate *z)
{
    return z->held - z->from + z->n_bits / 8;
}

static int zlib_head(struct inflate *z, struct err *e)
{
    uint32_t v;

    if (!have(z, 16))
        return MORE;
    v = take(z, 8) << 8;
    v |= take(z, 8);
    if (v % 31 != 0 || (v >> 8 & 15) != 8 || (v >> 12) > 7 || (v & 0x20) != 0)
        return damaged(e, "no zlib header");
    z->state = AT_BLOCK;
    return DONE;
}

static int stored_head(struct inflate *z, struct err *e)
{
    uint32_t len;

    (void)take(z, z->n_bits % 8);
    if (!have(z, 32))
        return damaged(e, "it is cut short");
    len = take(z, 16);
    if (take(z, 16) != (len ^ 0xffff))
        return damaged(e, "impossible stored block");
    z->stored = len;
    z->state = AT_STORED;
    return DONE;
}

static int block_head(struct inflate *z, bool whole, struct err *e)
{
    uint32_t type;
    int rc = DONE;

    if (!whole && waiting(z) < HEADER_BYTES)
        return MORE;
    if (!have(z, 3))
        return damaged(e, "it is cut short");
    z->last = take(z, 1) != 0;
    type = take(z, 2);
    if (type == 0)
        return stored_head(z, e);
    if (type == 3)
        return damaged(e, "unknown kind of block");
    rc = type == 1 ? fixed_codes(z) : dynamic_codes(z, e);
    z->state = AT_CODES;
    return rc;
}

static int end_of_block(struct inflate *z)
{
    z->state = z->last ? AT_CHECK : AT_BLOCK;
    if (z->last)
        (void)take(z, z->n_bits % 8);
    return DONE;
}

static int stored(struct inflate *z, struct err *e)
{
    while (z->stored > 0) {
        if (!have(z, 8))
            return MORE;
        if (put(z, (uint8_t)take(z, 8), e) != 0)
            return -1;
        z->stored--;
    }
    return end_of_block(z);
}

/* A match: its length and distance, from the symbol on. */
static int copy(struct inflate *z, unsigned symbol, struct err *e)
{
    static const uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                             15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                            2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    unsigned length;
    unsigned extra;
    uint32_t distance;
    int d;

    symbol -= 257;
    if (symbol >= 29 || length_bits[symbol] > z->n_bits)
        return damaged(e, "impossible length");
    length = length_base[symbol] + take(z, length_bits[symbol]);
    d = decode(z, &z->distance);
    if (d < 0 || d >= 30)
        return damaged(e, "impossible distance");
    extra = d < 4 ? 0 : (unsigned)d / 2 - 1;
    if (extra > z->n_bits)
        return damaged(e, "it is cut short");
    distance = d < 4 ? (uint32_t)d + 1 : ((2U + ((unsigned)d & 1)) << extra) + 1 + take(z, extra);
    if (distance > z->made || distance > INFLATE_WINDOW)
        return damaged(e, "a distance before the beginning");
    for (; length > 0; length--)
        if (put(z, z->window[(z->at - distance) % INFLATE_WINDOW], e) != 0)
            return -1;
    return DONE;
}

static int codes(struct inflate *z, bool whole, struct err *e)
{
    for (;;) {
        int symbol;

        if (!have(z, SYMBOL_BITS) && !whole)
            return MORE;
        symbol = decode(z, &z->literal);
        if (symbol == END_OF_BLOCK)
            return end_of_block(z);
        if (symbol < 0)
            return damaged(e, symbol == -2 ? "it is cut short" : "no such code");
        if ((symbol < 256 ? put(z, (uint8_t)symbol, e) : copy(z, (unsigned)symbol, e)) != 0)
            return -1;
    }
}

static int check(struct inflate *z, struct err *e)
{
    uint32_t want = 0;

    if (!have(z, 32))
        return MORE;
    if (give(z, e) != 0)
        return -1;
    for (int i = 0; i < 4; i++)
        want = want << 8 | take(z, 8);
    if (want != (z->adler_b << 16 | z->adler_a))
        return damaged(e, "the checksum is wrong");
    z->state = AT_END;
    return DONE;
}

/* As far as the input goes; whole: there is no more. */
static int go_on(struct inflate *z, bool whole, struct err *e)
{
    int rc = DONE;

    while (rc == DONE && z->state != AT_END) {
        switch (z->state) {
        case AT_ZLIB:
            rc = zlib_head(z, e);
            break;
        case AT_BLOCK:
            rc = block_head(z, whole, e);
            break;
        case AT_STORED:
            rc = stored(z, e);
            break;
        case AT_CODES:
            rc = codes(z, whole, e);
            break;
        default:
            rc = check(z, e);
            break;
        }
    }
    if (rc == DONE && waiting(z) > 0)
        return damaged(e, "bytes behind its end");
    return rc;
}

static int inflate_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct inflate *z = (struct inflate *)s;

    while (len > 0) {
        size_t n = INFLATE_IN;

        memmove(z->in, z->in + z->from, z->held - z->from);
        z->held -= z->from;
        z->from = 0;
        n = n - z->held < len ? n - z->held : len;
        memcpy(z->in + z->held, bytes, n);
        z->held += n;
        bytes += n;
        len -= n;
        if (go_on(z, false, e) < 0)
            return -1;
    }
    return 0;
}

static int inflate_finish(struct sink *s, struct err *e)
{
    struct inflate *z = (struct inflate *)s;
    int rc = go_on(z, true, e);

    if (rc != DONE)
        return rc < 0 ? -1 : damaged(e, "it is cut short");
    return sink_finish_next(s, e);
}

static const struct sink_ops ops = {"inflate", inflate_write, inflate_finish, sink_abort_next};

void inflate_init(struct inflate *z)
{
    sink_init(&z->sink, &ops, PHASE_DECOMPRESS);
    z->state = AT_ZLIB;
    z->last = false;
    z->bits = 0;
    z->n_bits = 0;
    z->from = 0;
    z->held = 0;
    z->made = 0;
    z->at = 0;
    z->given = 0;
    z->adler_a = 1;
    z->adler_b = 0;
}
