/* Runs the copy, and says what was reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/time.h"
#include "restore_server.h"

enum { ASK_US = 5 * 1000 * 1000 };

static void show_asked(const struct restore_server *run)
{
    static const char sql[] =
        "select coalesce(pg_last_wal_replay_lsn()::text, '-'), "
        "coalesce((pg_last_xact_replay_timestamp() at time zone 'UTC')::text || '+00', 'none')";
    struct pgconn *c = NULL;
    struct pgconn_rows *rows = NULL;
    const char *user = NULL;
    struct err quiet = {0};

    if (restore_server_connect(run, "postgres", &c, &user, &quiet) != 0) {
        printf("connect  psql -h %s -p " RESTORE_PORT "\n", run->dir);
        return;
    }
    if (pgconn_query(c, sql, os_mono_us() + ASK_US, &rows, &quiet) == 0 &&
        pgconn_rows_count(rows) == 1)
        printf("         replayed up to %s, last commit %s\n", pgconn_value(rows, 0, 0),
               pgconn_value(rows, 0, 1));
    printf("connect  psql -h %s -p " RESTORE_PORT " -U %s -d postgres\n", run->dir, user);
    pgconn_rows_free(rows);
    pgconn_close(c);
}

static void show(const struct restore *r, const struct restore_server *run)
{
    char target[RESTORE_TARGET_TEXT];
    char shown[2 * RESTORE_LOG_LINE];

    restore_target_text(r, target);
    (void)text_visible(shown, sizeof shown, run->stop, strlen(run->stop));
    printf("asked    %s\n", target);
    if (*shown != '\0')
        printf("reached  %s\n", shown);
    else
        printf("reached  the end of the archive, after %llu segments\n",
               (unsigned long long)run->segments);
    (void)text_visible(shown, sizeof shown, run->last, strlen(run->last));
    if (*shown != '\0')
        printf("         %s\n", shown);
    if (!run->shut_down)
        show_asked(run);
    printf("state    %s\n", run->paused     ? "paused at the target; it can be read"
                            : run->promoted ? "open for reading and writing"
                                            : "shut down at the target");
    if (run->paused)
        printf("open it  %s/pg_ctl -D %s promote\n", run->bin, r->dir);
    if (!run->shut_down)
        printf("stop it  %s/pg_ctl -D %s -m fast stop\n", run->bin, r->dir);
    if (!run->shut_down)
        printf("log      %s\n", run->log);
    if (run->promoted && r->o->action != RESTORE_PROMOTE && r->target.kind != PLAN_LATEST)
        msg_warn(r->m, "the server could not pause at the target and has opened there instead");
}

int restore_start(struct restore *r, struct err *e)
{
    struct restore_server *run = malloc(sizeof *run);
    char proof[RESTORE_PROOF_TEXT];
    int rc = -1;

    if (run == NULL)
        return err_set(e, ERR_NOMEM, "no memory to start a server with");
    restore_server_init(run);
    if (restore_server_start(r, run, e) == 0 && restore_server_wait(run, e) == 0) {
        show(r, run);
        rc = restore_before_prove(r, run, proof, e);
        if (rc == 0 && proof[0] != '\0')
            printf("proven   %s\n", proof);
        if (run->shut_down)
            restore_run_remove(run);
        if (rc == 0 && fflush(stdout) != 0)
            rc = err_set(e, ERR_IO, "could not write to standard output");
    }
    restore_server_fini(run); /* it goes on without us */
    free(run);
    return rc;
}
