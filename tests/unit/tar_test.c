/*
 * Goal: an archive as a server sends it comes out member by member, however it is cut into pieces;
 * each kind of lie in a header, and each end that is none, is refused.
 */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "stream/tar.h"

/* What the reader handed on, as text. */
struct seen {
    struct buf text;
    bool ended;
    bool aborted;
};

static int on_begin(void *arg, const struct tar_member *m, struct err *e)
{
    static const char kinds[] = "fdl";
    struct seen *s = arg;

    return buf_fmt(&s->text, e, "%c %s %o %llu %lld%s%s:", kinds[m->type], m->path, m->mode,
                   (unsigned long long)m->size, (long long)m->mtime,
                   m->target[0] != '\0' ? " -> " : "", m->target);
}

static int on_data(void *arg, const uint8_t *p, size_t n, struct err *e)
{
    return buf_add(&((struct seen *)arg)->text, p, n, e);
}

static int on_end(void *arg, struct err *e)
{
    return buf_str(&((struct seen *)arg)->text, ";", e);
}

static int on_archive_end(void *arg, struct err *e)
{
    (void)e;
    ((struct seen *)arg)->ended = true;
    return 0;
}

static void on_abort(void *arg)
{
    ((struct seen *)arg)->aborted = true;
}

static const struct tar_events events = {on_begin, on_data, on_end, on_archive_end, on_abort};

/* ---- making archives ---- */

struct spec {
    const char *name;
    char type;
    const char *size; /* the field as it stands; NULL: octal of len */
    const char *content;
    size_t len;
    const char *link;
    const char *mode;
    const char *mtime;
};

static struct err none;

static void fix_checksum(uint8_t *h)
{
    unsigned sum = 0;
    char text[9];

    memset(h + 148, ' ', 8);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += h[i];
    (void)snprintf(text, sizeof text, "%06o", sum);
    memcpy(h + 148, text, 7);
}

static void add(struct buf *b, const struct spec *s)
{
    uint8_t h[TAR_BLOCK] = {0};
    uint8_t zeros[TAR_BLOCK] = {0};
    char size[13];

    memcpy(h, s->name, strlen(s->name));
    (void)snprintf(size, sizeof size, "%011o ", (unsigned)s->len);
    memcpy(h + 100, s->mode == NULL ? "0000600 " : s->mode, 8);
    memcpy(h + 124, s->size == NULL ? size : s->size, 12);
    memcpy(h + 136, s->mtime == NULL ? "14726254611 " : s->mtime, 12);
    h[156] = (uint8_t)s->type;
    if (s->link != NULL)
        memcpy(h + 157, s->link, strlen(s->link));
    memcpy(h + 257,
           "ustar\0"
           "00postgres",
           16);
    fix_checksum(h);
    (void)!buf_add(b, h, sizeof h, &none);
    if (s->len > 0) {
        (void)!buf_add(b, s->content, s->len, &none);
        (void)!buf_add(b, zeros, -s->len % TAR_BLOCK, &none);
    }
}

static void add_zeros(struct buf *b, size_t n)
{
    static const uint8_t zeros[4096];

    (void)!buf_add(b, zeros, n, &none);
}

/* Feeds an archive in pieces.  0, or -1 with *e. */
static int feed(const uint8_t *p, size_t n, size_t piece, unsigned flags, struct seen *s,
                struct err *e)
{
    struct tar t;

    err_clear(e);
    buf_fini(&s->text);
    s->ended = s->aborted = false;
    tar_init(&t, &events, s, flags, PHASE_PLAIN);
    for (size_t at = 0; at < n; at += piece) {
        if (sink_write(&t.sink, p + at, n - at < piece ? n - at : piece, e) != 0) {
            sink_abort(&t.sink);
            return -1;
        }
    }
    return sink_finish(&t.sink, e);
}

static struct buf archive;
static struct seen seen;

static void begin(void)
{
    buf_clear(&archive);
}

static int feed_all(unsigned flags, struct err *e)
{
    return feed(archive.p, archive.len, 512, flags, &seen, e);
}

/* ---- tests ---- */

