#include "repo/verify_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "object/secret.h"
#include "pg/manifest.h"

VEC_DECLARE(server_hashes, uint64_t);

struct verify_server {
    uint64_t system_id;
    uint8_t key[SECRET_TABLE_KEY];
    struct server_hashes files; /* sorted once the manifest begins */
    uint8_t *named;             /* one bit per file; NULL before the manifest begins */
    uint64_t matched;
    struct manifest_in in;
};

static int on_head(void *arg, unsigned version, uint64_t system_id, struct err *e)
{
    const struct verify_server *v = arg;

    if (version < 2 || system_id == v->system_id)
        return 0;
    return err_set(e, ERR_DAMAGED, "its backup_manifest is of system identifier %llu",
                   (unsigned long long)system_id);
}

/* Two files of one path, size and CRC are one file: the manifest's reader refuses such. */
static uint64_t hash(const struct verify_server *v, const char *path, uint64_t size, uint32_t crc)
{
    uint8_t bytes[MANIFEST_PATH_MAX + 12];
    size_t len = strlen(path);

    put_u64(bytes, size);
    put_u32(bytes + 8, crc);
    memcpy(bytes + 12, path, len);
    return secret_table_hash(v->key, bytes, 12 + len);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* The place of a hash among the sorted ones, or their number. */
static size_t find(const struct server_hashes *h, uint64_t want)
{
    const uint64_t *at = h->n == 0 ? NULL : bsearch(&want, h->v, h->n, sizeof *h->v, by_number);

    return at == NULL ? h->n : (size_t)(at - h->v);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct verify_server *v = arg;
    size_t at;

    if (f->algorithm != MANIFEST_CRC32C)
        return err_set(e, ERR_DAMAGED, "its backup_manifest has no CRC-32C of \"%.200s\"", f->path);
    at = find(&v->files, hash(v, f->path, f->size, manifest_crc(f)));
    if (at == v->files.n)
        return err_set(e, ERR_DAMAGED,
                       "its backup_manifest names \"%.200s\" with %llu bytes and CRC-32C %08x, and "
                       "no such file is in the backup",
                       f->path, (unsigned long long)f->size, (unsigned)manifest_crc(f));
    if ((v->named[at / 8] >> at % 8 & 1) != 0)
        return err_set(e, ERR_DAMAGED, "its backup_manifest names \"%.200s\" twice", f->path);
    v->named[at / 8] |= (uint8_t)(1U << at % 8);
    v->matched++;
    return 0;
}

static const struct manifest_events events = {.head = on_head, .file = on_file};

struct verify_server *verify_server_new(uint64_t system_id, struct err *e)
{
    struct verify_server *v = calloc(1, sizeof *v);

    if (v == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to compare files with");
        return NULL;
    }
    v->system_id = system_id;
    secret_random(v->key, sizeof v->key);
    server_hashes_init(&v->files, MANIFEST_FILES_MAX);
    manifest_in_init(&v->in, &events, v, false);
    return v;
}

void verify_server_free(struct verify_server *v)
{
    if (v == NULL)
        return;
    server_hashes_fini(&v->files);
    manifest_in_fini(&v->in);
    free(v->named);
    free(v);
}

int verify_server_file(struct verify_server *v, const char *path, uint64_t size, uint32_t crc,
                       struct err *e)
{
    if (v->named != NULL)
        return err_set(e, ERR_DAMAGED, "file \"%.200s\" comes behind its backup_manifest", path);
    if (strlen(path) >= MANIFEST_PATH_MAX)
        return err_set(e, ERR_DAMAGED, "path \"%.200s\" is too long", path);
    return server_hashes_push(&v->files, hash(v, path, size, crc), e);
}

int verify_server_feed(struct verify_server *v, const uint8_t *bytes, size_t len, struct err *e)
{
    if (v->named == NULL) {
        v->named = calloc(v->files.n / 8 + 1, 1);
        if (v->named == NULL)
            return err_set(e, ERR_NOMEM, "no memory to compare files with");
        if (v->files.n > 1)
            qsort(v->files.v, v->files.n, sizeof *v->files.v, by_number);
    }
    return manifest_in_feed(&v->in, bytes, len, e);
}

int verify_server_end(struct verify_server *v, struct err *e)
{
    if (v->named == NULL)
        return 0;
    if (manifest_in_finish(&v->in, e) != 0)
        return -1;
    if (v->matched == v->files.n)
        return 0;
    return err_set(e, ERR_DAMAGED, "%llu of its files are not named by its backup_manifest",
                   (unsigned long long)(v->files.n - v->matched));
}
