#include "pg/history.h"

#include <string.h>

#include "base/parse.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies the next word of the line to out; false when there is none or it is too long. */
static bool next_word(const char **p, const char *end, char *out, size_t cap)
{
    size_t n = 0;

    while (*p < end && is_blank(**p))
        (*p)++;
    while (*p + n < end && !is_blank((*p)[n]))
        n++;
    if (n == 0 || n >= cap)
        return false;
    memcpy(out, *p, n);
    out[n] = '\0';
    *p += n;
    return true;
}

/*
 * Adds what one line says.  A server that went back to before its target timeline began (twice
 * restored, the second time to an earlier moment) leaves an LSN below the one before: what the
 * younger ancestors hold beyond it is no part of this history, and nor are those that began later.
 */
static bool add_entry(struct history *h, struct history_entry en)
{
    if (h->n > 0 && en.end < h->entry[h->n - 1].end) {
        while (h->n > 1 && h->entry[h->n - 2].end >= en.end)
            h->n--;
        h->entry[h->n - 1].end = en.end;
        return true;
    }
    if (h->n == HISTORY_MAX)
        return false;
    h->entry[h->n++] = en;
    return true;
}

/* One line with content.  NULL, or what is wrong with it.  *last: the timeline of the one before.
 */
static const char *read_line(const char *p, const char *end, tli_t *last, struct history *h)
{
    struct err ignored = {0};
    struct history_entry en;
    char word[32];

    if (!next_word(&p, end, word, sizeof word) ||
        parse_u32(word, 1, UINT32_MAX, &en.tli, &ignored) != 0)
        return "does not begin with a timeline";
    if (!next_word(&p, end, word, sizeof word) || parse_lsn(word, &en.end, &ignored) != 0)
        return "has no LSN";
    if (en.tli >= h->tli)
        return "names a timeline that is not older than the file's";
    if (en.tli <= *last)
        return "names a timeline that is not younger than the one before";
    *last = en.tli;
    return add_entry(h, en) ? NULL : "is one too many";
}

int history_parse(const char *text, size_t n, tli_t tli, struct history *out, struct err *e)
{
    const char *p = text;
    const char *end = text + n;
    tli_t last = 0;

    out->tli = tli;
    out->n = 0;
    if (n > HISTORY_BYTES_MAX)
        return err_set(e, ERR_DAMAGED, "the timeline history is larger than any server writes");
    if (memchr(text, '\0', n) != NULL)
        return err_set(e, ERR_DAMAGED, "the timeline history is not text");
    for (unsigned line = 1; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *first = p;
        const char *wrong;

        if (newline == NULL)
            return err_set(e, ERR_DAMAGED, "the timeline history is cut off in line %u", line);
        while (first < newline && is_blank(*first))
            first++;
        if (first < newline && *first != '#') {
            wrong = read_line(first, newline, &last, out);
            if (wrong != NULL)
                return err_set(e, ERR_DAMAGED, "line %u of the timeline history %s", line, wrong);
        }
        p = newline + 1;
    }
    if (out->n == 0)
        return err_set(e, ERR_DAMAGED, "the timeline history names no parent");
    return 0;
}

tli_t history_tli_at(const struct history *h, lsn_t lsn)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (lsn < h->entry[i].end)
            return h->entry[i].tli;
    return h->tli;
}

bool history_end_of(const struct history *h, tli_t tli, lsn_t *end)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->entry[i].tli == tli) {
            *end = h->entry[i].end;
            return true;
        }
    }
    return false;
}
