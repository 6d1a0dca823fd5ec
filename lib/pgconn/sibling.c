#include "pgconn/sibling.h"

#include <string.h>

#include "base/buf.h"
#include "pgconn/inside.h"

enum { CONNINFO_LIMIT = 64 * 1024 };

static int add_value(struct buf *b, const char *key, const char *value, struct err *e)
{
    if (value == NULL || value[0] == '\0')
        return 0;
    if (buf_fmt(b, e, "%s%s='", b->len == 0 ? "" : " ", key) != 0)
        return -1;
    for (; *value != '\0'; value++)
        if (((*value == '\'' || *value == '\\') && buf_u8(b, '\\', e) != 0) ||
            buf_u8(b, (uint8_t)*value, e) != 0)
            return -1;
    return buf_u8(b, '\'', e);
}

static bool is_list(const PQconninfoOption *o)
{
    return (strcmp(o->keyword, "port") == 0 || strcmp(o->keyword, "host") == 0) && o->val != NULL &&
           strchr(o->val, ',') != NULL;
}

/* What another database is asked for in its own words, and what the server's address was made of
 * before one of several hosts answered. */
static bool is_left_out(const char *keyword, bool several)
{
    return strcmp(keyword, "dbname") == 0 || strcmp(keyword, "replication") == 0 ||
           strcmp(keyword, "service") == 0 || (several && strcmp(keyword, "hostaddr") == 0);
}

static const char *value_of(PGconn *pg, const PQconninfoOption *o, bool several)
{
    if (several && strcmp(o->keyword, "host") == 0)
        return PQhost(pg);
    return several && strcmp(o->keyword, "port") == 0 ? PQport(pg) : o->val;
}

/* All that the connection was made with, but for the database; of several hosts the one that
 * answered. */
static int same_server(PGconn *pg, const char *dbname, struct buf *b, struct err *e)
{
    PQconninfoOption *all = PQconninfo(pg);
    bool several = false;
    int rc = all == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;

    for (PQconninfoOption *o = all; rc == 0 && o->keyword != NULL; o++)
        several = several || is_list(o);
    for (PQconninfoOption *o = all; rc == 0 && o->keyword != NULL; o++)
        if (!is_left_out(o->keyword, several))
            rc = add_value(b, o->keyword, value_of(pg, o, several), e);
    PQconninfoFree(all);
    return rc == 0 ? add_value(b, "dbname", dbname, e) : -1;
}

int pgconn_sibling(struct pgconn **c, struct pgconn *first, const char *dbname, struct err *e)
{
    struct pgconn_opts o = {.dbname = NULL};
    struct buf info;
    int rc;

    *c = NULL;
    buf_init(&info, CONNINFO_LIMIT);
    rc = same_server(first->pg, dbname, &info, e);
    if (rc == 0) {
        o.dbname = buf_text(&info);
        rc = pgconn_open(c, &o, e);
    }
    if (info.p != NULL)
        memset(info.p, 0, info.len); /* it may hold a password */
    buf_fini(&info);
    return rc;
}
