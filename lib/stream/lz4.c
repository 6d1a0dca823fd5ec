/*
 * Frame layout (lz4 frame format 1.6): magic, descriptor (FLG, BD, header checksum), blocks of
 * u32 length (high bit: stored) and data; then a zero length.  The container's digest covers all of
 * it, so no block has a checksum of its own (with them, lz4 1.9 stumbles over the frame behind).
 */
#include "stream/lz4.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum {
    FRAME_HEAD = 7,
    FLG = 0x60, /* version 1, independent blocks, no checksums */
    BD = 0x50,  /* blocks of at most 256 KiB */
    HC = 0xfb,  /* the second byte of xxHash-32 of the two */
};

static const uint32_t FRAME_MAGIC = 0x184D2204U;
static const uint32_t STORED = 0x80000000U;

_Static_assert(sizeof(((struct lz4_pack *)0)->state) >= sizeof(LZ4_stream_t), "LZ4_STATE is short");

static size_t frame_head(uint8_t out[FRAME_HEAD])
{
    put_u32(out, FRAME_MAGIC);
    out[4] = FLG;
    out[5] = BD;
    out[6] = HC;
    return FRAME_HEAD;
}

/* Writes one block, behind the frame's head when it is the first. */
static int pack_block(struct lz4_pack *p, const uint8_t *bytes, size_t len, struct err *e)
{
    uint8_t *out = p->out;
    uint8_t *data;
    int n = 0;

    if (!p->begun)
        out += frame_head(out);
    p->begun = true;
    data = out + 4;
    if (!p->stored) /* room for one byte less than the input: what does not shrink is stored */
        n = LZ4_compress_fast_extState(p->state, (const char *)bytes, (char *)data, (int)len,
                                       (int)len - 1, 1);
    if (n > 0) {
        put_u32(out, (uint32_t)n);
    } else {
        n = (int)len;
        memcpy(data, bytes, len);
        put_u32(out, (uint32_t)len | STORED);
    }
    return sink_write(p->sink.next, p->out, (size_t)(data + n - p->out), e);
}

static int pack_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct lz4_pack *p = (struct lz4_pack *)s;

    while (len > 0) {
        size_t room = LZ4_BLOCK - p->held;
        size_t take = len < room ? len : room;

        if (p->held == 0 && len >= LZ4_BLOCK) {
            if (pack_block(p, bytes, LZ4_BLOCK, e) != 0)
                return -1;
        } else {
            memcpy(p->in + p->held, bytes, take);
            p->held += take;
            if (p->held == LZ4_BLOCK) {
                p->held = 0;
                if (pack_block(p, p->in, LZ4_BLOCK, e) != 0)
                    return -1;
            }
        }
        bytes += take;
        len -= take;
    }
    return 0;
}

static int pack_finish(struct sink *s, struct err *e)
{
    struct lz4_pack *p = (struct lz4_pack *)s;
    uint8_t end[FRAME_HEAD + 4];
    size_t n = 0;

    if (p->held > 0 && pack_block(p, p->in, p->held, e) != 0)
        return -1;
    p->held = 0;
    if (!p->begun)
        n = frame_head(end);
    put_u32(end + n, 0);
    if (sink_write(s->next, end, n + 4, e) != 0)
        return -1;
    return sink_finish_next(s, e);
}

static const struct sink_ops pack_ops = {"compress", pack_write, pack_finish, sink_abort_next};

void lz4_pack_init(struct lz4_pack *p, bool compress)
{
    sink_init(&p->sink, &pack_ops, PHASE_COMPRESS);
    p->stored = !compress;
    p->begun = false;
    p->held = 0;
}

/* What the reader is collecting. */
enum { AT_HEAD, AT_LENGTH, AT_BLOCK, AT_END };

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "compressed data is damaged: %s", what);
}

static int take_head(struct lz4_unpack *u, struct err *e)
{
    uint8_t head[FRAME_HEAD];

    (void)frame_head(head);
    if (memcmp(head, u->in, FRAME_HEAD) != 0)
        return damaged(e, "not the frame header that was written");
    u->state = AT_LENGTH;
    u->want = 4;
    return 0;
}

