#include "basebackup/thread.h"

#include <time.h>

#include "base/parse.h"
#include "os/time.h"

static void *run(void *arg)
{
    struct thread *t = arg;

    t->rc = t->fn(t->arg, &t->err);
    return NULL;
}

int thread_start(struct thread *t, thread_fn *fn, void *arg, struct err *e)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);

    t->fn = fn;
    t->arg = arg;
    err_clear(&t->err);
    if (rc == 0) {
        rc = pthread_attr_setstacksize(&attr, THREAD_STACK);
        if (rc == 0)
            rc = pthread_create(&t->id, &attr, run, t);
        (void)pthread_attr_destroy(&attr); /* frees nothing that could fail */
    }
    t->running = rc == 0;
    return rc == 0 ? 0 : err_sys(e, rc, "could not start a thread");
}

int thread_join(struct thread *t, struct err *e)
{
    if (!t->running)
        return 0;
    t->running = false;
    (void)pthread_join(t->id, NULL); /* fails only for a thread that is none */
    if (t->rc != 0 && e->code == ERR_NONE)
        *e = t->err;
    return t->rc;
}

int gate_init(struct gate *g, struct err *e)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc == 0) {
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (rc == 0)
            rc = pthread_cond_init(&g->changed, &attr);
        (void)pthread_condattr_destroy(&attr); /* frees nothing that could fail */
    }
    if (rc == 0)
        rc = pthread_mutex_init(&g->mutex, NULL);
    return rc == 0 ? 0 : err_sys(e, rc, "could not make a lock");
}

/* The calls below fail only for what is not initialised or not locked: bugs, not circumstances. */

void gate_fini(struct gate *g)
{
    (void)pthread_mutex_destroy(&g->mutex);
    (void)pthread_cond_destroy(&g->changed);
}

void gate_lock(struct gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
}

void gate_unlock(struct gate *g)
{
    (void)pthread_mutex_unlock(&g->mutex);
}

void gate_tell(struct gate *g)
{
    (void)pthread_cond_broadcast(&g->changed);
}

void gate_wait(struct gate *g, int64_t us)
{
    int64_t until = os_mono_us() + us;
    struct timespec ts = {.tv_sec = (time_t)(until / USEC_PER_SEC),
                          .tv_nsec = (long)(until % USEC_PER_SEC * 1000)};

    (void)pthread_cond_timedwait(&g->changed, &g->mutex, &ts);
}
