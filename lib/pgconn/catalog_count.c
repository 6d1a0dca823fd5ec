#include "pgconn/catalog_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "os/time.h"
#include "pg/tablename.h"
#include "pgconn/sibling.h"

enum { ANSWER_SECONDS = 60, SQL_MAX = 16 * 1024 };

static const char *const begin_sql[] = {"set client_encoding = 'UTF8'", "set lock_timeout = '10s'",
                                        "set statement_timeout = 0",
                                        "begin isolation level repeatable read, read only"};

/* The first statement takes the snapshot. */
static const char moment_sql[] =
    "select (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint, "
    "case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() "
    "else pg_catalog.pg_current_wal_insert_lsn() end, pg_catalog.current_database()";

/* A list, and who asked. */
struct counting {
    const char *tables;
    const struct catalog_count_events *events;
    void *arg;
    struct err *own; /* an error of the caller's */
};

static int64_t soon(void)
{
    return os_mono_us() + ANSWER_SECONDS * USEC_PER_SEC;
}

static int strange(struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the server's answer about a table makes no sense");
}

static int take_moment(struct pgconn *c, struct catalog_count *m, char database[TABLENAME_MAX],
                       struct err *e)
{
    struct pgconn_rows *rows = NULL;
    struct err ignored = {0};
    uint64_t time = 0;
    bool ok;

    if (pgconn_query(c, moment_sql, soon(), &rows, e) != 0)
        return -1;
    ok = pgconn_value(rows, 0, 0) != NULL && pgconn_value(rows, 0, 2) != NULL &&
         parse_u64(pgconn_value(rows, 0, 0), 0, INT64_MAX, &time, &ignored) == 0 &&
         strlen(pgconn_value(rows, 0, 2)) < TABLENAME_MAX &&
         (pgconn_value(rows, 0, 1) == NULL ||
          parse_lsn(pgconn_value(rows, 0, 1), &m->lsn, &ignored) == 0);
    if (ok) {
        m->time = (int64_t)time;
        (void)snprintf(database, TABLENAME_MAX, "%s", pgconn_value(rows, 0, 2));
        m->database = database;
    }
    pgconn_rows_free(rows);
    return ok ? 0 : strange(e);
}

/* Which table is meant: schema and name, 1 row or none. */
static int resolve(struct pgconn *c, const char *quoted, struct pgconn_rows **rows, struct err *e)
{
    char *literal = pgconn_quote(c, quoted, e);
    struct buf sql;
    int rc = -1;

    if (literal == NULL)
        return -1;
    buf_init(&sql, SQL_MAX);
    if (buf_fmt(&sql, e,
                "select n.nspname, t.relname, pg_catalog.format('%%I.%%I', n.nspname, t.relname) "
                "from pg_catalog.pg_class t join pg_catalog.pg_namespace n "
                "on n.oid = t.relnamespace where t.oid = pg_catalog.to_regclass(%s)",
                literal) == 0)
        rc = pgconn_query(c, buf_text(&sql), soon(), rows, e);
    buf_fini(&sql);
    free(literal);
    if (rc == 0 && pgconn_rows_count(*rows) == 0)
        rc = err_set(e, ERR_REFUSED, "there is no such table");
    return rc;
}

/* However long it takes: a signal ends it. */
static int count(struct pgconn *c, const char *quoted, uint64_t *n, struct err *e)
{
    struct pgconn_rows *rows = NULL;
    struct err ignored = {0};
    struct buf sql;
    int rc = -1;

    buf_init(&sql, SQL_MAX);
    if (buf_fmt(&sql, e, "select count(*) from %s", quoted) == 0)
        rc = pgconn_query(c, buf_text(&sql), 0, &rows, e);
    if (rc == 0 && (pgconn_value(rows, 0, 0) == NULL ||
                    parse_u64(pgconn_value(rows, 0, 0), 0, UINT64_MAX, n, &ignored) != 0))
        rc = strange(e);
    pgconn_rows_free(rows);
    buf_fini(&sql);
    return rc;
}

