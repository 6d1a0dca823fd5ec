#include "pg/dumpfile.h"

#include <string.h>

static const char magic[] = "PGDMP";
enum { MAGIC = 5 };

void dumpfile_init(struct dumpfile *d, const struct dumpfile_events *events, void *arg)
{
    memset(d, 0, sizeof *d);
    d->events = events;
    d->arg = arg;
    dumpfile_entries_init(&d->entries, DUMPFILE_ENTRIES_MAX);
    buf_init(&d->names, DUMPFILE_NAMES_MAX);
}

void dumpfile_fini(struct dumpfile *d)
{
    dumpfile_entries_fini(&d->entries);
    buf_fini(&d->names);
}

int dumpfile_damaged(const struct dumpfile *d, struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "the dump is damaged near byte %llu: %s",
                   (unsigned long long)d->at, what);
}

int dumpfile_keep(struct dumpfile *d, const char *text, size_t len, uint32_t *at, struct err *e)
{
    *at = (uint32_t)d->names.len;
    if (buf_add(&d->names, text, len, e) != 0 || buf_u8(&d->names, 0, e) != 0)
        return -1;
    return 0;
}

const char *dumpfile_name(const struct dumpfile *d, uint32_t at)
{
    return at < d->names.len ? (const char *)d->names.p + at : "";
}

const struct dumpfile_entry *dumpfile_current(const struct dumpfile *d)
{
    return d->current < d->entries.n ? &d->entries.v[d->current] : NULL;
}

/* The first bytes say what it is. */
static int recognise(struct dumpfile *d, const uint8_t **bytes, size_t *len, struct err *e)
{
    uint8_t first[MAGIC];
    size_t n;

    while (*len > 0 && d->held < MAGIC) {
        d->small[d->held++] = *(*bytes)++;
        (*len)--;
        if (d->small[d->held - 1] == (uint8_t)magic[d->held - 1])
            continue;
        n = d->held;
        memcpy(first, d->small, n);
        d->held = 0;
        d->format = DUMPFILE_PLAIN;
        return dumpfile_plain(d, first, n, e);
    }
    if (d->held == MAGIC) {
        d->format = DUMPFILE_CUSTOM;
        d->at = MAGIC;
        d->held = 0;
    }
    return 0;
}

int dumpfile_feed(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e)
{
    if (d->format == DUMPFILE_UNKNOWN && len > 0 && recognise(d, &bytes, &len, e) != 0)
        return -1;
    if (len == 0)
        return 0;
    return d->format == DUMPFILE_CUSTOM ? dumpfile_custom(d, bytes, len, e)
                                        : dumpfile_plain(d, bytes, len, e);
}

int dumpfile_finish(struct dumpfile *d, struct err *e)
{
    switch (d->format) {
    case DUMPFILE_CUSTOM:
        return dumpfile_custom_end(d, e);
    case DUMPFILE_PLAIN:
        return dumpfile_plain_end(d, e);
    case DUMPFILE_UNKNOWN:
        break;
    }
    return err_set(e, ERR_DAMAGED, d->held == 0 ? "the dump is empty" : "the dump is cut short");
}

/* --- rows --- */

void dumpfile_rows_init(struct dumpfile_rows *r)
{
    memset(r, 0, sizeof *r);
}

/* A piece of a line without its newline. */
static void add_to_line(struct dumpfile_rows *r, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len && r->column < 3; i++) {
        if (r->column < 2)
            r->first[r->column] = (char)bytes[i];
        r->column++;
    }
}

size_t dumpfile_rows_feed(struct dumpfile_rows *r, const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && !r->ended) {
        const uint8_t *end = memchr(bytes + at, '\n', len - at);
        size_t n = end == NULL ? len - at : (size_t)(end - bytes) - at;

        if (r->column < 3)
            add_to_line(r, bytes + at, n);
        at += n;
        if (end == NULL)
            break;
        at++;
        if (r->column == 2 && r->first[0] == '\\' && r->first[1] == '.')
            r->ended = true;
        else
            r->rows++;
        r->column = 0;
    }
    return at;
}
