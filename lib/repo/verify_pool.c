#include "repo/verify_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { STACK_BYTES = 512 * 1024 };

struct run {
    const struct verify_pool *pool;
    pthread_mutex_t lock;
    size_t next;
    bool failed;
    struct err err;
};

struct thread {
    struct run *run;
    void *worker;
    pthread_t id;
    bool started;
};

static bool take(struct run *r, size_t *object)
{
    bool more;

    (void)pthread_mutex_lock(&r->lock);
    more = !r->failed && r->next < r->pool->objects;
    if (more)
        *object = r->next++;
    (void)pthread_mutex_unlock(&r->lock);
    return more;
}

static void *work(void *arg)
{
    struct thread *t = arg;
    size_t object;

    while (take(t->run, &object)) {
        struct err e = {0};

        if (t->run->pool->work(t->worker, object, &e) == 0)
            continue;
        (void)pthread_mutex_lock(&t->run->lock);
        if (!t->run->failed)
            t->run->err = e;
        t->run->failed = true;
        (void)pthread_mutex_unlock(&t->run->lock);
    }
    return NULL;
}

int verify_pool_run(const struct verify_pool *p, struct err *e)
{
    struct run run = {.pool = p};
    struct thread thread[VERIFY_POOL_MAX] = {{.run = NULL}};
    pthread_attr_t attr;
    bool has_attr;

    if (pthread_mutex_init(&run.lock, NULL) != 0)
        return err_set(e, ERR_NOMEM, "no memory for a lock");
    has_attr = pthread_attr_init(&attr) == 0;
    if (has_attr)
        has_attr = pthread_attr_setstacksize(&attr, STACK_BYTES) == 0;
    for (unsigned i = 0; i < p->n && i < VERIFY_POOL_MAX; i++) {
        thread[i].run = &run;
        thread[i].worker = p->worker[i];
        thread[i].started = i > 0 && i < p->objects && has_attr &&
                            pthread_create(&thread[i].id, &attr, work, &thread[i]) == 0;
    }
    (void)work(&thread[0]);
    for (unsigned i = 1; i < VERIFY_POOL_MAX; i++)
        if (thread[i].started)
            (void)pthread_join(thread[i].id, NULL);
    if (has_attr)
        (void)pthread_attr_destroy(&attr);
    (void)pthread_mutex_destroy(&run.lock);
    if (run.failed)
        *e = run.err;
    return run.failed ? -1 : 0;
}
