#include "pg/increment.h"

#include <string.h>

#include "base/bytes.h"

static const uint32_t MAGIC = 0xd3ae1f0d;

/* Do the parts of a path before the last one make up a directory that holds relations?  Only there
 * a server writes increments; anywhere else the name is a user's own. */
static bool is_relation_dir(const char *path, size_t len)
{
    static const char *const dirs[] = {"base/", "global/", "pg_tblspc/"};

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (len >= strlen(dirs[i]) && memcmp(path, dirs[i], strlen(dirs[i])) == 0)
            return true;
    return false;
}

bool increment_is_path(const char *path, size_t *prefix)
{
    static const char word[] = INCREMENT_WORD;
    const char *slash = strrchr(path, '/');

    if (slash == NULL || !is_relation_dir(path, (size_t)(slash + 1 - path)))
        return false;
    *prefix = (size_t)(slash + 1 - path);
    return strncmp(slash + 1, word, sizeof word - 1) == 0 && slash[sizeof word] >= '0' &&
           slash[sizeof word] <= '9';
}

void increment_init(struct increment *i, const struct increment_events *events, void *arg)
{
    memset(i, 0, sizeof *i);
    i->events = events;
    i->arg = arg;
    buf_init(&i->numbers, (size_t)4 * INCREMENT_PAGES_MAX);
}

void increment_fini(struct increment *i)
{
    buf_fini(&i->numbers);
}

static int damaged(const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "an increment of the server makes no sense: %s", what);
}

uint32_t increment_number(const struct increment *i, uint32_t n)
{
    return get_u32(i->numbers.p + (size_t)4 * n);
}

static int take_head(struct increment *i, struct err *e)
{
    i->count = get_u32(i->head + 4);
    i->length = get_u32(i->head + 8);
    if (get_u32(i->head) != MAGIC)
        return damaged("it does not begin as one, or is of a server with another byte order", e);
    if (i->count > INCREMENT_PAGES_MAX || i->length > INCREMENT_PAGES_MAX)
        return damaged("more pages than a file has", e);
    i->body = INCREMENT_HEAD + (uint64_t)4 * i->count;
    if (i->count > 0)
        i->body = (i->body + INCREMENT_PAGE - 1) / INCREMENT_PAGE * INCREMENT_PAGE;
    return 0;
}

static int check_numbers(const struct increment *i, struct err *e)
{
    for (uint32_t n = 0; n < i->count; n++)
        if (increment_number(i, n) >= INCREMENT_PAGES_MAX ||
            (n > 0 && increment_number(i, n) <= increment_number(i, n - 1)))
            return damaged("its pages are out of order", e);
    return 0;
}

static int go_to(struct increment *i, uint64_t page, struct err *e)
{
    uint64_t count = page - i->page;

    i->page = page;
    return count == 0 ? 0 : i->events->known(i->arg, count, e);
}

/* Bytes of at most one page. */
static int take_page(struct increment *i, const uint8_t *bytes, size_t len, struct err *e)
{
    if ((i->at - i->body) % INCREMENT_PAGE == 0) {
        if (i->sent == i->count)
            return damaged("bytes behind its last page", e);
        if (go_to(i, increment_number(i, i->sent++), e) != 0)
            return -1;
        i->page++;
    }
    return i->events->data(i->arg, bytes, len, e);
}

/* How many of the next bytes belong to the same part of the file. */
static size_t part(const struct increment *i, size_t len)
{
    uint64_t end = INCREMENT_HEAD;

    if (i->at >= INCREMENT_HEAD && i->at < INCREMENT_HEAD + (uint64_t)4 * i->count)
        end = INCREMENT_HEAD + (uint64_t)4 * i->count;
    else if (i->at >= INCREMENT_HEAD && i->at < i->body)
        end = i->body;
    else if (i->at >= INCREMENT_HEAD)
        end = i->at + INCREMENT_PAGE - (i->at - i->body) % INCREMENT_PAGE;
    return end - i->at < len ? (size_t)(end - i->at) : len;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t k = 0; k < len; k++)
        if (bytes[k] != 0)
            return false;
    return true;
}

int increment_feed(struct increment *i, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        size_t take = part(i, len);
        uint64_t list_end = INCREMENT_HEAD + (uint64_t)4 * i->count;
        int rc = 0;

        if (i->at < INCREMENT_HEAD) {
            memcpy(i->head + i->at, bytes, take);
            if (i->at + take == INCREMENT_HEAD)
                rc = take_head(i, e);
        } else if (i->at < list_end) {
            rc = buf_add(&i->numbers, bytes, take, e);
            if (rc == 0 && i->at + take == list_end)
                rc = check_numbers(i, e);
        } else if (i->at < i->body) {
            rc = is_zero(bytes, take) ? 0 : damaged("something where zeros must be", e);
        } else {
            rc = take_page(i, bytes, take, e);
        }
        if (rc != 0)
            return -1;
        i->at += take;
        bytes += take;
        len -= take;
    }
    return 0;
}

int increment_finish(struct increment *i, struct err *e)
{
    if (i->at < INCREMENT_HEAD || i->at != i->body + (uint64_t)i->count * INCREMENT_PAGE)
        return damaged("it is cut off", e);
    return i->page < i->length ? go_to(i, i->length, e) : 0;
}
