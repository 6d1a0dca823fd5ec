#include "repo/dump_get.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/zeros.h"
#include "os/time.h"
#include "repo/dump_check.h"

static int read_meta(struct dump_get *g, struct err *e)
{
    uint8_t *part = NULL;
    size_t len = 0;
    uint64_t total = 0;
    int rc;

    if (!g->reader->has_metadata && g->reader->head.sealed)
        return 0;
    rc = object_metadata(g->reader, &part, &len, e);
    if (rc == 0)
        rc = dump_meta_read(&g->meta, part, len, e);
    free(part);
    if (rc != 0)
        return -1;
    g->has_meta = true;
    if (g->meta.streams.n > 0) {
        const struct dump_stream *last = &g->meta.streams.v[g->meta.streams.n - 1];

        total = last->offset + last->size; /* did not wrap: the sum is the plain size or damage */
    }
    return total == g->reader->tail.plain_size
               ? 0
               : err_set(e, ERR_DAMAGED, "its streams are not as long as its content");
}

int dump_get_hold(struct dump_get *g, struct repo *repo, const struct dump_item *item,
                  const char *holder, struct err *e)
{
    /* Counters are unique in a cluster, so labels without their jobs are, too. */
    if (pages_lease_take(&g->lease, repo, KIND_LEASE, item->label, holder, e) != 0)
        return -1;
    g->beat = os_mono_us();
    return 0;
}

/* Who was taken for dead reads on: the file is open. */
static void beat(struct dump_get *g)
{
    const int64_t every = (int64_t)PAGES_BEAT_S * USEC_PER_SEC;
    int64_t now = os_mono_us();
    struct err quiet = {0};

    if (!g->lease.held || now - g->beat <= every)
        return;
    g->beat = now;
    if (pages_lease_beat(&g->lease, &quiet) != 0)
        g->lease.held = false;
}

int dump_get_open(struct dump_get *g, struct repo *repo, const struct dump_item *item,
                  struct object_reader *reader, struct err *e)
{
    const struct store_name name = {.kind = KIND_DUMP, .name = item->label, .job = item->job};
    int rc;

    dump_meta_init(&g->meta);
    g->repo = repo;
    g->reader = reader;
    rc = repo_get(repo, &name, &g->object, reader, e);
    if (rc == 0) {
        g->open = true;
        if (dump_public_read(&g->public, reader->tail.public_part, reader->tail.public_len, e) !=
                0 ||
            read_meta(g, e) != 0)
            rc = -1;
    }
    if (rc < 0)
        (void)err_context(e, "dump %s/%s", item->job, item->label);
    return rc;
}

void dump_get_close(struct dump_get *g)
{
    if (g->open) {
        object_close(g->reader);
        store_release(&g->object);
    }
    g->open = false;
    pages_lease_drop(&g->lease);
    dump_meta_fini(&g->meta);
}

/* --- one stream out of the body --- */

/* Cuts the content into streams.  What was left out at the end, zeros, is put back. */
struct slicer {
    struct sink sink;
    struct dump_get *get;
    uint64_t at;
    uint64_t from;
    uint64_t to;
};

static int slice_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct slicer *c = (struct slicer *)s;
    uint64_t begin = c->at < c->from ? c->from - c->at : 0;
    uint64_t end = c->at + len > c->to ? (c->at < c->to ? c->to - c->at : 0) : len;

    c->at += len;
    beat(c->get);
    if (begin >= end)
        return 0;
    return sink_write(s->next, bytes + begin, (size_t)(end - begin), e);
}

/* object_content may find out only behind the last byte that all was false, so the receiver is not
 * finished here. */
static int slice_finish(struct sink *s, struct err *e)
{
    (void)s, (void)e;
    return 0;
}

static const struct sink_ops slice_ops = {"slice", slice_write, slice_finish, sink_abort_next};

static int add_zeros(struct slicer *c, uint64_t plain, struct err *e)
{
    while (c->at < plain) {
        size_t n = plain - c->at < ZEROS_BYTES ? (size_t)(plain - c->at) : ZEROS_BYTES;

        if (slice_write(&c->sink, zeros(), n, e) != 0)
            return -1;
    }
    return 0;
}

static int read_range(struct dump_get *g, uint64_t from, uint64_t size, struct sink *out,
                      struct err *e)
{
    struct slicer c = {.get = g, .from = from, .to = from + size};

    sink_init(&c.sink, &slice_ops, PHASE_CONTENT);
    if (sink_link(&c.sink, out, e) != 0 || object_content(g->reader, &c.sink, e) != 0 ||
        add_zeros(&c, g->reader->tail.plain_size, e) != 0)
        return -1;
    return sink_finish(out, e);
}

int dump_get_stream(struct dump_get *g, uint32_t stream, struct sink *out, struct err *e)
{
    if (!g->has_meta || !object_can_read(g->reader)) {
        (void)err_set(e, ERR_KEY, "the dump is sealed, and no secret key is here");
        return err_hint(e, "Give --secret-key with the recovery key.");
    }
    return read_range(g, g->meta.streams.v[stream].offset, g->meta.streams.v[stream].size, out, e);
}

/* --- all streams, through the checker --- */

struct all {
    struct sink sink;
    const struct dump_meta *meta;
    size_t stream;
    uint64_t done; /* bytes of it */
    bool begun;
    struct dump_check check;
};

/* Ends the streams that are complete. */
static int next_stream(struct all *a, struct err *e)
{
    while (a->stream < a->meta->streams.n && a->done == a->meta->streams.v[a->stream].size) {
        const char *name = a->meta->streams.v[a->stream].name;

        if (a->begun && sink_finish(&a->check.sink, e) != 0)
            return err_context(e, "%s", name);
        dump_check_fini(&a->check);
        dump_check_init(&a->check);
        a->stream++;
        a->done = 0;
        a->begun = false;
    }
    return 0;
}

static int all_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct all *a = (struct all *)s;

    while (len > 0) {
        const struct dump_stream *now;
        size_t n = len;

        if (next_stream(a, e) != 0)
            return -1;
        if (a->stream == a->meta->streams.n)
            return err_set(e, ERR_DAMAGED, "content behind the last stream");
        now = &a->meta->streams.v[a->stream];
        if (n > now->size - a->done)
            n = (size_t)(now->size - a->done);
        if (sink_write(&a->check.sink, bytes, n, e) != 0)
            return err_context(e, "%s", now->name);
        a->begun = true;
        a->done += n;
        bytes += n;
        len -= n;
    }
    return 0;
}

static int all_finish(struct sink *s, struct err *e)
{
    struct all *a = (struct all *)s;

    if (next_stream(a, e) != 0)
        return -1;
    return a->stream == a->meta->streams.n
               ? 0
               : err_set(e, ERR_DAMAGED, "its last streams are missing");
}

static void all_abort(struct sink *s)
{
    (void)s; /* the caller frees */
}

static const struct sink_ops all_ops = {"streams", all_write, all_finish, all_abort};

int dump_get_verify(struct dump_get *g, bool *whole, struct err *e)
{
    struct all *a;
    int rc;

    *whole = g->has_meta && object_can_read(g->reader);
    if (!*whole)
        return object_check_stored(g->reader, e);
    a = calloc(1, sizeof *a);
    if (a == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read a dump with");
    sink_init(&a->sink, &all_ops, PHASE_DELIVER);
    a->meta = &g->meta;
    dump_check_init(&a->check);
    rc = read_range(g, 0, g->reader->tail.plain_size, &a->sink, e);
    dump_check_fini(&a->check);
    free(a);
    return rc;
}
