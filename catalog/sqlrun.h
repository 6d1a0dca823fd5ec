/*
 * sqlrun: statements of SQL, over a connection of our own or, behind a runner, through a psql that
 * runs there as long as the session lasts.
 *
 * A database in a container often can be reached from inside only; the session keeps its
 * transaction open between statements in both cases, so an exported snapshot stays valid.
 */
#ifndef CATALOG_SQLRUN_H
#define CATALOG_SQLRUN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "pgconn/pgconn.h"
#include "pgtool.h"

struct sqlrun;
struct sqlrows;

/* How to connect: to `dbname` in place of the database that o names (NULL: that one). */
struct sqlrun_how {
    const struct words *runner; /* NULL or empty: libpq */
    struct pgconn_opts connect;
};

int sqlrun_open(struct sqlrun **s, const struct sqlrun_how *how, const char *dbname, struct err *e)
    __attribute__((warn_unused_result));
void sqlrun_close(struct sqlrun *s); /* accepts NULL */

/* server_version_num */
uint32_t sqlrun_version(const struct sqlrun *s);

/* The connection string for another program that is to reach the same server. */
int sqlrun_conninfo(const struct sqlrun *s, const struct sqlrun_how *how, const char *dbname,
                    struct buf *out, struct err *e) __attribute__((warn_unused_result));

/* One statement.  rows may be NULL.  What the server refuses is ERR_REFUSED. */
int sqlrun_query(struct sqlrun *s, const char *sql, struct sqlrows **rows, struct err *e)
    __attribute__((warn_unused_result));
void sqlrun_free(struct sqlrows *r); /* accepts NULL */
size_t sqlrun_count(const struct sqlrows *r);
size_t sqlrun_columns(const struct sqlrows *r);
const char *sqlrun_value(const struct sqlrows *r, size_t row, size_t column);

/* The first value of the first row into out: 0, 1 when there is none (NULL), -1. */
int sqlrun_one(struct sqlrun *s, const char *sql, char *out, size_t cap, struct err *e)
    __attribute__((warn_unused_result));
int sqlrun_number(struct sqlrun *s, const char *sql, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* Runs it without a result. */
int sqlrun_do(struct sqlrun *s, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

/* Appends a name or a text as SQL. */
int sql_name(struct buf *b, const char *name, struct err *e) __attribute__((warn_unused_result));
int sql_text(struct buf *b, const char *text, struct err *e) __attribute__((warn_unused_result));

enum { SQL_NAME_MAX = 2 * 255 + 4 };

/* The same into an array; what is too long is cut, and then refused by the server. */
const char *sql_quoted(char out[SQL_NAME_MAX], const char *name);

#endif
