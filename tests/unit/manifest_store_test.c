/*
 * Goal: a manifest gives back exactly what was written, in whatever pieces it is read; what is
 * damaged, forged or out of bounds is refused; the chain of heads notices a rollback; lists of
 * pages in use never leave out a page.
 *
 * when: full
 */
#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pages_kit.h"
#include "repo/manifest_chain.h"
#include "repo/manifest_read.h"
#include "repo/manifest_write.h"

static struct kit kit;
static struct buf seen;

/* --- writing down what a reader tells --- */

static int say(struct err *e, const char *what, const char *path, uint64_t a, uint64_t b,
               uint64_t c)
{
    return buf_fmt(&seen, e, "%s %s %llu %llu %llu\n", what, path, (unsigned long long)a,
                   (unsigned long long)b, (unsigned long long)c);
}

static int on_pack(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e)
{
    (void)arg;
    return say(e, "pack", "-", index, id[0], id[15]);
}

static int on_tablespace(void *arg, uint32_t oid, const char *path, struct err *e)
{
    (void)arg;
    return say(e, "space", path, oid, 0, 0);
}

static int on_dir(void *arg, uint32_t dir_mode, const char *path, struct err *e)
{
    (void)arg;
    return say(e, "dir", path, dir_mode, 0, 0);
}

static int on_link(void *arg, const char *path, const char *target, struct err *e)
{
    (void)arg;
    return say(e, path, target, 0, 0, 0);
}

static int on_text(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                   struct err *e)
{
    (void)arg;
    return say(e, "text", "-", type, crc32c_extend(0, bytes, len), len);
}

static int on_file(void *arg, const struct manifest_file *f, struct err *e)
{
    (void)arg;
    return say(e, "file", f->path, f->flags, f->mode, (uint64_t)f->mtime);
}

static int on_run(void *arg, const struct pages_run *r, struct err *e)
{
    (void)arg;
    return say(e, "run", "-", r->pack, r->page, r->count);
}

static int on_file_end(void *arg, const struct manifest_file *f, struct err *e)
{
    (void)arg;
    return say(e, "end", f->path, f->size, f->crc, f->spread);
}

static const struct manifest_events events = {on_pack, on_tablespace, on_dir, on_link,
                                              on_text, on_file,       on_run, on_file_end};

static const char written[] = "space /srv/ts 1663 0 0\n"
                              "dir base 448 0 0\n"
                              "dir base/5 448 0 0\n"
                              "pg_tblspc/1663 /srv/ts 0 0 0\n"
                              "pack - 1 7 9\n"
                              "file base/5/1 0 384 1700000000\n"
                              "run - 1 0 20\n"
                              "run - 0 0 5\n"
                              "run - 1 20 3\n"
                              "run - 1 10 2\n"
                              "end base/5/1 245000 77 30\n"
                              "pack - 2 8 9\n"
                              "file odd = \nname 0 420 18446744073709551615\n"
                              "run - 2 131071 1\n"
                              "end odd = \nname 1 1 8\n"
                              "file empty 0 384 0\n"
                              "end empty 0 0 0\n"
                              "file /etc/postgresql/postgresql.conf 2 384 0\n"
                              "run - 1 23 1\n"
                              "end /etc/postgresql/postgresql.conf 9 5 1\n"
                              "text - 6 123 10\n";

static int put_file(struct manifest_writer *m, const char *path, unsigned flags, uint32_t file_mode,
                    int64_t mtime, struct err *e)
{
    return manifest_file(m, path, flags, file_mode, mtime, e);
}

