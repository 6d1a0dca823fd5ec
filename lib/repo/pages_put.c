#include "repo/pages_put.h"

#include <string.h>

void pages_put_init(struct pages_put *p, const struct pack_how *how,
                    struct manifest_writer *manifest, struct prior *prior)
{
    const struct object_seal *with = repo_seal(how->repo);

    memset(p, 0, sizeof *p);
    pages_judge_init(&p->judge, with != NULL ? with->host->write : NULL, how->repo->marker.id);
    pack_writer_init(&p->packs, how);
    p->manifest = manifest;
    p->prior = prior;
}

int pages_put_file(struct pages_put *p, const char *path, unsigned flags, uint32_t mode,
                   int64_t mtime, struct err *e)
{
    size_t len = strlen(path);

    /* Checks the path before it is copied. */
    if (manifest_file(p->manifest, path, flags, mode, mtime, e) != 0)
        return -1;
    memcpy(p->path, path, len + 1);
    p->size = 0;
    p->page = 0;
    p->crc = 0;
    p->spread = 0;
    p->held = 0;
    p->found.n = 0;
    p->found.known = false;
    return p->prior == NULL ? 0 : prior_find(p->prior, path, &p->found, e);
}

/* Stores the gathered pages. */
static int flush_chunk(struct pages_put *p, struct err *e)
{
    if (p->chunk.pages == 0)
        return 0;
    p->spread += p->chunk.pages;
    p->totals.stored += p->chunk.pages;
    if (pack_writer_add(&p->packs, &p->chunk, e) != 0)
        return -1;
    p->chunk.pages = 0;
    p->chunk.len = 0;
    return 0;
}

/* Gathers a page that must be stored; its place is known from here on. */
static int gather(struct pages_put *p, const uint8_t *page, size_t len,
                  const struct pages_facts *facts, struct err *e)
{
    struct pack_chunk *c = &p->chunk;
    struct pages_run run = {.count = 1};

    if (c->pages == 0) {
        if (pack_writer_room(&p->packs, e) != 0 ||
            manifest_pack(p->manifest, p->packs.id, &p->chunk_pack, e) != 0)
            return -1;
        p->chunk_base = p->packs.pages;
        c->path = p->path;
        c->len = 0;
    }
    run.pack = p->chunk_pack;
    run.page = p->chunk_base + c->pages;
    memcpy(c->bytes + c->len, page, len);
    c->len += len;
    c->file_page[c->pages] = p->page;
    c->facts[c->pages++] = *facts;
    if (manifest_run(p->manifest, &run, e) != 0)
        return -1;
    return c->pages == PAGES_ENTRY ? flush_chunk(p, e) : 0;
}

/* Names a page that the repository holds; the run's pack is a slot of the prior. */
static int reuse(struct pages_put *p, struct pages_run *run, struct err *e)
{
    struct prior_slot *slot = &p->prior->slots.v[run->pack];

    p->spread += prior_cost(p->prior, run);
    p->totals.same++;
    if (slot->index == 0 && manifest_pack(p->manifest, slot->id, &slot->index, e) != 0)
        return -1;
    run->pack = slot->index;
    return manifest_run(p->manifest, run, e);
}

static int put_zero(struct pages_put *p, struct err *e)
{
    static const struct pages_run zero = {0, 0, 1};

    p->crc = pages_crc_add(&p->judge, p->crc, p->judge.zero_page, PAGES_SIZE);
    p->size += PAGES_SIZE;
    p->totals.zeros++;
    p->page++;
    return manifest_run(p->manifest, &zero, e);
}

static int put_page(struct pages_put *p, const uint8_t *page, size_t len, struct err *e)
{
    struct pages_facts facts;
    struct pages_run run;
    int rc = 0;

    p->totals.pages++;
    if (len == PAGES_SIZE && pages_is_zero(page, len))
        return put_zero(p, e);
    facts = pages_judge_page(&p->judge, page, len);
    p->crc = pages_crc_add(&p->judge, p->crc, facts.crc, len);
    p->size += len;
    if (p->found.n > 0)
        rc = prior_page(p->prior, &p->found, p->page, &facts, &run, e);
    if (rc > 0)
        rc = reuse(p, &run, e);
    else if (rc == 0)
        rc = gather(p, page, len, &facts, e);
    p->page++;
    return rc;
}

int pages_put_write(struct pages_put *p, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        size_t take = PAGES_SIZE - p->held < len ? PAGES_SIZE - p->held : len;

        if (take == PAGES_SIZE) { /* whole in the caller's buffer: no copy */
            if (put_page(p, bytes, PAGES_SIZE, e) != 0)
                return -1;
        } else {
            memcpy(p->partial + p->held, bytes, take);
            p->held += take;
            if (p->held == PAGES_SIZE) {
                p->held = 0;
                if (put_page(p, p->partial, PAGES_SIZE, e) != 0)
                    return -1;
            }
        }
        bytes += take;
        len -= take;
    }
    return 0;
}

static int put_known(struct pages_put *p, struct err *e)
{
    struct pages_facts facts = {0};
    struct pages_run run = {.count = 1};
    int rc = 1;

    if (!p->found.known || p->page < p->found.size / PAGES_SIZE)
        rc = prior_known(p->prior, &p->found, p->page, &run, &facts, e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(e, ERR_DAMAGED,
                       "page %llu of \"%s\" is not in the prior backup, or not intact there",
                       (unsigned long long)p->page, p->path);
    p->totals.pages++;
    if (run.pack == 0)
        return put_zero(p, e);
    p->crc = pages_crc_add(&p->judge, p->crc, facts.crc, PAGES_SIZE);
    p->size += PAGES_SIZE;
    p->page++;
    return reuse(p, &run, e);
}

int pages_put_known(struct pages_put *p, uint64_t count, struct err *e)
{
    if (p->held != 0 || p->prior == NULL)
        return err_set(e, ERR_INTERNAL, "known pages are out of place");
    for (; count > 0; count--)
        if (put_known(p, e) != 0)
            return -1;
    return 0;
}

int pages_put_end(struct pages_put *p, uint64_t *size, uint32_t *crc, struct err *e)
{
    size_t held = p->held;

    p->held = 0;
    if (held > 0 && put_page(p, p->partial, held, e) != 0)
        return -1;
    if (flush_chunk(p, e) != 0)
        return -1;
    p->totals.files++;
    *size = p->size;
    *crc = p->crc;
    return manifest_file_end(p->manifest, p->size, p->crc, p->spread, e);
}

int pages_put_finish(struct pages_put *p, struct err *e)
{
    return pack_writer_finish(&p->packs, e);
}

void pages_put_fini(struct pages_put *p)
{
    pack_writer_fini(&p->packs);
    secret_wipe(&p->judge, sizeof p->judge);
}
