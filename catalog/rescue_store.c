/* The table as a dump in the repository: what `walden dump` does, on the scratch server. */
#include <stdio.h>

#include "base/text.h"
#include "dump.h"
#include "finder.h"
#include "repo/verified.h"
#include "rescue.h"
#include "survey.h"

#define JOB "rescue"

enum { TABLES_MAX = 240 }; /* as many as a command line of pgtool holds */

int rescue_may_store(struct rescue *x, struct err *e)
{
    const char *why = verified_may_not(&x->r->repo);

    if (why == NULL)
        return 0;
    (void)err_set(e, ERR_REFUSED, "the dump cannot go into the repository: %s", why);
    return err_hint(e, "-o FILE writes it there instead; or run it as the user that the repository "
                       "belongs to, on a host that writes it.");
}

/* One database, these tables, and all their rows counted in the same snapshot. */
static int make_job(struct dump_job *j, const struct rescue *x, struct pgconn_rows *rows,
                    struct err *e)
{
    size_t n = pgconn_rows_count(rows);

    if (n > TABLES_MAX) {
        (void)err_set(e, ERR_REFUSED,
                      "the table has %zu partitions, and a dump in the repository "
                      "takes at most %d",
                      n - 1, (int)TABLES_MAX - 1);
        return err_hint(e, "-o FILE writes a file, which may have more.");
    }
    dump_job_init(j, JOB);
    j->databases.v[j->databases.n++] = restore_before_what(x->r)->database;
    for (size_t i = 0; i < n; i++)
        j->tables.v[j->tables.n++] = pgconn_value(rows, i, 0);
    j->counts.v[j->counts.n++] = "all";
    return 0;
}

static int show(const struct rescue *x, const struct dump_run *d, struct err *e)
{
    const struct dump_public *p = &d->put.public;
    char stored[SURVEY_SIZE_MAX];
    char base[FIND_IDENT_MAX * 2];

    survey_size(stored, d->put.stored);
    (void)text_visible(base, sizeof base, restore_before_what(x->r)->database,
                       strlen(restore_before_what(x->r)->database));
    printf("rescued  dump %s/%s: %llu table%s, %llu rows, %s stored, every byte decoded\n"
           "put back walden get %s -o - | pg_restore -d %s\n",
           d->job.name, d->put.label, (unsigned long long)p->tables, p->tables == 1 ? "" : "s",
           (unsigned long long)p->rows, stored, d->put.label, base);
    return fflush(stdout) == 0 ? 0 : err_set(e, ERR_IO, "could not write to standard output");
}

int rescue_store(struct rescue *x, struct err *e)
{
    struct pgconn_rows *rows = NULL;
    struct dump_run *d = dump_run_new(e);
    char tag[32];
    int rc = d == NULL ? -1 : rescue_tables(x, &rows, &d->how.connect.user, e);

    if (rc == 0)
        rc = make_job(&d->job, x, rows, e);
    if (rc == 0) {
        /* A tag of its own: retention takes no rescued table for another one's newer copy. */
        (void)snprintf(tag, sizeof tag, "xid-%u", (unsigned)restore_before_what(x->r)->xid);
        d->msg = x->r->m;
        d->settings = x->r->s;
        d->tag = tag;
        d->accept = true;
        d->how.connect.host = x->server.dir;
        d->how.connect.port = RESTORE_PORT;
        rc = dump_run(d, e);
    }
    if (rc == 0)
        rc = show(x, d, e);
    dump_run_free(d);
    pgconn_rows_free(rows);
    return rc;
}
