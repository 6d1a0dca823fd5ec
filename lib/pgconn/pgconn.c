#include "pgconn/pgconn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/proc.h"
#include "os/time.h"
#include "pgconn/inside.h"

struct pgconn_rows {
    PGresult *result;
};

void pgconn_one_line(char *out, size_t cap, const char *text)
{
    size_t n = 0;

    for (; *text != '\0' && n + 3 < cap; text++) {
        if (*text != '\n') {
            out[n++] = *text == '\t' ? ' ' : *text;
        } else if (text[1] != '\0') {
            out[n++] = ';';
            out[n++] = ' ';
        }
    }
    out[n] = '\0';
}

int pgconn_lost(const struct pgconn *c, const char *what, struct err *e)
{
    char text[512];

    pgconn_one_line(text, sizeof text, PQerrorMessage(c->pg));
    return err_set(e, ERR_UNREACHABLE, "%s: %s", what, text);
}

int pgconn_open(struct pgconn **out, const struct pgconn_opts *o, struct err *e)
{
    return pgconn_connect(out, o, NULL, e);
}

void pgconn_close(struct pgconn *c)
{
    if (c == NULL)
        return;
    PQfinish(c->pg);
    free(c);
}

int pgconn_version(const struct pgconn *c)
{
    return PQserverVersion(c->pg);
}

bool pgconn_is_local(const struct pgconn *c)
{
    const char *host = PQhost(c->pg);

    return host == NULL || host[0] == '\0' || host[0] == '/' || host[0] == '@';
}

void pgconn_on_notice(struct pgconn *c, pgconn_notice *fn, void *arg)
{
    c->notice = fn;
    c->notice_arg = arg;
}

const char *pgconn_sqlstate(const struct pgconn *c)
{
    return c->sqlstate;
}

/* ---- waiting ---- */

int pgconn_wait(const struct pgconn *c, short events, int64_t deadline_us, struct err *e)
{
    int rc = os_wait_fd(PQsocket(c->pg), events, deadline_us, e);

    if (rc == OS_BUSY)
        return err_set(e, ERR_TIMEOUT, "the server did not answer in time");
    return rc;
}

int pgconn_take_now(const struct pgconn *c, struct err *e)
{
    return PQconsumeInput(c->pg) == 1 ? 0 : pgconn_lost(c, "the connection broke", e);
}

int pgconn_take(struct pgconn *c, int64_t deadline_us, struct err *e)
{
    int64_t soon = os_mono_us() + USEC_PER_SEC;
    bool last = deadline_us != 0 && deadline_us <= soon;

    if (last && pgconn_wait(c, POLLIN, deadline_us, e) != 0)
        return -1;
    if (!last && os_wait_fd(PQsocket(c->pg), POLLIN, soon, e) < 0)
        return -1;
    return pgconn_take_now(c, e);
}

int pgconn_flush(struct pgconn *c, int64_t deadline_us, struct err *e)
{
    int left;

    while ((left = PQflush(c->pg)) == 1) {
        /* What the server says must be read, or both sides wait for each other. */
        if (pgconn_wait(c, POLLIN | POLLOUT, deadline_us, e) != 0 || pgconn_take_now(c, e) != 0)
            return -1;
    }
    return left == 0 ? 0 : pgconn_lost(c, "the connection broke", e);
}

/* ---- statements ---- */

int pgconn_judge(struct pgconn *c, const PGresult *r, struct err *e)
{
    const char *said;
    const char *detail;
    const char *state;
    char text[640];
    size_t n;

    switch (PQresultStatus(r)) {
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
        break;
    default:
        return 0;
    }
    state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    (void)snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state == NULL ? "" : state);
    said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (said == NULL || PQstatus(c->pg) == CONNECTION_BAD)
        return pgconn_lost(c, "the server gave up", e);
    pgconn_one_line(text, sizeof text, said);
    n = strlen(text);
    detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    if (detail != NULL && n + 16 < sizeof text) {
        memcpy(text + n, "; ", 2);
        pgconn_one_line(text + n + 2, sizeof text - n - 2, detail);
    }
    (void)err_set(e, ERR_REFUSED, "the server refused: %s", text);
    said = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    if (said != NULL)
        (void)err_hint(e, "%s", said);
    return -1;
}

int pgconn_send(struct pgconn *c, const char *sql, struct err *e)
{
    c->sqlstate[0] = '\0';
    return PQsendQuery(c->pg, sql) == 1 ? 0 : pgconn_lost(c, "could not send a statement", e);
}

int pgconn_result(struct pgconn *c, int64_t deadline_us, PGresult **r, struct err *e)
{
    *r = NULL;
    if (pgconn_flush(c, deadline_us, e) != 0)
        return -1;
    while (PQisBusy(c->pg))
        if (pgconn_take(c, deadline_us, e) != 0)
            return -1;
    *r = PQgetResult(c->pg);
    return 0;
}

static bool is_copy(const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);

    return s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH;
}

/* All results; the last one that is one goes to *last, whatever it says. */
static int all_results(struct pgconn *c, int64_t deadline_us, PGresult **last, struct err *e)
{
    PGresult *r;
    int rc = 0;

    *last = NULL;
    do {
        if (pgconn_result(c, deadline_us, &r, e) != 0)
            return -1;
        if (r != NULL && rc == 0)
            rc = pgconn_judge(c, r, e);
        if (r != NULL) {
            PQclear(*last);
            *last = r;
            if (is_copy(r)) /* would come again and again */
                return err_set(e, ERR_INTERNAL, "the statement began to copy");
        }
    } while (r != NULL);
    return rc;
}

int pgconn_end(struct pgconn *c, int64_t deadline_us, struct err *e)
{
    PGresult *last;
    int rc = all_results(c, deadline_us, &last, e);

    PQclear(last);
    return rc;
}

int pgconn_query(struct pgconn *c, const char *sql, int64_t deadline_us, struct pgconn_rows **rows,
                 struct err *e)
{
    PGresult *last = NULL;
    int rc;

    if (rows != NULL)
        *rows = NULL;
    if (pgconn_send(c, sql, e) != 0)
        return -1;
    rc = all_results(c, deadline_us, &last, e);
    if (rc == 0 && rows != NULL) {
        *rows = malloc(sizeof **rows);
        if (*rows != NULL) {
            (*rows)->result = last;
            return 0;
        }
        rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    PQclear(last);
    return rc;
}

void pgconn_rows_free(struct pgconn_rows *r)
{
    if (r != NULL)
        PQclear(r->result);
    free(r);
}

size_t pgconn_rows_columns(const struct pgconn_rows *r)
{
    return (size_t)PQnfields(r->result);
}

size_t pgconn_rows_count(const struct pgconn_rows *r)
{
    return (size_t)PQntuples(r->result);
}

const char *pgconn_value(const struct pgconn_rows *r, size_t row, size_t column)
{
    if (row >= (size_t)PQntuples(r->result) || column >= (size_t)PQnfields(r->result) ||
        PQgetisnull(r->result, (int)row, (int)column))
        return NULL;
    return PQgetvalue(r->result, (int)row, (int)column);
}

char *pgconn_quote(struct pgconn *c, const char *text, struct err *e)
{
    char *quoted = PQescapeLiteral(c->pg, text, strlen(text));
    char *copy;

    if (quoted == NULL) {
        (void)err_set(e, ERR_CONFIG, "a value cannot be written in SQL: %s", PQerrorMessage(c->pg));
        return NULL;
    }
    copy = strdup(quoted);
    PQfreemem(quoted);
    if (copy == NULL)
        (void)err_set(e, ERR_NOMEM, "out of memory");
    return copy;
}