/* Writes what `written` says. */
static int write_one(struct manifest_writer *m, const char *label, struct err *e)
{
    uint8_t a[PACK_ID] = {[0] = 7, [15] = 9};
    uint8_t b[PACK_ID] = {[0] = 8, [15] = 9};
    struct manifest_public p = {.start_timeline = 3,
                                .start_lsn = 0x1000028,
                                .checkpoint_lsn = 0x1000060,
                                .stop_timeline = 4,
                                .stop_lsn = 0x2000000,
                                .start_time = -1,
                                .stop_time = 5,
                                .stored = 99,
                                .server_version = 180000,
                                .from_standby = true,
                                .wal_inside = true,
                                .tag = "before the upgrade"};
    uint32_t i = 0;

    memset(p.head.writer, 5, sizeof p.head.writer);
    p.head.sequence = 12;
    if (manifest_begin(m, &kit.repo, label, 3, 0x1000028, e) != 0 ||
        manifest_tablespace(m, 1663, "/srv/ts", e) != 0 || manifest_dir(m, 0700, "base", e) != 0 ||
        manifest_dir(m, 0700, "base/5", e) != 0 ||
        manifest_link(m, "pg_tblspc/1663", "/srv/ts", e) != 0 || manifest_pack(m, a, &i, e) != 0 ||
        put_file(m, "base/5/1", 0, 0600, 1700000000, e) != 0)
        return -1;
    for (uint32_t n = 0; n < 20; n++) /* runs that follow each other are joined */
        if (manifest_run(m, &(struct pages_run){i, n, 1}, e) != 0)
            return -1;
    if (manifest_run(m, &(struct pages_run){0, 0, 5}, e) != 0 ||
        manifest_run(m, &(struct pages_run){i, 20, 3}, e) != 0 ||
        manifest_run(m, &(struct pages_run){i, 10, 2}, e) != 0 ||
        manifest_file_end(m, 245000, 77, 30, e) != 0 || manifest_pack(m, b, &i, e) != 0 ||
        put_file(m, "odd = \nname", 0, 0644, -1, e) != 0 ||
        manifest_run(m, &(struct pages_run){i, 131071, 1}, e) != 0 ||
        manifest_file_end(m, 1, 1, 8, e) != 0 || put_file(m, "empty", 0, 0600, 0, e) != 0 ||
        manifest_file_end(m, 0, 0, 0, e) != 0 ||
        put_file(m, "/etc/postgresql/postgresql.conf", MANIFEST_OUTSIDE, 0600, 0, e) != 0 ||
        manifest_pack(m, a, &i, e) != 0 || i != 1 ||
        manifest_run(m, &(struct pages_run){i, 23, 1}, e) != 0 ||
        manifest_file_end(m, 9, 5, 1, e) != 0 ||
        manifest_text(m, MANIFEST_SERVER, "0123456789", 10, e) != 0)
        return -1;
    return manifest_finish(m, &p, e);
}

static const char *mode(bool sealed)
{
    return sealed ? "sealed" : "plain";
}

/* Reads a backup; 0 when it says exactly what was written. */
static int read_one(const char *label, struct manifest_public *p, struct err *e)
{
    char text[sizeof written + 40];
    const char *start;

    buf_clear(&seen);
    if (manifest_read(&kit.repo, label, &events, NULL, p, kit.scratch, e) != 0)
        return -1;
    start = strstr(written, "text - 6 ");
    snprintf(text, sizeof text, "%.*stext - 6 %u 10\n", (int)(start - written), written,
             (unsigned)crc32c_extend(0, (const uint8_t *)"0123456789", 10));
    if (strcmp(buf_text(&seen), text) == 0)
        return 0;
    return err_set(e, ERR_INTERNAL, "it says: %s", buf_text(&seen));
}

