/*
 * Frame layout (lz4 frame format 1.6): magic, descriptor (FLG, BD, header checksum), blocks of
 * u32 length (high bit: stored) and data; then a zero length.  The container's digest covers all of
 * it, so no block has a checksum of its own (with them, lz4 1.9 stumbles over the frame behind).
 */
#include "stream/lz4.h"

#include <lz4.h>
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
