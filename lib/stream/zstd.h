/*
 * zstd: checks the shape of one Zstandard frame (RFC 8878) without expanding it.
 *
 * Head, every block's head and length, the last block, and the length of a checksum.  That finds a
 * frame that was cut or whose heads were hit; what is inside its blocks, and the checksum, are not
 * looked at.  pg_dump itself asks for no checksum.
 */
#ifndef STREAM_ZSTD_H
#define STREAM_ZSTD_H

#include <stdbool.h>

#include "stream/sink.h"

/* A last sink: hands nothing on. */
struct zstd_shape {
    struct sink sink;
    int state;
    bool sum;
    bool last;
    size_t want;
    size_t held;
    uint64_t pass; /* bytes of a block still to come */
    uint8_t small[20];
};

void zstd_shape_init(struct zstd_shape *z);

#endif
