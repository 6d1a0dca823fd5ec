/* What a dump asks the server besides what pg_dump does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "dump.h"

/* The name as pg_dump puts it into the archive, and whether the role may read the hashes. */
static const char look_sql[] =
    "select pg_catalog.current_database(),"
    " pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'select')::int";

static const char databases_sql[] =
    "select datname from pg_catalog.pg_database where datallowconn and not datistemplate"
    " and pg_catalog.has_database_privilege(datname, 'connect') order by datname";

static int add_name(struct dump_names *names, const char *name, struct err *e)
{
    char *copy = strdup(name);

    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (dump_names_push(names, copy, e) == 0)
        return 0;
    free(copy);
    return -1;
}

/* As PostgreSQL reads a name in SQL: in quotes as it stands, else in lower case. */
static void plain_name(char *out, size_t cap, const char *text)
{
    size_t n = strlen(text);

    if (n >= 2 && text[0] == '"' && text[n - 1] == '"')
        (void)snprintf(out, cap, "%.*s", (int)(n - 2), text + 1);
    else
        (void)snprintf(out, cap, "%s", text);
}

static int choose_databases(struct dump_run *r, struct sqlrun *s, const char *current,
                            struct err *e)
{
    struct sqlrows *rows;
    char name[256];
    int rc = 0;

