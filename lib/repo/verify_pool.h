/*
 * verify_pool: does one thing to each of many objects, with several threads.
 *
 * Each thread has its own worker (whatever the caller needs per thread); objects are taken in
 * order, so that progress is in order, too.  The first failure ends all.
 */
#ifndef REPO_VERIFY_POOL_H
#define REPO_VERIFY_POOL_H

#include <stddef.h>

#include "base/err.h"

enum { VERIFY_POOL_MAX = 32 };

struct verify_pool {
    void *const *worker; /* n of them; the first is used by the calling thread */
    unsigned n;
    size_t objects;
    int (*work)(void *worker, size_t object, struct err *e);
};

/* 0, or -1 with the first failure.  With fewer threads than asked for it takes longer, no more. */
int verify_pool_run(const struct verify_pool *p, struct err *e) __attribute__((warn_unused_result));

#endif