static int take_length(struct lz4_unpack *u, struct err *e)
{
    uint32_t v = get_u32(u->in);
    uint32_t len = v & ~STORED;

    if (v == 0) {
        u->state = AT_END;
        u->want = 0;
        return 0;
    }
    if (len == 0 || len > LZ4_BLOCK)
        return damaged(e, "impossible block length");
    u->raw = (v & STORED) != 0;
    u->state = AT_BLOCK;
    u->want = len;
    return 0;
}

static int take_block(struct lz4_unpack *u, const uint8_t *block, struct err *e)
{
    size_t len = u->want;
    const uint8_t *content = block;
    int n = (int)len;

    if (!u->raw) {
        n = LZ4_decompress_safe((const char *)block, (char *)u->out, (int)len, LZ4_BLOCK);
        if (n <= 0)
            return damaged(e, "block does not expand");
        content = u->out;
    }
    if ((uint64_t)n > u->limit - u->made)
        return damaged(e, "content is longer than its trailer says");
    u->made += (uint64_t)n;
    u->state = AT_LENGTH;
    u->want = 4;
    return sink_write(u->sink.next, content, (size_t)n, e);
}

static int unpack_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct lz4_unpack *u = (struct lz4_unpack *)s;

    while (len > 0) {
        const uint8_t *piece = u->in;
        size_t take = u->want - u->held;

        if (u->state == AT_END)
            return damaged(e, "bytes after the end of the frame");
        if (u->held == 0 && len >= u->want && u->state == AT_BLOCK) {
            piece = bytes; /* whole in the caller's buffer: no copy */
            take = u->want;
        } else {
            if (take > len)
                take = len;
            memcpy(u->in + u->held, bytes, take);
            u->held += take;
            if (u->held < u->want)
                return 0;
        }
        bytes += take;
        len -= take;
        u->held = 0;
        if (u->state == AT_HEAD
                ? take_head(u, e)
                : (u->state == AT_LENGTH ? take_length(u, e) : take_block(u, piece, e)))
            return -1;
    }
    return 0;
}

static int unpack_finish(struct sink *s, struct err *e)
{
    if (((struct lz4_unpack *)s)->state != AT_END)
        return damaged(e, "it is cut short");
    return sink_finish_next(s, e);
}

static const struct sink_ops unpack_ops = {"expand", unpack_write, unpack_finish, sink_abort_next};

void lz4_unpack_init(struct lz4_unpack *u, uint64_t limit)
{
    sink_init(&u->sink, &unpack_ops, PHASE_DECOMPRESS);
    u->limit = limit;
    u->made = 0;
    u->state = AT_HEAD;
    u->want = FRAME_HEAD;
    u->held = 0;
    u->raw = false;
}

size_t lz4_block_pack(uint64_t state[LZ4_STATE / 8], const uint8_t *bytes, size_t len, uint8_t *out)
{
    int n = 0;

    if (len > 1 && len <= LZ4_BLOCK)
        n = LZ4_compress_fast_extState(state, (const char *)bytes, (char *)out, (int)len,
                                       (int)len - 1, 1);
    return n > 0 ? (size_t)n : 0;
}

bool lz4_block_expand(const uint8_t *block, size_t len, uint8_t *out, size_t plain_len)
{
    return len <= LZ4_BLOCK && plain_len <= LZ4_BLOCK &&
           LZ4_decompress_safe((const char *)block, (char *)out, (int)len, (int)plain_len) ==
               (int)plain_len;
}

/* --- frames of others --- */

enum {
    FOREIGN_HEAD,
    FOREIGN_REST,
    FOREIGN_LENGTH,
    FOREIGN_BLOCK,
    FOREIGN_BLOCK_SUM,
    FOREIGN_SUM,
    FOREIGN_END
};

enum {
    FLAG_DICTIONARY = 1,
    FLAG_SUM = 4,
    FLAG_SIZE = 8,
    FLAG_BLOCK_SUM = 16,
    FLAG_INDEPENDENT = 32,
    HISTORY = 64 * 1024
};

