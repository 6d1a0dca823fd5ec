/*
 * One schema in place: a safety dump first, then DROP, CREATE and the dump's content in one
 * transaction.  It is committed only when the whole dump was proven and pg_restore was content, so
 * whatever goes wrong leaves the schema as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "undump.h"

/* Things outside of the schema that DROP CASCADE would take along and the dump does not bring back.
 */
static const char dependents_sql[] =
    "select 'constraint ' || pg_catalog.quote_ident(c.conname) || ' of ' ||"
    " c.conrelid::pg_catalog.regclass::text from pg_catalog.pg_constraint c"
    " join pg_catalog.pg_class f on f.oid = c.confrelid"
    " join pg_catalog.pg_class t on t.oid = c.conrelid"
    " join pg_catalog.pg_namespace n on n.oid = f.relnamespace"
    " where t.relnamespace <> n.oid and n.nspname = %s"
    " union select 'view ' || v.oid::pg_catalog.regclass::text from pg_catalog.pg_depend d"
    " join pg_catalog.pg_rewrite w on w.oid = d.objid"
    " and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
    " join pg_catalog.pg_class v on v.oid = w.ev_class"
    " join pg_catalog.pg_class t on t.oid = d.refobjid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    " join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " where v.relnamespace <> n.oid and n.nspname = %s";

static const char rights_sql[] =
    "select 'grant ' || a.privilege_type || ' on schema ' || pg_catalog.quote_ident(n.nspname) ||"
    " ' to ' || case when a.grantee = 0 then 'public' else"
    " pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end ||"
    " case when a.is_grantable then ' with grant option' else '' end"
    " from pg_catalog.pg_namespace n, lateral pg_catalog.aclexplode(n.nspacl) a"
    " where n.nspname = %s";

struct plan {
    bool exists;
    char owner[UNDUMP_NAME_MAX];
    struct buf rights; /* statements */
};

/* A query with the schema's name in it (%s, once or twice). */
static int ask(struct undump *u, struct sqlrun *s, const char *query, struct sqlrows **rows,
               struct err *e)
{
    struct buf name;
    struct buf sql;
    int rc = -1;

    buf_init(&name, 1024);
    buf_init(&sql, 16 * 1024);
    if (sql_text(&name, u->o->schema, e) != 0)
        goto out;
    for (;;) {
        const char *at = strstr(query, "%s");
        size_t n = at == NULL ? strlen(query) : (size_t)(at - query);

        if (buf_add(&sql, query, n, e) != 0 ||
            (at != NULL && buf_str(&sql, buf_text(&name), e) != 0))
            goto out;
        if (at == NULL)
            break;
        query = at + 2;
    }
    rc = sqlrun_query(s, buf_text(&sql), rows, e);
out:
    buf_fini(&name);
    buf_fini(&sql);
    return rc;
}

static int check_dependents(struct undump *u, struct sqlrun *s, struct err *e)
{
    struct sqlrows *rows;
    size_t n;

    if (ask(u, s, dependents_sql, &rows, e) != 0)
        return -1;
    n = sqlrun_count(rows);
    for (size_t i = 0; i < n && i < UNDUMP_SHOWN_MAX; i++)
        msg_warn(u->msg, "%s depends on schema \"%s\" and would be dropped",
                 sqlrun_value(rows, i, 0), u->o->schema);
    sqlrun_free(rows);
    if (n == 0 || u->o->yes)
        return 0;
    (void)err_set(e, ERR_REFUSED, "%zu thing%s outside of schema \"%s\" would be dropped with it",
                  n, n == 1 ? "" : "s", u->o->schema);
    return err_hint(e, "Restore into a new database, or say --yes and make them again afterwards.");
}

