#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "repo/index.h"
#include "repo/store_index.h"

/* LOAD_MAX: of all files together, so that junk in index/ costs no more memory than that. */
enum { FILES_MAX = 4096, MARKS_TRIED = 64, LOAD_MAX = 2 * STORE_INDEX_MAX };

static const uint8_t first_byte = 0xb5;

/* A record with a signature: what lies before it can be believed if that is right. */
struct mark {
    size_t at;
    size_t entries; /* so many then */
};
VEC_DECLARE(marks, struct mark);

/* One file on its way in. */
struct intake {
    struct index *x;
    const struct repo *repo;
    const uint8_t *p;
    size_t len;
    struct marks marks;
    size_t from; /* the entries from here on are not proven yet */
    bool own;
    bool damaged;
    bool begun; /* the chain is known */
    uint8_t chain[INDEX_CHAIN];
};

static int add_entry(struct intake *in, const struct index_record *r, struct err *e)
{
    struct index_entry entry = {.name = r->name,
                                .part = r->part,
                                .boxes = r->boxes,
                                .n_boxes = (uint8_t)r->n_boxes,
                                .size = r->size,
                                .stamp = r->stamp,
                                .part_len = (uint16_t)r->part_len,
                                .name_len = (uint8_t)r->name_len,
                                .kind = (uint8_t)r->kind,
                                .own = in->own,
                                .revoked = (r->flags & INDEX_REVOKED) != 0};

    return index_entries_push(&in->x->entries, entry, e);
}

/* The chain ends here: what is before its last good signature stays. */
static void end_run(struct intake *in)
{
    struct index_entries *all = &in->x->entries;
    size_t proven = in->from;
    size_t tried = 0;

    if (!in->repo->marker.sealed)
        proven = all->n;
    for (size_t i = in->marks.n; i > 0 && tried < MARKS_TRIED; i--, tried++) {
        const struct mark *m = &in->marks.v[i - 1];
        struct index_record r;
        const uint8_t *key;

        if (!index_decode(&r, &in->x->seed, in->p + m->at, in->len - m->at))
            continue;
        key = trust_find(&in->repo->trust, r.signer);
        if (key == NULL || !index_is_signed_by(&r, &in->x->seed, key))
            continue;
        proven = m->entries;
        break;
    }
    if (proven < all->n)
        in->damaged = true;
    all->n = proven;
    in->from = proven;
    in->marks.n = 0;
}

static int take_chained(struct intake *in, const struct index_record *r, size_t at, struct err *e)
{
    if (!in->begun || !index_chain(in->chain, r, in->p + at)) {
        /* Something is missing before it.  The chain that it names is signed further on, if it is
         * right; the record itself is not. */
        end_run(in);
        in->damaged = true;
        in->begun = r->chain != NULL;
        if (in->begun)
            memcpy(in->chain, r->chain, INDEX_CHAIN);
        return 0;
    }
    if (add_entry(in, r, e) != 0)
        return -1;
    if (r->signature == NULL)
        return 0;
    return marks_push(&in->marks, (struct mark){at, in->x->entries.n}, e);
}

static int take_file(struct intake *in, struct err *e)
{
    bool sealed = in->repo->marker.sealed;
    size_t at = 0;
    int rc = 0;

    in->from = in->x->entries.n;
    in->begun = true;
    memcpy(in->chain, in->x->seed.chain, INDEX_CHAIN);
    while (rc == 0 && at < in->len) {
        struct index_record r;

        if (index_decode(&r, &in->x->seed, in->p + at, in->len - at) &&
            sealed == (r.chain != NULL)) {
            rc = sealed ? take_chained(in, &r, at, e) : add_entry(in, &r, e);
            at += r.len;
        } else {
            const uint8_t *next = memchr(in->p + at + 1, first_byte, in->len - at - 1);

            end_run(in);
            in->damaged = true;
            in->begun = false;
            at = next == NULL ? in->len : (size_t)(next - in->p);
        }
    }
    end_run(in);
    return rc;
}

struct loading {
    struct index *x;
    struct repo *repo;
    size_t left;
};

static int load_file(struct loading *l, const char *name, struct err *e)
{
    struct index_bytes bytes = {NULL, 0};
    struct intake in = {.x = l->x, .repo = l->repo, .own = strcmp(name, l->x->file) == 0};
    struct err why = {0};
    size_t before = l->x->entries.n;
    int rc;

    rc = store_index_load(&l->repo->store, &l->repo->where, name, l->left, &bytes.p, &bytes.len,
                          &why);
    if (rc != 0) {
        free(bytes.p);
        if (why.code == ERR_INTERRUPTED)
            *e = why;
        l->x->damaged = l->x->damaged || rc < 0;
        return why.code == ERR_INTERRUPTED ? -1 : 0;
    }
    l->left -= bytes.len;
    marks_init(&in.marks, INDEX_ENTRIES_MAX);
    in.p = bytes.p;
    in.len = bytes.len;
    rc = take_file(&in, e);
    marks_fini(&in.marks);
    l->x->damaged = l->x->damaged || in.damaged;
    if (in.own)
        l->x->file_sound = !in.damaged;
    if (rc == 0 && l->x->entries.n > before) {
        rc = index_files_push(&l->x->files, bytes, e);
        if (rc == 0)
            bytes.p = NULL; /* entries point into it */
    }
    free(bytes.p);
    return rc;
}

