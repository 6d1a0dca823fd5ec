/*
 * pgconn: a connection to a server, by the conventions of libpq.
 *
 * The only user of libpq.  What is not given comes from where every client takes it: PGHOST and its
 * like, service files, ~/.pgpass.  Calls wait without blocking, so a signal ends them
 * (ERR_INTERRUPTED) and so does their deadline.  A server that cannot be reached, or that goes
 * away, is ERR_UNREACHABLE; a statement that it refuses is ERR_REFUSED with the server's own words.
 */
#ifndef PGCONN_PGCONN_H
#define PGCONN_PGCONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct pgconn_opts {
    const char *dsn;  /* connection string or URI; what stands below beats it */
    const char *host; /* each NULL when not given */
    const char *port;
    const char *user;
    const char *dbname; /* may be a connection string too, and then replaces dsn */
    uint64_t wait;      /* microseconds to wait for a server that is starting; 0: not at all */
};

struct pgconn;
struct pgconn_rows;

/* Connects; without a name from anywhere the database is "postgres".  *c is NULL unless 0. */
int pgconn_open(struct pgconn **c, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));
void pgconn_close(struct pgconn *c); /* accepts NULL */

/*
 * A connection string for another program (pg_dump) that inherits our environment: what o says, but
 * `dbname` (unless NULL) in place of its database.  c: our own connection by the same o, whose
 * sslmode the other shall not fall below; NULL: none.  A password is refused: it would be seen by
 * all.
 */
int pgconn_conninfo(struct buf *out, const struct pgconn_opts *o, const struct pgconn *c,
                    const char *dbname, struct err *e) __attribute__((warn_unused_result));

/* The server's version number, like 170004. */
int pgconn_version(const struct pgconn *c);

/* Whether the server was reached over a local socket, so that its paths are paths here too (unless
 * it runs in a container). */
bool pgconn_is_local(const struct pgconn *c);

/* Called with each notice and warning of the server, one line; before, they are dropped. */
typedef void pgconn_notice(void *arg, const char *text);
void pgconn_on_notice(struct pgconn *c, pgconn_notice *fn, void *arg);

/* The SQLSTATE of the last statement when it was refused, else "". */
const char *pgconn_sqlstate(const struct pgconn *c);

/* Runs one statement.  rows may be NULL when no rows are wanted; else *rows is freed by the
 * caller.  deadline_us by os_mono_us(); 0: none. */
int pgconn_query(struct pgconn *c, const char *sql, int64_t deadline_us, struct pgconn_rows **rows,
                 struct err *e) __attribute__((warn_unused_result));
void pgconn_rows_free(struct pgconn_rows *r); /* accepts NULL */

size_t pgconn_rows_count(const struct pgconn_rows *r);
size_t pgconn_rows_columns(const struct pgconn_rows *r);

/* A value as text, NULL for SQL's NULL and for a row or column that is not there. */
const char *pgconn_value(const struct pgconn_rows *r, size_t row, size_t column);

/* text as a quoted literal of SQL, in memory that the caller frees; NULL with *e filled. */
char *pgconn_quote(struct pgconn *c, const char *text, struct err *e);

#endif
