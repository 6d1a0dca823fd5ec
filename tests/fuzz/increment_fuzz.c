/*
 * Fuzz target for pg/increment.
 *
 * The first byte chooses the pieces; the rest is the beginning of an increment, behind which pages
 * follow when it was begun right.  Whatever comes: pages are named in order and add up to the file,
 * a page that is sent has all its bytes, and pieces do not matter.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pg/increment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

struct seen {
    uint64_t known;
    uint64_t sent; /* bytes */
    uint64_t hash; /* of the order */
};

static int on_known(void *arg, uint64_t count, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    must(count > 0 && s->sent % INCREMENT_PAGE == 0);
    s->known += count;
    s->hash = (s->hash ^ (count + s->sent)) * UINT64_C(1099511628211);
    return 0;
}

static int on_data(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct seen *s = arg;

    (void)bytes, (void)e;
    must(len > 0 && len <= INCREMENT_PAGE - s->sent % INCREMENT_PAGE);
    s->sent += len;
    return 0;
}

static int read_all(const uint8_t *data, size_t size, size_t piece, unsigned pages, struct seen *s)
{
    static const struct increment_events events = {on_known, on_data};
    static const uint8_t zeros[INCREMENT_PAGE];
    struct increment i;
    struct err e = {0};
    int rc = 0;

    memset(s, 0, sizeof *s);
    increment_init(&i, &events, s);
    for (size_t at = 0; rc == 0 && at < size; at += piece)
        rc = increment_feed(&i, data + at, size - at < piece ? size - at : piece, &e);
    for (; rc == 0 && pages > 0; pages--)
        rc = increment_feed(&i, zeros, sizeof zeros, &e);
    if (rc == 0)
        rc = increment_finish(&i, &e);
    must(rc == 0 || (rc == -1 && (e.code == ERR_DAMAGED || e.code == ERR_NOMEM)));
    if (rc == 0) {
        must(s->sent == (uint64_t)i.count * INCREMENT_PAGE);
        must(s->known + i.count >= i.length && s->known + i.count <= 2 * INCREMENT_PAGES_MAX);
    }
    increment_fini(&i);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen once;
    struct seen cut;
    unsigned pages;

    if (size < 1)
        return 0;
    pages = data[0] >> 5;
    must(read_all(data + 1, size - 1, size, pages, &once) ==
         read_all(data + 1, size - 1, 1 + data[0] % 31, pages, &cut));
    must(memcmp(&once, &cut, sizeof once) == 0);
    return 0;
}