static int load_other(void *arg, const char *name, struct err *e)
{
    struct loading *l = arg;

    if (strlen(name) > FRAME_NAME_MAX || strcmp(name, l->x->file) == 0)
        return 0;
    return load_file(l, name, e);
}

static int compare(const struct index_entry *a, uint8_t kind, const char *name, size_t len)
{
    size_t n = a->name_len < len ? a->name_len : len;
    int order;

    if (a->kind != kind)
        return a->kind < kind ? -1 : 1;
    order = memcmp(a->name, name, n);
    if (order != 0)
        return order;
    return (a->name_len > len) - (a->name_len < len);
}

static int by_name(const void *a, const void *b)
{
    const struct index_entry *y = b;

    return compare(a, y->kind, y->name, y->name_len);
}

int index_load(struct index *x, struct repo *r, struct err *e)
{
    struct loading l = {x, r, LOAD_MAX};
    struct err why = {0};

    memset(x, 0, sizeof *x);
    index_seed_make(&x->seed, r->marker.id, &r->where);
    index_file(x->file, r);
    x->file_sound = true;
    index_files_init(&x->files, FILES_MAX);
    index_entries_init(&x->entries, INDEX_ENTRIES_MAX);
    buf_init(&x->fresh, STORE_INDEX_MAX);
    if (load_file(&l, x->file, &why) != 0 ||
        store_each_index(&r->store, &r->where, load_other, &l, &why) != 0) {
        if (why.code == ERR_NOMEM || why.code == ERR_INTERRUPTED) {
            *e = why;
            return -1;
        }
        x->damaged = true; /* a directory that cannot be read is as good as none */
    }
    if (x->entries.n > 0)
        qsort(x->entries.v, x->entries.n, sizeof *x->entries.v, by_name);
    return 0;
}

void index_fini(struct index *x)
{
    for (size_t i = 0; i < x->files.n; i++)
        free(x->files.v[i].p);
    index_files_fini(&x->files);
    index_entries_fini(&x->entries);
    buf_fini(&x->fresh);
}

/* The first entry that is not before that name.  Names are mostly asked for in order. */
static size_t place(const struct index *x, uint8_t kind, const char *name, size_t len)
{
    size_t low = 0;
    size_t high = x->entries.n;

    if (x->hint < high && compare(&x->entries.v[x->hint], kind, name, len) == 0 &&
        (x->hint == 0 || compare(&x->entries.v[x->hint - 1], kind, name, len) != 0))
        return x->hint;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&x->entries.v[middle], kind, name, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct index_entry *index_find(struct index *x, enum object_kind kind, const char *name,
                                     uint64_t size, uint64_t stamp)
{
    const struct index_entry *found = NULL;
    const struct index_entry *newest = NULL;
    bool revoked = false;
    size_t len = strlen(name);
    size_t i = place(x, (uint8_t)kind, name, len);

    for (size_t k = i;
         stamp == 0 && k < x->entries.n && compare(&x->entries.v[k], (uint8_t)kind, name, len) == 0;
         k++)
        if (newest == NULL || x->entries.v[k].stamp > newest->stamp)
            newest = &x->entries.v[k];
    if (newest != NULL) {
        stamp = newest->stamp;
        size = newest->size;
    }
    for (; i < x->entries.n && compare(&x->entries.v[i], (uint8_t)kind, name, len) == 0; i++) {
        struct index_entry *entry = &x->entries.v[i];

        entry->seen = true;
        if (entry->size != size || entry->stamp != stamp)
            continue;
        entry->used = true;
        revoked = revoked || entry->revoked;
        found = entry;
    }
    x->hint = i;
    x->revoked = revoked;
    return revoked ? NULL : found;
}

uint64_t index_newest(const struct index *x, tli_t tli, uint32_t group)
{
    enum { PREFIX = 16 };
    char prefix[PREFIX + 1];
    uint64_t newest = 0;
    size_t low = 0;
    size_t high = x->entries.n;

    (void)snprintf(prefix, sizeof prefix, "%08X%08X", (unsigned)tli, (unsigned)group);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&x->entries.v[middle], KIND_SEGMENT, prefix, PREFIX) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < x->entries.n; low++) {
        const struct index_entry *entry = &x->entries.v[low];

        if (entry->kind != KIND_SEGMENT || entry->name_len < PREFIX ||
            memcmp(entry->name, prefix, PREFIX) != 0)
            break;
        newest = entry->stamp > newest ? entry->stamp : newest;
    }
    return newest;
}

int index_add(struct index *x, const struct index_record *r, struct err *e)
{
    uint8_t bytes[INDEX_RECORD_MAX];
    size_t n = index_encode(bytes, &x->seed, r, NULL, NULL);

    if (n == 0) /* too large for the index: it is opened every time */
        return 0;
    if (x->fresh.len + n > STORE_INDEX_MAX / 2)
        return 0;
    x->fresh_n++;
    return buf_add(&x->fresh, bytes, n, e);
}