static void test_round_trip(bool sealed)
{
    static struct manifest_writer m;
    struct err e = {0};
    struct manifest_public p;
    char path[160];
    char names[8][48];
    uint8_t *bytes;
    size_t len;
    unsigned unnoticed = 0;

    kit_open(&kit, sealed);
    kit_secret(&kit, false);
    memset(&m, 0, sizeof m);
    OK(write_one(&m, "one", &e) == 0, "%s: a manifest is written: %s", mode(sealed), e.msg);
    OK(read_one("one", &p, &e) == 0, "%s: and read with the host key: %s", mode(sealed), e.msg);
    OK(p.start_timeline == 3 && p.start_lsn == 0x1000028 && p.checkpoint_lsn == 0x1000060 &&
           p.stop_timeline == 4 && p.stop_lsn == 0x2000000 && p.start_time == -1 &&
           p.stop_time == 5 && p.stored == 99 && p.bytes == 245010 && p.files == 4 &&
           p.server_version == 180000 && p.from_standby && !p.data_checksums && p.wal_inside &&
           strcmp(p.tag, "before the upgrade") == 0 && p.head.sequence == 12 &&
           p.head.writer[15] == 5,
       "%s: with its public part", mode(sealed));
    kit_path(path, "backup", "one");
    bytes = kit_slurp(&kit, path, &len);
    {
        uint8_t digest[DIGEST_STRONG];

        digest_strong(digest, bytes, len);
        OK(memcmp(digest, m.digest, sizeof digest) == 0, "%s: its digest is the file's",
           mode(sealed));
    }
    manifest_fini(&m);
    for (size_t i = 0; i < len; i++) {
        struct err quiet = {0};

        bytes[i] ^= (uint8_t)(1U << i % 8);
        kit_spit(&kit, path, bytes, len);
        unnoticed += read_one("one", &p, &quiet) == 0;
        bytes[i] ^= (uint8_t)(1U << i % 8);
        kit_spit(&kit, path, bytes, i);
        err_clear(&quiet);
        unnoticed += read_one("one", &p, &quiet) == 0;
    }
    OK(unnoticed == 0, "%s: each of %zu bytes changed, and each length, is noticed", mode(sealed),
       len);
    kit_spit(&kit, path, bytes, len);
    memset(&m, 0, sizeof m);
    OK(write_one(&m, "one", &e) != 0 && e.code == ERR_REFUSED && read_one("one", &p, &e) == 0,
       "%s: a label that exists is not overwritten", mode(sealed));
    manifest_fini(&m);
    err_clear(&e);
    memset(&m, 0, sizeof m);
    (void)!manifest_begin(&m, &kit.repo, "two", 1, 1, &e);
    manifest_fini(&m);
    OK(kit_list(&kit, "backup", names, 8) == 1, "%s: what is not finished is not there",
       mode(sealed));
    if (sealed) {
        kit.repo.has_host = false;
        OK(read_one("one", &p, &e) != 0 && e.code == ERR_KEY, "sealed: without keys: %s", e.msg);
    }
    free(bytes);
    kit_close(&kit);
}

/* --- hostile records --- */

struct record {
    const char *why;
    uint8_t bytes[64];
    size_t len;
};

static int feed(const uint8_t *bytes, size_t len, size_t piece, struct err *e)
{
    static struct manifest_reader m;
    int rc = 0;

    manifest_reader_init(&m, &events, NULL);
    buf_clear(&seen);
    for (size_t at = 0; rc == 0 && at < len; at += piece)
        rc = sink_write(&m.sink, bytes + at, len - at < piece ? len - at : piece, e);
    if (rc == 0)
        rc = sink_finish(&m.sink, e);
    manifest_reader_fini(&m);
    return rc;
}

#define R(why, ...)                                                                                \
    {                                                                                              \
        why, {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})                                       \
    }
#define END    13, 2, 0, 1
#define PACK   1, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define FILE_A 4, 4, 0, 1, 0, 'a'

