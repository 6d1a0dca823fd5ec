/* One object from a repository to its copy. */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/time.h"
#include "repo/copy.h"
#include "repo/pack_read.h"

enum { NAP_US = 100 * 1000 };

/* Far from where the arithmetic of the rate overflows. */
#define PACED_MAX (UINT64_C(1) << 40)

/* What ends the run; all else is told of, and the next object is looked at. */
static bool is_fatal(const struct err *why)
{
    return why->code == ERR_NOMEM || why->code == ERR_INTERRUPTED || why->code == ERR_INTERNAL ||
           why->code == ERR_UNREACHABLE;
}

/* Proves the bytes of an object as they are stored, by the copy's trust: so a reader there will. */
static int prove(struct copy *c, const struct store_name *n, const struct object_source *source,
                 struct err *e)
{
    bool beside = n->kind == KIND_DUMP || n->kind == KIND_DRILL;
    char place[FRAME_PLACE_MAX + 1];
    struct object_want want = {.kind = n->kind,
                               .name = n->name,
                               .system_id = beside ? 0 : c->to->where.system_id,
                               .place = place};
    int rc;

    if (n->kind == KIND_PACK)
        return pack_prove(source, n->name, c->to->where.system_id, &c->to->trust, c->reader, e);
    repo_place(c->to, n, place);
    rc = object_open(c->reader, source, &c->to->trust, &want, e);
    if (rc == 0) {
        rc = object_check_stored(c->reader, e);
        object_close(c->reader);
    }
    return rc;
}

/* Waits until the next n bytes are due.  What was not used is not made up for: a pause to read a
 * manifest must not end in a burst. */
static int keep_pace(struct copy *c, size_t n, struct err *e)
{
    const uint64_t rate = c->how->max_rate;
    int64_t now = os_mono_us();
    int64_t due;

    if (rate == 0)
        return 0;
    due = c->pace_from + (int64_t)(c->paced * (uint64_t)USEC_PER_SEC / rate);
    if (c->paced == 0 || now > due + USEC_PER_SEC || c->paced > PACED_MAX) {
        c->pace_from = now > due ? now : due;
        c->paced = 0;
        due = c->pace_from;
    }
    c->paced += n;
    while (now < due) {
        int64_t left = due - now;

        if (c->how->step(c->how->arg, e) != 0)
            return -1;
        os_sleep_us(left < NAP_US ? left : NAP_US);
        now = os_mono_us();
    }
    return 0;
}

static int stream(struct copy *c, const struct store_object *o, struct err *e)
{
    size_t most = sizeof c->io;

    /* Some pieces in each second, for a rate that is even. */
    if (c->how->max_rate != 0 && c->how->max_rate / 8 < most)
        most = (size_t)(c->how->max_rate / 8);
    for (uint64_t at = 0; at < o->source.size;) {
        uint64_t left = o->source.size - at;
        size_t n = left < most ? (size_t)left : most;

        if (keep_pace(c, n, e) != 0 || c->how->step(c->how->arg, e) != 0 ||
            o->source.read(o->source.arg, at, c->io, n, e) != 0 ||
            sink_write(&c->put->sink, c->io, n, e) != 0)
            return -1;
        at += n;
    }
    return 0;
}

/* Into a temporary file of the copy, which is then read back.  A crash before the commit leaves
 * that file for the next sweep; replacing: one between removal and commit leaves a hole that the
 * next run fills. */
static int bring(struct copy *c, const struct store_name *n, bool replace, struct err *e)
{
    struct store_object o = {.fd = -1};
    struct object_source back;
    int rc = store_get(&c->from->store, &c->from->where, n, &o, e);

    if (rc != 0)
        return rc;
    c->put->sink.ops = NULL;
    rc = store_put_begin(&c->to->writer, &c->to->where, n, c->put, e);
    if (rc == 0 && (rc = stream(c, &o, e)) == 0 && (rc = store_put_read(c->put, &back, e)) == 0)
        rc = prove(c, n, &back, e);
    if (rc == 0 && replace && store_remove(&c->to->writer, &c->to->where, n, e) < 0)
        rc = -1;
    if (rc == 0)
        rc = store_put_commit(c->put, e);
    if (rc == 0)
        c->done.bytes += o.source.size;
    store_put_abort(c->put);
    store_release(&o);
    return rc == STORE_EXISTS ? 0 : rc; /* another run was faster, with what was proven as well */
}

