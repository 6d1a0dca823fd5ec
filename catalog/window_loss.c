#include <string.h>

#include "base/parse.h"
#include "os/time.h"
#include "pgconn/pgconn.h"
#include "window.h"

enum { ASK_SECONDS = 5 };

static const char ask_sql[] =
    "select s.system_identifier, (extract(epoch from clock_timestamp()) * 1000000)::bigint,"
    " pg_is_in_recovery(), case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
    " else pg_current_wal_lsn() end from pg_control_system() s";

/* Where what is archived of the latest timeline ends. */
static lsn_t archived_end(const struct window_lineage *x)
{
    const struct coverage *c = &x->l->scan.cover;
    const struct coverage_timeline *t = coverage_find(c, x->w.latest);

    return t == NULL || t->rows == 0 ? 0 : t->end;
}

static int ask(struct window_lineage *x, const char *dsn, struct err *e)
{
    struct window_loss *loss = &x->loss;
    const struct pgconn_opts o = {.dsn = dsn != NULL ? dsn : "connect_timeout=5"};
    struct pgconn *c = NULL;
    struct pgconn_rows *r = NULL;
    const char *value[4];
    uint64_t id = 0;
    int rc = -1;

    if (pgconn_open(&c, &o, e) != 0 ||
        pgconn_query(c, ask_sql, os_mono_us() + ASK_SECONDS * USEC_PER_SEC, &r, e) != 0)
        goto out;
    for (size_t i = 0; i < 4; i++)
        value[i] = pgconn_value(r, 0, i);
    if (value[0] == NULL || value[1] == NULL || value[2] == NULL || value[3] == NULL ||
        parse_u64(value[0], 0, UINT64_MAX, &id, e) != 0)
        goto out;
    if (id != x->l->system_id) {
        (void)err_set(e, ERR_REFUSED, "the server that answers here is another cluster");
        goto out;
    }
    if (parse_i64(value[1], 0, INT64_MAX, &loss->now, e) != 0 ||
        parse_lsn(value[3], &loss->server_lsn, e) != 0)
        goto out;
    loss->in_recovery = strcmp(value[2], "t") == 0;
    rc = 0;
out:
    pgconn_rows_free(r);
    pgconn_close(c);
    return rc;
}

void window_ask(struct window_lineage *x, const char *dsn, bool offline)
{
    const struct window *newest = windows_newest(&x->w);
    struct window_loss *loss = &x->loss;
    struct err why = {0};

    *loss = (struct window_loss){.now = os_real_us(), .archived = archived_end(x)};
    if (newest != NULL && newest->end_time != COVERAGE_NO_TIME) {
        loss->is_known = true;
        loss->newest = newest->end_time;
    }
    if (offline || x->l->major == 0)
        return;
    loss->asked = true;
    loss->has_server = ask(x, dsn, &why) == 0;
    if (!loss->has_server)
        loss->now = os_real_us();
}
