/*
 * ring: between the thread that receives and the one that stores: a few blocks, in order.
 *
 * The receiver waits only while every block is full, the storer only while every block is empty,
 * and each until half of them changed, for to wake the other costs as much as to store a block; so
 * a flush, a slow disk or a hard chunk does not hold up the server until the ring is full.  A
 * receiver that would have to wait for the server stores a block itself meanwhile, so that on few
 * or busy processors no time goes into waking anybody.  Either side may give up, which the other
 * learns at its next call.
 */
#ifndef BASEBACKUP_RING_H
#define BASEBACKUP_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "basebackup/thread.h"

enum { RING_BLOCKS = 12, RING_BYTES = 128 * 1024 };

enum ring_kind {
    RING_START,         /* the backup's start is known */
    RING_ARCHIVE,       /* an archive begins; number: which */
    RING_DATA,          /* its bytes */
    RING_ARCHIVE_END,   /* it is over, and whole */
    RING_MANIFEST,      /* the server's manifest begins */
    RING_MANIFEST_DATA, /* its bytes */
    RING_MANIFEST_END,
    RING_END /* the backup is good; nothing else comes */
};

struct ring_block {
    enum ring_kind kind;
    size_t number;
    size_t len;
    uint8_t bytes[RING_BYTES];
};

struct ring {
    struct gate gate;
    size_t first; /* oldest full block */
    size_t full;
    bool waits;    /* the receiver, for empty blocks */
    size_t wanted; /* the storer waits for so many; 0: it does not */
    bool helped;   /* the receiver has the oldest block */
    bool given_up;
    struct ring_block *open; /* the receiver's, being filled; not counted in `full` */
    struct ring_block *blocks;
};

int ring_init(struct ring *r, struct err *e) __attribute__((warn_unused_result));
void ring_fini(struct ring *r); /* accepts a zeroed one */

/* The receiver: adds bytes or a mark.  -1: the other side gave up (*e is left alone), or a signal
 * came. */
int ring_data(struct ring *r, enum ring_kind kind, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int ring_mark(struct ring *r, enum ring_kind kind, size_t number, struct err *e)
    __attribute__((warn_unused_result));

/* The storer: the next block, which is its own until ring_done.  NULL: the receiver gave up. */
struct ring_block *ring_next(struct ring *r);

/* The receiver, while the server has nothing for it: the oldest block, when it is data and the
 * storer sleeps; NULL otherwise.  The storer does not go on before ring_done. */
struct ring_block *ring_help(struct ring *r);

void ring_done(struct ring *r); /* by who has the block */

void ring_give_up(struct ring *r);
bool ring_is_given_up(struct ring *r);

#endif
