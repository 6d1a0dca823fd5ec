/*
 * flush: makes finished packs durable and visible, in a thread of its own.
 *
 * A flush may take seconds, and nobody who receives should wait for it.  No more than two packs
 * wait; who would hand over a third waits instead, which bounds the memory.
 */
#ifndef BASEBACKUP_FLUSH_H
#define BASEBACKUP_FLUSH_H

#include "basebackup/thread.h"
#include "repo/pack_write.h"
#include "repo/repo.h"

enum { FLUSH_WAITING = 2 };

struct flush {
    struct repo *repo;
    struct gate gate;
    struct thread thread;
    struct store_put *waiting[FLUSH_WAITING];
    unsigned n;
    bool busy;
    bool closing;
    bool failed;
    bool made; /* gate and thread are there */
    struct err err;
};

int flush_start(struct flush *f, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* A pack_done_fn; arg is the struct flush.  -1 also for what failed before. */
int flush_pack(void *arg, struct store_put *put, struct err *e);

/* Waits until all packs are durable. */
int flush_drain(struct flush *f, struct err *e) __attribute__((warn_unused_result));

/* Ends the thread, after what waits is done; accepts a zeroed one. */
void flush_stop(struct flush *f);

#endif
