/*
 * thread: a thread that returns like a function: 0, or -1 with an error that its joiner gets.
 *
 * The stack is given, for musl's own is too small.  Threads share nothing but what their modules
 * guard: ring, flush, beat.
 */
#ifndef BASEBACKUP_THREAD_H
#define BASEBACKUP_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { THREAD_STACK = 512 * 1024 };

typedef int thread_fn(void *arg, struct err *e);

struct thread {
    pthread_t id;
    bool running;
    thread_fn *fn;
    void *arg;
    int rc;
    struct err err;
};

int thread_start(struct thread *t, thread_fn *fn, void *arg, struct err *e)
    __attribute__((warn_unused_result));

/* Waits for its end and gives its result; 0 when none runs. */
int thread_join(struct thread *t, struct err *e);

/* A mutex with the condition that goes with it, by the monotonic clock. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

int gate_init(struct gate *g, struct err *e) __attribute__((warn_unused_result));
void gate_fini(struct gate *g);
void gate_lock(struct gate *g);
void gate_unlock(struct gate *g);
void gate_tell(struct gate *g); /* wakes all who wait */

/* Waits, while it is locked, for a change or until us microseconds passed. */
void gate_wait(struct gate *g, int64_t us);

#endif
