/*
 * inflate: expands a zlib stream (RFC 1950, 1951), as pg_dump writes it with --compress=gzip.
 *
 * Written for checking: every byte is hostile, the checksum at the end is compared, a stream that
 * is cut or has bytes behind it is refused.  About 100 kB; keep one on the heap.
 */
#ifndef STREAM_INFLATE_H
#define STREAM_INFLATE_H

#include <stdbool.h>

#include "stream/sink.h"

enum {
    INFLATE_WINDOW = 32 * 1024,
    INFLATE_IN = 16 * 1024,
    INFLATE_FAST = 10, /* bits that the table below decodes at once */
    INFLATE_SYMBOLS = 320
};

/* A canonical Huffman code. */
struct inflate_code {
    uint16_t count[16]; /* codes of each length */
    uint16_t symbol[INFLATE_SYMBOLS];
    uint16_t fast[1 << INFLATE_FAST]; /* symbol << 4 | length; 0: longer, or none */
};

struct inflate {
    struct sink sink;
    int state;
    bool last; /* block */
    uint64_t bits;
    unsigned n_bits;
    size_t from; /* what is left of `in` */
    size_t held;
    uint32_t stored; /* bytes of a stored block still to come */
    uint64_t made;
    size_t at; /* in the window */
    size_t given;
    uint32_t adler_a;
    uint32_t adler_b;
    struct inflate_code literal;
    struct inflate_code distance;
    uint8_t in[INFLATE_IN];
    uint8_t window[INFLATE_WINDOW];
};

void inflate_init(struct inflate *z);

#endif
