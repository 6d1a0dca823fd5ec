#include "os/file.h"
#include "repo/index.h"
#include "repo/store_index.h"

/* What is written: to the end of a file, or a whole one. */
struct writing {
    const struct index_seed *seed;
    const struct key_host *host; /* NULL: a plain repository */
    struct buf out;
    uint8_t chain[INDEX_CHAIN];
    size_t n;
};

static int put(struct writing *w, const struct index_record *r, bool last, struct err *e)
{
    uint8_t bytes[INDEX_RECORD_MAX];
    bool sign = last || ++w->n % INDEX_SIGN_EVERY == 0;
    size_t n =
        index_encode(bytes, w->seed, r, w->host == NULL ? NULL : w->chain, sign ? w->host : NULL);

    return n == 0 ? 0 : buf_add(&w->out, bytes, n, e);
}

static int put_fresh(struct writing *w, const struct index *x, struct err *e)
{
    struct index_record r;

    for (size_t at = 0; at < x->fresh.len; at += r.len) {
        if (!index_decode(&r, w->seed, x->fresh.p + at, x->fresh.len - at))
            return err_set(e, ERR_INTERNAL, "a record of the index cannot be read back");
        if (put(w, &r, at + r.len == x->fresh.len, e) != 0)
            return -1;
    }
    return 0;
}

/* An entry that another one has taken the place of, or that is in another host's file. */
static bool is_stale(const struct index_entry *entry)
{
    return !entry->own || (entry->seen && !entry->used);
}

/* What can be believed of the old file, objects that are gone included, and what is new. */
static int put_all(struct writing *w, const struct index *x, struct err *e)
{
    size_t last = x->entries.n;

    memcpy(w->chain, w->seed->chain, INDEX_CHAIN);
    for (size_t i = x->entries.n; x->fresh_n == 0 && i > 0 && last == x->entries.n; i--)
        if (!is_stale(&x->entries.v[i - 1]))
            last = i - 1;
    for (size_t i = 0; i < x->entries.n; i++) {
        const struct index_entry *entry = &x->entries.v[i];
        const struct index_record r = {.kind = (enum object_kind)entry->kind,
                                       .flags = entry->revoked ? INDEX_REVOKED : 0,
                                       .size = entry->size,
                                       .stamp = entry->stamp,
                                       .name = entry->name,
                                       .name_len = entry->name_len,
                                       .part = entry->part,
                                       .part_len = entry->part_len,
                                       .boxes = entry->boxes,
                                       .n_boxes = entry->n_boxes};

        if (!is_stale(entry) && put(w, &r, i == last, e) != 0)
            return -1;
    }
    return put_fresh(w, x, e);
}

void index_keep(struct index *x, struct repo *r)
{
    struct writing w = {.seed = &x->seed, .host = r->marker.sealed ? &r->host : NULL};
    struct err quiet = {0};
    uint64_t size = 0;
    int fd = -1;

    if ((x->fresh_n == 0 && x->file_sound) || (r->marker.sealed && !r->has_host))
        return;
    if (store_index_open(&r->writer, &r->where, x->file, &fd, &quiet) != 0)
        return;
    buf_init(&w.out, STORE_INDEX_MAX);
    if (os_size(fd, &size, x->file, &quiet) != 0)
        goto out;
    if (x->file_sound && index_go_on(w.chain, &x->seed, r, fd, size) &&
        put_fresh(&w, x, &quiet) == 0 && size + w.out.len <= STORE_INDEX_MAX) {
        /* A crash leaves less of it. */
        (void)os_pwrite_full(fd, w.out.p, w.out.len, size, x->file, &quiet);
        goto out;
    }
    buf_clear(&w.out);
    if (put_all(&w, x, &quiet) == 0)
        (void)store_index_replace(&r->writer, &r->where, x->file, w.out.p, w.out.len, &quiet);
out:
    buf_fini(&w.out);
    os_drop(&fd);
}
