#include "pg/tablename.h"

#include <stdbool.h>
#include <string.h>

enum { PARTS = 3 };

static const char blanks[] = " \t,";

static bool ends_part(char c)
{
    return c == '\0' || c == '.' || strchr(blanks, c) != NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* One part; -1 when its quotes do not end, when it is empty or too long. */
static int take_part(const char **at, char out[TABLENAME_MAX], struct err *e)
{
    bool quoted = **at == '"';
    const char *s = *at + (quoted ? 1 : 0);
    size_t n = 0;

    for (; quoted ? *s != '\0' : !ends_part(*s); s++) {
        if (quoted && s[0] == '"' && s[1] != '"')
            break;
        if (quoted && s[0] == '"')
            s++;
        if (!quoted && *s == '"')
            return err_set(e, ERR_USAGE, "\"%.80s\": a quote inside a name", *at);
        if (n == TABLENAME_MAX - 1)
            return err_set(e, ERR_USAGE, "\"%.40s...\" is too long for a name", *at);
        out[n++] = quoted ? *s : lower(*s);
    }
    if (quoted && *s != '"')
        return err_set(e, ERR_USAGE, "\"%.80s\": the quotes do not end", *at);
    s += quoted ? 1 : 0;
    if (n == 0 || !ends_part(*s))
        return err_set(e, ERR_USAGE, "\"%.80s\" is no name of a table", *at);
    out[n] = '\0';
    *at = s;
    return 0;
}

int tablename_next(const char **list, struct tablename *out, struct err *e)
{
    char part[PARTS][TABLENAME_MAX];
    const char *at = *list + strspn(*list, blanks);
    const char *begin = at;
    unsigned n = 0;

    memset(out, 0, sizeof *out);
    if (*at == '\0')
        return 0;
    for (;;) {
        if (n == PARTS)
            return err_set(e, ERR_USAGE, "\"%.80s\" has more parts than DATABASE.SCHEMA.TABLE",
                           begin);
        if (take_part(&at, part[n++], e) != 0)
            return -1;
        if (*at != '.')
            break;
        at++;
    }
    memcpy(out->table, part[n - 1], TABLENAME_MAX);
    if (n > 1)
        memcpy(out->schema, part[n - 2], TABLENAME_MAX);
    if (n > 2)
        memcpy(out->database, part[0], TABLENAME_MAX);
    *list = at;
    return 1;
}

static char *quote(char *out, const char *name)
{
    *out++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"')
            *out++ = '"';
        *out++ = *name;
    }
    *out++ = '"';
    return out;
}

void tablename_sql(char out[TABLENAME_SQL], const struct tablename *name)
{
    if (name->schema[0] != '\0') {
        out = quote(out, name->schema);
        *out++ = '.';
    }
    *quote(out, name->table) = '\0';
}
