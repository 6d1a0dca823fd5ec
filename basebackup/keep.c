#include "basebackup/keep.h"

#include <stdio.h>
#include <string.h>

void keep_init(struct keep *k, const struct pack_how *how)
{
    const struct object_seal *with = repo_seal(how->repo);

    memset(k, 0, sizeof *k);
    pages_judge_init(&k->judge, with != NULL ? with->host->write : NULL, how->repo->marker.id);
    pack_writer_init(&k->packs, how);
    keep_files_init(&k->files, KEEP_FILES_MAX);
    keep_runs_init(&k->runs, KEEP_RUNS_MAX);
}

void keep_fini(struct keep *k)
{
    pack_writer_fini(&k->packs);
    keep_files_fini(&k->files);
    keep_runs_fini(&k->runs);
    secret_wipe(&k->judge, sizeof k->judge);
}

static struct keep_file *current(struct keep *k)
{
    return &k->files.v[k->files.n - 1];
}

int keep_begin(struct keep *k, const char *name, struct err *e)
{
    struct keep_file *f = keep_files_add(&k->files, e);

    if (f == NULL)
        return -1;
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)snprintf(k->path, sizeof k->path, "pg_wal/%s", name);
    f->run = k->runs.n;
    k->held = 0;
    k->in_file = true;
    return 0;
}

/* The next page is at this place. */
static int add_run(struct keep *k, const struct keep_run *run, struct err *e)
{
    struct keep_file *f = current(k);
    struct keep_run *last = f->runs > 0 ? &k->runs.v[k->runs.n - 1] : NULL;

    if (last != NULL && last->zero == run->zero &&
        (run->zero ||
         (memcmp(last->pack, run->pack, PACK_ID) == 0 && last->page + last->count == run->page))) {
        last->count += run->count;
        return 0;
    }
    if (keep_runs_push(&k->runs, *run, e) != 0)
        return -1;
    f->runs++;
    return 0;
}

static int flush_chunk(struct keep *k, struct err *e)
{
    if (k->chunk.pages == 0)
        return 0;
    current(k)->spread += k->chunk.pages;
    if (pack_writer_add(&k->packs, &k->chunk, e) != 0)
        return -1;
    k->chunk.pages = 0;
    k->chunk.len = 0;
    return 0;
}

static int put_zeros(struct keep *k, uint32_t pages, struct err *e)
{
    struct keep_run run = {.count = pages, .zero = true};
    struct keep_file *f = current(k);

    for (uint32_t i = 0; i < pages; i++)
        f->crc = pages_crc_add(&k->judge, f->crc, k->judge.zero_page, PAGES_SIZE);
    f->size += (uint64_t)pages * PAGES_SIZE;
    return pages == 0 ? 0 : add_run(k, &run, e);
}

static int put_page(struct keep *k, const uint8_t *page, size_t len, struct err *e)
{
    struct pack_chunk *c = &k->chunk;
    struct keep_run run = {.count = 1};
    struct keep_file *f = current(k);
    uint64_t number = f->size / PAGES_SIZE;
    struct pages_facts facts;

    if (len == PAGES_SIZE && pages_is_zero(page, len))
        return put_zeros(k, 1, e);
    facts = pages_judge_page(&k->judge, page, len);
    f->crc = pages_crc_add(&k->judge, f->crc, facts.crc, len);
    f->size += len;
    if (c->pages == 0) {
        if (pack_writer_room(&k->packs, e) != 0)
            return -1;
        k->chunk_base = k->packs.pages;
        c->path = k->path;
    }
    memcpy(run.pack, k->packs.id, PACK_ID);
    run.page = k->chunk_base + c->pages;
    memcpy(c->bytes + c->len, page, len);
    c->len += len;
    c->file_page[c->pages] = number;
    c->facts[c->pages++] = facts;
    if (add_run(k, &run, e) != 0)
        return -1;
    return c->pages == PAGES_ENTRY ? flush_chunk(k, e) : 0;
}

int keep_write(struct keep *k, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        size_t part = PAGES_SIZE - k->held < len ? PAGES_SIZE - k->held : len;

        memcpy(k->partial + k->held, bytes, part);
        k->held += part;
        bytes += part;
        len -= part;
        if (k->held == PAGES_SIZE) {
            k->held = 0;
            if (put_page(k, k->partial, PAGES_SIZE, e) != 0)
                return -1;
        }
    }
    return 0;
}

int keep_end(struct keep *k, uint64_t size, struct err *e)
{
    struct keep_file *f = current(k);
    size_t held = k->held;

    k->held = 0;
    if (held > 0) {
        if (f->size + held < size) { /* zeros follow */
            size_t len = size - f->size < PAGES_SIZE ? (size_t)(size - f->size) : PAGES_SIZE;

            memset(k->partial + held, 0, len - held);
            held = len;
        }
        if (put_page(k, k->partial, held, e) != 0)
            return -1;
    }
    if (f->size < size && put_zeros(k, (uint32_t)((size - f->size) / PAGES_SIZE), e) != 0)
        return -1;
    if (f->size != size)
        return err_set(e, ERR_INTERNAL, "\"%s\" has %llu bytes", f->name,
                       (unsigned long long)f->size);
    k->in_file = false;
    return flush_chunk(k, e);
}

void keep_drop(struct keep *k)
{
    k->runs.n = current(k)->run;
    k->files.n--;
    k->held = 0;
    k->chunk.pages = 0;
    k->chunk.len = 0;
    k->in_file = false;
}

int keep_finish(struct keep *k, struct err *e)
{
    return pack_writer_finish(&k->packs, e);
}

static int list_file(const struct keep *k, const struct keep_file *f, struct manifest_writer *m,
                     uint32_t mode, int64_t mtime, struct err *e)
{
    char path[WALNAME_MAX + 16];

    (void)snprintf(path, sizeof path, "pg_wal/%s", f->name);
    if (manifest_file(m, path, MANIFEST_WAL, mode, mtime, e) != 0)
        return -1;
    for (size_t i = f->run; i < f->run + f->runs; i++) {
        const struct keep_run *from = &k->runs.v[i];
        struct pages_run run = {0, from->page, from->count};

        if (from->zero)
            run.page = 0;
        else if (manifest_pack(m, from->pack, &run.pack, e) != 0)
            return -1;
        if (manifest_run(m, &run, e) != 0)
            return -1;
    }
    return manifest_file_end(m, f->size, f->crc, f->spread, e);
}

int keep_list(const struct keep *k, struct manifest_writer *m, uint32_t mode, int64_t mtime,
              struct err *e)
{
    for (size_t i = 0; i < k->files.n; i++)
        if (list_file(k, &k->files.v[i], m, mode, mtime, e) != 0)
            return -1;
    return 0;
}