static void test_hostile(void)
{
    static const struct record good[] = {
        R("nothing", END),
        R("a file of zeros", FILE_A, 12, 10, 0x80, 0x80, 1, 0, 0, 0, 0, 0, 0, 2, 13, 2, 1, 1),
    };
    static const struct record bad[] = {
        R("no end", 3, 2, 0, 'a'),
        R("after the end", END, END),
        R("an unknown record", 14, 0, END),
        R("a record without a length", 3),
        R("a long way to write a length", 3, 0x82, 0x80, 0, 0, 'a', END),
        R("a record that is too long", 3, 0x81, 0x80, 0x04, 0, 'a', END),
        R("a path that leads out", 3, 3, 0, '.', '.', END),
        R("a path with a dot", 3, 4, 0, 'a', '/', '.', END),
        R("an absolute path", 3, 3, 0, '/', 'a', END),
        R("an empty path", 3, 1, 0, END),
        R("a path with a zero", 3, 4, 0, 'a', 0, 'b', END),
        R("the data directory itself", 3, 2, 0, '.', END),
        R("an impossible mode", 3, 3, 0x80, 0x20, 'a', END),
        R("a relative path outside", 4, 4, 2, 0, 0, 'a', 12, 6, 0, 0, 0, 0, 0, 0, 13, 2, 1, 1),
        R("an unknown flag", 4, 4, 4, 0, 0, 'a', 12, 6, 0, 0, 0, 0, 0, 0, 13, 2, 1, 1),
        R("a link without a target", 5, 1, 'a', END),
        R("a link that lies outside", 5, 7, '.', '.', '/', 'a', 0, 'x', 'y', END),
        R("a file without an end", FILE_A, END),
        R("a file in a file", FILE_A, FILE_A, END),
        R("runs without a file", 11, 2, 0, 1, END),
        R("the end of no file", 12, 6, 0, 0, 0, 0, 0, 0, END),
        R("a run of no pages", FILE_A, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0, 13, 2, 1, 1),
        R("a run of an unknown pack", FILE_A, 12, 9, 1, 0, 0, 0, 0, 0, 1, 0, 1, 13, 2, 1, 1),
        R("a run before its pack", PACK, FILE_A, 12, 9, 1, 0, 0, 0, 0, 0, 1, 1, 1, 13, 2, 1, 1),
        R("a run beyond all numbers", PACK, FILE_A, 12, 21, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0xfe,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 13, 2, 1, 1),
        R("a run that is cut", PACK, FILE_A, 12, 8, 1, 0, 0, 0, 0, 0, 1, 0, 13, 2, 1, 1),
        R("more pages than bytes", FILE_A, 12, 8, 1, 0, 0, 0, 0, 0, 0, 2, 13, 2, 1, 1),
        R("fewer pages than bytes", FILE_A, 12, 6, 1, 0, 0, 0, 0, 0, 13, 2, 1, 1),
        R("more files than there are", 13, 2, 1, 1),
        R("a short pack", 1, 3, 1, 2, 3, END),
    };
    unsigned wrong = 0;

    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        for (size_t piece = 1; piece < 9; piece += 7) {
            struct err e = {0};

            if (feed(good[i].bytes, good[i].len, piece, &e) != 0) {
                printf("# %s: %s\n", good[i].why, e.msg);
                wrong++;
            }
        }
    OK(wrong == 0, "right records are taken, in any pieces");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t piece = 1; piece < 70; piece += 68) {
            struct err e = {0};

            if (feed(bad[i].bytes, bad[i].len, piece, &e) == 0 || e.code != ERR_DAMAGED) {
                printf("# %s: %s\n", bad[i].why, e.msg);
                wrong++;
            }
        }
    OK(wrong == 0, "%zu wrong ones are refused", sizeof bad / sizeof *bad);
}

static void test_long_paths(void)
{
    static struct manifest_writer m;
    char path[PAGES_PATH_MAX + 3];
    struct err e = {0};
    unsigned bad = 0;

    kit_open(&kit, false);
    memset(&m, 0, sizeof m);
    memset(path, 'p', sizeof path);
    for (size_t i = 200; i < PAGES_PATH_MAX; i += 200)
        path[i] = '/';
    path[PAGES_PATH_MAX + 1] = '\0';
    (void)!manifest_begin(&m, &kit.repo, "one", 1, 1, &e);
    bad += manifest_dir(&m, 0700, path, &e) == 0 || e.code != ERR_REFUSED;
    err_clear(&e);
    path[PAGES_PATH_MAX] = '\0';
    bad += manifest_dir(&m, 0700, path, &e) != 0;
    bad += manifest_file(&m, "../x", 0, 0600, 0, &e) == 0;
    OK(bad == 0, "a path of %d bytes is written, a longer one is refused", PAGES_PATH_MAX);
    manifest_fini(&m);
    kit_close(&kit);
}

