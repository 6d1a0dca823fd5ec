/*
 * Goal: what goes into a pack comes out of it, from any thread's point of view, wherever the entry
 * was moved; every changed byte and every cut is noticed; entries cannot be exchanged.
 */
#include "tap.h"

#include <stdlib.h>

#include "pages_kit.h"
#include "repo/pack_compact.h"
#include "repo/pack_read.h"
#include "repo/pack_write.h"

static struct kit kit;
static struct pack_writer writer;
static struct pack_chunk chunk;
static struct pages_judge judge;

enum { ENTRIES = 64 };

static struct kept {
    uint8_t id[PACK_ID];
    uint32_t page;
    size_t len;
    uint8_t bytes[PAGES_ENTRY_BYTES];
} kept[ENTRIES];
static unsigned entries;

static const char *mode(bool sealed)
{
    return sealed ? "sealed" : "plain";
}

static void begin(bool sealed, struct pack_limits limits, bool compress)
{
    struct pack_how how = {&kit.repo, compress, limits, NULL, NULL};
    uint8_t id[16] = "page key";

    kit_open(&kit, sealed);
    pack_writer_init(&writer, &how);
    pages_judge_init(&judge, NULL, id);
    entries = 0;
}

/* Stores one entry of some pages and remembers it. */
static int add(const char *path, uint64_t first, unsigned pages, size_t last, bool random,
               struct err *e)
{
    struct kept *k = &kept[entries];

    chunk.path = path;
    chunk.pages = pages;
    chunk.len = (size_t)(pages - 1) * PAGES_SIZE + last;
    for (size_t i = 0; i < chunk.len; i++)
        chunk.bytes[i] = (uint8_t)(random || i % 50 == 0 ? kit_random() : i / 7);
    for (unsigned i = 0; i < pages; i++) {
        size_t at = (size_t)i * PAGES_SIZE;

        chunk.file_page[i] = first + i * (first % 3 + 1);
        chunk.facts[i] = pages_judge_page(
            &judge, chunk.bytes + at, chunk.len - at < PAGES_SIZE ? chunk.len - at : PAGES_SIZE);
    }
    if (pack_writer_room(&writer, e) != 0)
        return -1;
    memcpy(k->id, writer.id, PACK_ID);
    k->page = writer.pages;
    k->len = chunk.len;
    memcpy(k->bytes, chunk.bytes, chunk.len);
    entries++;
    return pack_writer_add(&writer, &chunk, e);
}

static int never_bad(void *arg, const struct pack *p, uint32_t ordinal, const struct err *why,
                     struct err *e)
{
    (void)p, (void)e;
    printf("# entry %u: %s\n", ordinal, why->msg);
    ++*(unsigned *)arg;
    return 0;
}

/* Reads everything that was remembered; the number of entries that did not come back. */
static unsigned lost(unsigned need, bool quiet)
{
    static struct pack_scratch scratch;
    static uint8_t out[PAGES_ENTRY_BYTES];
    struct pack_set set;
    struct err e = {0};
    unsigned bad = 0;

    if (pack_set_load(&set, &kit.repo, kit.scratch, &e) != 0)
        return entries;
    for (unsigned i = 0; i < entries; i++) {
        struct kept *k = &kept[i];
        struct pack *p = NULL;
        bool good = false;

        err_clear(&e);
        if (pack_open(&p, &set, k->id, need, kit.scratch, &e) == 0 && k->page < p->table.pages) {
            uint32_t ordinal = pack_table_find(&p->table, k->page);

            good = p->table.row[ordinal].page == k->page &&
                   p->table.row[ordinal].plain_len == k->len &&
                   pack_read(p, ordinal, &scratch, out, &e) == 0 &&
                   memcmp(out, k->bytes, k->len) == 0;
            for (uint32_t n = 0;
                 good && (need & PACK_META) != 0 && n < pack_row_pages(&p->table.row[ordinal]);
                 n++) {
                size_t at = (size_t)n * PAGES_SIZE;
                struct pages_facts want = pages_judge_page(
                    &judge, k->bytes + at, k->len - at < PAGES_SIZE ? k->len - at : PAGES_SIZE);
                struct pages_facts got = pack_facts_get(p->facts, k->page + n);

                good = want.hash == got.hash && want.crc == got.crc;
            }
        }
        if (!good) {
            bad++;
            if (!quiet)
                printf("# entry %u: %s\n", i, e.msg);
        }
        pack_close(p);
    }
    pack_set_fini(&set);
    return bad;
}

