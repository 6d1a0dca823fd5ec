#include "repo/verify_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/verify.h"
#include "repo/wal.h"

enum { STACK_BYTES = 512 * 1024 };

/* What one worker owns: a result is in it while `full`. */
struct worker {
    struct verify_ahead *ahead;
    pthread_t thread;
    bool started;
    bool busy; /* reading row */
    bool full;
    bool held; /* given out; *found points into it */
    const struct coverage_row *row;
    int rc;
    uint64_t bytes;
    uint8_t *meta;
    struct wal_summary found;
    struct err err;
    struct object_reader reader;
    struct verify verify;
};

struct verify_ahead {
    struct verify_ahead_how how;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next; /* row */
    bool stop;
    unsigned running;
    unsigned n;
    struct worker *worker[VERIFY_AHEAD_MAX];
};

static bool is_due(const struct verify_ahead *a, const struct coverage_row *row)
{
    char leaf[WALNAME_MAX];

    if ((a->how.timeline != 0 && row->tli != a->how.timeline) ||
        !verify_part_number(&a->how.part, row->segno))
        return false;
    walname_segment(leaf, row->tli, row->segno, a->how.cover->segsize);
    return !verify_log_has(a->how.log, 'w', leaf, NULL);
}

/* --- in a worker --- */

static int read_open(struct worker *w, const struct walname *name)
{
    const struct frame_tail *t = &w->reader.tail;
    struct scan_object object = {.reader = &w->reader, .name = name};

    memset(&w->found, 0, sizeof w->found);
    if (facts_decode(t->public_part, t->public_len, &w->found.facts, &w->err) != 0)
        return VERIFY_AHEAD_NOT;
    if ((!w->reader.head.sealed || w->reader.has_metadata) &&
        object_metadata(&w->reader, &w->meta, &w->found.meta_len, &w->err) != 0)
        return VERIFY_AHEAD_NOT;
    w->found.meta = w->meta;
    object.facts = &w->found.facts;
    return verify_read(&w->verify, &object, &w->found, &w->bytes, &w->err);
}

/* What cannot be opened is left to the scan, which says why. */
static int read_row(struct worker *w, const struct coverage_row *row)
{
    struct repo *repo = w->ahead->how.repo;
    char leaf[WALNAME_MAX];
    struct store_object o = {.fd = -1};
    struct store_name at;
    struct walname name;
    int rc = VERIFY_AHEAD_NOT;

    walname_segment(leaf, row->tli, row->segno, w->ahead->how.cover->segsize);
    err_clear(&w->err);
    if (!wal_object_name(leaf, &name, &at) || repo_get(repo, &at, &o, &w->reader, &w->err) != 0)
        return VERIFY_AHEAD_NOT;
    if (wal_check_object(&w->reader, &name, w->ahead->how.cover->segsize, &w->err) == 0)
        rc = read_open(w, &name);
    object_close(&w->reader);
    store_release(&o);
    return rc;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct verify_ahead *a = w->ahead;
    const struct coverage_rows *rows = &a->how.cover->rows;

    (void)pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->stop && w->full)
            (void)pthread_cond_wait(&a->changed, &a->lock);
        while (a->next < rows->n && !is_due(a, &rows->v[a->next]))
            a->next++;
        if (a->stop || a->next >= rows->n)
            break;
        w->row = &rows->v[a->next++];
        w->busy = true;
        (void)pthread_mutex_unlock(&a->lock);
        w->rc = read_row(w, w->row);
        (void)pthread_mutex_lock(&a->lock);
        w->busy = false;
        w->full = true;
        (void)pthread_cond_broadcast(&a->changed);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* --- outside --- */

static void let_go(struct worker *w)
{
    free(w->meta);
    w->meta = NULL;
    w->full = false;
    w->held = false;
}

static int order(const struct coverage_row *row, tli_t tli, uint64_t segno)
{
    if (row->tli != tli)
        return row->tli < tli ? -1 : 1;
    return row->segno == segno ? 0 : row->segno < segno ? -1 : 1;
}