static int check_there(struct copy *c, const struct store_name *n, struct err *e)
{
    struct store_object o = {.fd = -1};
    int rc = store_get(&c->to->store, &c->to->where, n, &o, e);

    if (rc == 0)
        rc = prove(c, n, &o.source, e);
    store_release(&o);
    return rc;
}

static void tell(struct copy *c, enum copy_what what, const struct store_name *n,
                 const struct err *why)
{
    char shown[STORE_PATH_MAX];

    store_show(&c->from->where, n, shown);
    c->done.problems += what == COPY_PROBLEM ? 1 : 0;
    c->done.mended += what == COPY_MENDED ? 1 : 0;
    c->how->tell(c->how->arg, what, shown, why);
}

static void count(struct copy *c, enum object_kind kind)
{
    c->done.copied++;
    switch (kind) {
    case KIND_SEGMENT:
        c->done.wal++;
        break;
    case KIND_MANIFEST:
        c->done.backups++;
        break;
    case KIND_DUMP:
        c->done.dumps++;
        break;
    case KIND_PACK:
        c->done.packs++;
        break;
    default:
        break;
    }
}

static int fetch(struct copy *c, const struct store_name *n, bool mend, const struct err *broken,
                 struct err *e)
{
    struct err why = {0};
    int rc = bring(c, n, mend, &why);

    if (rc < 0 && is_fatal(&why)) {
        *e = why;
        return -1;
    }
    if (rc < 0)
        tell(c, COPY_PROBLEM, n, &why);
    if (rc != 0) /* or it was removed meanwhile */
        return COPY_IS_NOT;
    if (mend)
        tell(c, COPY_MENDED, n, broken);
    else
        count(c, n->kind);
    return COPY_IS_THERE;
}

int copy_refuse(struct copy *c, const struct store_name *n, struct err *e)
{
    struct err why = {0};
    int rc = store_has(&c->from->store, &c->from->where, n, e);

    if (rc != 0) /* it was removed meanwhile, and its packs as well */
        return rc < 0 ? -1 : COPY_IS_NOT;
    (void)err_set(&why, ERR_DAMAGED, "the copy lacks packs that it needs");
    tell(c, COPY_PROBLEM, n, &why);
    return COPY_IS_NOT;
}

int copy_object(struct copy *c, const struct store_name *n, struct err *e)
{
    struct store_seen from;
    struct store_seen to;
    struct err why = {0};
    bool same;
    int rc;

    if (c->how->step(c->how->arg, e) != 0)
        return -1;
    rc = store_look(&c->from->store, &c->from->where, n, &from, e);
    if (rc != 0)
        return rc < 0 ? -1 : COPY_IS_NOT;
    rc = store_look(&c->to->store, &c->to->where, n, &to, e);
    if (rc != 0)
        return rc < 0 ? -1 : fetch(c, n, false, NULL, e);
    same = from.size == to.size;
    if (same && !c->how->check) {
        c->done.there++;
        return COPY_IS_THERE;
    }
    rc = check_there(c, n, &why);
    if (rc == 0 && same) {
        c->done.there++;
        return COPY_IS_THERE;
    }
    if (rc < 0 && is_fatal(&why)) {
        *e = why;
        return -1;
    }
    if (rc != 0)
        return fetch(c, n, true, &why, e);
    (void)err_set(&why, ERR_DAMAGED,
                  "the copy holds something else under this name, and it is sound; nothing was "
                  "changed there");
    tell(c, COPY_PROBLEM, n, &why);
    return COPY_IS_NOT;
}
