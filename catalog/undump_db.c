/*
 * Databases: made as the dumped one was, exchanged by renaming, dropped.
 *
 * | step of --replace and --switch | state after a crash there | the next run |
 * |---|---|---|
 * | 1 new database filled and compared | the old one serves; a database NAME_restored_TIME is left
 * | makes another | | 2 old one closed for new sessions, sessions ended | the old one refuses
 * sessions | the hint of the error opens it | | 3 both renamed, in one transaction | the new one
 * serves | nothing to do | | 4 old one opened (--switch) or dropped (--replace) | NAME_old_TIME is
 * left, closed | drop it by hand |
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "os/time.h"
#include "undump.h"

enum { GONE_US = 15 * 1000 * 1000, LOOK_US = 100 * 1000 };

static int add_text(struct buf *b, const char *before, const char *text, struct err *e)
{
    return buf_str(b, before, e) == 0 ? sql_text(b, text, e) : -1;
}

/* ICU since 15, with rules since 16; the builtin provider since 17. */
static int add_locale(const struct undump *u, struct buf *b, struct err *e)
{
    const char *provider = undump_fact(u, "datlocprovider");
    const char *locale = undump_fact(u, "datlocale");
    const char *rules = undump_fact(u, "daticurules");
    uint32_t server = sqlrun_version(u->sql);

    if (*locale == '\0')
        locale = undump_fact(u, "daticulocale");
    if (add_text(b, " lc_collate ", undump_fact(u, "datcollate"), e) != 0 ||
        add_text(b, " lc_ctype ", undump_fact(u, "datctype"), e) != 0)
        return -1;
    if (*provider == '\0' || *provider == 'c')
        return 0;
    if (server < 150000 || (*provider == 'b' && server < 170000))
        return err_set(e, ERR_REFUSED,
                       "the database sorts by a locale provider that the server does not have");
    if (*provider == 'b')
        return add_text(b, " locale_provider builtin builtin_locale ", locale, e);
    if (add_text(b, " locale_provider icu icu_locale ", locale, e) != 0)
        return -1;
    return *rules == '\0' || server < 160000 ? 0 : add_text(b, " icu_rules ", rules, e);
}

int undump_create(struct undump *u, struct err *e)
{
    const char *owner = undump_fact(u, "owner");
    const char *limit = undump_fact(u, "datconnlimit");
    struct buf b;
    int rc = -1;

    buf_init(&b, 16 * 1024);
    if (buf_str(&b, "create database ", e) != 0 || sql_name(&b, u->target, e) != 0 ||
        buf_str(&b, " template template0", e) != 0)
        goto out;
    if (!u->o->no_owner && *owner != '\0' &&
        (buf_str(&b, " owner ", e) != 0 || sql_name(&b, owner, e) != 0))
        goto out;
    if (*undump_fact(u, "encoding") != '\0' &&
        (add_text(&b, " encoding ", undump_fact(u, "encoding"), e) != 0 ||
         add_locale(u, &b, e) != 0))
        goto out;
    if (strspn(limit, "0123456789") == strlen(limit) && *limit != '\0' &&
        buf_fmt(&b, e, " connection limit %s", limit) != 0)
        goto out;
    rc = sqlrun_query(u->sql, buf_text(&b), NULL, e);
    u->created = rc == 0;
out:
    buf_fini(&b);
    return rc == 0 ? 0 : err_context(e, "could not make database \"%s\"", u->target);
}

int undump_new_name(struct undump *u, const char *word, char out[UNDUMP_NAME_MAX], struct err *e)
{
    char t[TEXT_TIME_MAX];
    char more[16] = "";

    text_time(t, os_real_us(), 0);
    for (unsigned i = 2; i < 100; i++) {
        struct err why = {0};

        (void)snprintf(out, UNDUMP_NAME_MAX, "%.30s_%s_%.4s%.2s%.2s_%.2s%.2s%.2s%s", u->final, word,
                       t, t + 5, t + 8, t + 11, t + 14, t + 17, more);
        if (!undump_has_database(u, out, &why)) {
            *e = why;
            return why.code == ERR_NONE ? 0 : -1;
        }
        (void)snprintf(more, sizeof more, "_%u", i);
    }
    return err_set(e, ERR_REFUSED, "no name for a database is free");
}

