#include "repo/unpack_pool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "os/file.h"
#include "os/time.h"

enum {
    PIECES_MAX = 1 << 24,
    FLUSH_BYTES = 8 * 1024 * 1024,
    READ_BYTES = 128 * 1024,
    STACK_BYTES = 512 * 1024
};

/* What one worker owns. */
struct worker {
    struct pages_get get;
    struct object_reader scratch;
    uint8_t buffer[READ_BYTES];
};

/* The end of a chain: a place in a file. */
struct place {
    struct sink sink;
    crc32c_fn *crc_of;
    const char *shown;
    int fd;
    uint64_t at;
    uint64_t started; /* write-back was asked for up to here */
    uint32_t crc;
};

static int place_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct place *p = (struct place *)s;

    p->crc = p->crc_of(p->crc, bytes, len);
    if (os_pwrite_full(p->fd, bytes, len, p->at, p->shown, e) != 0)
        return -1;
    p->at += len;
    /* So that the flush at the end finds most of it done. */
    if (p->at - p->started >= FLUSH_BYTES) {
        os_hint_writeback(p->fd, p->started, p->at - p->started);
        p->started = p->at;
    }
    return 0;
}

static const struct sink_ops place_ops = {"file", place_write, sink_finish_next, sink_abort_next};

/* --- files --- */

struct unpack_file *unpack_pool_file(int fd, const char *shown, struct err *e)
{
    struct unpack_file *f = calloc(1, sizeof *f);
    size_t len = strlen(shown) + 1;

    if (f != NULL)
        f->shown = malloc(len);
    if (f == NULL || f->shown == NULL) {
        free(f);
        (void)err_set(e, ERR_NOMEM, "no memory for a file");
        return NULL;
    }
    memcpy(f->shown, shown, len);
    f->fd = fd;
    unpack_crcs_init(&f->pieces, PIECES_MAX);
    return f;
}

static void free_file(struct unpack_file *f)
{
    os_drop(&f->fd);
    unpack_crcs_fini(&f->pieces);
    free(f->shown);
    free(f);
}

/* All of it is written: is it what the manifest says? */
static int prove(struct unpack_file *f, struct err *e)
{
    uint64_t size = 0;
    uint32_t crc = 0;

    for (size_t i = 0; i < f->pieces.n; i++) {
        crc = crc32c_combine(crc, f->pieces.v[i].crc, f->pieces.v[i].len);
        size += f->pieces.v[i].len;
    }
    if (size != f->size || crc != f->crc)
        return err_set(e, ERR_DAMAGED,
                       "file \"%s\" of the backup is damaged: its pages are not "
                       "those that were read from the server",
                       f->shown);
    return os_close(&f->fd, f->shown, e);
}

/* --- work --- */

