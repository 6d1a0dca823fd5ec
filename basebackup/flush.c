#include "basebackup/flush.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_US = 1000 * 1000 };

/* Commits one pack.  A crash before its end leaves a temp, or the whole pack under its name, which
 * no manifest names: the next backup takes its pages over. */
static int commit(struct flush *f, struct store_put *put, struct err *e)
{
    if (repo_still_plain(f->repo, e) == 0)
        return pack_commit(NULL, put, e);
    store_put_abort(put);
    free(put);
    return -1;
}

static int work(void *arg, struct err *e)
{
    struct flush *f = arg;

    (void)e;
    gate_lock(&f->gate);
    for (;;) {
        struct err err = {0};
        struct store_put *put;
        int rc;

        while (f->n == 0 && !f->closing)
            gate_wait(&f->gate, LOOK_US);
        if (f->n == 0)
            break;
        put = f->waiting[0];
        f->waiting[0] = f->waiting[1];
        f->n--;
        f->busy = true;
        gate_tell(&f->gate);
        gate_unlock(&f->gate);
        rc = commit(f, put, &err);
        gate_lock(&f->gate);
        f->busy = false;
        if (rc != 0 && !f->failed) {
            f->failed = true;
            f->err = err;
        }
        gate_tell(&f->gate);
    }
    gate_unlock(&f->gate);
    return 0;
}

int flush_start(struct flush *f, struct repo *repo, struct err *e)
{
    memset(f, 0, sizeof *f);
    f->repo = repo;
    if (gate_init(&f->gate, e) != 0)
        return -1;
    if (thread_start(&f->thread, work, f, e) == 0) {
        f->made = true;
        return 0;
    }
    gate_fini(&f->gate);
    return -1;
}

static int state(const struct flush *f, struct err *e)
{
    if (!f->failed)
        return 0;
    if (e->code == ERR_NONE)
        *e = f->err;
    return -1;
}

int flush_pack(void *arg, struct store_put *put, struct err *e)
{
    struct flush *f = arg;
    int rc;

    gate_lock(&f->gate);
    while (f->n == FLUSH_WAITING && !f->failed)
        gate_wait(&f->gate, LOOK_US);
    rc = state(f, e);
    if (rc == 0) {
        f->waiting[f->n++] = put;
        gate_tell(&f->gate);
    }
    gate_unlock(&f->gate);
    if (rc != 0) {
        store_put_abort(put);
        free(put);
    }
    return rc;
}

int flush_drain(struct flush *f, struct err *e)
{
    int rc;

    gate_lock(&f->gate);
    while (f->n > 0 || f->busy)
        gate_wait(&f->gate, LOOK_US);
    rc = state(f, e);
    gate_unlock(&f->gate);
    return rc;
}

void flush_stop(struct flush *f)
{
    struct err ignored = {0};

    if (!f->made)
        return;
    gate_lock(&f->gate);
    f->closing = true;
    gate_tell(&f->gate);
    gate_unlock(&f->gate);
    (void)thread_join(&f->thread, &ignored); /* it returns 0 */
    gate_fini(&f->gate);
    f->made = false;
}