    if (!r->job.all) {
        for (size_t i = 0; rc == 0 && i < r->job.databases.n; i++) {
            plain_name(name, sizeof name, r->job.databases.v[i]);
            rc = add_name(&r->databases, name, e);
        }
        if (rc == 0 && r->databases.n == 0)
            rc = add_name(&r->databases, current, e);
        return rc;
    }
    if (sqlrun_query(s, databases_sql, &rows, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < sqlrun_count(rows); i++)
        rc = add_name(&r->databases, sqlrun_value(rows, i, 0), e);
    sqlrun_free(rows);
    return rc;
}

/* Where to look first: a database that the job names is one that the role may connect to. */
static const char *first_database(const struct dump_run *r, char *name, size_t cap)
{
    if (r->job.databases.n == 0)
        return NULL;
    plain_name(name, cap, r->job.databases.v[0]);
    return name;
}

int dump_look(struct dump_run *r, struct err *e)
{
    struct sqlrun *s;
    struct sqlrows *rows = NULL;
    struct err none = {0};
    char name[256];
    int rc = -1;

    if (sqlrun_open(&s, &r->how, first_database(r, name, sizeof name), e) != 0)
        return err_hint(e,
                        "Connections follow libpq: PGHOST, PGPORT, PGUSER, -h, -p, -U, -d, or "
                        "dsn and runner in [dump %s].",
                        r->job.name);
    r->server_version = sqlrun_version(s);
    if (sqlrun_number(s, "select system_identifier from pg_catalog.pg_control_system()",
                      &r->system_id, &none) != 0)
        r->system_id = 0;
    if (r->server_version < 130000) {
        (void)err_set(e, ERR_REFUSED, "PostgreSQL %u is not supported", r->server_version / 10000);
    } else if (sqlrun_query(s, look_sql, &rows, e) == 0) {
        const char *may = sqlrun_value(rows, 0, 1);

        r->may_read_passwords = may != NULL && *may == '1';
        (void)snprintf(name, sizeof name, "%.255s", sqlrun_value(rows, 0, 0));
        rc = choose_databases(r, s, name, e);
    }
    sqlrun_free(rows);
    sqlrun_close(s);
    return rc;
}

/* --- one database --- */

static const char facts_sql[] =
    "select 'owner', pg_catalog.pg_get_userbyid(d.datdba) from pg_catalog.pg_database d"
    " where d.datname = pg_catalog.current_database()"
    " union all select 'encoding', pg_catalog.pg_encoding_to_char(d.encoding)"
    " from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()"
    " union all select 'admin', pg_catalog.pg_get_userbyid(10)"
    " union all select k.key, k.value from pg_catalog.pg_database d,"
    " lateral pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(d)) k"
    " where d.datname = pg_catalog.current_database() and k.value is not null and k.key in"
    " ('datcollate', 'datctype', 'datlocprovider', 'daticulocale', 'datlocale', 'daticurules',"
    " 'datconnlimit')"
    " union all select 'acl', d.datacl::text from pg_catalog.pg_database d"
    " where d.datname = pg_catalog.current_database() and d.datacl is not null"
    " union all select 'setting', u.u from pg_catalog.pg_db_role_setting t,"
    " lateral pg_catalog.unnest(t.setconfig) u(u) where t.setrole = 0 and t.setdatabase ="
    " (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())"
    " union all select 'extension', e.extname from pg_catalog.pg_extension e"
    " where e.extname <> 'plpgsql'"
    " union all select distinct 'role', a.rolname::text from pg_catalog.pg_shdepend h"
    " join pg_catalog.pg_roles a on a.oid = h.refobjid"
    " where h.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and h.dbid ="
    " (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())"
    " union all select 'row_security', x.f from (" DUMP_ROW_SECURITY_SQL ") x(f)";

static int note_facts(struct dump_run *r, struct sqlrun *s, struct err *e)
{
    struct sqlrows *rows;
    int rc = 0;

    if (sqlrun_query(s, facts_sql, &rows, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < sqlrun_count(rows); i++) {
        const char *key = sqlrun_value(rows, i, 0);
        const char *value = sqlrun_value(rows, i, 1);

        if (key != NULL && value != NULL)
            rc = dump_meta_fact(&r->put.meta, key, value, e);
    }
    sqlrun_free(rows);
    return rc;
}

/* What the application says of itself.  Of several databases not each need have one. */
static int note_schema_version(struct dump_run *r, struct sqlrun *s, struct err *e)
{
    struct dump_public *p = &r->put.public;
    char version[DUMP_JOB_QUERY_MAX] = "";
    struct err why = {0};
    int rc;

    if (r->job.schema_version == NULL)
        return 0;
    if (sqlrun_query(s, "savepoint walden", NULL, e) != 0)
        return -1;
    rc = sqlrun_one(s, r->job.schema_version, version, sizeof version, &why);
    if (rc < 0 && why.code == ERR_REFUSED && r->databases.n > 1) {
        msg_detail(r->msg, "database \"%s\" has no schema_version: %s", r->database, why.msg);
        return sqlrun_query(s, "rollback to savepoint walden", NULL, e);
    }
    if (rc < 0) {
        *e = why;
        if (e->code == ERR_REFUSED)
            e->code = ERR_CONFIG;
        return err_context(e, "schema_version");
    }
    if (rc > 0) /* no row, or NULL: nothing was ever migrated */
        return 0;
    if (!r->repo.marker.sealed && p->schema_version[0] == '\0')
        (void)text_visible(p->schema_version, sizeof p->schema_version, version, strlen(version));
    return dump_meta_fact(&r->put.meta, "schema_version", version, e) == 0
               ? dump_meta_fact(&r->put.meta, "schema_version_query", r->job.schema_version, e)
               : -1;
}

static int count_table(struct dump_run *r, struct sqlrun *s, const char *schema, const char *name,
                       struct err *e)
{
    struct dump_count *c = dump_counts_add(&r->counts, e);
    char quoted_schema[SQL_NAME_MAX];
    char quoted_name[SQL_NAME_MAX];
    char sql[2 * SQL_NAME_MAX + 64];

    if (c == NULL)
        return -1;
    (void)snprintf(c->schema, sizeof c->schema, "%s", schema);
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(sql, sizeof sql, "select pg_catalog.count(*) from only %s.%s",
                   sql_quoted(quoted_schema, schema), sql_quoted(quoted_name, name));
    if (sqlrun_number(s, sql, &c->rows, e) == 0)
        return 0;
    return err_context(e, "could not count \"%s.%s\"", schema, name);
}

static int count_named(struct dump_run *r, struct sqlrun *s, const char *table, struct err *e)
{
    struct sqlrows *rows;
    struct buf sql;
    char schema[256];
    char name[256];
    int rc = -1;

    buf_init(&sql, 8192);
    if (buf_str(&sql,
                "select n.nspname, c.relname from pg_catalog.pg_class c join"
                " pg_catalog.pg_namespace n on n.oid = c.relnamespace"
                " where c.relkind in ('r', 'p') and c.oid = pg_catalog.to_regclass(",
                e) == 0 &&
        sql_text(&sql, table, e) == 0 && buf_str(&sql, ")", e) == 0)
        rc = sqlrun_query(s, buf_text(&sql), &rows, e);
    buf_fini(&sql);
    if (rc != 0)
        return -1;
    if (sqlrun_count(rows) == 1) {
        (void)snprintf(schema, sizeof schema, "%.255s", sqlrun_value(rows, 0, 0));
        (void)snprintf(name, sizeof name, "%.255s", sqlrun_value(rows, 0, 1));
        rc = count_table(r, s, schema, name, e);
    } else {
        rc = err_set(e, ERR_CONFIG, "counts: database \"%s\" has no table \"%.200s\"", r->database,
                     table);
    }
    sqlrun_free(rows);
    return rc;
}

static bool counts_all(const struct dump_run *r)
{
    return r->job.counts.n == 1 && strcmp(r->job.counts.v[0], "all") == 0;
}

static const char begin_sql[] = "begin transaction isolation level repeatable read, read only";

/* A server that cannot share its snapshot still can be dumped; the counts are left out then. */
static int export_snapshot(struct dump_run *r, struct sqlrun *s, char *snapshot, size_t cap,
                           struct err *e)
{
    struct err why = {0};

    if (sqlrun_query(s, begin_sql, NULL, e) != 0)
        return -1;
    if (sqlrun_one(s, "select pg_catalog.pg_export_snapshot()", snapshot, cap, &why) == 0)
        return 0;
    if (why.code != ERR_REFUSED) {
        *e = why;
        return -1;
    }
    msg_warn(r->msg, "the server cannot share a snapshot, so no rows are counted: %s", why.msg);
    snapshot[0] = '\0';
    return sqlrun_query(s, "rollback", NULL, e) == 0 ? sqlrun_query(s, begin_sql, NULL, e) : -1;
}

int dump_snapshot(struct dump_run *r, struct sqlrun *s, char *snapshot, size_t cap, struct err *e)
{
    r->counts.n = 0;
    if (sqlrun_query(s, "set statement_timeout = 0", NULL, e) != 0 ||
        sqlrun_query(s, "set idle_in_transaction_session_timeout = 0", NULL, e) != 0 ||
        sqlrun_query(s, "set row_security = off", NULL, e) != 0 ||
        export_snapshot(r, s, snapshot, cap, e) != 0 || note_facts(r, s, e) != 0 ||
        note_schema_version(r, s, e) != 0)
        return -1;
    if (snapshot[0] == '\0' || counts_all(r))
        return 0;
    for (size_t i = 0; i < r->job.counts.n; i++)
        if (count_named(r, s, r->job.counts.v[i], e) != 0)
            return -1;
    return 0;
}

static struct dump_table *find_table(struct dump_meta *m, size_t first, const struct dump_count *c)
{
    for (size_t i = first; i < m->tables.n; i++)
        if (strcmp(dump_text(m, m->tables.v[i].name), c->name) == 0 &&
            strcmp(dump_text(m, m->tables.v[i].schema), c->schema) == 0)
            return &m->tables.v[i];
    return NULL;
}

static int compare(struct dump_run *r, size_t first, const struct dump_count *c, struct err *e)
{
    struct dump_table *t = find_table(&r->put.meta, first, c);

    if (t == NULL) {
        (void)err_set(e, ERR_CONFIG, "table \"%s.%s\" was counted, but is not in the dump",
                      c->schema, c->name);
        return err_hint(e, "Correct counts, tables, schemas or exclude in [dump %s].", r->job.name);
    }
    if (t->rows != DUMP_NO_ROWS && t->rows != c->rows)
        return err_set(e, ERR_DAMAGED,
                       "table \"%s.%s\" has %llu rows in the dump and %llu in the same snapshot of "
                       "the server",
                       c->schema, c->name, (unsigned long long)t->rows,
                       (unsigned long long)c->rows);
    if (t->rows == DUMP_NO_ROWS)
        r->put.public.rows += c->rows;
    t->rows = c->rows;
    t->counted = true;
    r->put.public.counted = true;
    return 0;
}

int dump_compare_counts(struct dump_run *r, struct sqlrun *s, size_t first_table, struct err *e)
{
    const struct dump_meta *m = &r->put.meta;

    if (counts_all(r))
        for (size_t i = first_table; i < m->tables.n; i++)
            if (count_table(r, s, dump_text(m, m->tables.v[i].schema),
                            dump_text(m, m->tables.v[i].name), e) != 0)
                return -1;
    for (size_t i = 0; i < r->counts.n; i++)
        if (compare(r, first_table, &r->counts.v[i], e) != 0)
            return -1;
    return 0;
}