/* The worker that reads this segment.  Results that nobody asked for are dropped: the scan could
 * not open these.  NULL: none does.  Called with the lock held. */
static struct worker *find(struct verify_ahead *a, tli_t tli, uint64_t segno)
{
    struct worker *found = NULL;
    bool freed = false;

    for (unsigned i = 0; i < a->n; i++) {
        struct worker *w = a->worker[i];

        if (w->full && (w->held || order(w->row, tli, segno) < 0)) {
            let_go(w);
            freed = true;
        } else if ((w->full || w->busy) && order(w->row, tli, segno) == 0) {
            found = w;
        }
    }
    if (freed)
        (void)pthread_cond_broadcast(&a->changed);
    return found;
}

/* Will a worker come to it yet? */
static bool is_ahead(const struct verify_ahead *a, tli_t tli, uint64_t segno)
{
    return a->next < a->how.cover->rows.n && order(&a->how.cover->rows.v[a->next], tli, segno) <= 0;
}

int verify_ahead_take(struct verify_ahead *a, const struct walname *name, struct wal_summary *found,
                      uint64_t *bytes, struct err *e)
{
    uint64_t segno;
    struct worker *w = NULL;
    int rc = VERIFY_AHEAD_NOT;

    if (name->kind != WALNAME_SEGMENT || !walname_segno(name, a->how.cover->segsize, &segno))
        return VERIFY_AHEAD_NOT;
    (void)pthread_mutex_lock(&a->lock);
    for (;;) {
        w = find(a, name->tli, segno);
        if (w != NULL ? w->full : !is_ahead(a, name->tli, segno))
            break;
        if (a->running == 0) /* no thread could be started */
            break;
        (void)pthread_cond_wait(&a->changed, &a->lock);
    }
    if (w != NULL) {
        w->held = true;
        rc = w->rc;
        if (rc != VERIFY_AHEAD_NOT) {
            *bytes = w->bytes;
            *e = w->err;
            if (rc >= 0)
                *found = w->found;
        }
    }
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

/* Called before the first take. */
static int start(struct verify_ahead *a, struct worker *w)
{
    pthread_attr_t attr;
    int rc;

    if (pthread_attr_init(&attr) != 0)
        return -1;
    rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (rc == 0)
        rc = pthread_create(&w->thread, &attr, work, w);
    (void)pthread_attr_destroy(&attr);
    w->started = rc == 0;
    a->running += rc == 0 ? 1 : 0;
    return rc == 0 ? 0 : -1;
}

struct verify_ahead *verify_ahead_start(const struct verify_ahead_how *how, struct err *e)
{
    struct verify_ahead *a = calloc(1, sizeof *a);

    if (a == NULL)
        goto fail;
    a->how = *how;
    if (pthread_mutex_init(&a->lock, NULL) != 0 || pthread_cond_init(&a->changed, NULL) != 0)
        goto fail; /* they own nothing here */
    for (unsigned i = 0; i < how->jobs && i < VERIFY_AHEAD_MAX; i++) {
        struct worker *w = calloc(1, sizeof *w);

        if (w == NULL)
            break;
        w->ahead = a;
        verify_init(&w->verify, how->repo->where.system_id);
        a->worker[a->n++] = w;
        if (start(a, w) != 0)
            break;
    }
    /* Fewer will do; without any the scan reads alone. */
    return a;
fail:
    free(a);
    (void)err_set(e, ERR_NOMEM, "no memory for threads that read WAL");
    return NULL;
}

void verify_ahead_stop(struct verify_ahead *a)
{
    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    a->stop = true;
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->n; i++) {
        struct worker *w = a->worker[i];

        if (w->started)
            (void)pthread_join(w->thread, NULL);
        free(w->meta);
        verify_fini(&w->verify);
        object_close(&w->reader);
        free(w);
    }
    (void)pthread_mutex_destroy(&a->lock);
    (void)pthread_cond_destroy(&a->changed);
    free(a);
}