/* In a savepoint, so that a refusal does not end the snapshot. */
static int count_table(struct counting *k, struct pgconn *c, const struct tablename *name,
                       struct catalog_count *m, struct err *e)
{
    char quoted[TABLENAME_SQL];
    struct pgconn_rows *rows = NULL;
    struct err why = {0};
    int rc;

    tablename_sql(quoted, name);
    if (pgconn_query(c, "savepoint walden_count", soon(), NULL, e) != 0)
        return -1;
    rc = resolve(c, quoted, &rows, &why);
    if (rc == 0)
        rc = count(c, pgconn_value(rows, 0, 2), &m->rows, &why);
    if (rc == 0) {
        m->schema = pgconn_value(rows, 0, 0);
        m->table = pgconn_value(rows, 0, 1);
        rc = k->events->count(k->arg, m, k->own);
        pgconn_rows_free(rows);
        return rc;
    }
    pgconn_rows_free(rows);
    if (why.code != ERR_REFUSED) {
        *e = why;
        return -1;
    }
    k->events->skipped(k->arg, quoted, &why);
    return pgconn_query(c, "rollback to savepoint walden_count", soon(), NULL, e);
}

static int count_database(struct counting *k, struct pgconn *c, const char *which, struct err *e)
{
    const char *list = k->tables;
    char database[TABLENAME_MAX];
    struct catalog_count m = {.rows = 0};
    struct tablename name;
    int rc;

    for (size_t i = 0; i < sizeof begin_sql / sizeof begin_sql[0]; i++)
        if (pgconn_query(c, begin_sql[i], soon(), NULL, e) != 0)
            return -1;
    if (take_moment(c, &m, database, e) != 0)
        return -1;
    while ((rc = tablename_next(&list, &name, e)) > 0)
        if (strcmp(name.database, which) == 0 && count_table(k, c, &name, &m, e) != 0)
            return -1;
    return rc < 0 ? -1 : pgconn_query(c, "commit", soon(), NULL, e);
}

/* Was a database named before, so that it was counted with that name? */
static int is_first(const char *tables, unsigned number, const char *database, bool *first,
                    struct err *e)
{
    struct tablename name;

    *first = true;
    for (; number > 0 && *first; number--) {
        if (tablename_next(&tables, &name, e) < 0)
            return -1;
        *first = strcmp(name.database, database) != 0;
    }
    return 0;
}

/* Another database, which may be closed to us without harm to the others. */
static int count_other(struct counting *k, struct pgconn *first, const char *database,
                       struct err *e)
{
    struct pgconn *c = NULL;
    struct err why = {0};
    int rc = pgconn_sibling(&c, first, database, &why);

    if (rc == 0)
        rc = count_database(k, c, database, &why);
    pgconn_close(c);
    if (rc == 0 || k->own->code != ERR_NONE)
        return rc;
    if (why.code == ERR_INTERRUPTED || why.code == ERR_NOMEM) {
        *e = why;
        return -1;
    }
    k->events->skipped(k->arg, database, &why);
    return 0;
}

int catalog_count_read(const struct pgconn_opts *o, const char *tables,
                       const struct catalog_count_events *events, void *arg, struct err *e)
{
    struct err own = {0};
    struct counting k = {tables, events, arg, &own};
    struct pgconn *c = NULL;
    const char *list = tables;
    struct tablename name;
    bool first;
    int rc;

    if (pgconn_open(&c, o, e) != 0)
        return -1;
    for (unsigned n = 0; (rc = tablename_next(&list, &name, e)) > 0; n++) {
        if (is_first(tables, n, name.database, &first, e) != 0)
            rc = -1;
        else if (first)
            rc = name.database[0] == '\0' ? count_database(&k, c, "", e)
                                          : count_other(&k, c, name.database, e);
        if (rc < 0)
            break;
    }
    if (own.code != ERR_NONE)
        *e = own;
    pgconn_close(c);
    return rc;
}