static void test_whole(void)
{
    static const char want[] =
        "f backup_label 600 5 1733908873:hello;d pg_wal 700 0 1733908873:;"
        "d pg_wal/archive_status 700 0 1733908873:;"
        "l pg_tblspc/16384 777 0 1733908873 -> /srv/a b=c:;f empty 600 0 1733908873:;"
        "f a name=1\n 640 512 -1:";
    char block[TAR_BLOCK];
    struct err e = {0};
    size_t wrong = 0;

    memset(block, 'x', sizeof block);
    begin();
    add(&archive, &(struct spec){"backup_label", '0', NULL, "hello", 5, NULL, NULL, NULL});
    add(&archive, &(struct spec){"pg_wal/", '5', NULL, NULL, 0, NULL, "0000700 ", NULL});
    add(&archive,
        &(struct spec){"./pg_wal/archive_status/", '5', NULL, NULL, 0, NULL, "0000700\0", NULL});
    add(&archive,
        &(struct spec){"pg_tblspc/16384/", '2', NULL, NULL, 0, "/srv/a b=c", "0000777 ", NULL});
    add(&archive, &(struct spec){"empty", '0', NULL, NULL, 0, NULL, NULL, NULL});
    add(&archive, &(struct spec){"a name=1\n", '0', "\x80\0\0\0\0\0\0\0\0\0\x02\0", block, 512,
                                 NULL, "0000640 ", "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"});
    add_zeros(&archive, 1024);
    for (size_t piece = 1; piece < 1100; piece += piece < 20 ? 1 : 101) {
        if (feed(archive.p, archive.len, piece, TAR_LINKS, &seen, &e) != 0 || !seen.ended ||
            strncmp(buf_text(&seen.text), want, strlen(want)) != 0 ||
            seen.text.len != strlen(want) + 513)
            wrong++;
    }
    OK(wrong == 0, "an archive in pieces of any size");
    IS_STR(e.msg, "", "without an error");
    printf("# %.*s\n", (int)strlen(want), buf_text(&seen.text));
    OK(feed(archive.p, archive.len, 4096, 0, &seen, &e) != 0 && e.code == ERR_REFUSED,
       "no link in a tablespace's archive");
    OK(seen.aborted, "who gives up is told on");
}

static void test_ends(void)
{
    struct err e = {0};
    size_t cuts = 0;
    size_t n;

    begin();
    add(&archive, &(struct spec){"f", '0', NULL, "hello", 5, NULL, NULL, NULL});
    n = archive.len;
    OK(feed_all(TAR_NO_END, &e) == 0 && seen.ended, "an archive without closing blocks (13, 14)");
    OK(feed_all(0, &e) != 0 && !seen.ended && e.code == ERR_DAMAGED, "is cut off for all others");
    add_zeros(&archive, 512);
    OK(feed_all(TAR_NO_END, &e) != 0 && e.code == ERR_DAMAGED, "one closing block is none");
    add_zeros(&archive, 512);
    OK(feed_all(TAR_NO_END, &e) == 0, "closing blocks are allowed where they may be missing");
    add_zeros(&archive, 1000);
    OK(feed_all(0, &e) == 0, "more zeros are allowed");
    (void)!buf_u8(&archive, 1, &e);
    OK(feed_all(0, &e) != 0 && strstr(e.msg, "behind its end") != NULL, "anything else is not");
    begin();
    OK(feed_all(0, &e) != 0, "nothing is no archive");
    add_zeros(&archive, 1024);
    OK(feed_all(0, &e) == 0 && seen.ended, "closing blocks alone are an empty one");
    begin();
    add_zeros(&archive, 512);
    add(&archive, &(struct spec){"f", '0', NULL, "hello", 5, NULL, NULL, NULL});
    OK(feed_all(0, &e) != 0 && strstr(e.msg, "two must be") != NULL,
       "a header after one zero block");

    begin();
    add(&archive, &(struct spec){"f", '0', NULL, "hello", 5, NULL, NULL, NULL});
    add_zeros(&archive, 1024);
    for (size_t cut = 0; cut < n + 1024; cut++)
        if (feed(archive.p, cut, 100, 0, &seen, &e) == 0)
            cuts++;
    OK(cuts == 0, "every cut is noticed");
    archive.p[TAR_BLOCK + 5] = 'x';
    OK(feed_all(0, &e) != 0 && strstr(e.msg, "does not end where") != NULL,
       "content that goes on behind its size");
}

static void refuse(const char *what, const char *says, const struct spec *s)
{
    struct err e = {0};
    int rc;

    begin();
    add(&archive, s);
    add_zeros(&archive, 1024);
    rc = feed_all(TAR_LINKS, &e);
    OK(rc != 0 && e.code == ERR_REFUSED && strstr(e.msg, says) != NULL, "%s", what);
    if (rc == 0 || strstr(e.msg, says) == NULL)
        printf("# %s\n", e.msg);
}

