#include "repo/scan_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/vec.h"
#include "os/signal.h"

enum {
    THREADS = 4,
    AHEAD = 16, /* so many directories are held at most */
    GROUPS_MAX = 1 << 24,
    NAMES_MAX = 1 << 22,
    TEXT_MAX = 256 * 1024 * 1024,
    STACK_BYTES = 256 * 1024
};

VEC_DECLARE(group_list, uint32_t);

struct one {
    uint64_t size;
    uint64_t stamp;
    size_t name; /* in the text */
};
VEC_DECLARE(one_list, struct one);

/* One directory. */
struct slot {
    struct one_list names;
    struct buf text;
    bool full;
    int rc;
    struct err err;
};

struct lister {
    struct repo *repo;
    uint32_t timeline;
    struct group_list groups;
    scan_still_fn still; /* NULL: nothing is known */
    void *still_arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next; /* the group to be listed, */
    size_t told; /* and the one to be told of */
    bool stop;
    struct slot slot[AHEAD]; /* group i is in slot i modulo AHEAD */
};

static int add_group(void *arg, uint32_t group, struct err *e)
{
    struct lister *l = arg;

    return group_list_push(&l->groups, group, e);
}

/* --- in a thread --- */

static int add_name(void *arg, const struct store_seen *seen, struct err *e)
{
    struct slot *s = arg;
    struct one one = {seen->size, seen->stamp, s->text.len};

    if (buf_add(&s->text, seen->name, strlen(seen->name) + 1, e) != 0)
        return -1;
    return one_list_push(&s->names, one, e);
}

static void fill(struct lister *l, size_t i)
{
    struct slot *s = &l->slot[i % AHEAD];
    uint64_t still = 0;

    /* In the last one most recent trouble would be. */
    if (l->still != NULL && i + 1 < l->groups.n)
        still = l->still(l->still_arg, l->timeline, l->groups.v[i]);
    s->names.n = 0;
    buf_clear(&s->text);
    err_clear(&s->err);
    s->rc = store_each_wal_seen(&l->repo->store, &l->repo->where, l->timeline, l->groups.v[i],
                                still, add_name, s, &s->err);
}

static void *work(void *arg)
{
    struct lister *l = arg;

    (void)pthread_mutex_lock(&l->lock);
    for (;;) {
        size_t i;

        while (!l->stop && l->next < l->groups.n && l->next >= l->told + AHEAD)
            (void)pthread_cond_wait(&l->changed, &l->lock);
        if (l->stop || l->next >= l->groups.n)
            break;
        i = l->next++;
        (void)pthread_mutex_unlock(&l->lock);
        fill(l, i);
        (void)pthread_mutex_lock(&l->lock);
        l->slot[i % AHEAD].full = true;
        (void)pthread_cond_broadcast(&l->changed);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* --- outside --- */

static int tell(const struct slot *s, store_seen_fn fn, void *arg, struct err *e)
{
    if (s->rc != 0) {
        *e = s->err;
        return s->rc;
    }
    for (size_t i = 0; i < s->names.n; i++) {
        const struct one *one = &s->names.v[i];
        struct store_seen seen = {(const char *)s->text.p + one->name, one->size, one->stamp};
        int rc = fn(arg, &seen, e);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Group i, when a thread has listed it. */
static int tell_next(struct lister *l, size_t i, store_seen_fn fn, void *arg, struct err *e)
{
    struct slot *s = &l->slot[i % AHEAD];
    int rc = os_signal_check(e);

    if (rc != 0)
        return -1;
    (void)pthread_mutex_lock(&l->lock);
    while (!s->full)
        (void)pthread_cond_wait(&l->changed, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
    rc = tell(s, fn, arg, e);
    (void)pthread_mutex_lock(&l->lock);
    s->full = false;
    l->told = i + 1;
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    return rc;
}

/* Threads are a help only: without any it is done here. */
static unsigned start(struct lister *l, pthread_t thread[THREADS])
{
    pthread_attr_t attr;
    unsigned n = 0;

    if (l->groups.n < 2 || pthread_attr_init(&attr) != 0)
        return 0;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (n < THREADS && n < l->groups.n && pthread_create(&thread[n], &attr, work, l) == 0)
        n++;
    (void)pthread_attr_destroy(&attr);
    return n;
}

static int run(struct lister *l, store_seen_fn fn, void *arg, struct err *e)
{
    pthread_t thread[THREADS];
    unsigned threads;
    int rc = store_each_group(&l->repo->store, &l->repo->where, l->timeline, add_group, l, e);

    if (rc != 0)
        return rc;
    threads = start(l, thread);
    for (size_t i = 0; rc == 0 && i < l->groups.n; i++) {
        if (threads == 0) {
            fill(l, i);
            l->slot[i % AHEAD].full = true;
        }
        rc = tell_next(l, i, fn, arg, e);
    }
    (void)pthread_mutex_lock(&l->lock);
    l->stop = true;
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    while (threads > 0)
        (void)pthread_join(thread[--threads], NULL);
    return rc;
}

int scan_list(struct repo *r, uint32_t timeline, scan_still_fn still, store_seen_fn fn, void *arg,
              struct err *e)
{
    struct lister *l = calloc(1, sizeof *l);
    int rc;

    if (l == NULL)
        return err_set(e, ERR_NOMEM, "no memory to list the archive");
    l->repo = r;
    l->timeline = timeline;
    l->still = still;
    l->still_arg = arg;
    group_list_init(&l->groups, GROUPS_MAX);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->changed, NULL);
    for (size_t i = 0; i < AHEAD; i++) {
        one_list_init(&l->slot[i].names, NAMES_MAX);
        buf_init(&l->slot[i].text, TEXT_MAX);
    }
    rc = run(l, fn, arg, e);
    for (size_t i = 0; i < AHEAD; i++) {
        one_list_fini(&l->slot[i].names);
        buf_fini(&l->slot[i].text);
    }
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->lock);
    group_list_fini(&l->groups);
    free(l);
    return rc;
}
