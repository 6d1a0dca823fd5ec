/*
 * Records in the temporary file: a file's runs, then a footer, which is what the index points at.
 *
 *     varint 1, varint pages                  not covered
 *     varint 2 + slot, [varint page,] varint pages
 *     footer: u64 start of the runs, u64 size, u64 spread, u16 path length, u8 orphan; path
 */
#include "repo/prior.h"

#include <stdlib.h>
#include <string.h>

enum { FOOTER = 27, RUN_BYTES = 3 * VARINT_MAX, OFFSET_BITS = 36, GAP = 1, FIRST_SLOT = 2 };

int prior_open(struct prior *p, struct repo *repo, const struct pack_set *set, const char *dir,
               struct object_reader *scratch, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->records.fd = -1;
    p->facts.fd = -1;
    p->repo = repo;
    p->set = set;
    p->scratch = scratch;
    prior_slots_init(&p->slots, MANIFEST_PACKS_MAX);
    prior_index_init(&p->index, PRIOR_FILES_MAX);
    prior_map_init(&p->map, MANIFEST_PACKS_MAX);
    prior_index_init(&p->live, PRIOR_LIVE_MAX);
    secret_random(p->path_key, sizeof p->path_key);
    if (pack_damage_read(&p->damage, repo, e) != 0 || prior_slots_add(&p->slots, e) == NULL ||
        pages_spool_open(&p->records, dir, e) != 0 || pages_spool_open(&p->facts, dir, e) != 0) {
        prior_close(p);
        return -1;
    }
    return 0;
}

void prior_close(struct prior *p)
{
    if (p->repo == NULL)
        return;
    for (size_t i = 0; i < p->slots.n; i++) {
        free(p->slots.v[i].starts);
        manifest_bits_fini(&p->slots.v[i].bad);
    }
    prior_slots_fini(&p->slots);
    prior_index_fini(&p->index);
    prior_map_fini(&p->map);
    prior_index_fini(&p->live);
    pack_bads_fini(&p->damage);
    pages_spool_close(&p->records);
    pages_spool_close(&p->facts);
    p->repo = NULL;
}

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

int prior_record_gap(struct prior *p, uint64_t pages, struct err *e)
{
    uint8_t bytes[RUN_BYTES];
    size_t n = put_varint(bytes, GAP);

    n += put_varint(bytes + n, pages);
    return pages_spool_add(&p->records, bytes, n, e);
}

int prior_record_run(struct prior *p, const struct pages_run *run, struct err *e)
{
    uint8_t bytes[RUN_BYTES];
    size_t n = put_varint(bytes, (uint64_t)FIRST_SLOT + run->pack);

    if (run->pack > 0)
        n += put_varint(bytes + n, run->page);
    n += put_varint(bytes + n, run->count);
    return pages_spool_add(&p->records, bytes, n, e);
}

static uint64_t index_hash(const struct prior *p, const char *path, size_t len)
{
    return secret_table_hash(p->path_key, (const uint8_t *)path, len) >> OFFSET_BITS << OFFSET_BITS;
}

int prior_record_end(struct prior *p, const char *path, uint64_t size, uint64_t spread, bool orphan,
                     struct err *e)
{
    uint8_t footer[FOOTER];
    size_t len = strlen(path);
    uint64_t at = p->records.len;

    if (at >> OFFSET_BITS != 0)
        return err_set(e, ERR_REFUSED, "the prior backup's file list is too long");
    put_u64(footer, p->record_at);
    put_u64(footer + 8, size);
    put_u64(footer + 16, spread);
    put_u16(footer + 24, (uint16_t)len);
    footer[26] = orphan;
    if (pages_spool_add(&p->records, footer, sizeof footer, e) != 0 ||
        pages_spool_add(&p->records, path, len, e) != 0)
        return -1;
    p->record_at = p->records.len;
    return prior_index_push(&p->index, index_hash(p, path, len) | at, e);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

void prior_ready(struct prior *p)
{
    if (p->index.n > 1)
        qsort(p->index.v, p->index.n, sizeof *p->index.v, by_number);
}

/* Opens the record at an index entry when it is this path's. */
static int open_source(struct prior *p, uint64_t entry, const char *path, size_t path_len,
                       struct prior_file *f, struct err *e)
{
    uint64_t at = entry & ((UINT64_C(1) << OFFSET_BITS) - 1);
    uint8_t bytes[FOOTER + PAGES_PATH_MAX];
    struct prior_source *s = &f->source[f->n];

