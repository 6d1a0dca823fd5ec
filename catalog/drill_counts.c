/*
 * The rows that were counted when a backup was taken.
 *
 * They are true at one moment only, so the copy is first brought to that moment, paused there and
 * asked, and then goes on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "drill.h"
#include "repo/counts.h"

enum { MOMENTS_MAX = 8, SQL_MAX = 2 * SQL_NAME_MAX + 64 };

static int by_moment(const void *a, const void *b)
{
    const struct counts_row *x = a;
    const struct counts_row *y = b;
    int c = (x->lsn > y->lsn) - (x->lsn < y->lsn);

    return c != 0 ? c : strcmp(x->database, y->database);
}

int drill_counts_read(struct drill_run *d, struct drill_rows *rows, struct err *e)
{
    const struct store_name name = {.kind = KIND_MANIFEST, .name = d->record.what};
    struct store_object o = {.fd = -1};
    struct counts_row row;
    uint8_t *part = NULL;
    size_t len = 0;
    struct cur at;
    int rc = repo_get(d->repo, &name, &o, d->reader, e);

    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_USAGE, "there is no backup \"%s\"", d->record.what);
    rc = object_metadata(d->reader, &part, &len, e);
    at = cur_of(part, len);
    while (rc == 0 && (rc = counts_next(&at, &row, e)) == 0)
        rc = drill_rows_push(rows, row, e);
    object_close(d->reader);
    store_release(&o);
    free(part);
    if (rows->n > 1)
        qsort(rows->v, rows->n, sizeof *rows->v, by_moment);
    return rc < 0 ? -1 : 0;
}

lsn_t drill_counts_moment(const struct drill_rows *rows)
{
    return rows->n == 0 ? 0 : rows->v[rows->n - 1].lsn;
}

static void name_of(const struct counts_row *row, char out[DRILL_NAME_MAX])
{
    (void)snprintf(out, DRILL_NAME_MAX, "rows %.60s.%.60s.%.60s", row->database, row->schema,
                   row->table);
}

/* One check for a table; found NULL: why it was not counted. */
static int tell(struct drill_run *d, const struct counts_row *row, enum drill_state state,
                const char *found, const char *why, struct err *e)
{
    char name[DRILL_NAME_MAX];
    char asked[32];
    struct drill_check *c;

    name_of(row, name);
    (void)snprintf(asked, sizeof asked, "%llu", (unsigned long long)row->rows);
    c = drill_add(&d->record, state, name, asked, found, e);
    if (c == NULL)
        return -1;
    (void)snprintf(c->note, sizeof c->note, "%s", why);
    return 0;
}

static int count(struct drill_run *d, struct sqlrun *s, const struct counts_row *row, struct err *e)
{
    char schema[SQL_NAME_MAX];
    char table[SQL_NAME_MAX];
    char sql[SQL_MAX];
    char found[32];
    uint64_t rows = 0;
    struct err why = {0};

    (void)snprintf(sql, sizeof sql, "select pg_catalog.count(*) from %s.%s",
                   sql_quoted(schema, row->schema), sql_quoted(table, row->table));
    if (sqlrun_number(s, sql, &rows, &why) != 0) {
        if (why.code == ERR_REFUSED)
            return tell(d, row, DRILL_FAILED, "it cannot be read", why.msg, e);
        *e = why;
        return -1;
    }
    (void)snprintf(found, sizeof found, "%llu", (unsigned long long)rows);
    return tell(d, row, rows == row->rows ? DRILL_PASSED : DRILL_FAILED, found,
                "as counted when the backup was taken", e);
}

/* The rows of one moment, which the copy has reached. */
static int compare(struct drill_run *d, const struct counts_row *rows, size_t n, struct err *e)
{
    struct pgconn *c = NULL;
    struct sqlrun *s = NULL;
    int rc = restore_server_connect(&d->server, "postgres", &c, &d->user, e);

    pgconn_close(c);
    d->how.connect =
        (struct pgconn_opts){.host = d->server.dir, .port = RESTORE_PORT, .user = d->user};
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i == 0 || strcmp(rows[i].database, rows[i - 1].database) != 0) {
            sqlrun_close(s);
            rc = sqlrun_open(&s, &d->how, rows[i].database, e);
        }
        if (rc == 0)
            rc = count(d, s, &rows[i], e);
    }
    sqlrun_close(s);
    return rc;
}

/* Does that moment lie on the way to the target? */
static int is_on_way(struct drill_run *d, const struct plan_target *t, const char **why,
                     struct err *e)
{
    struct restore *r = d->r;
    struct plan p;
    int rc;

    if (t->lsn == 0) {
        *why = "the moment of the counts is not known";
        return 0;
    }
    plan_init(&p);
    rc = inventory_plan(&r->inventory, &r->repo, t, &p, &r->scratch, e);
    if (rc == 0 && p.verdict != PLAN_YES)
        *why = "the archive ends before the moment of the counts, or has nothing behind it";
    else if (rc == 0 && r->target.kind != PLAN_LATEST && p.stop > r->plan.stop)
        *why = "the target lies before the moment of the counts";
    else if (rc == 0)
        rc = 1;
    plan_fini(&p);
    return rc;
}

int drill_counts(struct drill_run *d, const struct drill_rows *rows, struct err *e)
{
    struct plan_target final = d->r->target;
    unsigned moments = 0;
    size_t behind;

    for (size_t i = 0; i < rows->n; i = behind) {
        struct plan_target t = {.kind = PLAN_LSN,
                                .lsn = rows->v[i].lsn,
                                .exclusive = true,
                                .timeline = d->r->plan.tli,
                                .backup = d->record.what};
        const char *why = "too many databases were counted at different moments";
        int rc = 0;

        for (behind = i; behind < rows->n && rows->v[behind].lsn == t.lsn; behind++)
            ;
        if (moments < MOMENTS_MAX) {
            d->r->target = final;
            rc = is_on_way(d, &t, &why, e);
        }
        if (rc < 0)
            return -1;
        for (size_t k = i; rc == 0 && k < behind; k++)
            if (tell(d, &rows->v[k], DRILL_SKIPPED, "not compared", why, e) != 0)
                return -1;
        if (rc == 0)
            continue;
        moments++;
        if (drill_backup_to(d, &t, RESTORE_PAUSE, e) != 0 ||
            compare(d, rows->v + i, behind - i, e) != 0)
            return -1;
        restore_server_stop(&d->server);
    }
    d->r->target = final;
    return 0;
}
