#include "basebackup/incremental.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "os/time.h"
#include "pgconn/basebackup.h"

enum { SINCE = 170000, ASK_SECONDS = 20, QUERY_MAX = 1024 };

static void say(char why[BACKUP_WHY_MAX], const char *text)
{
    (void)snprintf(why, BACKUP_WHY_MAX, "%s", text);
}

bool incremental_is_wanted(struct source *s, const struct backup_options *o,
                           char why[BACKUP_WHY_MAX])
{
    struct err quiet = {0};
    char value[16];

    why[0] = '\0';
    if (o->incremental == BACKUP_INCREMENTAL_NEVER)
        say(why, "--incremental=never");
    else if (o->whole)
        say(why, "--whole");
    else if (pgconn_version(s->c) < SINCE)
        say(why, "the server is older than PostgreSQL 17");
    else if (replication_show(s->c, "summarize_wal", value, sizeof value, &quiet) != 0 ||
             strcmp(value, "on") != 0)
        say(why, "the server's summarize_wal is off");
    return why[0] == '\0';
}

/* ---- may the prior backup be built on? ---- */

static int check_prior(struct intake *i, const struct backup_options *o, char why[BACKUP_WHY_MAX],
                       struct err *e)
{
    const struct prior *p = &i->prior;
    bool whole;

    if (i->found.label[0] == '\0') {
        say(why, i->found.bad_manifests > 0 ? "no earlier backup can be read"
                                            : "there is no earlier backup");
        return 0;
    }
    if (o->incremental == BACKUP_INCREMENTAL_AUTO &&
        p->spread * 100 > p->pages * INCREMENTAL_SPREAD_MAX) {
        say(why, "the pages of earlier backups lie scattered, and are gathered again");
        return 0;
    }
    if (prior_is_whole(&i->prior, &whole, e) != 0)
        return -1;
    if (!whole)
        (void)snprintf(why, BACKUP_WHY_MAX, "not all of the earlier backup %s can be leaned on",
                       i->found.label);
    return 0;
}

/*
 * A summary begins where a checkpoint's redo begins, and so does a backup.  That one begins exactly
 * where the prior backup did shows two things before the server spends a checkpoint on its own,
 * later judgement: that it has summaries so old, and that its history is the one in which the prior
 * backup was taken (a server that was put back to an older copy of its disk goes on under the same
 * timeline with other WAL).  Without a SQL connection only the server judges.
 */
static void check_summaries(const struct source *s, const struct intake *i,
                            char why[BACKUP_WHY_MAX])
{
    const struct manifest_public *prior = &i->found.public;
    char start[TEXT_LSN_MAX];
    char sql[QUERY_MAX];
    struct pgconn_rows *rows = NULL;
    struct pgconn *c = NULL;
    struct err quiet = {0};
    const char *has = NULL;

    text_lsn(start, prior->start_lsn);
    (void)snprintf(sql, sizeof sql,
                   "select exists (select from pg_catalog.pg_available_wal_summaries() "
                   "where tli = %" PRIu32 " and start_lsn = '%s') or exists (select from "
                   "pg_catalog.pg_get_wal_summarizer_state() "
                   "where summarized_tli = %" PRIu32 " and summarized_lsn = '%s')",
                   prior->start_timeline, start, prior->start_timeline, start);
    if (pgconn_open(&c, &s->conn, &quiet) == 0 &&
        pgconn_query(c, sql, os_mono_us() + ASK_SECONDS * USEC_PER_SEC, &rows, &quiet) == 0)
        has = pgconn_value(rows, 0, 0);
    if (has != NULL && strcmp(has, "t") != 0)
        (void)snprintf(why, BACKUP_WHY_MAX,
                       "the server has no WAL summary from %s on, where backup %s began", start,
                       i->found.label);
    pgconn_rows_free(rows);
    pgconn_close(c);
}

/* ---- the upload ---- */

struct upload {
    struct pages_spool *spool;
    uint64_t at;
};

static int next_piece(void *arg, uint8_t *bytes, size_t cap, size_t *got, struct err *e)
{
    struct upload *u = arg;
    uint64_t left = u->spool->len - u->at;

    *got = left < cap ? (size_t)left : cap;
    if (*got > 0 && pages_spool_read(u->spool, u->at, bytes, *got, e) != 0)
        return -1;
    u->at += *got;
    return 0;
}

static int upload(struct source *s, struct intake *i, char why[BACKUP_WHY_MAX], struct err *e)
{
    struct upload u = {.spool = &i->server};
    int rc = basebackup_upload(s->c, next_piece, &u, e);

    if (rc == 0 || e->code != ERR_REFUSED)
        return rc;
    say(why, e->msg);
    err_clear(e);
    return 0;
}

int incremental_offer(struct source *s, const struct backup_options *o, struct intake *i,
                      char why[BACKUP_WHY_MAX], struct err *e)
{
    uint32_t segment;

    why[0] = '\0';
    if (intake_load(i, e) != 0 || check_prior(i, o, why, e) != 0)
        return -1;
    if (why[0] == '\0' && !o->no_relation_map)
        check_summaries(s, i, why);
    if (why[0] == '\0' && upload(s, i, why, e) != 0)
        return -1;
    if (why[0] != '\0')
        return 0;
    if (replication_relation_pages(s->c, &segment, e) != 0)
        return -1;
    return compose_begin(&i->compose, s->who.system_id, segment, &i->manifest, &i->put, i->temp,
                         e) == 0
               ? 1
               : -1;
}