    if (p->records.len - at < FOOTER + path_len)
        return 0;
    if (pages_spool_read(&p->records, at, bytes, FOOTER + path_len, e) != 0)
        return -1;
    if (get_u16(bytes + 24) != path_len || memcmp(bytes + FOOTER, path, path_len) != 0)
        return 0;
    s->at = get_u64(bytes);
    s->end = at;
    s->orphan = bytes[26] != 0;
    s->run = (struct pages_run){0};
    s->run_page = 0;
    s->pos = 0;
    s->have = 0;
    if (!s->orphan) {
        f->size = get_u64(bytes + 8);
        f->spread = get_u64(bytes + 16);
        f->known = true;
    }
    f->n++;
    return 0;
}

int prior_find(struct prior *p, const char *path, struct prior_file *f, struct err *e)
{
    size_t len = strlen(path);
    uint64_t want = index_hash(p, path, len);
    size_t low = 0;
    size_t high = p->index.n;

    f->n = 0;
    f->known = false;
    f->size = 0;
    f->spread = 0;
    p->file++;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->index.v[middle] < want)
            low = middle + 1;
        else
            high = middle;
    }
    /* The prior backup's record was written first, so it comes first. */
    for (; low < p->index.n && f->n < PRIOR_SOURCES; low++) {
        if (p->index.v[low] >> OFFSET_BITS != want >> OFFSET_BITS)
            break;
        if (open_source(p, p->index.v[low], path, len, f, e) != 0)
            return -1;
    }
    return prior_count_live(p, f, e);
}

/* Makes sure that a whole run of a record is in its buffer, if there is one. */
static int fill(struct prior *p, struct prior_source *s, struct err *e)
{
    size_t left = (size_t)(s->have - s->pos);
    uint64_t more = s->end - s->at;

    if (left >= RUN_BYTES || more == 0)
        return 0;
    memmove(s->bytes, s->bytes + s->pos, left);
    if (more > sizeof s->bytes - left)
        more = sizeof s->bytes - left;
    s->pos = 0;
    s->have = (uint16_t)(left + more);
    if (pages_spool_read(&p->records, s->at, s->bytes + left, (size_t)more, e) != 0)
        return -1;
    s->at += more;
    return 0;
}

int prior_next_run(struct prior *p, struct prior_source *s, bool *more, struct err *e)
{
    struct cur c;
    uint64_t word = 0;
    uint64_t page = 0;
    uint64_t count = 0;

    s->run_page += s->run.count;
    s->run.count = 0;
    if (fill(p, s, e) != 0)
        return -1;
    c = cur_of(s->bytes + s->pos, (size_t)(s->have - s->pos));
    *more = c.left > 0;
    if (!*more)
        return 0;
    if (!cur_varint(&c, &word) || (word > FIRST_SLOT && !cur_varint(&c, &page)) ||
        !cur_varint(&c, &count))
        return err_set(e, ERR_INTERNAL, "a temporary record cannot be read");
    s->pos = (uint16_t)(s->have - c.left);
    if (word == GAP) {
        s->run_page += count;
        return prior_next_run(p, s, more, e);
    }
    s->run = (struct pages_run){(uint32_t)(word - FIRST_SLOT), (uint32_t)page, (uint32_t)count};
    return 0;
}

/* 1: the source has a run that covers the page; 0: not. */
static int seek(struct prior *p, struct prior_source *s, uint64_t file_page, struct err *e)
{
    bool more = true;

    while (more && file_page >= s->run_page + s->run.count)
        if (prior_next_run(p, s, &more, e) != 0)
            return -1;
    return more && file_page >= s->run_page;
}

static int get_facts(struct prior *p, uint32_t slot, uint32_t page, struct pages_facts *facts,
                     struct err *e)
{
    struct prior_window *w = &p->windows[slot % PRIOR_WINDOWS];

    if (w->slot != slot || page < w->first || page - w->first >= w->count) {
        const struct prior_slot *s = &p->slots.v[slot];
        uint32_t left = s->pages - page;

        w->slot = slot;
        w->first = page;
        w->count = left < PRIOR_WINDOW ? left : (uint32_t)PRIOR_WINDOW;
        if (pages_spool_read(&p->facts, s->facts_at + (uint64_t)PACK_FACTS * page, w->facts,
                             (size_t)PACK_FACTS * w->count, e) != 0) {
            w->count = 0;
            return -1;
        }
    }
    *facts = pack_facts_get(w->facts, page - w->first);
    return 0;
}