/* --- properties --- */

/* Values of these are lists of names and stand as they are. */
static bool is_list(const char *setting, size_t len)
{
    static const char *const lists[] = {"search_path", "temp_tablespaces",
                                        "session_preload_libraries", "local_preload_libraries"};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strlen(lists[i]) == len && memcmp(lists[i], setting, len) == 0)
            return true;
    return false;
}

static int put_setting(struct undump *u, const char *setting, struct err *e)
{
    size_t n = strcspn(setting, "=");
    char name[SQL_NAME_MAX];
    struct buf b;
    int rc = -1;

    if (setting[n] == '\0')
        return 0;
    buf_init(&b, 16 * 1024);
    if (buf_fmt(&b, e, "alter database %s set %.*s to ", sql_quoted(name, u->target), (int)n,
                setting) == 0 &&
        (is_list(setting, n) ? buf_str(&b, setting + n + 1, e)
                             : sql_text(&b, setting + n + 1, e)) == 0)
        rc = sqlrun_query(u->sql, buf_text(&b), NULL, e);
    buf_fini(&b);
    return rc;
}

static int put_grant(struct undump *u, const struct sqlrows *rows, size_t i, struct err *e)
{
    const char *privilege = sqlrun_value(rows, i, 0);
    const char *grantee = sqlrun_value(rows, i, 1);
    const char *grantable = sqlrun_value(rows, i, 2);
    char name[SQL_NAME_MAX];

    if (privilege == NULL || grantee == NULL)
        return 0;
    return sqlrun_do(u->sql, e, "grant %s on database %s to %s%s", privilege,
                     sql_quoted(name, u->target), grantee,
                     grantable != NULL && *grantable == 't' ? " with grant option" : "");
}

static int put_rights(struct undump *u, const char *acl, struct err *e)
{
    struct sqlrows *rows = NULL;
    char name[SQL_NAME_MAX];
    struct buf b;
    int rc = -1;

    buf_init(&b, 64 * 1024);
    if (sqlrun_do(u->sql, e, "revoke all on database %s from public",
                  sql_quoted(name, u->target)) == 0 &&
        buf_str(&b,
                "select a.privilege_type, case when a.grantee = 0 then 'public' else"
                " pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,"
                " a.is_grantable from pg_catalog.aclexplode(",
                e) == 0 &&
        sql_text(&b, acl, e) == 0 && buf_str(&b, "::aclitem[]) a", e) == 0)
        rc = sqlrun_query(u->sql, buf_text(&b), &rows, e);
    for (size_t i = 0; rc == 0 && i < sqlrun_count(rows); i++)
        rc = put_grant(u, rows, i, e);
    sqlrun_free(rows);
    buf_fini(&b);
    return rc;
}

int undump_properties(struct undump *u, struct err *e)
{
    const char *acl = undump_fact(u, "acl");
    const char *setting;
    size_t from = 0;

    while ((setting = dump_fact(&u->dump.get.meta, u->stream, "setting", &from)) != NULL)
        if (put_setting(u, setting, e) != 0)
            return err_context(e, "could not set what was set for the database");
    if (u->o->no_owner || *acl == '\0')
        return 0;
    return put_rights(u, acl, e) == 0
               ? 0
               : err_context(e, "could not grant the rights on the database");
}

/* --- sessions, drop, switch --- */

/* Ends the sessions of a database and waits for them to be gone. */
static int end_sessions(struct undump *u, const char *name, struct err *e)
{
    int64_t until = os_mono_us() + GONE_US;
    uint64_t left = 1;
    struct buf b;
    int rc = 0;

    buf_init(&b, 8192);
    while (rc == 0 && left > 0) {
        buf_clear(&b);
        rc = buf_str(&b,
                     "select pg_catalog.count(pg_catalog.pg_terminate_backend(pid))"
                     " from pg_catalog.pg_stat_activity where pid <>"
                     " pg_catalog.pg_backend_pid() and datname = ",
                     e) == 0 &&
                     sql_text(&b, name, e) == 0
                 ? sqlrun_number(u->sql, buf_text(&b), &left, e)
                 : -1;
        if (rc == 0 && left > 0 && os_mono_us() > until)
            rc = err_set(e, ERR_TIMEOUT, "%llu sessions in database \"%s\" do not end",
                         (unsigned long long)left, name);
        if (rc == 0 && left > 0)
            os_sleep_us(LOOK_US);
    }
    buf_fini(&b);
    return rc;
}