static void test_round_trip(bool sealed, bool compress)
{
    struct err e = {0};
    char names[64][48];
    int rc = 0;

    begin(sealed, (struct pack_limits){300 * 1024, 40}, compress);
    for (unsigned i = 0; rc == 0 && i < 40; i++)
        rc = add(i % 3 == 0 ? "base/5/16384" : "base/5/17", i * 10, 1 + i % 8,
                 i % 4 == 0 ? 1 + i * 200 : (size_t)PAGES_SIZE, i % 2 == 0, &e);
    OK(rc == 0 && pack_writer_finish(&writer, &e) == 0 && kit_list(&kit, "pack", names, 64) >= 4 &&
           writer.packs == kit_list(&kit, "pack", names, 64),
       "%s, %s: packs are filled and closed", mode(sealed), compress ? "lz4" : "as is");
    OK(lost(PACK_DATA | PACK_META, false) == 0, "%s, %s: all entries and facts come back",
       mode(sealed), compress ? "lz4" : "as is");
    pack_writer_fini(&writer);
    kit_close(&kit);
}

static void test_origins(void)
{
    struct err e = {0};
    struct pack_set set;
    struct pack *p = NULL;
    struct pack_origin o;
    char seen[400] = "";
    uint64_t at;
    uint32_t count;

    begin(true, PACK_LIMITS, true);
    (void)!add("base/5/16384", 0, 3, PAGES_SIZE, false, &e);
    (void)!add("base/5/16384", 3, 2, PAGES_SIZE, false, &e);
    (void)!add("base/5/16385", 1, 2, 7, false, &e);
    (void)!add("x", 9, 1, 7, false, &e);
    (void)!add("x", 2, 1, 7, false, &e); /* another file of that name */
    (void)!pack_writer_finish(&writer, &e);
    kit_secret(&kit, false);
    (void)!pack_set_load(&set, &kit.repo, kit.scratch, &e);
    OK(pack_open(&p, &set, kept[0].id, PACK_META, kit.scratch, &e) == 0,
       "the host key opens a sealed pack's metadata");
    (void)!pack_origin_open(&o, p->metadata, p->metadata_len, &e);
    while (pack_origin_file(&o, &e) == 0) {
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.30s", o.path);
        while (pack_origin_run(&o, &at, &count, &e) == 0)
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), " %u+%u@%u", (unsigned)at,
                     (unsigned)count, (unsigned)(o.page - count));
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), ";");
    }
    IS_STR(seen, "base/5/16384 0+5@0;base/5/16385 1+1@5 3+1@6;x 9+1@7;x 2+1@8;",
           "a pack says where its pages came from");
    pack_close(p);
    p = NULL;
    OK(pack_open(&p, &set, kept[0].id, PACK_DATA, kit.scratch, &e) != 0 && e.code == ERR_KEY,
       "but not the contents");
    pack_close(p);
    pack_set_fini(&set);
    pack_writer_fini(&writer);
    kit_close(&kit);
}