static void test_refused(void)
{
    static const char *const names[] = {
        "/etc/passwd", "..", "../x", "a/../b", "a/..",   "a//b", "a/./b", "",
        "/",           ".",  "./",   "././x",  "./../x", "./",   "a/.",   "//",
    };
    static const char types[] = "13467xgLKVM\0";
    struct spec s = {"f", '0', NULL, NULL, 0, NULL, NULL, NULL};
    char name[TAR_NAME_MAX + 1];
    char what[64];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        s.name = names[i];
        (void)snprintf(what, sizeof what, "the name \"%s\"", names[i]);
        refuse(what, "", &s);
    }
    s.name = "f/";
    refuse("a file whose name ends in a slash", "slash", &s);
    memset(name, 'n', TAR_NAME_MAX);
    name[TAR_NAME_MAX] = '\0';
    s.name = name;
    refuse("a name of 100 bytes", "more than 99", &s);
    s.name = "f";
    for (size_t i = 0; i < sizeof types - 1; i++) {
        s.type = types[i];
        (void)snprintf(what, sizeof what, "a member of type \"%c\"", types[i]);
        refuse(what, "is ", &s);
    }
    s.type = '0';
    s.size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    refuse("a negative size", "size", &s);
    s.size = "\x80\xff\0\0\0\0\0\0\0\0\0\0";
    refuse("a size of more than 64 bits", "size", &s);
    s.size = "\x80\0\0\0\0\0\x20\0\0\0\0\0";
    refuse("a size of more than any file", "size", &s);
    s.size = "0000000008 \0";
    refuse("a size that is not octal", "size", &s);
    s.size = "           \0";
    refuse("no size", "size", &s);
    s.size = "00000000001 ";
    s.name = "d/";
    s.type = '5';
    refuse("a directory with content", "no file but has a size", &s);
    s.size = NULL;
    s.mode = "0010600 ";
    refuse("permissions of a device", "permissions", &s);
    s.mode = NULL;
    s.mtime = "yesterday   ";
    refuse("a time that is none", "time", &s);
}

static void test_links(void)
{
    static const char *const names[] = {"pg_wal/",
                                        "pg_tblspc/x",
                                        "pg_tblspc/0",
                                        "pg_tblspc/016384",
                                        "pg_tblspc/4294967296",
                                        "pg_tblspc/1/x",
                                        "base/1",
                                        "1"};
    struct spec s = {"pg_tblspc/16384", '2', NULL, NULL, 0, "relative", NULL, NULL};
    char target[TAR_NAME_MAX + 1];
    char what[64];

    refuse("a link to a relative path", "absolute", &s);
    s.link = "";
    refuse("a link to nothing", "absolute", &s);
    memset(target, '/', TAR_NAME_MAX);
    target[TAR_NAME_MAX] = '\0';
    s.link = target;
    refuse("a link to a path of 100 bytes", "absolute", &s);
    s.link = "/srv/x";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        s.name = names[i];
        (void)snprintf(what, sizeof what, "the link \"%s\"", names[i]);
        refuse(what, "not that of a tablespace", &s);
    }
}

/* Every single byte of a header, changed, is noticed by its checksum. */
static void test_header(void)
{
    struct err e = {0};
    size_t passed = 0;

    begin();
    add(&archive, &(struct spec){"f", '0', NULL, "hello", 5, NULL, NULL, NULL});
    add_zeros(&archive, 1024);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        archive.p[i] ^= 0x11;
        if (feed_all(0, &e) == 0 && (i < 148 || i >= 156)) {
            passed++;
            printf("# byte %zu\n", i);
        }
        archive.p[i] ^= 0x11;
    }
    OK(passed == 0, "every changed byte of a header is noticed");
    archive.p[345] = 'p';
    fix_checksum(archive.p);
    OK(feed_all(0, &e) != 0 && strstr(e.msg, "more than 99") != NULL, "a name in two parts");
    archive.p[345] = 0;
    archive.p[263] = ' ';
    fix_checksum(archive.p);
    OK(feed_all(0, &e) != 0 && e.code == ERR_DAMAGED, "GNU's magic");
    archive.p[263] = '0';
    memcpy(archive.p, "\x1b[31m/..", 8);
    fix_checksum(archive.p);
    OK(feed_all(0, &e) != 0 && strchr(e.msg, '\x1b') == NULL, "no control character in a message");
    OK(strlen(e.msg) > 20, "but a message");
}

static int fail_begin(void *arg, const struct tar_member *m, struct err *e)
{
    (void)arg;
    return err_set(e, ERR_IO, "no room for \"%s\"", m->path);
}

static void test_consumer(void)
{
    struct tar_events ev = events;
    struct err e = {0};
    struct tar t;

    ev.begin = fail_begin;
    begin();
    add(&archive, &(struct spec){"f", '0', NULL, "hello", 5, NULL, NULL, NULL});
    tar_init(&t, &ev, &seen, 0, PHASE_PLAIN);
    OK(sink_write(&t.sink, archive.p, archive.len, &e) != 0, "a consumer's failure ends it");
    IS_STR(e.msg, "no room for \"f\"", "and is passed on");
    ev.abort = NULL;
    sink_abort(&t.sink);
}

int main(void)
{
    buf_init(&archive, 1 << 20);
    buf_init(&seen.text, 1 << 20);
    test_whole();
    test_ends();
    test_refused();
    test_links();
    test_header();
    test_consumer();
    buf_fini(&archive);
    buf_fini(&seen.text);
    return tap_done();
}
