/*
 * lz4: the LZ4 frame, written and read.  The only user of the lz4 library.
 *
 * A frame is written from LZ4 blocks directly: independent blocks of at most 256 KiB, which any
 * `lz4 -d` reads.  That leaves out half of the library, needs no
 * allocation, and makes "no compression" the same format with stored blocks.  The reader takes
 * exactly this form of frame (the container says that there is no other) and treats every byte as
 * hostile.
 */
#ifndef STREAM_LZ4_H
#define STREAM_LZ4_H

#include <stdbool.h>

#include "stream/sink.h"

enum {
    LZ4_BLOCK = 256 * 1024,
    LZ4_STATE = 16416, /* bytes the library wants for its hash table; checked when built */
};

/* Compresses content into one frame.  Feed it pieces of LZ4_BLOCK to save a copy. */
struct lz4_pack {
    struct sink sink;
    bool stored; /* compression = none */
    bool begun;
    size_t held; /* bytes in `in` */
    uint64_t state[LZ4_STATE / 8];
    uint8_t in[LZ4_BLOCK];
    uint8_t out[8 + LZ4_BLOCK + 4];
};

void lz4_pack_init(struct lz4_pack *p, bool compress);

/* Expands one frame and hands on its content; fails on anything that is not one whole frame. */
struct lz4_unpack {
    struct sink sink;
    uint64_t limit; /* content above this is damage: a bomb, or a wrong size */
    uint64_t made;  /* bytes handed on */
    int state;
    size_t want; /* bytes that complete the current piece */
    size_t held;
    bool raw;
    uint8_t in[LZ4_BLOCK];
    uint8_t out[LZ4_BLOCK];
};

void lz4_unpack_init(struct lz4_unpack *u, uint64_t limit);

/*
 * Expands one frame of somebody else (pg_dump --compress=lz4): blocks that lean on those before, of
 * up to 4 MiB, with whatever checksums there are, which are compared.  It frees its memory in
 * finish and abort.
 */
struct lz4_foreign {
    struct sink sink;
    int state;
    unsigned flags;
    size_t block_max;
    size_t want;
    size_t held;
    bool raw;
    bool has_size;
    uint64_t size; /* of the content, if the frame says so */
    uint64_t made;
    size_t history; /* bytes of content in front of the place for the next block */
    struct lz4_xxh {
        uint32_t v[4];
        uint32_t n; /* bytes in `rest` */
        uint64_t total;
        uint8_t rest[16];
    } sum;
    uint8_t small[24];
    uint8_t *in;
    uint8_t *out; /* history, then the block */
};

void lz4_foreign_init(struct lz4_foreign *f);

/* One bare LZ4 block, for pack entries.  pack: the bytes written to out, which has room for len,
 * or 0 when it would not become shorter.  expand: true when the block becomes exactly plain_len
 * bytes. */
size_t lz4_block_pack(uint64_t state[LZ4_STATE / 8], const uint8_t *bytes, size_t len,
                      uint8_t *out);
bool lz4_block_expand(const uint8_t *block, size_t len, uint8_t *out, size_t plain_len);

#endif
