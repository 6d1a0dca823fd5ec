/*
 * unpack_pool: the threads that write a backup's files.  Inside repo/unpack.
 *
 * One thread reads the manifest and hands over pieces of files; each worker has its own reader of
 * packs and writes its piece at its place.  Pieces are at most UNPACK_PIECE pages, so that one
 * large file keeps all of them busy; the queue is bounded, and so is the memory.  A file is proven
 * by its size and the CRC of the whole, put together from those of its pieces.
 */
#ifndef REPO_UNPACK_POOL_H
#define REPO_UNPACK_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "repo/pages_get.h"

enum {
    UNPACK_PIECE = 2048, /* pages, 16 MB */
    UNPACK_RUNS = 512,   /* runs of one piece */
    UNPACK_JOBS_MAX = 32,
    UNPACK_QUEUE = 3 /* pieces per worker that may wait */
};

struct unpack_crc {
    uint32_t crc;
    uint64_t len;
};
VEC_DECLARE(unpack_crcs, struct unpack_crc);

/* A file being written; freed by whoever ends it. */
struct unpack_file {
    int fd;
    unsigned left; /* pieces that are not written yet */
    bool ended;    /* size and crc are known, no piece will come */
    uint64_t size;
    uint32_t crc;
    struct unpack_crcs pieces;
    char *shown;
};

/* A piece of work: pages to be written, or (compare) a file to be read and compared. */
struct unpack_job {
    struct unpack_job *next;
    struct unpack_file *file;
    size_t piece;
    uint64_t at; /* in the file */
    bool compare;
    uint64_t number; /* compare: given back */
    uint64_t pages;
    unsigned n;
    struct pages_run run[UNPACK_RUNS];
};

/* Told, in a worker but one at a time, that a compared file is what it must be. */
typedef void unpack_same(void *arg, uint64_t number);

VEC_DECLARE(unpack_ids, uint8_t);

struct unpack_pool {
    const struct pack_set *set;
    struct unpack_ids ids; /* of packs, PACK_ID bytes each; grows only while the lock is held */
    unpack_same *same;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* there is something to do, or nothing ever again */
    pthread_cond_t space; /* there is room for more, or all is done */
    pthread_t thread[UNPACK_JOBS_MAX];
    unsigned threads;
    unsigned busy;
    unsigned queued;
    bool closing;
    struct unpack_job *first;
    struct unpack_job *last;
    struct unpack_job *spare; /* for use again */
    uint64_t bytes;           /* written or compared */
    uint64_t files;           /* proven */
    struct err err;           /* the first failure */
};

/* Starts the workers. */
int unpack_pool_start(struct unpack_pool *p, const struct pack_set *set, unsigned threads,
                      struct err *e) __attribute__((warn_unused_result));

/* The next pack of the manifest: runs name it by its number, from 1. */
int unpack_pool_pack(struct unpack_pool *p, const uint8_t id[PACK_ID], struct err *e)
    __attribute__((warn_unused_result));

/* A job to be filled; waits for room.  NULL: *e, which may be a worker's failure. */
struct unpack_job *unpack_pool_job(struct unpack_pool *p, struct err *e);

/* Hands it over. */
void unpack_pool_put(struct unpack_pool *p, struct unpack_job *job);

/* A new file for jobs; fd becomes the pool's. */
struct unpack_file *unpack_pool_file(int fd, const char *shown, struct err *e);

/* Adds a piece: its number. */
int unpack_pool_piece(struct unpack_pool *p, struct unpack_file *f, size_t *piece, struct err *e)
    __attribute__((warn_unused_result));

/* No more pieces come.  The file is closed when the last one is written. */
int unpack_pool_end(struct unpack_pool *p, struct unpack_file *f, uint64_t size, uint32_t crc,
                    struct err *e) __attribute__((warn_unused_result));

/* Gives up a file that was not ended, and with it everything else. */
void unpack_pool_drop(struct unpack_pool *p, struct unpack_file *f);

/* Waits until all is done (at most wait_us; 0: however long).  0; 1: not yet; -1. */
int unpack_pool_wait(struct unpack_pool *p, int64_t wait_us, struct err *e)
    __attribute__((warn_unused_result));

/* What was done so far. */
void unpack_pool_done(struct unpack_pool *p, uint64_t *files, uint64_t *bytes);

/* Ends the workers, whatever they do; accepts a zeroed struct. */
void unpack_pool_stop(struct unpack_pool *p);

#endif
