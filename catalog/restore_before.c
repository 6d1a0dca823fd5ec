/* --before-drop: which moment is just before an accident, and can the table be read there? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "finder.h"
#include "os/time.h"
#include "restore_server.h"
#include "survey.h"

struct restore_before {
    struct finder finder;
    const struct find_candidate *what;
    struct finder_aim aim;
};

enum { CANDIDATES_MAX = 1000, PROVE_US = 60 * 1000 * 1000, SQL_MAX = 2 * FIND_NAME_MAX };

int restore_take_before(void *into, const struct opt *o, const char *text, struct err *e)
{
    struct restore_options *mine = into;
    struct find_table table;

    if (find_table_parse(&table, text, e) != 0)
        return -1;
    if (mine->before_table != NULL)
        return err_set(e, ERR_USAGE, "only one target can be given");
    mine->before_table = text;
    if (strcmp(o->name, "before_truncate") == 0)
        mine->before_kinds = 1U << FIND_TRUNCATE;
    else if (strcmp(o->name, "before_deletes") == 0)
        mine->before_kinds = 1U << FIND_DELETE;
    else
        mine->before_kinds = 1U << FIND_DROP | 1U << FIND_DROP_DATABASE;
    return 0;
}

int restore_before(struct restore *r, struct err *e)
{
    struct restore_before *b;
    struct find_filter *filter;

    if (r->o->before_table == NULL)
        return 0;
    b = calloc(1, sizeof *b);
    if (b == NULL)
        return err_set(e, ERR_NOMEM, "no memory to search the archive with");
    finder_init(&b->finder);
    b->finder.most = CANDIDATES_MAX;
    b->finder.names_first = true;
    filter = &b->finder.filter;
    filter->kinds = r->o->before_kinds;
    filter->database = r->o->database;
    filter->rows = FIND_ROWS_MIN;
    filter->doubtful = true;
    if (find_table_parse(&filter->table, r->o->before_table, e) != 0 ||
        finder_run(&b->finder, r, e) != 0 || finder_pick(&b->finder, r, &b->what, e) != 0 ||
        finder_aim(r, b->what, r->o->action, &b->aim, e) != 0) {
        finder_fini(&b->finder);
        free(b);
        return -1;
    }
    r->before = b;
    r->o->action = (int)b->aim.action;
    return 0;
}

void restore_before_free(struct restore *r)
{
    if (r->before == NULL)
        return;
    finder_fini(&r->before->finder);
    free(r->before);
    r->before = NULL;
}

const struct find_candidate *restore_before_what(const struct restore *r)
{
    return r->before == NULL ? NULL : r->before->what;
}

void restore_before_text(const struct restore *r, char *out, size_t cap)
{
    const struct find_candidate *c = r->before->what;
    char what[FINDER_TEXT];
    char how[FINDER_TEXT];

    finder_what(c, what);
    finder_how(c, how);
    (void)snprintf(out, cap, "just before %s: %s", what, how);
}

int restore_before_show(const struct restore *r, struct buf *b, struct err *e)
{
    static const char *const moments[][2] = {
        {"before the first lock of transaction",
         ", paused: nothing was\n"
         "           committed from there on until it ended\n"},
        {"before the first lock of transaction",
         ": what others committed\n"
         "           from there on until it ended is not in\n"},
        {"before the commit of transaction", ", which is then rolled back; the\n"
                                             "           copy opens for writing, for a paused one "
                                             "would keep its locks\n"},
        {"before the commit of transaction", "\n"},
        {"before the database was marked as invalid by transaction", "\n"}};
    const struct find_candidate *c;
    char time[SURVEY_TIME_MAX];
    unsigned n = 3;

    if (r->before == NULL)
        return 0;
    c = r->before->what;
    if (c->kind == FIND_DROP_DATABASE)
        n = 4;
    else if (r->before->aim.at_lock)
        n = r->before->aim.chosen ? 0 : 1;
    else if (r->before->aim.action == RESTORE_PROMOTE)
        n = 2;
    if (c->time != COVERAGE_NO_TIME) {
        survey_time(time, c->time);
        if (buf_fmt(b, e, "           that was committed %s\n", time) != 0)
            return -1;
    }
    return buf_fmt(b, e, "           %s %u%s", moments[n][0], (unsigned)c->xid, moments[n][1]);
}

int restore_before_prove(const struct restore *r, const struct restore_server *s,
                         char said[RESTORE_PROOF_TEXT], struct err *e)
{
    const struct find_candidate *c = restore_before_what(r);
    struct pgconn *conn = NULL;
    struct pgconn_rows *rows = NULL;
    const char *user = NULL;
    char name[FIND_NAME_MAX];
    char sql[SQL_MAX];
    char what[FINDER_TEXT];
    int rc;

    said[0] = '\0';
    if (c == NULL || s->shut_down || c->database == NULL || (c->name == NULL && c->oid == 0))
        return 0;
    finder_what(c, what);
    if (restore_server_connect(s, c->database, &conn, &user, e) != 0)
        return err_context(e, "%s cannot be read", what);
    if (c->name == NULL || c->later)
        (void)snprintf(
            sql, sizeof sql,
            "select pg_size_pretty(pg_table_size(oid)), oid::regclass::text from pg_class "
            "where oid = %u",
            (unsigned)c->oid);
    else {
        find_relation_text(c->schema, c->name, name);
        (void)snprintf(sql, sizeof sql,
                       "select pg_size_pretty(pg_table_size('%u'::oid)), count(*) "
                       "from (select from %s limit 1) x",
                       (unsigned)c->oid, name);
    }
    rc = pgconn_query(conn, sql, os_mono_us() + PROVE_US, &rows, e);
    if (rc == 0 && pgconn_rows_count(rows) != 1)
        rc = err_set(e, ERR_DAMAGED, "it is not there");
    if (rc == 0)
        (void)snprintf(said, RESTORE_PROOF_TEXT, "%s can be read: %s", what,
                       pgconn_value(rows, 0, 0));
    else
        rc = err_context(e, "%s cannot be read", what);
    pgconn_rows_free(rows);
    pgconn_close(conn);
    return rc;
}