static int look(struct undump *u, struct plan *p, struct err *e)
{
    struct sqlrows *rows = NULL;
    struct sqlrun *s;
    int rc = sqlrun_open(&s, &u->how, u->target, e);

    if (rc != 0)
        return -1;
    rc = ask(u, s,
             "select pg_catalog.pg_get_userbyid(nspowner) from pg_catalog.pg_namespace where"
             " nspname = %s",
             &rows, e);
    if (rc == 0 && sqlrun_count(rows) > 0) {
        p->exists = true;
        (void)snprintf(p->owner, sizeof p->owner, "%.63s", sqlrun_value(rows, 0, 0));
        sqlrun_free(rows);
        rows = NULL;
        rc = check_dependents(u, s, e);
        if (rc == 0)
            rc = ask(u, s, rights_sql, &rows, e);
        for (size_t i = 0; rc == 0 && i < sqlrun_count(rows); i++)
            rc = buf_fmt(&p->rights, e, "%s;\n", sqlrun_value(rows, i, 0));
    }
    sqlrun_free(rows);
    sqlrun_close(s);
    return rc;
}

/* The dump must bring this schema, and a plain one nothing else. */
static int check_content(struct undump *u, struct err *e)
{
    const struct dump_meta *m = &u->dump.get.meta;
    bool plain = m->streams.v[u->stream].format == DUMPFILE_PLAIN;
    bool found = false;

    for (size_t i = 0; i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];
        bool same = strcmp(dump_text(m, t->schema), u->o->schema) == 0;

        if (t->stream != u->stream)
            continue;
        found = found || same;
        if (!same && plain) {
            (void)err_set(
                e, ERR_REFUSED,
                "a plain dump is restored as a whole, and this one holds schema \"%s\" too",
                dump_text(m, t->schema));
            return err_hint(e, "Restore it into a new database (without --schema).");
        }
    }
    if (found)
        return 0;
    return err_set(e, ERR_USAGE, "the dump has no table in schema \"%s\"", u->o->schema);
}

/* What is there now, so that there is a way back. */
static int safety_dump(struct undump *u, struct err *e)
{
    struct dump_run *r = dump_run_new(e);
    struct buf pattern;
    int rc = -1;

    if (r == NULL)
        return -1;
    buf_init(&pattern, 1024);
    r->msg = u->msg;
    r->settings = u->settings;
    r->tag = UNDUMP_SAFETY_TAG;
    r->accept = true;
    dump_job_init(&r->job, u->dump.item.job);
    r->job.dsn = u->job.dsn;
    r->job.runner = u->job.runner;
    /* Its words point into its own text. */
    for (size_t i = 0; i < r->job.runner.n; i++)
        r->job.runner.v[i] = r->job.runner.text + (u->job.runner.v[i] - u->job.runner.text);
    r->how = u->how;
    r->how.runner = &r->job.runner;
    r->how.connect.dbname = u->target;
    if (sql_name(&pattern, u->o->schema, e) == 0 &&
        words_split(&r->job.schemas, buf_text(&pattern), WORDS_NAMES, e) == 0 &&
        dump_run(r, e) == 0) {
        (void)snprintf(u->safety, sizeof u->safety, "%s", r->put.label);
        msg_note(u->msg, "what schema \"%s\" holds now is dump %s", u->o->schema, u->safety);
        rc = 0;
    }
    buf_fini(&pattern);
    dump_run_free(r);
    return rc == 0 ? 0 : err_context(e, "safety dump");
}

static int say(struct pgtool_run *to, const struct buf *sql, struct err *e)
{
    int rc = pgtool_write(to, sql->p, sql->len, e);

    return rc > 0 ? 0 : rc; /* its own words tell why */
}

static int begin(struct undump *u, const struct plan *p, struct err *e)
{
    bool plain = u->dump.get.meta.streams.v[u->stream].format == DUMPFILE_PLAIN;
    char schema[SQL_NAME_MAX];
    char owner[SQL_NAME_MAX];
    struct buf b;
    int rc = -1;

    buf_init(&b, 1024 * 1024);
    (void)sql_quoted(schema, u->o->schema);
    if (buf_fmt(&b, e,
                "begin;\nset local client_min_messages = error;\n"
                "drop schema if exists %s cascade;\n",
                schema) != 0)
        goto out;
    /* A plain dump of the schema makes it itself. */
    if (!plain &&
        (buf_fmt(&b, e, "create schema %s", schema) != 0 ||
         (p->exists && buf_fmt(&b, e, " authorization %s", sql_quoted(owner, p->owner)) != 0) ||
         buf_str(&b, ";\n", e) != 0 || buf_str(&b, buf_text(&p->rights), e) != 0))
        goto out;
    rc = say(&u->psql, &b, e);
out:
    buf_fini(&b);
    return rc;
}

