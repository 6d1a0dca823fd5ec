/*
 * inside: what the files of lib/pgconn share and nobody else sees: libpq's handle, and waiting for
 * it without blocking.
 */
#ifndef PGCONN_INSIDE_H
#define PGCONN_INSIDE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pgconn/pgconn.h"

enum { PGCONN_STATE_MAX = 6 /* an SQLSTATE with its closing 0 */ };

struct pgconn {
    PGconn *pg;
    pgconn_notice *notice; /* NULL: nobody listens */
    void *notice_arg;
    char sqlstate[PGCONN_STATE_MAX]; /* of the last statement that was refused, or "" */
};

/* libpq's messages end in a newline and may have several lines; ours have one. */
void pgconn_one_line(char *out, size_t cap, const char *text);

/* ERR_UNREACHABLE: what we were doing, and libpq's message.  Returns -1. */
int pgconn_lost(const struct pgconn *c, const char *what, struct err *e);

/* Waits for the socket; the deadline (0: none) is ERR_TIMEOUT. */
int pgconn_wait(const struct pgconn *c, short events, int64_t deadline_us, struct err *e);

/*
 * Waits a second at most, or until the deadline, then takes what arrived.  Not longer, because a
 * TLS library may hold bytes that the socket does not show.  0, also when nothing came; -1.
 */
int pgconn_take(struct pgconn *c, int64_t deadline_us, struct err *e);

/* Takes in what is there already, perhaps nothing. */
int pgconn_take_now(const struct pgconn *c, struct err *e) __attribute__((warn_unused_result));

/* Sends all that waits to be sent. */
int pgconn_flush(struct pgconn *c, int64_t deadline_us, struct err *e);

/* Sends a statement. */
int pgconn_send(struct pgconn *c, const char *sql, struct err *e);

/* The next result of the statement, to be freed by PQclear; *r is NULL after the last. */
int pgconn_result(struct pgconn *c, int64_t deadline_us, PGresult **r, struct err *e);

/* -1 unless the result is one that a server gives when all is well: ERR_REFUSED with its words and
 * its hint, ERR_UNREACHABLE when it is gone. */
int pgconn_judge(struct pgconn *c, const PGresult *r, struct err *e);

/* Reads and frees all results of the statement; the first bad one counts. */
int pgconn_end(struct pgconn *c, int64_t deadline_us, struct err *e);

/* Whether libpq was built with TLS. */
bool pgconn_has_tls(void);

enum pgconn_tls { PGCONN_TLS_AS_IS, PGCONN_TLS_REQUIRE, PGCONN_TLS_REFUSED };

/* Rows and passwords do not cross a network in the clear unless somebody asked for just that
 * (sslmode=disable).  host is the first that is another machine, "" when none is. */
enum pgconn_tls pgconn_choose_tls(PGconn *pg, char *host, size_t cap);

/* What to do about a message of libpq that has to do with TLS; NULL for any other. */
const char *pgconn_tls_hint(const char *text);

/* Connects; replication is NULL, "true" or "database". */
int pgconn_connect(struct pgconn **c, const struct pgconn_opts *o, const char *replication,
                   struct err *e);

#endif
