#include "pg/history.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static int bad(struct err *e, unsigned line, const char *why)
{
    return err_set(e, ERR_REFUSED, "it is no timeline history: line %u %s", line, why);
}

/* Copies the next word (up to a blank) and passes it and the blanks behind it. */
static size_t word(const char **p, const char *end, char *out, size_t cap)
{
    size_t n = 0;

    while (*p < end && **p != ' ' && **p != '\t') {
        if (n + 1 < cap)
            out[n] = **p;
        n++;
        (*p)++;
    }
    out[n < cap ? n : cap - 1] = '\0';
    while (*p < end && (**p == ' ' || **p == '\t'))
        (*p)++;
    return n;
}

static int entry(const char *p, const char *end, unsigned line, struct history_entry *out,
                 struct err *e)
{
    char text[32];
    struct err quiet = {0};
    uint32_t tli = 0;

    if (word(&p, end, text, sizeof text) >= sizeof text ||
        parse_u32(text, 1, UINT32_MAX, &tli, &quiet) != 0)
        return bad(e, line, "does not begin with a timeline");
    if (word(&p, end, text, sizeof text) >= sizeof text || parse_lsn(text, &out->end, &quiet) != 0)
        return bad(e, line, "has no LSN behind the timeline");
    out->tli = tli;
    return 0;
}

int history_parse(const char *text, size_t len, tli_t tli, struct history *out, struct err *e)
{
    const char *end = text + len;
    unsigned line = 0;

    out->n = 0;
    if (memchr(text, '\0', len) != NULL)
        return err_set(e, ERR_REFUSED, "it is no timeline history: it holds a zero byte");
    for (const char *p = text; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl == NULL ? end : nl;
        const char *first = p;
        const struct history_entry *last = out->n > 0 ? &out->entry[out->n - 1] : NULL;
        struct history_entry *now = &out->entry[out->n];

        line++;
        p = nl == NULL ? end : nl + 1;
        while (first < stop && (*first == ' ' || *first == '\t' || *first == '\r'))
            first++;
        if (first == stop || *first == '#')
            continue;
        if (out->n == HISTORY_MAX)
            return bad(e, line, "is one ancestor too many");
        if (entry(first, stop, line, now, e) != 0)
            return -1;
        if (now->tli >= tli || (last != NULL && (now->tli <= last->tli || now->end < last->end)))
            return bad(e, line, "is out of order");
        out->n++;
    }
    return out->n > 0 ? 0
                      : err_set(e, ERR_REFUSED, "it is no timeline history: it names no ancestor");
}