/* The page of a source as a run of one page with its facts: 1, 0, -1. */
static int look(struct prior *p, struct prior_source *s, uint64_t file_page, struct pages_run *run,
                struct pages_facts *facts, struct err *e)
{
    const struct prior_slot *slot;
    int rc = seek(p, s, file_page, e);

    if (rc <= 0)
        return rc;
    *run = (struct pages_run){s->run.pack, s->run.page, 1};
    if (run->pack == 0)
        return 1;
    run->page += (uint32_t)(file_page - s->run_page);
    slot = &p->slots.v[run->pack];
    if (slot->state == PRIOR_UNSEEN && prior_touch(p, run->pack, e) != 0)
        return -1;
    if (slot->state != PRIOR_GOOD || run->page >= slot->pages ||
        manifest_bits_any(&slot->bad, run->page, 1))
        return 0;
    return get_facts(p, run->pack, run->page, facts, e) == 0 ? 1 : -1;
}

/* Does one file of the prior backup have pages that cannot be leaned on? */
static int file_is_bad(struct prior *p, uint64_t entry, bool *bad, struct err *e)
{
    struct prior_source s = {.end = entry & ((UINT64_C(1) << OFFSET_BITS) - 1)};
    uint8_t footer[FOOTER];
    bool more = true;

    if (pages_spool_read(&p->records, s.end, footer, sizeof footer, e) != 0)
        return -1;
    s.at = get_u64(footer);
    while (footer[26] == 0 && more && !*bad) {
        const struct prior_slot *slot;

        if (prior_next_run(p, &s, &more, e) != 0)
            return -1;
        slot = &p->slots.v[s.run.pack];
        *bad = more && s.run.pack > 0 &&
               (s.run.count > slot->pages || s.run.page > slot->pages - s.run.count ||
                manifest_bits_any(&slot->bad, s.run.page, s.run.count));
    }
    return 0;
}

int prior_is_bad(struct prior *p, bool *bad, struct err *e)
{
    *bad = false;
    for (size_t i = 0; i < p->index.n && !*bad; i++)
        if (file_is_bad(p, p->index.v[i], bad, e) != 0)
            return -1;
    return 0;
}

int prior_page(struct prior *p, struct prior_file *f, uint64_t file_page,
               const struct pages_facts *facts, struct pages_run *run, struct err *e)
{
    struct pages_facts found;

    for (unsigned i = 0; i < f->n; i++) {
        int rc = look(p, &f->source[i], file_page, run, &found, e);
        bool counted = p->scattered && !f->source[i].orphan;
        bool same;

        if (rc < 0)
            return -1;
        if (rc == 0 || run->pack == 0)
            continue;
        same = found.hash == facts->hash && found.crc == facts->crc;
        if (counted)
            prior_note_page(p, !same);
        if (!same)
            continue;
        if (!counted || !prior_gives_up(p, run))
            return 1;
        p->sparse++;
    }
    return 0;
}

int prior_known(struct prior *p, struct prior_file *f, uint64_t file_page, struct pages_run *run,
                struct pages_facts *facts, struct err *e)
{
    return f->known ? look(p, &f->source[0], file_page, run, facts, e) : 0;
}

static bool starts(const struct prior_slot *s, uint32_t page)
{
    return (s->starts[page / 8] >> page % 8 & 1) != 0;
}

uint32_t prior_entry(const struct prior_slot *s, uint32_t page, uint32_t *pages)
{
    uint32_t first = page;
    uint32_t end = page + 1;

    while (first > 0 && !starts(s, first))
        first--;
    while (end < s->pages && !starts(s, end))
        end++;
    *pages = end - first;
    return first;
}

uint32_t prior_cost(struct prior *p, const struct pages_run *run)
{
    struct prior_slot *s = &p->slots.v[run->pack];
    uint32_t pages;

    if (run->pack == 0)
        return 1;
    if (s->entry_file == p->file && run->page >= s->entry && run->page < s->entry_end)
        return 0;
    s->entry = prior_entry(s, run->page, &pages);
    s->entry_end = s->entry + pages;
    s->entry_file = p->file;
    return pages;
}
