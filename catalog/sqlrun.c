/*
 * psql's side: every statement is followed by an \echo of a word that no result holds, and whether
 * it failed; columns and rows are separated by control characters, and NULL is one as well.
 */
#include "sqlrun.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "os/time.h"

enum {
    ROWS_MAX = 256 * 1024 * 1024,
    SQL_MAX = 1024 * 1024,
    PIECE = 8192,
    OPEN_US = 60 * 1000 * 1000,
    NONCE = 8
};

#define COLUMN  "\037"
#define ROW     "\036"
#define NOTHING "\001"

struct sqlrun {
    struct pgconn *c; /* or */
    struct pgtool_run psql;
    uint32_t version;
    char mark[2 * NONCE + 16];
};

struct sqlrows {
    struct pgconn_rows *pg; /* or a text, cut in place */
    struct buf text;
    size_t rows;
    size_t columns;
    const char **v;
};

/* --- SQL --- */

static int quoted(struct buf *b, const char *text, char quote, struct err *e)
{
    if (buf_u8(b, (uint8_t)quote, e) != 0)
        return -1;
    for (; *text != '\0'; text++)
        if ((*text == quote && buf_u8(b, (uint8_t)quote, e) != 0) ||
            buf_u8(b, (uint8_t)*text, e) != 0)
            return -1;
    return buf_u8(b, (uint8_t)quote, e);
}

int sql_name(struct buf *b, const char *name, struct err *e)
{
    return quoted(b, name, '"', e);
}

int sql_text(struct buf *b, const char *text, struct err *e)
{
    return quoted(b, text, '\'', e);
}