static const uint32_t XXH[5] = {2654435761U, 2246822519U, 3266489917U, 668265263U, 374761393U};

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void xxh_start(struct lz4_xxh *x)
{
    x->v[0] = XXH[0] + XXH[1];
    x->v[1] = XXH[1];
    x->v[2] = 0;
    x->v[3] = 0U - XXH[0];
    x->n = 0;
    x->total = 0;
}

static void xxh_block(struct lz4_xxh *x, const uint8_t *p)
{
    for (unsigned i = 0; i < 4; i++)
        x->v[i] = rotate(x->v[i] + get_u32(p + (size_t)4 * i) * XXH[1], 13) * XXH[0];
}

static void xxh_add(struct lz4_xxh *x, const uint8_t *p, size_t len)
{
    x->total += len;
    while (len > 0) {
        size_t take = 16 - x->n < len ? 16 - x->n : len;

        if (x->n == 0 && take == 16) {
            xxh_block(x, p);
        } else {
            memcpy(x->rest + x->n, p, take);
            x->n += (uint32_t)take;
            if (x->n == 16) {
                xxh_block(x, x->rest);
                x->n = 0;
            }
        }
        p += take;
        len -= take;
    }
}

static uint32_t xxh_get(const struct lz4_xxh *x)
{
    uint32_t h = x->total < 16 ? XXH[4]
                               : rotate(x->v[0], 1) + rotate(x->v[1], 7) + rotate(x->v[2], 12) +
                                     rotate(x->v[3], 18);
    uint32_t i = 0;

    h += (uint32_t)x->total;
    for (; i + 4 <= x->n; i += 4)
        h = rotate(h + get_u32(x->rest + i) * XXH[2], 17) * XXH[3];
    for (; i < x->n; i++)
        h = rotate(h + x->rest[i] * XXH[4], 11) * XXH[0];
    h = (h ^ h >> 15) * XXH[1];
    h = (h ^ h >> 13) * XXH[2];
    return h ^ h >> 16;
}

static uint32_t xxh_of(const uint8_t *p, size_t len)
{
    struct lz4_xxh x;

    xxh_start(&x);
    xxh_add(&x, p, len);
    return xxh_get(&x);
}

static void foreign_wants(struct lz4_foreign *f, int state, size_t n)
{
    f->state = state;
    f->want = n;
}

/* Magic, flags, block size: how long the descriptor is. */
static int foreign_head(struct lz4_foreign *f, struct err *e)
{
    unsigned log = f->small[5] >> 4 & 7;

    f->flags = f->small[4];
    if (get_u32(f->small) != FRAME_MAGIC || (f->flags & 0xc2) != 0x40 || log < 4 ||
        (f->small[5] & 0x8f) != 0 || (f->flags & FLAG_DICTIONARY) != 0)
        return damaged(e, "not the head of a frame");
    f->block_max = (size_t)1 << (8 + 2 * log);
    f->has_size = (f->flags & FLAG_SIZE) != 0;
    foreign_wants(f, FOREIGN_REST, f->has_size ? 15 : 7);
    return 0;
}

static int foreign_rest(struct lz4_foreign *f, struct err *e)
{
    size_t n = f->want - 1;

    if ((xxh_of(f->small + 4, n - 4) >> 8 & 0xff) != f->small[n])
        return damaged(e, "the checksum of its head is wrong");
    if (f->has_size)
        f->size = get_u64(f->small + 6);
    f->in = malloc(f->block_max);
    f->out = malloc(HISTORY + f->block_max);
    if (f->in == NULL || f->out == NULL)
        return err_set(e, ERR_NOMEM, "no memory to expand with");
    foreign_wants(f, FOREIGN_LENGTH, 4);
    return 0;
}

static int foreign_length(struct lz4_foreign *f, struct err *e)
{
    uint32_t v = get_u32(f->small);

    if (v == 0) {
        if (f->has_size && f->size != f->made)
            return damaged(e, "its content is not as long as its head says");
        if ((f->flags & FLAG_SUM) != 0)
            foreign_wants(f, FOREIGN_SUM, 4);
        else
            foreign_wants(f, FOREIGN_END, 0);
        return 0;
    }
    f->raw = (v & STORED) != 0;
    v &= ~STORED;
    if (v == 0 || v > f->block_max)
        return damaged(e, "impossible block length");
    foreign_wants(f, FOREIGN_BLOCK, v);
    return 0;
}

