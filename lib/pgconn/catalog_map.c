#include "pgconn/catalog_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "os/time.h"
#include "pgconn/inside.h"
#include "pgconn/sibling.h"

enum { ANSWER_SECONDS = 60 };

static const char databases_sql[] =
    "select oid, datname from pg_catalog.pg_database where datallowconn and "
    "pg_catalog.has_database_privilege(oid, 'CONNECT') order by oid";

/* In UTF-8 where names can be converted; where they cannot, the bytes are better than nothing. */
static const char utf8_sql[] = "set client_encoding = 'UTF8'";
static const char begin_sql[] = "begin isolation level repeatable read, read only";

static const char relations_sql[] =
    "declare walden_map no scroll cursor for "
    "select c.oid, coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), c.reltablespace, "
    "c.relkind, n.nspname, c.relname from pg_catalog.pg_class c "
    "join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
    "where c.relkind in ('r', 'i', 'S', 't', 'm', 'p', 'I') and c.relpersistence <> 't'";

static const char fetch_sql[] = "fetch 500 from walden_map";

/* What a role must be allowed to see is asked for by itself, so that a refusal says so. */
static const char directory_sql[] = "select pg_catalog.current_setting('data_directory')";
static const char files_sql[] =
    "select pg_catalog.current_setting('config_file') union "
    "select pg_catalog.current_setting('hba_file') union "
    "select pg_catalog.current_setting('ident_file') union "
    "select sourcefile from pg_catalog.pg_settings where sourcefile is not null order by 1";

static int64_t soon(void)
{
    return os_mono_us() + ANSWER_SECONDS * USEC_PER_SEC;
}

static int strange(struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the server's list of relations makes no sense");
}

/* ---- relations ---- */

static int take_rows(const struct pgconn_rows *rows, const struct catalog_map_events *events,
                     void *arg, struct err *e)
{
    struct err ignored = {0};

    for (size_t i = 0; i < pgconn_rows_count(rows); i++) {
        struct catalog_relation r;
        const char *v[6];

        for (size_t k = 0; k < 6; k++)
            if ((v[k] = pgconn_value(rows, i, k)) == NULL)
                return strange(e);
        if (parse_u32(v[0], 1, UINT32_MAX, &r.oid, &ignored) != 0 ||
            parse_u32(v[1], 0, UINT32_MAX, &r.filenode, &ignored) != 0 ||
            parse_u32(v[2], 0, UINT32_MAX, &r.tablespace, &ignored) != 0)
            return strange(e);
        r.kind = v[3][0];
        r.schema = v[4];
        r.name = v[5];
        if (events->relation(arg, &r, e) != 0)
            return -1;
    }
    return 0;
}

/* *ours: the error is the caller's own, not this database's. */
static int read_relations(struct pgconn *c, const struct catalog_map_events *events, void *arg,
                          bool *ours, struct err *e)
{
    struct err quiet = {0};
    size_t n = 1;

    if (pgconn_query(c, utf8_sql, soon(), NULL, &quiet) != 0)
        err_clear(&quiet);
    if (pgconn_query(c, begin_sql, soon(), NULL, e) != 0 ||
        pgconn_query(c, relations_sql, soon(), NULL, e) != 0)
        return -1;
    while (n > 0) {
        struct pgconn_rows *rows;
        int rc;

        if (pgconn_query(c, fetch_sql, soon(), &rows, e) != 0)
            return -1;
        n = pgconn_rows_count(rows);
        rc = take_rows(rows, events, arg, e);
        pgconn_rows_free(rows);
        if (rc != 0) {
            *ours = true;
            return -1;
        }
    }
    return pgconn_query(c, "commit", soon(), NULL, e);
}

static int read_database(struct pgconn *first, uint32_t oid, const char *name,
                         const struct catalog_map_events *events, void *arg, struct err *e)
{
    const char *here = PQdb(first->pg);
    bool same = here != NULL && strcmp(here, name) == 0;
    struct pgconn *c = NULL;
    struct err why = {0};
    bool ours = false;
    int rc = same ? 0 : pgconn_sibling(&c, first, name, &why);

    if (rc == 0 && events->database(arg, oid, name, e) != 0)
        ours = true;
    else if (rc == 0)
        rc = read_relations(same ? first : c, events, arg, &ours, &why);
    pgconn_close(c);
    if (ours || (rc != 0 && (why.code == ERR_INTERRUPTED || why.code == ERR_NOMEM))) {
        if (e->code == ERR_NONE)
            *e = why;
        return -1;
    }
    if (rc != 0)
        events->skipped(arg, name, &why);
    return 0;
}

int catalog_map_read(struct pgconn *c, const struct catalog_map_events *events, void *arg,
                     struct err *e)
{
    struct pgconn_rows *rows = NULL;
    struct err ignored = {0};
    int rc = pgconn_query(c, databases_sql, soon(), &rows, e);

    for (size_t i = 0; rc == 0 && i < pgconn_rows_count(rows); i++) {
        const char *name = pgconn_value(rows, i, 1);
        uint32_t oid;

        if (name == NULL || pgconn_value(rows, i, 0) == NULL ||
            parse_u32(pgconn_value(rows, i, 0), 1, UINT32_MAX, &oid, &ignored) != 0)
            rc = strange(e);
        else
            rc = read_database(c, oid, name, events, arg, e);
    }
    pgconn_rows_free(rows);
    return rc;
}

/* ---- configuration files ---- */

typedef int path_fn(void *arg, const char *path, struct err *e);

static int each_path(struct pgconn *c, const char *sql, path_fn *fn, void *arg, struct err *e)
{
    struct pgconn_rows *rows = NULL;
    int rc = pgconn_query(c, sql, soon(), &rows, e);

    for (size_t i = 0; rc == 0 && i < pgconn_rows_count(rows); i++) {
        const char *path = pgconn_value(rows, i, 0);

        if (path != NULL && path[0] != '\0')
            rc = fn(arg, path, e);
    }
    pgconn_rows_free(rows);
    return rc;
}

int catalog_files_read(struct pgconn *c, const struct catalog_files_events *events, void *arg,
                       struct err *e)
{
    if (each_path(c, directory_sql, events->data_directory, arg, e) != 0)
        return -1;
    return each_path(c, files_sql, events->file, arg, e);
}
