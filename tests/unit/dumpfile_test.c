/*
 * Goal: a dump is believed only when all of it is there: custom archives as pg_dump 13 to 18 write
 * them (made here, byte by byte) and plain dumps, in pieces of any size; one that is cut anywhere
 * is refused, whatever its compression.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/buf.h"
#include "repo/dump_check.h"

static struct buf b;
static struct err none;

/* ---- a maker of archives ---- */

static void byte(unsigned v)
{
    (void)!buf_u8(&b, (uint8_t)v, &none);
}

static void number(int64_t v)
{
    uint64_t amount = (uint64_t)(v < 0 ? -v : v);

    byte(v < 0);
    (void)!buf_u32(&b, (uint32_t)amount, &none);
}

static void text(const char *s)
{
    number(s == NULL ? -1 : (int64_t)strlen(s));
    if (s != NULL)
        (void)!buf_str(&b, s, &none);
}

static void head(unsigned minor, unsigned codec, int entries)
{
    (void)!buf_str(&b, "PGDMP", &none);
    byte(1);
    byte(minor);
    byte(0);
    byte(4);
    byte(8);
    byte(1);
    if (minor >= 15)
        byte(codec);
    else
        number(codec == 0 ? 0 : -1);
    for (int i = 0; i < 7; i++)
        number(i);
    text("shop");
    text("17.6");
    text("18.1");
    number(entries);
}

static void entry(unsigned minor, int id, bool data, const char *name, const char *desc,
                  const char *copy)
{
    number(id);
    number(data);
    text("0");
    text("16384");
    text(name);
    text(desc);
    number(3);
    text("");
    text("");
    text(copy);
    text(copy == NULL ? NULL : "app");
    text("");
    if (minor >= 14)
        text("");
    if (minor >= 16)
        number('r');
    text("owner");
    text("false");
    text("12");
    text(NULL);
    byte(data ? 1 : 3);
    (void)!buf_u64(&b, 0, &none);
}

static void chunk(const void *p, size_t n)
{
    number((int64_t)n);
    (void)!buf_add(&b, p, n, &none);
}

static void data_block(int id, const void *p, size_t n)
{
    byte(1);
    number(id);
    if (n > 3) {
        chunk(p, 3);
        chunk((const char *)p + 3, n - 3);
    } else if (n > 0) {
        chunk(p, n);
    }
    number(0);
}

/* zlib.compress(b"1\tone\n2\ttwo\n\\.\n\n\n"), and by lz4 and zstd with their own headers. */
static const char rows[] = "1\tone\n2\ttwo\n\\.\n\n\n";
static const uint8_t zlib_rows[] = {0x78, 0x9c, 0x33, 0xe4, 0xcc, 0xcf, 0x4b, 0xe5, 0x32,
                                    0xe2, 0x2c, 0x29, 0xcf, 0xe7, 0x8a, 0xd1, 0xe3, 0xe2,
                                    0xe2, 0x02, 0x00, 0x26, 0x51, 0x03, 0xce};
static const uint8_t zstd_rows[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x11, 0x89, 0x00, 0x00,
                                    '1',  '\t', 'o',  'n',  'e',  '\n', '2',  '\t', 't',
                                    'w',  'o',  '\n', '\\', '.',  '\n', '\n', '\n'};

static void archive(unsigned minor, unsigned codec, const void *p, size_t n)
{
    buf_clear(&b);
    head(minor, codec, 4);
    entry(minor, 5, false, "orders", "TABLE", NULL);
    entry(minor, 9, true, "orders", "TABLE DATA", "COPY app.orders (id, t) FROM stdin;\n");
    entry(minor, 7, true, "7", "BLOBS", NULL);
    entry(minor, 11, false, "orders_pkey", "CONSTRAINT", NULL);
    data_block(9, p, n);
    byte(3);
    number(7);
    number(-1000000);
    if (codec == 0)
        chunk("large", 5);
    number(0);
    number(0);
}

/* ---- reading ---- */

struct seen {
    int rc;
    size_t tables;
    uint64_t rows;
    enum dump_level level;
    struct err e;
};

static struct seen read_pieces(const uint8_t *p, size_t n, size_t piece)
{
    static struct dump_check c;
    struct seen s = {.rc = 0};

    dump_check_init(&c);
    for (size_t i = 0; s.rc == 0 && i < n; i += piece)
        s.rc = sink_write(&c.sink, p + i, n - i < piece ? n - i : piece, &s.e);
    if (s.rc == 0)
        s.rc = sink_finish(&c.sink, &s.e);
    for (size_t i = 0; i < c.file.entries.n; i++)
        if (c.file.entries.v[i].is_table) {
            s.tables++;
            s.rows += c.file.entries.v[i].rows;
        }
    s.level = dump_check_level(&c);
    dump_check_fini(&c);
    return s;
}