static int foreign_block(struct lz4_foreign *f, struct err *e)
{
    uint8_t *out = f->out + f->history;
    int n = (int)f->want;
    size_t keep;

    if (f->raw)
        memcpy(out, f->in, f->want);
    else
        n = LZ4_decompress_safe_usingDict((const char *)f->in, (char *)out, n, (int)f->block_max,
                                          (const char *)f->out, (int)f->history);
    if (n <= 0)
        return damaged(e, "block does not expand");
    f->made += (uint64_t)n;
    xxh_add(&f->sum, out, (size_t)n);
    if (sink_write(f->sink.next, out, (size_t)n, e) != 0)
        return -1;
    keep = f->history + (size_t)n;
    if (keep > HISTORY) {
        memmove(f->out, f->out + (keep - HISTORY), HISTORY);
        keep = HISTORY;
    }
    f->history = (f->flags & FLAG_INDEPENDENT) != 0 ? 0 : keep;
    if ((f->flags & FLAG_BLOCK_SUM) != 0)
        foreign_wants(f, FOREIGN_BLOCK_SUM, 4);
    else
        foreign_wants(f, FOREIGN_LENGTH, 4);
    return 0;
}

static int foreign_step(struct lz4_foreign *f, struct err *e)
{
    size_t len = f->want;

    switch (f->state) {
    case FOREIGN_HEAD:
        return foreign_head(f, e);
    case FOREIGN_REST:
        return foreign_rest(f, e);
    case FOREIGN_LENGTH:
        f->held = 0;
        return foreign_length(f, e);
    case FOREIGN_BLOCK:
        f->held = 0;
        if ((f->flags & FLAG_BLOCK_SUM) != 0) /* compared when it is there */
            put_u32(f->small + 8, xxh_of(f->in, len));
        return foreign_block(f, e);
    case FOREIGN_BLOCK_SUM:
        f->held = 0;
        if (get_u32(f->small) != get_u32(f->small + 8))
            return damaged(e, "the checksum of a block is wrong");
        foreign_wants(f, FOREIGN_LENGTH, 4);
        return 0;
    default:
        f->held = 0;
        if (get_u32(f->small) != xxh_get(&f->sum))
            return damaged(e, "the checksum of its content is wrong");
        foreign_wants(f, FOREIGN_END, 0);
        return 0;
    }
}

static int foreign_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct lz4_foreign *f = (struct lz4_foreign *)s;

    while (len > 0) {
        uint8_t *to = f->state == FOREIGN_BLOCK ? f->in : f->small;
        size_t take = f->want - f->held < len ? f->want - f->held : len;

        if (f->state == FOREIGN_END)
            return damaged(e, "bytes after the end of the frame");
        memcpy(to + f->held, bytes, take);
        f->held += take;
        bytes += take;
        len -= take;
        if (f->held < f->want)
            break;
        if (f->state == FOREIGN_REST)
            f->held = 0;
        if (foreign_step(f, e) != 0)
            return -1;
    }
    return 0;
}

static void foreign_free(struct lz4_foreign *f)
{
    free(f->in);
    free(f->out);
    f->in = NULL;
    f->out = NULL;
}

static int foreign_finish(struct sink *s, struct err *e)
{
    struct lz4_foreign *f = (struct lz4_foreign *)s;

    foreign_free(f);
    if (f->state != FOREIGN_END)
        return damaged(e, "it is cut short");
    return sink_finish_next(s, e);
}

static void foreign_abort(struct sink *s)
{
    foreign_free((struct lz4_foreign *)s);
    sink_abort_next(s);
}

static const struct sink_ops foreign_ops = {"expand", foreign_write, foreign_finish, foreign_abort};

void lz4_foreign_init(struct lz4_foreign *f)
{
    memset(f, 0, sizeof *f);
    sink_init(&f->sink, &foreign_ops, PHASE_DECOMPRESS);
    xxh_start(&f->sum);
    foreign_wants(f, FOREIGN_HEAD, 6);
}