const char *sql_quoted(char out[SQL_NAME_MAX], const char *name)
{
    size_t n = 0;

    out[n++] = '"';
    for (; *name != '\0' && n + 4 < SQL_NAME_MAX; name++) {
        if (*name == '"')
            out[n++] = '"';
        out[n++] = *name;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

/* --- psql --- */

/* Reads to the line that the mark begins; what stands before it is the result. */
static int read_result(struct sqlrun *s, struct buf *out, int64_t deadline, struct err *e)
{
    size_t looked = 0;

    for (;;) {
        struct os_wait w[2] = {{s->psql.proc.out, POLLIN, false},
                               {s->psql.proc.err, POLLIN, false}};
        const char *mark = out->len == 0 ? NULL : strstr(buf_text(out) + looked, s->mark);
        size_t got = 0;
        int rc;

        if (mark != NULL && strchr(mark, '\n') != NULL)
            return 0;
        looked = out->len < sizeof s->mark ? 0 : out->len - sizeof s->mark;
        if (mark != NULL)
            looked = (size_t)(mark - buf_text(out));
        rc = os_wait_fds(w, 2, deadline, e);
        if (rc == OS_BUSY)
            return err_set(e, ERR_TIMEOUT, "psql behind the runner does not answer");
        if (rc != 0 || (w[1].ready && pgtool_listen(&s->psql, e) != 0))
            return -1;
        if (!w[0].ready)
            continue;
        if (buf_reserve(out, PIECE, e) != 0 ||
            os_read(s->psql.proc.out, out->p + out->len, PIECE, &got, "psql", e) != 0)
            return -1;
        if (got == 0)
            return pgtool_end(&s->psql, 0, e) == 0
                       ? err_set(e, ERR_UNREACHABLE, "psql behind the runner ended")
                       : -1;
        out->len += got;
    }
}

/* What the server said, from psql's standard error. */
static int refused(struct sqlrun *s, struct err *e)
{
    const char *at = strstr(s->psql.said, "ERROR:");
    char words[400];
    size_t n;

    if (at == NULL)
        at = s->psql.said;
    n = strcspn(at, "\n");
    (void)snprintf(words, sizeof words, "%.*s", (int)(n < sizeof words ? n : sizeof words - 1), at);
    return err_set(e, ERR_REFUSED, "the server refused: %s",
                   strncmp(words, "ERROR:  ", 8) == 0 ? words + 8 : words);
}

static int psql_query(struct sqlrun *s, const char *sql, struct buf *out, int64_t deadline,
                      struct err *e)
{
    struct buf b;
    const char *text;
    char *mark;
    int rc = -1;

    buf_init(&b, SQL_MAX);
    s->psql.said_len = 0;
    s->psql.said[0] = '\0';
    if (buf_fmt(&b, e, "%s\n;\n\\echo %s :ERROR\n", sql, s->mark) == 0)
        rc = pgtool_write(&s->psql, b.p, b.len, e);
    buf_fini(&b);
    if (rc > 0)
        rc = pgtool_end(&s->psql, 0, e) == 0 ? err_set(e, ERR_UNREACHABLE, "psql ended") : -1;
    if (rc != 0 || read_result(s, out, deadline, e) != 0)
        return -1;
    text = buf_text(out);
    mark = strstr((char *)out->p, s->mark);
    rc = strncmp(mark + strlen(s->mark), " true", 5) == 0 ? 1 : 0;
    out->len = (size_t)(mark - text);
    *mark = '\0';
    if (rc == 0)
        return 0;
    /* It wrote the message before the mark, but to another pipe. */
    while (strstr(s->psql.said, "ERROR:") == NULL && s->psql.proc.err >= 0 &&
           os_wait_fd(s->psql.proc.err, POLLIN, os_mono_us() + USEC_PER_SEC, e) == 0)
        if (pgtool_listen(&s->psql, e) != 0)
            return -1;
    return refused(s, e);
}

static int psql_open(struct sqlrun *s, const struct sqlrun_how *how, const char *dbname,
                     struct err *e)
{
    static const char *const fixed[] = {"--no-psqlrc",
                                        "--no-align",
                                        "--tuples-only",
                                        "--quiet",
                                        "--no-password",
                                        "-F",
                                        COLUMN,
                                        "-R",
                                        ROW,
                                        "-P",
                                        "null=" NOTHING,
                                        "-P",
                                        "footer=off"};
    struct pgtool tool = {.runner = how->runner};
    struct pgtool_args a;
    uint8_t nonce[NONCE];
    struct buf info;
    struct buf out;
    char hex[2 * NONCE + 1];
    int rc = -1;

    buf_init(&info, 16 * 1024);
    buf_init(&out, 64 * 1024);
    if (os_random(nonce, sizeof nonce, e) != 0)
        return -1;
    text_hex(hex, nonce, sizeof nonce);
    (void)snprintf(s->mark, sizeof s->mark, "walden-%s", hex);
    if (sqlrun_conninfo(s, how, dbname, &info, e) != 0 || pgtool_begin(&a, &tool, "psql", e) != 0)
        goto out;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (pgtool_arg(&a, fixed[i], e) != 0)
            goto out;
    if (info.len > 0 && (pgtool_arg(&a, "-d", e) != 0 || pgtool_arg(&a, buf_text(&info), e) != 0))
        goto out;
    if (pgtool_start(&s->psql, &a, "psql", OS_PROC_PIPE, OS_PROC_PIPE, e) != 0)
        goto out;
    rc = psql_query(s, "set standard_conforming_strings = on", &out, os_mono_us() + OPEN_US, e);
out:
    buf_fini(&info);
    buf_fini(&out);
    return rc;
}

/* --- both --- */

int sqlrun_conninfo(const struct sqlrun *s, const struct sqlrun_how *how, const char *dbname,
                    struct buf *out, struct err *e)
{
    const char *name = dbname != NULL ? dbname : how->connect.dbname;

    return pgconn_conninfo(out, &how->connect, s == NULL ? NULL : s->c, name, e);
}

static int ask_version(struct sqlrun *s, struct err *e)
{
    uint64_t version = 0;

    if (sqlrun_number(s, "select pg_catalog.current_setting('server_version_num')", &version, e) !=
        0)
        return -1;
    s->version = (uint32_t)version;
    return 0;
}

/* The same as pgconn_open does with its wait, where the client lives elsewhere. */
static int psql_wait(struct sqlrun *s, const struct sqlrun_how *how, const char *dbname,
                     struct err *e)
{
    int64_t until = os_mono_us() + (int64_t)how->connect.wait;
    int rc = psql_open(s, how, dbname, e);

    while (rc != 0 && e->code == ERR_UNREACHABLE && os_mono_us() < until) {
        os_drop(&s->psql.proc.in);
        pgtool_fini(&s->psql);
        s->psql.proc = (struct os_proc)OS_PROC_INIT;
        err_clear(e);
        if (os_wait_fds(NULL, 0, os_mono_us() + USEC_PER_SEC, e) < 0)
            return -1;
        rc = psql_open(s, how, dbname, e);
    }
    return rc;
}

int sqlrun_open(struct sqlrun **out, const struct sqlrun_how *how, const char *dbname,
                struct err *e)
{
    struct sqlrun *s = calloc(1, sizeof *s);
    struct buf info;
    int rc;

    *out = NULL;
    if (s == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    s->psql.proc = (struct os_proc)OS_PROC_INIT;
    buf_init(&info, 16 * 1024);
    if (how->runner != NULL && how->runner->n > 0) {
        rc = psql_wait(s, how, dbname, e);
    } else {
        struct pgconn_opts o = how->connect;

        /* The rest of a connection string that names a database is kept. */
        rc = 0;
        if (dbname != NULL) {
            rc = sqlrun_conninfo(NULL, how, dbname, &info, e);
            o = (struct pgconn_opts){.dsn = buf_text(&info), .wait = how->connect.wait};
        }
        if (rc == 0)
            rc = pgconn_open(&s->c, &o, e);
    }
    buf_fini(&info);
    if (rc == 0)
        rc = ask_version(s, e);
    if (rc == 0)
        *out = s;
    else
        sqlrun_close(s);
    return rc;
}

void sqlrun_close(struct sqlrun *s)
{
    if (s == NULL)
        return;
    pgconn_close(s->c);
    /* The end of its input ends psql; it needs no time to think. */
    os_drop(&s->psql.proc.in);
    pgtool_fini(&s->psql);
    free(s);
}

uint32_t sqlrun_version(const struct sqlrun *s)
{
    return s->version;
}

/* Cuts the text into rows and columns. */
static int cut(struct sqlrows *r, struct err *e)
{
    char *p = (char *)r->text.p;
    size_t n = 1;
    size_t k = 0;

    if (r->text.len == 0)
        return 0; /* one row of one empty column is a newline */
    if (p[r->text.len - 1] == '\n')
        p[--r->text.len] = '\0';
    r->rows = 1;
    for (size_t i = 0; i < r->text.len; i++) {
        n += p[i] == COLUMN[0] || p[i] == ROW[0] ? 1U : 0U;
        r->rows += p[i] == ROW[0] ? 1U : 0U;
    }
    r->v = calloc(n, sizeof *r->v);
    if (r->v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    r->columns = n / r->rows;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(p, COLUMN ROW);

        p[len] = '\0';
        if (k < r->rows * r->columns)
            r->v[k++] = strcmp(p, NOTHING) == 0 ? NULL : p;
        p += len + 1;
    }
    return 0;
}

int sqlrun_query(struct sqlrun *s, const char *sql, struct sqlrows **rows, struct err *e)
{
    struct sqlrows *r;
    int rc;

    if (rows != NULL)
        *rows = NULL;
    if (s->c != NULL && rows == NULL)
        return pgconn_query(s->c, sql, 0, NULL, e);
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    buf_init(&r->text, ROWS_MAX);
    if (s->c != NULL) {
        rc = pgconn_query(s->c, sql, 0, &r->pg, e);
    } else {
        rc = psql_query(s, sql, &r->text, 0, e);
        if (rc == 0 && rows != NULL)
            rc = cut(r, e);
    }
    if (rc == 0 && rows != NULL)
        *rows = r;
    else
        sqlrun_free(r);
    return rc;
}

void sqlrun_free(struct sqlrows *r)
{
    if (r == NULL)
        return;
    pgconn_rows_free(r->pg);
    buf_fini(&r->text);
    free(r->v);
    free(r);
}

size_t sqlrun_count(const struct sqlrows *r)
{
    return r->pg != NULL ? pgconn_rows_count(r->pg) : r->rows;
}

size_t sqlrun_columns(const struct sqlrows *r)
{
    return r->pg != NULL ? pgconn_rows_columns(r->pg) : r->columns;
}

const char *sqlrun_value(const struct sqlrows *r, size_t row, size_t column)
{
    if (r->pg != NULL)
        return pgconn_value(r->pg, row, column);
    return row < r->rows && column < r->columns ? r->v[row * r->columns + column] : NULL;
}

int sqlrun_one(struct sqlrun *s, const char *sql, char *out, size_t cap, struct err *e)
{
    struct sqlrows *rows;
    const char *value;
    int rc = 1;

    out[0] = '\0';
    if (sqlrun_query(s, sql, &rows, e) != 0)
        return -1;
    value = sqlrun_value(rows, 0, 0);
    if (value != NULL) {
        rc = 0;
        if (snprintf(out, cap, "%s", value) >= (int)cap)
            rc = err_set(e, ERR_REFUSED, "the server's answer is too long");
    }
    sqlrun_free(rows);
    return rc;
}

int sqlrun_number(struct sqlrun *s, const char *sql, uint64_t *out, struct err *e)
{
    char text[32];
    int rc = sqlrun_one(s, sql, text, sizeof text, e);

    if (rc < 0)
        return -1;
    if (rc == 0 && parse_u64(text, 0, UINT64_MAX, out, e) == 0)
        return 0;
    err_clear(e);
    return err_set(e, ERR_REFUSED, "the server answered \"%s\" where a number was expected", text);
}

int sqlrun_do(struct sqlrun *s, struct err *e, const char *fmt, ...)
{
    va_list ap;
    char sql[4096];
    int n;

    va_start(ap, fmt);
    n = vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof sql)
        return err_set(e, ERR_INTERNAL, "a statement is too long");
    return sqlrun_query(s, sql, NULL, e);
}
