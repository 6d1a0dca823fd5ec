#include "pg/tsmap.h"

#include <string.h>

#include "base/parse.h"

enum { OID_DIGITS = 10 };

static int damaged(unsigned line, const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "line %u of the tablespace map %s", line, what);
}

static int read_oid(const char **p, const char *end, uint32_t *oid)
{
    char digits[OID_DIGITS + 1];
    struct err ignored = {0};
    size_t n = 0;

    while (*p + n < end && (*p)[n] != ' ' && n < OID_DIGITS)
        n++;
    if (*p + n == end || (*p)[n] != ' ')
        return -1;
    memcpy(digits, *p, n);
    digits[n] = '\0';
    *p += n + 1;
    return parse_u32(digits, 1, UINT32_MAX, oid, &ignored);
}

/* Up to the newline that has no backslash in front.  NULL, or what is wrong. */
static const char *read_path(const char **p, const char *end, char out[TSMAP_PATH_MAX])
{
    size_t n = 0;

    for (; *p < end && **p != '\n'; (*p)++) {
        if (**p == '\\' && ++*p == end)
            break;
        if (**p == '\0' || n + 1 == TSMAP_PATH_MAX)
            return "has no path that can be";
        out[n++] = **p;
    }
    if (*p == end)
        return "is cut off";
    (*p)++;
    out[n] = '\0';
    return out[0] == '/' ? NULL : "has a path that is not absolute";
}

int tsmap_parse(const char *text, size_t n, tsmap_line *fn, void *arg, struct err *e)
{
    const char *end = text + n;
    char path[TSMAP_PATH_MAX];
    const char *wrong;
    uint32_t oid;

    for (unsigned line = 1; text < end; line++) {
        if (read_oid(&text, end, &oid) != 0)
            return damaged(line, "does not begin with an OID", e);
        wrong = read_path(&text, end, path);
        if (wrong != NULL)
            return damaged(line, wrong, e);
        if (fn(arg, oid, path, e) != 0)
            return -1;
    }
    return 0;
}

int tsmap_add(struct buf *b, uint32_t oid, const char *path, struct err *e)
{
    if (buf_fmt(b, e, "%u ", oid) != 0)
        return -1;
    for (; *path != '\0'; path++)
        if ((strchr("\n\r\\", *path) != NULL && buf_u8(b, '\\', e) != 0) ||
            buf_u8(b, (uint8_t)*path, e) != 0)
            return -1;
    return buf_u8(b, '\n', e);
}