static int start_psql(struct undump *u, struct pgtool_args *a, const char *conninfo, struct err *e)
{
    static const char *const fixed[] = {
        "--no-psqlrc", "--quiet", "--no-password", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d"};

    if (pgtool_begin(a, &u->tool, "psql", e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (pgtool_arg(a, fixed[i], e) != 0)
            return -1;
    if (pgtool_arg(a, conninfo, e) != 0)
        return -1;
    a->as = undump_psql_as(u);
    return pgtool_start(&u->psql, a, "psql", OS_PROC_PIPE, OS_PROC_NULL, e);
}

/* The archive becomes SQL, which goes straight into the psql that holds the transaction. */
static int pass_archive(struct undump *u, struct pgtool_args *a, struct err *e)
{
    char pattern[UNDUMP_NAME_MAX + 16];
    int rc;

    (void)snprintf(pattern, sizeof pattern, "--schema=%s", u->o->schema);
    if (pgtool_begin(a, &u->tool, "pg_restore", e) != 0 || pgtool_arg(a, pattern, e) != 0 ||
        (u->o->no_owner &&
         (pgtool_arg(a, "--no-owner", e) != 0 || pgtool_arg(a, "--no-privileges", e) != 0)) ||
        pgtool_arg(a, "-f", e) != 0 || pgtool_arg(a, "-", e) != 0 ||
        pgtool_start(&u->restore, a, "pg_restore", OS_PROC_PIPE, u->psql.proc.in, e) != 0)
        return -1;
    rc = undump_feed(u, &u->restore, e);
    if (rc == 0)
        rc = pgtool_end(&u->restore, 0, e) == 0 ? 0 : -1;
    return rc;
}

static int load(struct undump *u, const struct plan *p, struct err *e)
{
    static struct pgtool_args a;
    static struct pgtool_args b;
    static const char commit[] = "\ncommit;\n";
    bool plain = u->dump.get.meta.streams.v[u->stream].format == DUMPFILE_PLAIN;
    struct err said = {0};
    struct buf conninfo;
    int rc = -1;

    buf_init(&conninfo, 16 * 1024);
    if (sqlrun_conninfo(u->sql, &u->how, u->target, &conninfo, e) == 0 &&
        start_psql(u, &a, buf_text(&conninfo), e) == 0 && begin(u, p, e) == 0)
        rc = plain ? undump_feed(u, &u->psql, e) : pass_archive(u, &b, e);
    /* Without its commit psql's transaction is rolled back at its end. */
    if (rc == 0)
        rc = pgtool_write(&u->psql, (const uint8_t *)commit, sizeof commit - 1, e);
    if (u->psql.proc.running && pgtool_end(&u->psql, 0, &said) != 0) {
        if (rc != 0)
            err_clear(e); /* a broken pipe says less than what broke it */
        *e = said;
        rc = -1;
    }
    pgtool_fini(&u->restore);
    pgtool_fini(&u->psql);
    buf_fini(&conninfo);
    if (rc != 0)
        (void)err_context(e, "schema \"%s\" is as it was", u->o->schema);
    return rc == 0 ? 0 : -1;
}

int undump_schema(struct undump *u, struct err *e)
{
    struct plan p = {.exists = false};
    int rc = -1;

    buf_init(&p.rights, 256 * 1024);
    if (check_content(u, e) == 0 && look(u, &p, e) == 0 &&
        (!p.exists || undump_confirm(u, "schema", u->o->schema, e) == 0) && undump_pre(u, e) == 0 &&
        (!p.exists || safety_dump(u, e) == 0) && load(u, &p, e) == 0) {
        u->changed = true;
        rc = undump_compare(u, u->o->schema, e) == 0 && undump_gate(u, e) == 0 ? 0 : -1;
        if (rc != 0 && u->safety[0] != '\0')
            (void)err_hint(e, "The way back: walden undump %s --schema %s --database %s --yes",
                           u->safety, u->o->schema, u->target);
    }
    buf_fini(&p.rights);
    return rc;
}