static const uint8_t *id_of(struct unpack_pool *p, uint32_t pack, uint8_t out[PACK_ID])
{
    const uint8_t *id = NULL;

    if (pack == 0)
        return NULL;
    (void)pthread_mutex_lock(&p->lock);
    if ((size_t)pack * PACK_ID <= p->ids.n) {
        memcpy(out, p->ids.v + (size_t)(pack - 1) * PACK_ID, PACK_ID);
        id = out;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return id;
}

static int write_piece(struct unpack_pool *p, struct worker *w, const struct unpack_job *job,
                       struct unpack_crc *out, struct err *e)
{
    struct place place = {.crc_of = crc32c_best(),
                          .shown = job->file->shown,
                          .fd = job->file->fd,
                          .at = job->at,
                          .started = job->at};

    sink_init(&place.sink, &place_ops, PHASE_DELIVER);
    for (unsigned i = 0; i < job->n; i++) {
        uint8_t id[PACK_ID];
        const struct pages_run *run = &job->run[i];

        if (pages_get_run(&w->get, id_of(p, run->pack, id), run, &place.sink, e) != 0)
            return err_context(e, "file \"%s\"", job->file->shown);
    }
    out->crc = place.crc;
    out->len = place.at - job->at;
    return 0;
}

/* 1 when the file is the same, 0, -1. */
static int compare(struct worker *w, const struct unpack_file *f, struct err *e)
{
    uint64_t at = 0;
    uint32_t crc = 0;
    size_t got;

    os_hint_sequential(f->fd);
    do {
        if (os_pread_full(f->fd, w->buffer, sizeof w->buffer, at, &got, f->shown, e) != 0)
            return -1;
        crc = crc32c_extend(crc, w->buffer, got);
        at += got;
        if (at > f->size)
            return 0;
    } while (got == sizeof w->buffer);
    return at == f->size && crc == f->crc;
}

static void fail(struct unpack_pool *p, const struct err *e)
{
    if (p->err.code == ERR_NONE)
        p->err = *e;
}

/* Does one job; called and left with the lock held. */
static void do_job(struct unpack_pool *p, struct worker *w, struct unpack_job *job)
{
    struct unpack_file *f = job->file;
    struct unpack_crc crc = {0};
    struct err e = {0};
    int rc = 0;

    (void)pthread_mutex_unlock(&p->lock);
    if (job->compare)
        rc = compare(w, f, &e);
    else
        rc = write_piece(p, w, job, &crc, &e);
    (void)pthread_mutex_lock(&p->lock);
    if (rc < 0) {
        fail(p, &e);
    } else if (job->compare) {
        p->bytes += f->size;
        p->files++;
        if (rc == 1 && p->same != NULL)
            p->same(p->arg, job->number);
    } else {
        f->pieces.v[job->piece] = crc;
        p->bytes += crc.len;
    }
    if (--f->left > 0 || !f->ended)
        return;
    /* The last one. */
    if (!job->compare && p->err.code == ERR_NONE) {
        (void)pthread_mutex_unlock(&p->lock);
        rc = prove(f, &e);
        (void)pthread_mutex_lock(&p->lock);
        if (rc != 0)
            fail(p, &e);
        else
            p->files++;
    }
    free_file(f);
}

static struct unpack_job *next_job(struct unpack_pool *p)
{
    struct unpack_job *job = p->first;

    if (job == NULL)
        return NULL;
    p->first = job->next;
    if (p->first == NULL)
        p->last = NULL;
    p->queued--;
    return job;
}

static void *work(void *arg)
{
    struct unpack_pool *p = arg;
    struct worker *w = calloc(1, sizeof *w);
    struct unpack_job *job;
    struct err e = {0};

    if (w != NULL)
        pages_get_init(&w->get, p->set, &w->scratch);
    (void)pthread_mutex_lock(&p->lock);
    if (w == NULL) {
        (void)err_set(&e, ERR_NOMEM, "no memory to unpack with");
        fail(p, &e);
    }
    for (;;) {
        while ((job = next_job(p)) == NULL && !p->closing)
            (void)pthread_cond_wait(&p->work, &p->lock);
        if (job == NULL)
            break;
        p->busy++;
        if (p->err.code == ERR_NONE) {
            do_job(p, w, job);
        } else if (--job->file->left == 0 && job->file->ended) {
            free_file(job->file);
        }
        p->busy--;
        job->next = p->spare;
        p->spare = job;
        (void)pthread_cond_broadcast(&p->space);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (w != NULL)
        pages_get_fini(&w->get);
    free(w);
    return NULL;
}

/* --- the one who hands over --- */

int unpack_pool_start(struct unpack_pool *p, const struct pack_set *set, unsigned threads,
                      struct err *e)
{
    pthread_condattr_t clock;
    pthread_attr_t attr;
    int rc = 0;

    memset(p, 0, sizeof *p);
    p->set = set;
    unpack_ids_init(&p->ids, (size_t)MANIFEST_PACKS_MAX * PACK_ID);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    /* A wall clock that is set back must not make anybody wait for years. */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->space, &clock);
    (void)pthread_condattr_destroy(&clock);
    /* musl's stacks are small otherwise. */
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (threads > UNPACK_JOBS_MAX)
        threads = UNPACK_JOBS_MAX;
    while (rc == 0 && (p->threads < threads || p->threads == 0)) {
        rc = pthread_create(&p->thread[p->threads], &attr, work, p);
        p->threads += rc == 0 ? 1 : 0;
    }
    (void)pthread_attr_destroy(&attr);
    if (p->threads > 0)
        return 0; /* fewer will do */
    return err_sys(e, rc, "could not start a thread");
}

int unpack_pool_pack(struct unpack_pool *p, const uint8_t id[PACK_ID], struct err *e)
{
    int rc = 0;

    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; rc == 0 && i < PACK_ID; i++)
        rc = unpack_ids_push(&p->ids, id[i], e);
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

struct unpack_job *unpack_pool_job(struct unpack_pool *p, struct err *e)
{
    struct unpack_job *job = NULL;

    (void)pthread_mutex_lock(&p->lock);
    while (p->queued >= p->threads * UNPACK_QUEUE && p->err.code == ERR_NONE)
        (void)pthread_cond_wait(&p->space, &p->lock);
    if (p->err.code != ERR_NONE) {
        *e = p->err;
    } else if (p->spare != NULL) {
        job = p->spare;
        p->spare = job->next;
    } else {
        job = malloc(sizeof *job);
        if (job == NULL)
            (void)err_set(e, ERR_NOMEM, "no memory to unpack with");
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (job != NULL) {
        job->next = NULL;
        job->compare = false;
        job->pages = 0;
        job->n = 0;
    }
    return job;
}

void unpack_pool_put(struct unpack_pool *p, struct unpack_job *job)
{
    (void)pthread_mutex_lock(&p->lock);
    job->next = NULL;
    if (p->last == NULL)
        p->first = job;
    else
        p->last->next = job;
    p->last = job;
    p->queued++;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
}

int unpack_pool_piece(struct unpack_pool *p, struct unpack_file *f, size_t *piece, struct err *e)
{
    struct unpack_crc none = {0};
    int rc;

    (void)pthread_mutex_lock(&p->lock);
    *piece = f->pieces.n;
    rc = unpack_crcs_push(&f->pieces, none, e);
    if (rc == 0)
        f->left++;
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

int unpack_pool_end(struct unpack_pool *p, struct unpack_file *f, uint64_t size, uint32_t crc,
                    struct err *e)
{
    bool last;
    bool failed;
    int rc = 0;

    (void)pthread_mutex_lock(&p->lock);
    f->size = size;
    f->crc = crc;
    f->ended = true;
    last = f->left == 0;
    failed = p->err.code != ERR_NONE; /* then a piece of it may be missing for that reason */
    if (last && failed)
        *e = p->err;
    (void)pthread_mutex_unlock(&p->lock);
    if (!last)
        return 0;
    rc = failed ? -1 : prove(f, e);
    free_file(f);
    (void)pthread_mutex_lock(&p->lock);
    p->files += rc == 0 ? 1 : 0;
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

void unpack_pool_drop(struct unpack_pool *p, struct unpack_file *f)
{
    bool last;

    (void)pthread_mutex_lock(&p->lock);
    if (p->err.code == ERR_NONE)
        (void)err_set(&p->err, ERR_INTERRUPTED, "given up");
    f->ended = true;
    last = f->left == 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (last)
        free_file(f);
}

int unpack_pool_wait(struct unpack_pool *p, int64_t wait_us, struct err *e)
{
    int64_t end = os_mono_us() + wait_us;
    struct timespec until = {.tv_sec = (time_t)(end / 1000000),
                             .tv_nsec = (long)(end % 1000000) * 1000};
    int timed_out = 0;
    int rc = 0;

    (void)pthread_mutex_lock(&p->lock);
    while ((p->queued > 0 || p->busy > 0) && timed_out == 0) {
        if (wait_us == 0)
            (void)pthread_cond_wait(&p->space, &p->lock);
        else
            timed_out = pthread_cond_timedwait(&p->space, &p->lock, &until);
    }
    if (p->err.code != ERR_NONE) {
        *e = p->err;
        rc = -1;
    } else if (p->queued > 0 || p->busy > 0) {
        rc = 1;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

void unpack_pool_done(struct unpack_pool *p, uint64_t *files, uint64_t *bytes)
{
    (void)pthread_mutex_lock(&p->lock);
    *files = p->files;
    *bytes = p->bytes;
    (void)pthread_mutex_unlock(&p->lock);
}

void unpack_pool_stop(struct unpack_pool *p)
{
    if (p->threads == 0)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    if (p->err.code == ERR_NONE)
        (void)err_set(&p->err, ERR_INTERRUPTED, "given up"); /* what waits is not done any more */
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    while (p->spare != NULL) {
        struct unpack_job *job = p->spare;

        p->spare = job->next;
        free(job);
    }
    unpack_ids_fini(&p->ids);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->space);
    p->threads = 0;
}