/* Whole in any pieces; refused when cut anywhere. */
static void check_all(const char *name, size_t tables, uint64_t want_rows)
{
    bool whole = true;
    bool cut = true;
    struct seen s;

    for (size_t piece = 1; piece < 40; piece += 3) {
        s = read_pieces(b.p, b.len, piece);
        whole = whole && s.rc == 0 && s.tables == tables && s.rows == want_rows;
    }
    s = read_pieces(b.p, b.len, b.len);
    OK(whole && s.rc == 0, "%s: read in pieces of any size, rows counted (%s)", name, s.e.msg);
    for (size_t n = 0; n < b.len; n++)
        cut = cut && read_pieces(b.p, n, 1000).rc != 0;
    OK(cut, "%s: cut at any byte it is refused", name);
}

static void test_custom(void)
{
    char name[64];

    for (unsigned minor = 12; minor <= 16; minor++) {
        archive(minor, 0, rows, sizeof rows - 1);
        (void)snprintf(name, sizeof name, "archive 1.%u", minor);
        check_all(name, 1, 2);
        archive(minor, 1, zlib_rows, sizeof zlib_rows);
        (void)snprintf(name, sizeof name, "archive 1.%u with gzip", minor);
        check_all(name, 1, 2);
    }
    archive(16, 3, zstd_rows, sizeof zstd_rows);
    OK(read_pieces(b.p, b.len, 7).rc == 0, "archive with zstd");
    OK(read_pieces(b.p, b.len, 7).level == DUMP_LEVEL_SHAPE, "of which only the shape is known");
    archive(17, 0, rows, sizeof rows - 1);
    OK(read_pieces(b.p, b.len, 7).rc != 0, "an unknown version is refused");
}

static void refuse(const char *name, const char *why)
{
    struct seen s = read_pieces(b.p, b.len, 100);

    OK(s.rc != 0 && s.e.code == ERR_DAMAGED && strstr(s.e.msg, why) != NULL, "%s (%s)", name,
       s.e.msg);
}

static void test_damage(void)
{
    archive(16, 0, rows, sizeof rows - 5);
    refuse("data without the end of COPY", "do not end");
    archive(16, 0, "1\tone\n\\.\nmore\n", 14);
    refuse("data behind the end of COPY", "behind the end");
    archive(16, 1, zlib_rows, sizeof zlib_rows - 1);
    refuse("gzip data that are cut", "cut short");
    archive(16, 0, rows, sizeof rows - 1);
    data_block(9, rows, sizeof rows - 1);
    refuse("data twice", "twice");
    archive(16, 0, rows, sizeof rows - 1);
    data_block(99, rows, sizeof rows - 1);
    refuse("data of nothing", "not in the table of contents");
    archive(16, 0, rows, sizeof rows - 1);
    byte(2);
    refuse("an unknown block", "unknown kind");
    /* pg_dump 16 and later into a file that a shell opened. */
    archive(16, 0, rows, sizeof rows - 1);
    number(4);
    entry(16, 5, false, "orders", "TABLE", NULL);
    entry(16, 9, true, "orders", "TABLE DATA", "COPY app.orders (id, t) FROM stdin;\n");
    entry(16, 7, true, "7", "BLOBS", NULL);
    entry(16, 11, false, "orders_pkey", "CONSTRAINT", NULL);
    OK(read_pieces(b.p, b.len, 11).rc == 0, "a second table of contents is passed over");
    archive(16, 0, rows, sizeof rows - 1);
    number(3);
    refuse("but not one that is another", "unlike the first");
}

static void plain(const char *end)
{
    buf_clear(&b);
    (void)!buf_fmt(
        &b, &none,
        "--\n-- PostgreSQL database dump\n--\n\nCREATE FUNCTION f() AS '\n"
        "COPY app.fake (id) FROM stdin;\n';\n\n--\n-- Data for Name: o; Type: TABLE DATA; "
        "Schema: app; Owner: x\n--\n\nCOPY app.\"or\"\"ders\" (id) FROM stdin;\n1\n2\n"
        "-- PostgreSQL database dump complete\n\\.\n\n\n--\n%s",
        end);
}

static void test_plain(void)
{
    plain("-- PostgreSQL database dump complete\n--\n\n");
    OK(read_pieces(b.p, b.len, 5).rc == 0 && read_pieces(b.p, b.len, 5).rows == 3,
       "plain dump, rows counted");
    plain("-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n");
    OK(read_pieces(b.p, b.len, 1).rc == 0, "with the line that newer minor versions add");
    plain("-- PostgreSQL database dump complete\n--\n\nDROP TABLE x;\n");
    refuse("a statement behind the end", "last comment");
    plain("");
    refuse("without the last comment", "last comment");
    b.len = (size_t)(strstr(buf_text(&b), "\n2\n") - buf_text(&b)) + 3;
    refuse("inside of a COPY", "or\"ders");
    buf_clear(&b);
    refuse("nothing at all", "empty");
}

int main(void)
{
    buf_init(&b, 1 << 20);
    test_custom();
    test_damage();
    test_plain();
    buf_fini(&b);
    return tap_done();
}
