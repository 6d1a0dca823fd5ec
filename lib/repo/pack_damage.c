#include "repo/pack_damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "object/record.h"
#include "os/file.h"

static const char file_name[] = "damaged";

static int by_entry(const void *a, const void *b)
{
    const struct pack_bad *x = a;
    const struct pack_bad *y = b;
    int order = memcmp(x->id, y->id, PACK_ID);

    return order != 0 ? order : (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* Sorts, and keeps one of each. */
static void tidy(struct pack_bads *d)
{
    size_t kept = 0;

    if (d->n > 1)
        qsort(d->v, d->n, sizeof *d->v, by_entry);
    for (size_t i = 0; i < d->n; i++)
        if (i == 0 || by_entry(&d->v[i], &d->v[kept - 1]) != 0)
            d->v[kept++] = d->v[i];
    d->n = kept;
}

static int read_lines(struct pack_bads *d, const char *text, size_t len, struct err *e)
{
    struct record r;
    struct record_line l;
    int rc;

    if (record_open(&r, "damaged", text, len, file_name, e) != 0)
        return -1;
    while ((rc = record_next(&r, &l, e)) > 0) {
        struct pack_bad bad = {0};
        uint64_t ordinal;

        if (strcmp(l.word[0], "entry") != 0)
            return record_bad(&r, "unknown statement", e);
        if (record_expect(&r, &l, 3, e) != 0 || record_bytes(&r, &l, 1, bad.id, PACK_ID, e) != 0 ||
            parse_u64(l.word[2], 0, PACK_PAGES_MAX, &ordinal, e) != 0)
            return -1;
        bad.ordinal = (uint32_t)ordinal;
        if (pack_bads_push(d, bad, e) != 0)
            return -1;
    }
    return rc;
}

int pack_damage_read(struct pack_bads *d, struct repo *repo, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc;

    pack_bads_init(d, PACK_BAD_MAX);
    rc = store_get_text(&repo->store, &repo->where, file_name, &text, &len, e);
    if (rc == STORE_ABSENT)
        rc = 0;
    else if (rc == 0)
        rc = read_lines(d, text, len, e);
    free(text);
    tidy(d);
    return rc;
}

static int write_lines(struct repo *repo, const struct pack_bads *d, struct err *e)
{
    struct buf b;
    int rc = -1;

    buf_init(&b, STORE_TEXT_MAX);
    if (record_begin(&b, "damaged", e) != 0)
        goto out;
    for (size_t i = 0; i < d->n; i++) {
        char ordinal[16];

        (void)snprintf(ordinal, sizeof ordinal, "%u", (unsigned)d->v[i].ordinal);
        if (record_hex(&b, "entry", d->v[i].id, PACK_ID, ordinal, e) != 0)
            goto out;
    }
    if (record_end(&b, e) == 0)
        rc = store_put_text(&repo->writer, &repo->where, file_name, b.p, b.len, true, e);
out:
    buf_fini(&b);
    return rc;
}

int pack_damage_add(struct repo *repo, const struct pack_bads *more, struct err *e)
{
    struct pack_bads d;
    struct err unread = {0};
    int lock = -1;
    int rc = -1;

    if (store_lock(&repo->writer, &repo->where, &lock, e) != 0)
        return -1;
    /* A list that cannot be read is written anew: what it said is found again by verify. */
    if (pack_damage_read(&d, repo, &unread) != 0 && unread.code != ERR_DAMAGED) {
        *e = unread;
        goto out;
    }
    for (size_t i = 0; i < more->n; i++)
        if (pack_bads_push(&d, more->v[i], e) != 0)
            goto out;
    tidy(&d);
    rc = write_lines(repo, &d, e);
out:
    pack_bads_fini(&d);
    os_drop(&lock);
    return rc;
}

const struct pack_bad *pack_damage_of(const struct pack_bads *d, const uint8_t id[PACK_ID],
                                      size_t *n)
{
    size_t low = 0;
    size_t high = d->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(d->v[middle].id, id, PACK_ID) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *n = 0;
    while (low + *n < d->n && memcmp(d->v[low + *n].id, id, PACK_ID) == 0)
        (*n)++;
    return d->v + low;
}
