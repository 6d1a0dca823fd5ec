/* What else must be as it was, besides rows: the schema's version and row security. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "dump.h"
#include "undump.h"

enum { SHOWN = 200 };

static int tell(struct undump *u, const char *name, const char *want, const char *found,
                struct err *e)
{
    bool same = strcmp(want, found) == 0;

    u->differ += same ? 0 : 1;
    if (u->told_fact != NULL)
        return u->told_fact(u->arg, name, want, found, e);
    if (!same)
        msg_warn(u->msg, "%s: found %s, the dump has %s", name, found, want);
    return 0;
}

/* What the query of the dump's job answers there; "" for nothing.  What the server refuses is an
 * answer, too. */
static int ask_version(struct sqlrun *s, const char *query, char out[UNDUMP_VERSION_MAX],
                       struct err *e)
{
    struct err why = {0};
    int rc = sqlrun_one(s, query, out, UNDUMP_VERSION_MAX, &why);

    if (rc < 0 && why.code != ERR_REFUSED) {
        *e = why;
        return -1;
    }
    if (rc != 0)
        (void)snprintf(out, UNDUMP_VERSION_MAX, "%s", rc < 0 ? why.msg : "");
    return 0;
}

/* The query found its table by the database's search_path, which the new one gets at the end only.
 */
static int use_path(struct undump *u, struct sqlrun *s, struct err *e)
{
    static const char word[] = "search_path=";
    const char *setting;
    size_t from = 0;

    while ((setting = dump_fact(&u->dump.get.meta, u->stream, "setting", &from)) != NULL)
        if (strncmp(setting, word, sizeof word - 1) == 0)
            return sqlrun_do(s, e, "set search_path to %s", setting + sizeof word - 1);
    return 0;
}

static int compare_version(struct undump *u, struct sqlrun *s, const char *schema, struct err *e)
{
    const char *query = undump_fact(u, "schema_version_query");
    const char *version = undump_fact(u, "schema_version");
    char found[UNDUMP_VERSION_MAX];

    if (*query == '\0')
        return 0;
    if (use_path(u, s, e) != 0 || ask_version(s, query, found, e) != 0)
        return -1;
    if (schema == NULL)
        return tell(u, "schema version", version, found, e);
    /* The table that holds it may lie in a schema that nobody touched. */
    if (strcmp(version, found) != 0)
        msg_warn(u->msg,
                 "the schema version of the database is %s, and the dump has %s: apply what "
                 "lies between, or put it right",
                 found, version);
    return 0;
}

/* "SCHEMA.TABLE enabled=..."; is there such a table at all?  A dump of a few has not all of them.
 */
static int has_table(struct sqlrun *s, const char *fact, size_t n, bool *there, struct err *e)
{
    char name[UNDUMP_VERSION_MAX];
    uint64_t count = 0;
    struct buf sql;
    int rc = -1;

    (void)snprintf(name, sizeof name, "%.*s", (int)n, fact);
    buf_init(&sql, 16 * 1024);
    if (buf_str(&sql, "select pg_catalog.count(pg_catalog.to_regclass(", e) == 0 &&
        sql_text(&sql, name, e) == 0 && buf_str(&sql, "))", e) == 0)
        rc = sqlrun_number(s, buf_text(&sql), &count, e);
    buf_fini(&sql);
    *there = count > 0;
    return rc;
}

static const char *row_of(const struct sqlrows *rows, const char *fact, size_t n)
{
    for (size_t i = 0; i < sqlrun_count(rows); i++) {
        const char *row = sqlrun_value(rows, i, 0);

        if (row != NULL && strncmp(row, fact, n + 1) == 0)
            return row + n + 1;
    }
    return "none";
}

static int compare_table(struct undump *u, struct sqlrun *s, const struct sqlrows *rows,
                         const char *fact, struct err *e)
{
    const char *state = strstr(fact, " enabled=");
    size_t n = state == NULL ? 0 : (size_t)(state - fact);
    char name[SHOWN + 24];
    bool there;

    if (state == NULL)
        return 0;
    if (has_table(s, fact, n, &there, e) != 0)
        return -1;
    if (!there)
        return 0;
    (void)snprintf(name, sizeof name, "row security of %.*s", (int)(n < SHOWN ? n : SHOWN), fact);
    return tell(u, name, state + 1, row_of(rows, fact, n), e);
}

static int compare_row_security(struct undump *u, struct sqlrun *s, struct err *e)
{
    const struct dump_meta *m = &u->dump.get.meta;
    struct sqlrows *rows = NULL;
    const char *fact;
    size_t from = 0;
    int rc = 0;

    if (*undump_fact(u, "row_security") == '\0')
        return 0;
    rc = sqlrun_query(s, DUMP_ROW_SECURITY_SQL, &rows, e);
    while (rc == 0 && (fact = dump_fact(m, u->stream, "row_security", &from)) != NULL)
        rc = compare_table(u, s, rows, fact, e);
    sqlrun_free(rows);
    return rc;
}

int undump_facts(struct undump *u, struct sqlrun *s, const char *schema, struct err *e)
{
    if (compare_version(u, s, schema, e) != 0)
        return -1;
    return schema == NULL ? compare_row_security(u, s, e) : 0;
}

int undump_live_version(struct undump *u, char out[UNDUMP_VERSION_MAX], struct err *e)
{
    const char *query = undump_fact(u, "schema_version_query");
    struct sqlrun *s;
    int rc;

    out[0] = '\0';
    if (*query == '\0')
        return 1;
    rc = sqlrun_open(&s, &u->how, u->final, e);
    if (rc == 0)
        rc = ask_version(s, query, out, e);
    sqlrun_close(s);
    return rc;
}

int undump_tell_version(struct undump *u, struct err *e)
{
    const char *version = undump_fact(u, "schema_version");
    char live[UNDUMP_VERSION_MAX];
    int rc = undump_live_version(u, live, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (strcmp(live, version) != 0)
        msg_warn(u->msg,
                 "database \"%s\" has schema version %s, the dump %s: what lies between has to be "
                 "applied to what is restored, by a gate in [hook undump] or by hand",
                 u->final, live, version);
    return 0;
}
