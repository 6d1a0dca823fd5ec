/*
 * Fuzz target for what the page store reads from a repository: tables of packs, sources of
 * compacted ones, origins of pages, manifests' records and public parts.
 *
 * The first byte chooses what reads the rest.  Besides not crashing: what was accepted lies within
 * its limits, and a manifest means the same in pieces as at once.
 */
#include <stdlib.h>
#include <string.h>

#include "repo/manifest_read.h"
#include "repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- packs ---- */

static void fuzz_table(const uint8_t *p, size_t n, bool sealed)
{
    struct pack_table t;
    struct pack_source s = {.at = 0};
    struct err e = {0};
    uint32_t pages = 0;
    uint64_t body = 0;

    if (pack_table_read(&t, p, n, sealed, &e) != 0) {
        must(e.code == ERR_DAMAGED && t.row == NULL);
        return;
    }
    for (uint32_t i = 0; i < t.count; i++) {
        must(t.row[i].page == pages && t.row[i].at == body && t.row[i].plain_len > 0);
        must(pack_table_find(&t, pages) == i);
        pages += pack_row_pages(&t.row[i]);
        body += t.row[i].len;
        must(pack_table_find(&t, pages - 1) == i);
    }
    must(pages == t.pages && body == t.body && body <= PACK_BODY_MAX && pages <= PACK_PAGES_MAX);
    s.taken = cur_of(p, n);
    if (pack_table_move(&t, &s, &e) == 0)
        for (uint32_t i = 0; i < t.count; i++)
            must(t.row[i].at == PACK_ELSEWHERE || t.row[i].at + t.row[i].len <= PACK_BODY_MAX);
    pack_table_fini(&t);
}

static void fuzz_sources(const uint8_t *p, size_t n)
{
    struct cur c = cur_of(p, n);
    struct pack_source s;
    struct err e = {0};
    uint32_t generation = 0;

    while (pack_source_next(&c, &s, &generation, &e) == 0) {
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;

        must(s.size >= (uint64_t)s.head_len + s.tail_len && s.at <= PACK_BODY_MAX);
        while (s.taken.left > 0 && pack_range_next(&s.taken, &pos, &first, &count))
            must(count > 0 && first + count == pos && pos <= PACK_PAGES_MAX);
    }
}

static void fuzz_origin(const uint8_t *p, size_t n)
{
    struct pack_origin o;
    struct err e = {0};
    uint64_t at;
    uint32_t count;

    if (pack_origin_open(&o, p, n, &e) != 0)
        return;
    while (pack_origin_file(&o, &e) == 0) {
        must(o.path_len <= PAGES_PATH_MAX && o.path[o.path_len] == '\0');
        while (pack_origin_run(&o, &at, &count, &e) == 0)
            must(count > 0 && o.next == at + count);
        if (e.code != ERR_NONE)
            break;
    }
}

static void fuzz_facts(const uint8_t *p, size_t n)
{
    const uint8_t *facts = NULL;
    struct err e = {0};

    for (uint32_t pages = 0; pages < 4; pages++)
        if (pack_facts_find(p, n, pages, &facts, &e) == 0)
            for (uint32_t i = 0; i < pages; i++)
                (void)pack_facts_get(facts, i);
}

static void fuzz_name(const char *text)
{
    char name[PACK_NAME_MAX];
    uint8_t id[PACK_ID];
    bool compacted;

    if (!pack_name_read(text, id, &compacted))
        return;
    pack_name(name, id, compacted);
    must(strcmp(name, text) == 0);
}

/* ---- manifests ---- */

struct mix {
    uint64_t hash;
    uint64_t pages;
    uint32_t packs;
};

static int mix(struct mix *m, const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        m->hash = (m->hash ^ b[i]) * UINT64_C(1099511628211);
    return 0;
}

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    struct mix *m = arg;

    (void)e;
    must(index == ++m->packs);
    return mix(m, id, PACK_ID);
}

static int on_tablespace(void *arg, uint32_t oid, const char *path, struct err *e)
{
    (void)e;
    (void)mix(arg, &oid, sizeof oid);
    return mix(arg, path, strlen(path));
}

static int on_dir(void *arg, uint32_t mode, const char *path, struct err *e)
{
    (void)e;
    must(mode <= 07777 && manifest_path_ok(path, 0) && strstr(path, "//") == NULL);
    return mix(arg, path, strlen(path));
}

