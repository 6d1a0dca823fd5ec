/*
 * Plain dumps: SQL, line by line.
 *
 * A COPY is believed only behind the comment that pg_dump puts in front of it, so the body of a
 * function may hold such a line.  The comment at the end must really be at the end; since the
 * minor versions of August 2025 a line \unrestrict follows it.
 */
#include <string.h>

#include "pg/dumpfile.h"

static const char data_comment[] = "-- Data for Name: ";
static const char *const last_comments[] = {"-- PostgreSQL database dump complete",
                                            "-- PostgreSQL database cluster dump complete"};

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

/* One identifier, perhaps quoted; NULL when there is none. */
static const char *take_name(const char *p, char *out, size_t cap)
{
    size_t n = 0;
    bool quoted = *p == '"';

    if (quoted)
        p++;
    for (; *p != '\0' && n + 1 < cap; p++) {
        if (quoted && *p == '"' && *++p != '"')
            break;
        if (!quoted && strchr(". (", *p) != NULL)
            break;
        out[n++] = *p;
    }
    out[n] = '\0';
    return n == 0 ? NULL : p;
}

/* COPY schema.table (columns) FROM stdin; */
static int begin_copy(struct dumpfile *d, struct err *e)
{
    struct dumpfile_entry *en;
    char schema[DUMPFILE_WORD_MAX];
    char name[DUMPFILE_WORD_MAX];
    const char *p = take_name(d->line + 5, schema, sizeof schema);

    if (p == NULL || *p != '.' || take_name(p + 1, name, sizeof name) == NULL)
        return 0; /* not as pg_dump writes it */
    en = dumpfile_entries_add(&d->entries, e);
    if (en == NULL || dumpfile_keep(d, schema, strlen(schema), &en->schema, e) != 0 ||
        dumpfile_keep(d, name, strlen(name), &en->name, e) != 0)
        return -1;
    en->is_table = true;
    en->is_copy = true;
    en->seen = true;
    d->current = d->entries.n - 1;
    d->in_copy = true;
    return 0;
}

static bool is_copy(const struct dumpfile *d)
{
    static const char end[] = " FROM stdin;";
    size_t n = sizeof end - 1;

    return d->said_data && begins(d->line, "COPY ") && d->line_len > n &&
           memcmp(d->tail + sizeof d->tail - n, end, n) == 0;
}

static int take_statement(struct dumpfile *d, struct err *e)
{
    bool little = d->line_len == 0 || strcmp(d->line, "--") == 0;

    for (size_t i = 0; i < sizeof last_comments / sizeof last_comments[0]; i++)
        if (strcmp(d->line, last_comments[i]) == 0) {
            d->complete = true;
            return 0;
        }
    if (little || begins(d->line, "\\unrestrict "))
        return 0;
    d->complete = false;
    if (is_copy(d)) {
        d->said_data = false;
        return begin_copy(d, e);
    }
    d->said_data = begins(d->line, data_comment);
    return 0;
}

static int take_line(struct dumpfile *d, struct err *e)
{
    size_t kept = d->line_len < DUMPFILE_LINE_MAX - 1 ? d->line_len : DUMPFILE_LINE_MAX - 1;
    int rc = 0;

    d->line[kept] = '\0';
    if (!d->in_copy) {
        rc = take_statement(d, e);
    } else if (d->line_len == 2 && memcmp(d->line, "\\.", 2) == 0) {
        d->in_copy = false;
        d->current = d->entries.n;
    } else {
        d->entries.v[d->current].rows++;
        d->entries.v[d->current].bytes += d->line_len + 1;
    }
    d->line_len = 0;
    d->cut_line = false;
    return rc;
}

static void add(struct dumpfile *d, const uint8_t *bytes, size_t n)
{
    size_t room = d->line_len < DUMPFILE_LINE_MAX - 1 ? DUMPFILE_LINE_MAX - 1 - d->line_len : 0;
    size_t last = n < sizeof d->tail ? n : sizeof d->tail;

    if (n == 0)
        return;
    memcpy(d->line + (DUMPFILE_LINE_MAX - 1 - room), bytes, n < room ? n : room);
    memmove(d->tail, d->tail + last, sizeof d->tail - last);
    memcpy(d->tail + sizeof d->tail - last, bytes + n - last, last);
    d->line_len += n;
    d->cut_line = true;
}

int dumpfile_plain(struct dumpfile *d, const uint8_t *bytes, size_t len, struct err *e)
{
    while (len > 0) {
        const uint8_t *end = memchr(bytes, '\n', len);
        size_t n = end == NULL ? len : (size_t)(end - bytes);

        add(d, bytes, n);
        d->at += n;
        if (end == NULL)
            return 0;
        if (take_line(d, e) != 0)
            return -1;
        d->at++;
        bytes += n + 1;
        len -= n + 1;
    }
    return 0;
}

int dumpfile_plain_end(struct dumpfile *d, struct err *e)
{
    if (d->in_copy)
        return err_set(e, ERR_DAMAGED,
                       "the dump is cut short: the data of \"%.64s.%.64s\" do not end",
                       dumpfile_name(d, d->entries.v[d->current].schema),
                       dumpfile_name(d, d->entries.v[d->current].name));
    if (d->cut_line || !d->complete)
        return dumpfile_damaged(d, e, "it is cut short: pg_dump's last comment is missing");
    return 0;
}