/* Many runs go out in several records. */
static void test_many_runs(void)
{
    static struct manifest_writer m;
    struct err e = {0};
    struct manifest_public p = {.start_timeline = 1};
    uint8_t id[PACK_ID] = {1};
    uint32_t index = 0;
    unsigned runs = 0;
    int rc;

    kit_open(&kit, true);
    memset(&m, 0, sizeof m);
    rc = manifest_begin(&m, &kit.repo, "one", 1, 1, &e);
    if (rc == 0)
        rc = manifest_pack(&m, id, &index, &e) | manifest_file(&m, "big", 0, 0600, 0, &e);
    for (uint32_t i = 0; rc == 0 && i < 60000; i++)
        rc = manifest_run(&m, &(struct pages_run){index, i * 7919 % 131072, 1}, &e);
    if (rc == 0)
        rc = manifest_file_end(&m, UINT64_C(60000) * PAGES_SIZE, 1, 60000, &e);
    if (rc == 0)
        rc = manifest_finish(&m, &p, &e);
    manifest_fini(&m);
    OK(rc == 0, "a file of 60000 runs: %s", e.msg);
    buf_clear(&seen);
    rc = manifest_read(&kit.repo, "one", &events, NULL, &p, kit.scratch, &e);
    for (const char *s = buf_text(&seen); (s = strstr(s, "run ")) != NULL; s++) {
        char want[64];
        size_t n = (size_t)snprintf(want, sizeof want, "run - 1 %u 1\n", runs * 7919 % 131072);

        if (strncmp(s, want, n) != 0)
            break;
        runs++;
    }
    OK(rc == 0 && runs == 60000, "comes back run by run");
    kit_close(&kit);
}

/* --- pages in use --- */

static void test_bits(void)
{
    static bool want[40000];
    struct manifest_bits b = {NULL, 0};
    struct buf part;
    struct err e = {0};
    uint8_t id[PACK_ID] = "pack";
    unsigned bad = 0;

    buf_init(&part, MANIFEST_PUBLIC_MAX);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t first = kit_random() % 39000;
        uint32_t count = 1 + kit_random() % 90;

        bad += manifest_bits_set(&b, first, count, &e) != 0;
        memset(want + first, true, count);
    }
    for (uint32_t i = 0; i < 40000; i++)
        bad += manifest_bits_any(&b, i, 1) != want[i];
    OK(bad == 0, "bits are set where they must be");
    for (uint32_t gap = 1; gap <= 64; gap *= 4) {
        struct cur c;
        struct manifest_in_use u;
        uint64_t pos = 0;
        uint64_t first;
        uint64_t count;
        uint64_t listed = 0;
        uint32_t missing = 0;

        buf_clear(&part);
        bad += manifest_bits_write(&part, id, &b, gap, &e) != 0;
        c = cur_of(part.p, part.len);
        bad += manifest_in_use_next(&c, &u, &e) != 0 || memcmp(u.pack, id, PACK_ID) != 0;
        for (uint32_t next = 0; u.ranges.left > 0; next = (uint32_t)pos) {
            bad += !pack_range_next(&u.ranges, &pos, &first, &count);
            for (; next < first; next++)
                missing += want[next];
            listed += count;
        }
        for (uint32_t i = (uint32_t)pos; i < 40000; i++)
            missing += want[i];
        bad += missing != 0;
        for (uint32_t i = 0; gap == 1 && i < 40000; i++)
            listed -= want[i];
        bad += gap == 1 && listed != 0;
        bad += manifest_in_use_next(&c, &u, &e) != 1;
    }
    OK(bad == 0, "a list of pages in use is exact, or covers more when it is shortened");
    OK(manifest_bits_set(&b, PACK_PAGES_MAX, 1, &e) != 0, "no page lies beyond a pack");
    buf_fini(&part);
    manifest_bits_fini(&b);
}

/* --- the chain --- */

static int publish(const char *label, const char *host, struct manifest_seen *kept, struct err *e)
{
    static struct manifest_writer m;
    struct manifest_public p = {.start_timeline = 1};
    int rc = -1;

    memset(&m, 0, sizeof m);
    if (manifest_chain_next(&p.head, &kit.repo, host, kit.dir, kit.scratch, e) == 0 &&
        manifest_begin(&m, &kit.repo, label, 1, 1, e) == 0)
        rc = manifest_finish(&m, &p, e);
    memset(kept, 0, sizeof *kept);
    memcpy(kept->writer, p.head.writer, sizeof kept->writer);
    memcpy(kept->digest, m.digest, sizeof kept->digest);
    kept->sequence = p.head.sequence;
    manifest_seen_here(kept, &kit.repo);
    manifest_fini(&m);
    return rc;
}

