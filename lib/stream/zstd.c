#include "stream/zstd.h"

#include <string.h>

#include "base/bytes.h"

enum { AT_HEAD, AT_REST, AT_BLOCK, AT_SUM, AT_END };
enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_MAX = 128 * 1024 };

static const uint32_t MAGIC = 0xFD2FB528U;

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "zstd data are damaged: %s", what);
}

/* Magic and descriptor: how long the head is. */
static int head(struct zstd_shape *z, struct err *e)
{
    static const uint8_t id_bytes[4] = {0, 1, 2, 4};
    static const uint8_t size_bytes[4] = {0, 2, 4, 8};
    unsigned d = z->small[4];
    bool single = (d & 0x20) != 0;
    size_t n = size_bytes[d >> 6];

    if (get_u32(z->small) != MAGIC || (d & 0x08) != 0)
        return damaged(e, "not the head of a frame");
    if (single && n == 0)
        n = 1;
    z->sum = (d & 0x04) != 0;
    z->state = AT_REST;
    z->want = 5 + n + id_bytes[d & 3] + (single ? 0U : 1U);
    return 0;
}

static int block(struct zstd_shape *z, struct err *e)
{
    uint32_t v = z->small[0] | (uint32_t)z->small[1] << 8 | (uint32_t)z->small[2] << 16;
    unsigned type = v >> 1 & 3;

    z->held = 0;
    z->last = (v & 1) != 0;
    if (type > BLOCK_COMPRESSED || (v >> 3) > BLOCK_MAX)
        return damaged(e, "impossible block");
    z->pass = type == BLOCK_RLE ? 1 : v >> 3;
    return 0;
}

static void after_block(struct zstd_shape *z)
{
    if (!z->last)
        return;
    z->state = z->sum ? AT_SUM : AT_END;
    z->want = 4;
}

static int step(struct zstd_shape *z, struct err *e)
{
    switch (z->state) {
    case AT_HEAD:
        return head(z, e);
    case AT_REST:
        z->held = 0;
        z->state = AT_BLOCK;
        z->want = 3;
        return 0;
    case AT_BLOCK:
        if (block(z, e) != 0)
            return -1;
        if (z->pass == 0)
            after_block(z);
        return 0;
    default:
        z->state = AT_END;
        return 0;
    }
}

static int shape_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct zstd_shape *z = (struct zstd_shape *)s;

    while (len > 0) {
        size_t take = z->want - z->held < len ? z->want - z->held : len;

        if (z->pass > 0) {
            take = z->pass < len ? (size_t)z->pass : len;
            z->pass -= take;
            if (z->pass == 0)
                after_block(z);
        } else if (z->state == AT_END) {
            return damaged(e, "bytes behind its end");
        } else {
            memcpy(z->small + z->held, bytes, take);
            z->held += take;
            if (z->held == z->want && step(z, e) != 0)
                return -1;
        }
        bytes += take;
        len -= take;
    }
    return 0;
}

static int shape_finish(struct sink *s, struct err *e)
{
    return ((struct zstd_shape *)s)->state == AT_END ? 0 : damaged(e, "it is cut short");
}

static void shape_abort(struct sink *s)
{
    (void)s; /* nothing is behind it */
}

static const struct sink_ops ops = {"zstd", shape_write, shape_finish, shape_abort};

void zstd_shape_init(struct zstd_shape *z)
{
    memset(z, 0, sizeof *z);
    sink_init(&z->sink, &ops, PHASE_DECOMPRESS);
    z->state = AT_HEAD;
    z->want = 5;
}