/* Every byte of a file changed in turn, and every length: how often nobody noticed. */
static unsigned damage(const char *name, size_t *tried)
{
    char path[160];
    size_t len;
    uint8_t *bytes;
    unsigned unnoticed = 0;

    kit_path(path, "pack", name);
    bytes = kit_slurp(&kit, path, &len);
    for (size_t i = 0; i < len; i++) {
        uint8_t was = bytes[i];

        bytes[i] ^= (uint8_t)(1U << kit_random() % 8);
        kit_spit(&kit, path, bytes, len);
        bytes[i] = was;
        if (lost(PACK_DATA | PACK_META, true) == 0) {
            unnoticed++;
            printf("# byte %zu of %zu\n", i, len);
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        kit_spit(&kit, path, bytes, cut);
        unnoticed += lost(PACK_DATA | PACK_META, true) == 0;
    }
    kit_spit(&kit, path, bytes, len);
    *tried = len;
    free(bytes);
    return unnoticed;
}

static void test_damage(bool sealed)
{
    struct err e = {0};
    char names[8][48];
    size_t tried = 0;
    unsigned unnoticed;

    begin(sealed, PACK_LIMITS, true);
    (void)!add("a", 0, 1, 200, true, &e);
    (void)!add("a", 0, 1, 900, false, &e);
    (void)!pack_writer_finish(&writer, &e);
    (void)kit_list(&kit, "pack", names, 8);
    unnoticed = lost(PACK_DATA | PACK_META, false) + damage(names[0], &tried);
    OK(unnoticed == 0, "%s: each of %zu bytes changed, and each length, is noticed", mode(sealed),
       tried);
    OK(lost(PACK_DATA | PACK_META, false) == 0, "%s: and whole again it is read", mode(sealed));
    pack_writer_fini(&writer);
    kit_close(&kit);
}

/* The same in a compacted file. */
static void test_moved(bool sealed)
{
    struct err e = {0};
    struct pack_use use = {.manifests = 1};
    struct pack_set set;
    struct pack_compacted done;
    char names[8][48];
    char path[160];
    size_t tried = 0;
    unsigned unnoticed;
    unsigned n;

    begin(sealed, (struct pack_limits){PACK_BODY_MAX, 16}, true);
    for (unsigned i = 0; i < 4; i++)
        (void)!add("a", i, 8, 100 + i, true, &e);
    (void)!pack_writer_finish(&writer, &e);
    pack_uses_init(&use.packs, 10);
    /* One entry of each pack is in use. */
    for (unsigned i = 0; i < 4; i += 2) {
        struct pack_used *u = pack_uses_add(&use.packs, &e);

        memcpy(u->id, kept[i].id, PACK_ID);
        (void)!manifest_bits_set(&u->pages, kept[i].page + 3, 1, &e);
    }
    if (memcmp(use.packs.v[0].id, use.packs.v[1].id, PACK_ID) > 0) {
        struct pack_used u = use.packs.v[0];

        use.packs.v[0] = use.packs.v[1];
        use.packs.v[1] = u;
    }
    kit_secret(&kit, false);
    (void)!pack_set_load(&set, &kit.repo, kit.scratch, &e);
    OK(pack_compact(&done, &use, &set, 60, PACK_BODY_MAX, kit.scratch, &e) == 0 &&
           done.sources == 2,
       "%s: two packs are compacted: %s", mode(sealed), e.msg);
    pack_set_fini(&set);
    kit_secret(&kit, true);
    n = kit_list(&kit, "pack", names, 8);
    for (unsigned i = 0; i < n; i++)
        if (strchr(names[i], '.') == NULL) {
            kit_path(path, "pack", names[i]);
            kit_unlink(&kit, path);
        }
    kept[1] = kept[2];
    entries = 2;
    OK(lost(PACK_DATA | PACK_META, false) == 0, "%s: what was needed is read from the new file",
       mode(sealed));
    (void)kit_list(&kit, "pack", names, 8);
    kept[0].len = 8 * PAGES_SIZE - PAGES_SIZE + 100;
    unnoticed = 0;
    {
        size_t len;
        uint8_t *bytes;

        kit_path(path, "pack", names[0]);
        bytes = kit_slurp(&kit, path, &len);
        for (size_t i = 0; i < len; i += i % 7 == 0 ? 997 : 3) {
            bytes[i] ^= 0x10;
            kit_spit(&kit, path, bytes, len);
            bytes[i] ^= 0x10;
            tried++;
            unnoticed += lost(PACK_DATA | PACK_META, true) == 0;
        }
        free(bytes);
    }
    OK(unnoticed == 0, "%s: %zu changed bytes of it are noticed", mode(sealed), tried);
    for (size_t i = 0; i < use.packs.n; i++)
        manifest_bits_fini(&use.packs.v[i].pages);
    pack_uses_fini(&use.packs);
    pack_writer_fini(&writer);
    kit_close(&kit);
}

static void test_exchange(void)
{
    static uint8_t stored[PAGES_ENTRY_BYTES + SECRET_PART_EXTRA];
    static uint8_t out[PAGES_ENTRY_BYTES];
    struct err e = {0};
    struct pack_set set;
    struct pack *p = NULL;
    struct secret_entry at;
    const struct pack_row *row;
    uint8_t other[PACK_ID];
    unsigned bad = 0;

    begin(true, PACK_LIMITS, false);
    (void)!add("a", 0, 1, 300, true, &e);
    (void)!add("a", 1, 1, 300, true, &e);
    (void)!pack_writer_finish(&writer, &e);
    (void)!pack_set_load(&set, &kit.repo, kit.scratch, &e);
    (void)!pack_open(&p, &set, kept[0].id, PACK_DATA, kit.scratch, &e);
    row = &p->table.row[0];
    at = (struct secret_entry){p->system_id, p->id, 0, row->plain_len};
    bad += pack_read_raw(p, 0, stored, &e) != 0;
    bad += secret_entry_open(out, stored, row->len, p->key, &at, &e) != 0;
    OK(bad == 0 && memcmp(out, kept[0].bytes, 300) == 0, "an entry opens under its own identity");
    at.ordinal = 1;
    bad += secret_entry_open(out, stored, row->len, p->key, &at, &e) == 0;
    at.ordinal = 0;
    at.plain_len = 299;
    bad += secret_entry_open(out, stored, row->len, p->key, &at, &e) == 0;
    at.plain_len = 300;
    at.system_id++;
    bad += secret_entry_open(out, stored, row->len, p->key, &at, &e) == 0;
    at.system_id--;
    memcpy(other, p->id, PACK_ID);
    other[5] ^= 1;
    at.pack = other;
    bad += secret_entry_open(out, stored, row->len, p->key, &at, &e) == 0;
    OK(bad == 0, "and under no other ordinal, length, cluster or pack");
    pack_close(p);
    pack_set_fini(&set);
    pack_writer_fini(&writer);
    kit_close(&kit);
}

static void test_check(bool sealed)
{
    static struct pack_scratch scratch;
    struct err e = {0};
    struct pack_set set;
    struct pack *p = NULL;
    unsigned bad = 0;
    uint64_t bytes = 0;
    char path[160];
    char names[8][48];
    uint8_t *file;
    size_t len;

    begin(sealed, PACK_LIMITS, true);
    for (unsigned i = 0; i < 3; i++)
        (void)!add("a", i, 4, PAGES_SIZE, true, &e);
    (void)!pack_writer_finish(&writer, &e);
    (void)kit_list(&kit, "pack", names, 8);
    (void)!pack_set_load(&set, &kit.repo, kit.scratch, &e);
    (void)!pack_open(&p, &set, kept[0].id, PACK_DATA | PACK_META, kit.scratch, &e);
    OK(pack_check(p, &judge, true, &scratch, never_bad, &bad, &bytes, &e) == 0 && bad == 0 &&
           bytes == p->table.body,
       "%s: a pack is checked as a whole", mode(sealed));
    judge.hash.word[0] ^= 1;
    OK(pack_check(p, &judge, true, &scratch, never_bad, &bad, &bytes, &e) == 0 && bad == 3,
       "%s: page facts are compared", mode(sealed));
    bad = 0;
    kit_path(path, "pack", names[0]);
    file = kit_slurp(&kit, path, &len);
    file[p->body_at + p->table.row[2].at] ^= 1;
    kit_spit(&kit, path, file, len);
    pack_close(p);
    p = NULL;
    kit_secret(&kit, false);
    kit.repo.has_host = false;
    (void)!pack_open(&p, &set, kept[0].id, PACK_RAW, kit.scratch, &e);
    OK(p != NULL && pack_check(p, NULL, false, &scratch, never_bad, &bad, &bytes, &e) == 0 &&
           bad == 1,
       "%s: without any key a rotten entry is found", mode(sealed));
    free(file);
    pack_close(p);
    pack_set_fini(&set);
    pack_writer_fini(&writer);
    kit_close(&kit);
}

static void test_names(void)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "0123456789abcdef0123456789abcde",
                                        "0123456789abcdef0123456789abcdeF",
                                        "0123456789abcdef0123456789abcdef.",
                                        "0123456789abcdef0123456789abcdef.d",
                                        "0123456789abcdef0123456789abcdef.cc",
                                        ".tmp.0.0123456789abcdef0123456789abcdef"};
    uint8_t id[PACK_ID];
    char name[PACK_NAME_MAX];
    bool compacted = true;
    unsigned bad = 0;

    OK(pack_name_read("0123456789abcdef0123456789abcdef", id, &compacted) && !compacted &&
           id[1] == 0x23,
       "a pack's name");
    pack_name(name, id, true);
    OK(pack_name_read(name, id, &compacted) && compacted, "a compacted pack's name");
    IS_STR(name, "0123456789abcdef0123456789abcdef.c", "as it is written");
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad += pack_name_read(wrong[i], id, &compacted);
    OK(bad == 0, "other names are none");
}

/* A write that fails loses the open pack and nothing else. */
static void test_full_disk(void)
{
    struct err e = {0};
    char names[8][48];

    begin(false, (struct pack_limits){PACK_BODY_MAX, 8}, true);
    (void)!add("a", 0, 8, PAGES_SIZE, true, &e);
    (void)!add("a", 8, 8, PAGES_SIZE, true, &e);
    writer.broken = true;
    OK(pack_writer_finish(&writer, &e) == 0 && kit_list(&kit, "pack", names, 8) == 1 &&
           writer.packs == 1,
       "a pack that could not be written is dropped, the one before stays");
    pack_writer_fini(&writer);
    kit_close(&kit);
}

int main(void)
{
    test_names();
    test_origins();
    test_exchange();
    test_full_disk();
    for (int sealed = 0; sealed < 2; sealed++) {
        test_round_trip(sealed, true);
        test_round_trip(sealed, false);
        test_check(sealed);
        test_damage(sealed);
        test_moved(sealed);
    }
    return tap_done();
}