static void test_chain(bool sealed)
{
    struct err e = {0};
    struct manifest_seen one;
    struct manifest_seen two;
    struct manifest_seen other;
    struct manifest_heads known;
    struct manifest_heads found;
    struct manifest_head next;
    struct manifest_public p;
    char path[160];

    kit_open(&kit, sealed);
    OK(publish("a", "host", &one, &e) == 0 && one.sequence == 1, "%s: the first of a chain: %s",
       mode(sealed), e.msg);
    OK(publish("b", "host", &two, &e) == 0 && two.sequence == 2 &&
           manifest_read(&kit.repo, "b", &events, NULL, &p, kit.scratch, &e) == 0 &&
           memcmp(p.head.previous, one.digest, MANIFEST_DIGEST) == 0,
       "%s: the second names the first, found in the repository", mode(sealed));
    OK(manifest_heads_keep(kit.dir, &two, &e) == 0 && manifest_heads_keep(kit.dir, &one, &e) == 0 &&
           manifest_heads_load(&known, kit.dir, &e) == 0 && known.n == 1 &&
           known.v[0].sequence == 2 && memcmp(known.v[0].digest, two.digest, MANIFEST_DIGEST) == 0,
       "%s: the host remembers the newest: %s", mode(sealed), e.msg);
    {
        struct manifest_heads none;
        struct err why = {0};
        char heads[256];
        char aside[264];

        (void)snprintf(heads, sizeof heads, "%s/heads", kit.dir);
        (void)snprintf(aside, sizeof aside, "%s.aside", heads);
        (void)rename(heads, aside);
        (void)mkfifo(heads, 0600);
        OK(manifest_heads_load(&none, kit.dir, &why) != 0,
           "%s: a pipe in its place neither hangs nor means that nothing was seen: %s",
           mode(sealed), why.msg);
        manifest_heads_fini(&none);
        (void)rename(aside, heads);
    }
    OK(manifest_heads_scan(&found, &kit.repo, kit.scratch, &e) == 0 &&
           manifest_heads_missing(&known, &found) == NULL,
       "%s: which is there", mode(sealed));
    manifest_heads_fini(&found);
    kit_path(path, "backup", "b");
    kit_unlink(&kit, path);
    OK(manifest_heads_scan(&found, &kit.repo, kit.scratch, &e) == 0 &&
           manifest_heads_missing(&known, &found) != NULL,
       "%s: a repository that lost it is noticed", mode(sealed));
    manifest_heads_fini(&found);
    manifest_heads_fini(&known);
    OK(manifest_chain_next(&next, &kit.repo, "host", kit.dir, kit.scratch, &e) == 0 &&
           next.sequence == 3 && memcmp(next.previous, two.digest, MANIFEST_DIGEST) == 0,
       "%s: and the chain goes on behind what the host knows", mode(sealed));
    if (!sealed)
        OK(publish("c", "another", &other, &e) == 0 && other.sequence == 1 &&
               memcmp(other.writer, one.writer, MANIFEST_WRITER) != 0,
           "another host has a chain of its own");
    kit_spit(&kit, "heads", (const uint8_t *)"0123 x\n", 7);
    OK(manifest_heads_load(&known, kit.dir, &e) != 0, "%s: broken heads are refused: %s",
       mode(sealed), e.msg);
    manifest_heads_fini(&known);
    kit_close(&kit);
}

int main(void)
{
    char label[MANIFEST_LABEL_MAX];

    buf_init(&seen, 4 << 20);
    manifest_label(label, 0x1a, 0x2000028, (const uint8_t *)"\x01\xab\xff");
    IS_STR(label, "0000001A-0000000002000028-01abff", "a label");
    test_hostile();
    test_long_paths();
    test_many_runs();
    test_bits();
    for (int sealed = 0; sealed < 2; sealed++) {
        test_round_trip(sealed);
        test_chain(sealed);
    }
    buf_fini(&seen);
    return tap_done();
}