int undump_drop(struct undump *u, const char *name, struct err *e)
{
    char q[SQL_NAME_MAX];

    (void)sql_quoted(q, name);
    return sqlrun_do(u->sql, e, "alter database %s allow_connections false", q) == 0 &&
                   end_sessions(u, name, e) == 0
               ? sqlrun_do(u->sql, e, "drop database %s", q)
               : -1;
}

void undump_reopen(struct undump *u, const char *name, struct err *e)
{
    char q[SQL_NAME_MAX];
    struct err why = {0};

    undump_session_again(u);
    if (sqlrun_do(u->sql, &why, "alter database %s allow_connections true", sql_quoted(q, name)) ==
        0)
        return;
    u->changed = true;
    (void)err_hint(
        e, "Open the database again, if it is there: ALTER DATABASE %s ALLOW_CONNECTIONS true", q);
}

void undump_drop_failed(struct undump *u)
{
    struct err why = {0};
    char q[SQL_NAME_MAX];

    if (!u->created)
        return;
    undump_session_again(u);
    if (u->o->keep_failed) {
        msg_note(u->msg, "what was restored stays in database \"%s\"", u->target);
        return;
    }
    if (end_sessions(u, u->target, &why) == 0 &&
        sqlrun_do(u->sql, &why, "drop database %s", sql_quoted(q, u->target)) == 0)
        msg_note(u->msg, "the half-restored database \"%s\" was dropped again", u->target);
    else
        msg_warn(u->msg, "the half-restored database \"%s\" is left: %s", u->target, why.msg);
}

static int rename_both(struct undump *u, bool has_old, struct err *e)
{
    char final[SQL_NAME_MAX];
    char target[SQL_NAME_MAX];
    char old[SQL_NAME_MAX];

    (void)sql_quoted(final, u->final);
    (void)sql_quoted(target, u->target);
    (void)sql_quoted(old, u->old);
    if (sqlrun_query(u->sql, "begin", NULL, e) != 0 ||
        (has_old && sqlrun_do(u->sql, e, "alter database %s rename to %s", final, old) != 0) ||
        sqlrun_do(u->sql, e, "alter database %s rename to %s", target, final) != 0 ||
        sqlrun_query(u->sql, "commit", NULL, e) != 0) {
        struct err none = {0};

        (void)!sqlrun_query(u->sql, "rollback", NULL, &none); /* the first error is what counts */
        return -1;
    }
    return 0;
}

int undump_switch(struct undump *u, struct err *e)
{
    struct err why = {0};
    char q[SQL_NAME_MAX];
    bool has_old = undump_has_database(u, u->final, &why);

    if (undump_new_name(u, "old", u->old, e) != 0)
        return -1;
    if (has_old && (sqlrun_do(u->sql, e, "alter database %s allow_connections false",
                              sql_quoted(q, u->final)) != 0 ||
                    end_sessions(u, u->final, e) != 0))
        goto back;
    if (end_sessions(u, u->target, e) != 0 || rename_both(u, has_old, e) != 0)
        goto back;
    u->created = false; /* it is the real one now */
    memcpy(u->target, u->final, sizeof u->target);
    if (!has_old) {
        u->old[0] = '\0';
        return 0;
    }
    if (u->o->swap)
        return sqlrun_do(u->sql, e, "alter database %s allow_connections true",
                         sql_quoted(q, u->old));
    if (sqlrun_do(u->sql, e, "drop database %s", sql_quoted(q, u->old)) != 0)
        return err_context(e, "the new database is in place, but the old one is left");
    u->old[0] = '\0';
    return 0;
back:
    if (has_old)
        undump_reopen(u, u->final, e);
    return -1;
}
