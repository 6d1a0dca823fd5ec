/*
 * Goal: an increment of a server, cut into pieces of any size, names each page of the file once and
 * in order, sent or known; what no server writes is refused, wherever it is cut.
 */
#include "tap.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "pg/increment.h"

enum { PAGE = INCREMENT_PAGE, CAP = 16 * PAGE };

static struct buf got; /* 'k' per known page, 's' and the page's first byte per sent one */
static uint64_t in_page;

static int on_known(void *arg, uint64_t count, struct err *e)
{
    (void)arg;
    for (; count > 0; count--)
        if (buf_u8(&got, 'k', e) != 0)
            return -1;
    return 0;
}

static int on_data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    (void)arg;
    if (in_page == 0 && (buf_u8(&got, 's', e) != 0 || buf_u8(&got, bytes[0], e) != 0))
        return -1;
    in_page = (in_page + len) % PAGE;
    return 0;
}

/* Feeds the file in pieces. */
static int read_all(const uint8_t *bytes, size_t len, size_t piece, struct err *e)
{
    static const struct increment_events events = {on_known, on_data};
    struct increment i;
    int rc = 0;

    err_clear(e);
    buf_clear(&got);
    in_page = 0;
    increment_init(&i, &events, NULL);
    for (size_t at = 0; rc == 0 && at < len; at += piece)
        rc = increment_feed(&i, bytes + at, len - at < piece ? len - at : piece, e);
    if (rc == 0)
        rc = increment_finish(&i, e);
    increment_fini(&i);
    return rc;
}

/* An increment with the pages that are named; its length. */
static size_t make(uint8_t *out, uint32_t length, uint32_t n, const uint32_t *pages)
{
    size_t body = INCREMENT_HEAD + (size_t)4 * n;

    memset(out, 0, CAP);
    put_u32(out, 0xd3ae1f0d);
    put_u32(out + 4, n);
    put_u32(out + 8, length);
    for (uint32_t i = 0; i < n; i++)
        put_u32(out + INCREMENT_HEAD + (size_t)4 * i, pages[i]);
    if (n > 0)
        body = (body + PAGE - 1) / PAGE * PAGE;
    for (uint32_t i = 0; i < n; i++)
        memset(out + body + (size_t)i * PAGE, (int)('A' + i), PAGE);
    return body + (size_t)n * PAGE;
}

static void test_right(uint8_t *bytes)
{
    static const size_t pieces[] = {1, 7, 12, 4096, 8192, 8193, CAP};
    static const struct {
        uint32_t length;
        uint32_t n;
        uint32_t pages[3];
        const char *want;
    } rows[] = {
        {0, 0, {0}, ""},
        {3, 0, {0}, "kkk"},
        {2, 1, {0}, "sAk"},
        {2, 1, {1}, "ksA"},
        {5, 2, {1, 3}, "ksAksBk"},
        {1, 2, {1, 3}, "ksAksB"},
        {3, 3, {0, 1, 2}, "sAsBsC"},
        {0, 1, {2}, "kksA"},
    };
    struct err e = {0};

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        size_t len = make(bytes, rows[r].length, rows[r].n, rows[r].pages);
        bool same = true;

        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++)
            same = same && read_all(bytes, len, pieces[p], &e) == 0 &&
                   strcmp(buf_text(&got), rows[r].want) == 0;
        OK(same, "%s", rows[r].want);
    }
}

static void refused(const uint8_t *bytes, size_t len, const char *what)
{
    struct err e = {0};

    OK(read_all(bytes, len, 5000, &e) < 0 && e.code == ERR_DAMAGED, "%s: %s", what, e.msg);
}

static void test_wrong(uint8_t *bytes)
{
    static const uint32_t two[] = {1, 3};
    static const uint32_t back[] = {3, 1};
    static const uint32_t twice[] = {3, 3};
    static const uint32_t far[] = {INCREMENT_PAGES_MAX};
    struct err e = {0};
    size_t len = make(bytes, 5, 2, two);
    bool ok = true;

    for (size_t cut = 0; cut < len; cut += cut < 64 ? 1 : 997)
        ok = ok && read_all(bytes, cut, 4096, &e) < 0 && e.code == ERR_DAMAGED;
    OK(ok, "cut off anywhere");
    refused(bytes, len + 1, "a byte too many");
    bytes[0] ^= 1;
    refused(bytes, len, "another magic number");
    bytes[0] ^= 1;
    bytes[500] = 1;
    refused(bytes, len, "something between list and pages");
    refused(bytes, make(bytes, 5, 2, back), "pages that go back");
    refused(bytes, make(bytes, 5, 2, twice), "a page twice");
    refused(bytes, make(bytes, 5, 1, far), "a page that no file has");
    (void)make(bytes, 5, 0, NULL);
    put_u32(bytes + 4, INCREMENT_PAGES_MAX + 1);
    refused(bytes, CAP, "more pages than a file has");
    (void)make(bytes, INCREMENT_PAGES_MAX + 1, 0, NULL);
    refused(bytes, INCREMENT_HEAD, "a longer file than there is");
    (void)make(bytes, 3, 0, NULL);
    refused(bytes, INCREMENT_HEAD + 1, "an empty one with a byte behind it");
}

static void test_names(void)
{
    static const struct {
        const char *path;
        bool is;
    } rows[] = {
        {"base/5/INCREMENTAL.16384", true},
        {"base/5/INCREMENTAL.16384_vm.3", true},
        {"global/INCREMENTAL.1262", true},
        {"pg_tblspc/16390/PG_18_202506291/5/INCREMENTAL.16391", true},
        {"base/5/16384", false},
        {"base/5/INCREMENTAL.", false},
        {"base/5/INCREMENTAL.conf", false},
        {"INCREMENTAL.16384", false},
        {"pg_xact/INCREMENTAL.0001", false},
        {"base/INCREMENTAL.1/16384", false},
    };
    size_t prefix = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        OK(increment_is_path(rows[i].path, &prefix) == rows[i].is, "%s", rows[i].path);
    OK(increment_is_path("base/5/INCREMENTAL.7", &prefix) && prefix == 7, "where the word begins");
}

int main(void)
{
    uint8_t *bytes = malloc(CAP + 1);

    if (bytes == NULL)
        return 1;
    memset(bytes, 0, CAP + 1);
    buf_init(&got, 1000);
    test_right(bytes);
    test_wrong(bytes);
    test_names();
    buf_fini(&got);
    free(bytes);
    return tap_done();
}
