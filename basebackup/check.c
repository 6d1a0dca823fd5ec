#include "basebackup/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "object/secret.h"
#include "pg/manifest.h"

VEC_DECLARE(check_hashes, uint64_t);
VEC_DECLARE(range_vec, struct manifest_range);

enum { RANGES_MAX = 1 << 16 };

struct check {
    uint64_t system_id;
    uint8_t key[SECRET_TABLE_KEY];
    struct check_hashes files;
    uint8_t *found; /* one bit per file, once the manifest begins */
    uint64_t matched;
    struct manifest_in in;
    struct range_vec ranges;
    lsn_t start;
    lsn_t end;
};

static int on_head(void *arg, unsigned version, uint64_t system_id, struct err *e)
{
    const struct check *c = arg;

    if (version >= 2 && system_id != c->system_id)
        return err_set(e, ERR_DAMAGED,
                       "the server's manifest is of system identifier %llu, not of this one",
                       (unsigned long long)system_id);
    return 0;
}

static uint64_t hash(const struct check *c, const char *path, uint64_t size, uint32_t crc)
{
    uint8_t bytes[MANIFEST_PATH_MAX + 12];
    size_t len = strlen(path);

    put_u64(bytes, size);
    put_u32(bytes + 8, crc);
    memcpy(bytes + 12, path, len);
    return secret_table_hash(c->key, bytes, 12 + len);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* The place of a hash in the sorted list, or n. */
static size_t find(const struct check_hashes *h, uint64_t want)
{
    size_t low = 0;
    size_t high = h->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (h->v[middle] < want)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->n && h->v[low] == want ? low : h->n;
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct check *c = arg;
    size_t at;

    if (f->algorithm != MANIFEST_CRC32C)
        return err_set(e, ERR_DAMAGED, "the server's manifest has no CRC-32C of \"%.200s\"",
                       f->path);
    at = find(&c->files, hash(c, f->path, f->size, manifest_crc(f)));
    if (at == c->files.n)
        return err_set(e, ERR_DAMAGED,
                       "\"%.200s\" is not what the server sent it as: its manifest says %llu bytes "
                       "with CRC-32C %08x, and no such file came",
                       f->path, (unsigned long long)f->size, manifest_crc(f));
    if ((c->found[at / 8] >> at % 8 & 1) != 0)
        return err_set(e, ERR_DAMAGED, "the server's manifest names \"%.200s\" twice", f->path);
    c->found[at / 8] |= (uint8_t)(1U << at % 8);
    c->matched++;
    return 0;
}

static int on_range(void *arg, const struct manifest_range *r, struct err *e)
{
    struct check *c = arg;

    if (range_vec_push(&c->ranges, *r, e) != 0)
        return -1;
    if (c->end == 0 || r->start < c->start)
        c->start = r->start;
    if (r->end > c->end)
        c->end = r->end;
    return 0;
}

static const struct manifest_events events = {.head = on_head, .file = on_file, .range = on_range};

struct check *check_new(uint64_t system_id, struct err *e)
{
    struct check *c = calloc(1, sizeof *c);

    if (c == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to check the files with");
        return NULL;
    }
    c->system_id = system_id;
    secret_random(c->key, sizeof c->key);
    check_hashes_init(&c->files, MANIFEST_FILES_MAX);
    range_vec_init(&c->ranges, RANGES_MAX);
    manifest_in_init(&c->in, &events, c, false);
    return c;
}

void check_free(struct check *c)
{
    if (c == NULL)
        return;
    check_hashes_fini(&c->files);
    range_vec_fini(&c->ranges);
    manifest_in_fini(&c->in);
    free(c->found);
    free(c);
}

int check_file(struct check *c, const char *path, uint64_t size, uint32_t crc, struct err *e)
{
    if (strlen(path) >= MANIFEST_PATH_MAX)
        return err_set(e, ERR_REFUSED, "path \"%.200s\" cannot be in a backup", path);
    return check_hashes_push(&c->files, hash(c, path, size, crc), e);
}

int check_manifest(struct check *c, const uint8_t *bytes, size_t len, struct err *e)
{
    if (c->found == NULL) {
        c->found = calloc(c->files.n / 8 + 1, 1);
        if (c->found == NULL)
            return err_set(e, ERR_NOMEM, "no memory to check the files with");
        if (c->files.n > 1)
            qsort(c->files.v, c->files.n, sizeof *c->files.v, by_number);
    }
    return manifest_in_feed(&c->in, bytes, len, e);
}

int check_manifest_end(struct check *c, struct err *e)
{
    if (manifest_in_finish(&c->in, e) != 0)
        return -1;
    if (c->matched != c->files.n)
        return err_set(e, ERR_DAMAGED, "the server sent %llu files that its manifest does not name",
                       (unsigned long long)(c->files.n - c->matched));
    return 0;
}

void check_range_of(const struct check *c, lsn_t *start, lsn_t *end)
{
    *start = c->start;
    *end = c->end;
}

int check_ranges(const struct check *c, check_range_fn *fn, void *arg, struct err *e)
{
    for (size_t i = 0; i < c->ranges.n; i++) {
        const struct manifest_range *r = &c->ranges.v[i];

        if (fn(arg, r->tli, r->start, r->end, e) != 0)
            return -1;
    }
    return 0;
}