static int on_link(void *arg, const char *path, const char *target, struct err *e)
{
    (void)e;
    must(manifest_path_ok(path, 0));
    (void)mix(arg, path, strlen(path));
    return mix(arg, target, strlen(target));
}

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    (void)e;
    must(type >= MANIFEST_SERVER && type <= MANIFEST_COUNTS);
    return mix(arg, bytes, len);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    struct mix *m = arg;

    (void)e;
    must(manifest_path_ok(f->path, f->flags));
    m->pages = 0;
    return mix(m, f->path, strlen(f->path));
}

static int on_run(void *arg, const struct pages_run *r, struct err *e)
{
    struct mix *m = arg;

    (void)e;
    must(r->count > 0 && r->pack <= m->packs);
    must(r->pack == 0 || (uint64_t)r->page + r->count <= PACK_PAGES_MAX);
    m->pages += r->count;
    return mix(m, r, sizeof *r);
}

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    struct mix *m = arg;

    (void)e;
    must(m->pages == f->size / PAGES_SIZE + (f->size % PAGES_SIZE != 0));
    return mix(m, &f->size, sizeof f->size);
}

static const struct manifest_events events = {on_pack, on_tablespace, on_dir, on_link,
                                              on_text, on_file,       on_run, on_file_end};

static int read_records(const uint8_t *p, size_t n, size_t piece, struct mix *m)
{
    static struct manifest_reader r;
    struct err e = {0};
    int rc = 0;

    *m = (struct mix){.hash = UINT64_C(14695981039346656037)};
    manifest_reader_init(&r, &events, m);
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = sink_write(&r.sink, p + at, n - at < piece ? n - at : piece, &e);
    if (rc == 0)
        rc = sink_finish(&r.sink, &e);
    manifest_reader_fini(&r);
    must(rc == 0 || e.code == ERR_DAMAGED);
    return rc;
}

static void fuzz_records(const uint8_t *p, size_t n)
{
    struct mix whole;
    struct mix cut;
    int rc = read_records(p, n, n + 1, &whole);

    must(read_records(p, n, 1, &cut) == rc && cut.hash == whole.hash);
    must(read_records(p, n, 5, &cut) == rc && cut.hash == whole.hash);
}

static void fuzz_public(const uint8_t *p, size_t n)
{
    struct manifest_public public;
    struct manifest_public again;
    struct manifest_in_use u;
    struct cur c = cur_of(p, n);
    struct err e = {0};
    struct buf b;

    if (manifest_public_read(&public, p, n, &e) == 0) {
        buf_init(&b, 1 << 16);
        must(manifest_public_write(&b, &public, &e) == 0 &&
             manifest_public_read(&again, b.p, b.len, &e) == 0 &&
             memcmp(&public.head, &again.head, sizeof again.head) == 0 &&
             again.stop_lsn == public.stop_lsn && strcmp(again.tag, public.tag) == 0);
        buf_fini(&b);
    }
    err_clear(&e);
    while (manifest_in_use_next(&c, &u, &e) == 0) {
        struct manifest_bits bits = {NULL, 0};
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;

        while (u.ranges.left > 0 && pack_range_next(&u.ranges, &pos, &first, &count))
            must(manifest_bits_set(&bits, (uint32_t)first, (uint32_t)count, &e) == 0);
        manifest_bits_fini(&bits);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    size_t n = size - 1;
    uint8_t *p; /* a block of its own, so that reading beyond it is seen */

    if (size < 1)
        return 0;
    p = malloc(n + 1);
    text = malloc(n + 1);
    must(p != NULL && text != NULL);
    p = realloc(p, n > 0 ? n : 1);
    must(p != NULL);
    memcpy(p, data + 1, n);
    memcpy(text, data + 1, n);
    text[n] = '\0';
    switch (data[0] % 8) {
    case 0:
        fuzz_table(p, n, false);
        break;
    case 1:
        fuzz_table(p, n, true);
        break;
    case 2:
        fuzz_sources(p, n);
        break;
    case 3:
        fuzz_origin(p, n);
        break;
    case 4:
        fuzz_facts(p, n);
        break;
    case 5:
        fuzz_public(p, n);
        break;
    case 6:
        fuzz_name(text);
        break;
    default:
        fuzz_records(p, n);
        break;
    }
    free(p);
    free(text);
    return 0;
}
