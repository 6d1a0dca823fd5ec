#include "repo/copy_mark.h"

#include <string.h>

#include "object/record.h"

static int take(struct copy_mark *m, const struct record *r, const struct record_line *l,
                unsigned *seen, struct err *e)
{
    const char *word = l->word[0];

    if (record_expect(r, l, 2, e) != 0)
        return -1;
    if (strcmp(word, "repo") == 0) {
        *seen |= 1;
        return record_bytes(r, l, 1, m->repo, sizeof m->repo, e);
    }
    if (strcmp(word, "copy") == 0) {
        *seen |= 2;
        return record_bytes(r, l, 1, m->id, sizeof m->id, e);
    }
    if (strcmp(word, "state") != 0)
        return record_bad(r, "it has a line of an unknown kind", e);
    *seen |= 4;
    m->adopted = strcmp(l->word[1], "adopted") == 0;
    if (!m->adopted && strcmp(l->word[1], "copy") != 0)
        return record_bad(r, "unknown state", e);
    return 0;
}

int copy_mark_read(struct copy_mark *m, const char *text, size_t len, struct err *e)
{
    struct record_line l;
    struct record r;
    unsigned seen = 0;
    int rc;

    memset(m, 0, sizeof *m);
    if (record_open(&r, "copy", text, len, COPY_MARK_FILE, e) != 0)
        return -1;
    while ((rc = record_next(&r, &l, e)) == 1)
        if (take(m, &r, &l, &seen, e) != 0)
            return -1;
    if (rc == 0 && seen != 7)
        rc = record_bad(&r, "it lacks a line", e);
    m->there = rc == 0;
    return rc;
}

int copy_mark_write(struct buf *b, const struct copy_mark *m, struct err *e)
{
    if (record_begin(b, "copy", e) != 0 ||
        record_hex(b, "repo", m->repo, sizeof m->repo, "", e) != 0 ||
        record_hex(b, "copy", m->id, sizeof m->id, "", e) != 0 ||
        buf_fmt(b, e, "state %s\n", m->adopted ? "adopted" : "copy") != 0)
        return -1;
    return record_end(b, e);
}
