#include "repo/marker.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "object/record.h"

static int read_recipient(struct marker *m, const struct record *r, const struct record_line *l,
                          struct err *e)
{
    struct err bad = {0};

    if (record_expect(r, l, 3, e) != 0)
        return -1;
    if (m->count == MARKER_RECIPIENTS_MAX || parse_name(l->word[2], &bad) != 0)
        return record_bad(r, "too many recipients, or one with an impossible name", e);
    (void)snprintf(m->name[m->count], sizeof m->name[0], "%s", l->word[2]);
    return record_bytes(r, l, 1, m->recipient[m->count++], SECRET_KEY, e);
}

static int read_line(struct marker *m, const struct record *r, const struct record_line *l,
                     unsigned *seen, struct err *e)
{
    const char *word = l->word[0];

    if (strcmp(word, "recipient") == 0)
        return read_recipient(m, r, l, e);
    if (record_expect(r, l, 2, e) != 0)
        return -1;
    if (strcmp(word, "id") == 0) {
        *seen |= 1;
        return record_bytes(r, l, 1, m->id, sizeof m->id, e);
    }
    if (strcmp(word, "mode") == 0) {
        *seen |= 2;
        m->group = strcmp(l->word[1], "group") == 0;
        if (!m->group && strcmp(l->word[1], "private") != 0)
            return record_bad(r, "unknown mode", e);
        return 0;
    }
    if (strcmp(word, "owner") == 0) {
        *seen |= 4;
        return record_bytes(r, l, 1, m->owner, SECRET_KEY, e);
    }
    return record_bad(r, "it has a line of an unknown kind", e);
}

int marker_read(struct marker *m, const char *text, size_t len, const char *what, struct err *e)
{
    struct record r;
    struct record_line l;
    unsigned seen = 0;
    int rc;

    memset(m, 0, sizeof *m);
    if (record_open(&r, "repo", text, len, what, e) != 0)
        return -1;
    while ((rc = record_next(&r, &l, e)) == 1)
        if (read_line(m, &r, &l, &seen, e) != 0)
            return -1;
    if (rc != 0)
        return -1;
    if ((seen & 3) != 3)
        return record_bad(&r, "it has no id or no mode", e);
    m->sealed = m->count > 0;
    if (m->sealed != ((seen & 4) != 0) || m->sealed != r.has_signature)
        return record_bad(&r, "owner, recipients and signature do not belong together", e);
    if (m->sealed && (memcmp(r.signer, m->owner, SECRET_KEY) != 0 ||
                      !secret_verify(r.signature, (const uint8_t *)text, r.signed_len, m->owner)))
        return record_bad(&r, "its signature does not match", e);
    return 0;
}

int marker_write(struct buf *b, const struct marker *m, const uint8_t *owner_secret, struct err *e)
{
    uint8_t signature[FRAME_SIGNATURE];
    char hex[2 * FRAME_SIGNATURE + 1];

    if (record_begin(b, "repo", e) != 0 || record_hex(b, "id", m->id, sizeof m->id, "", e) != 0 ||
        buf_fmt(b, e, "mode %s\n", m->group ? "group" : "private") != 0)
        return -1;
    if (m->sealed && record_hex(b, "owner", m->owner, SECRET_KEY, "", e) != 0)
        return -1;
    for (unsigned i = 0; i < m->count; i++)
        if (record_hex(b, "recipient", m->recipient[i], SECRET_KEY, m->name[i], e) != 0)
            return -1;
    if (record_end(b, e) != 0)
        return -1;
    if (!m->sealed)
        return 0;
    secret_sign(signature, b->p, b->len, owner_secret);
    text_hex(hex, signature, sizeof signature);
    return record_hex(b, "signature", m->owner, SECRET_KEY, hex, e);
}
