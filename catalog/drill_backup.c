/* A base backup, and WAL up to a moment, as a drill. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "drill.h"
#include "finder.h"
#include "object/secret.h"
#include "os/time.h"
#include "repo/counts.h"
#include "repo/window.h"

enum { TRIES = 8 };

/* --- which moment --- */

static uint64_t draw(uint64_t below)
{
    uint8_t bytes[8];

    secret_random(bytes, sizeof bytes);
    return below == 0 ? 0 : get_u64(bytes) % below;
}

static uint64_t span(const struct window *w)
{
    return w->end_time == COVERAGE_NO_TIME || w->start_time == COVERAGE_NO_TIME ||
                   w->end_time <= w->start_time
               ? 0
               : (uint64_t)(w->end_time - w->start_time);
}

/* Any moment of all windows, each as likely as the others. */
static bool random_time(const struct windows *w, struct plan_target *t)
{
    uint64_t total = 0;
    uint64_t at;

    for (size_t i = 0; i < w->list.n; i++)
        total += span(&w->list.v[i]);
    at = draw(total);
    for (size_t i = 0; i < w->list.n; i++) {
        const struct window *one = &w->list.v[i];

        if (at < span(one)) {
            *t = (struct plan_target){
                .kind = PLAN_TIME, .time = one->start_time + (int64_t)at, .timeline = one->tli};
            return true;
        }
        at -= span(one);
    }
    return false;
}

static int random_target(struct restore *r, struct err *e)
{
    struct windows w;
    int rc;

    windows_init(&w);
    rc = windows_make(&w, &r->inventory.in, e);
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        /* Without commits to choose between there is one moment only. */
        if (!random_time(&w, &r->target))
            r->target = (struct plan_target){.kind = PLAN_LATEST};
        rc = restore_plan(r, e);
        if (rc == 0)
            break;
        if (e->code == ERR_HOLE && i + 1 < TRIES) { /* clocks that were set back, say */
            err_clear(e);
            rc = 0;
        }
    }
    windows_fini(&w);
    return rc;
}

/* A backup that is named: not further than to what was counted when it was taken. */
static int own_target(struct restore *r, const struct drill_rows *rows, struct err *e)
{
    lsn_t moment = drill_counts_moment(rows);

    if (moment != 0) {
        r->target = (struct plan_target){.kind = PLAN_LSN,
                                         .lsn = moment,
                                         .exclusive = true,
                                         .current = true,
                                         .backup = r->o->backup};
        if (restore_plan(r, e) == 0)
            return 0;
        if (e->code != ERR_HOLE)
            return -1;
        err_clear(e);
    }
    r->target =
        (struct plan_target){.kind = PLAN_IMMEDIATE, .current = true, .backup = r->o->backup};
    return restore_plan(r, e);
}

static int plan(struct drill_run *d, struct drill_rows *rows, struct err *e)
{
    const struct restore_options *o = d->r->o;

    if (d->o->random)
        return random_target(d->r, e);
    if (o->backup == NULL || o->time != NULL || o->before_table != NULL || d->o->latest)
        return restore_before(d->r, e) == 0 ? restore_plan(d->r, e) : -1;
    (void)snprintf(d->record.what, sizeof d->record.what, "%s", o->backup);
    return drill_counts_read(d, rows, e) == 0 ? own_target(d->r, rows, e) : -1;
}

/* --- before anything is begun --- */

static int no_key(const struct drill_run *d, struct err *e)
{
    (void)d;
    (void)err_set(e, ERR_KEY,
                  "the repository is sealed, and no secret key is here: nothing in it "
                  "can be restored on this host");
    return err_hint(e, "Run the drill on a host that has the recovery key (--secret-key).");
}

/* The scratch directory must be nobody's. */
static int check_place(const struct drill_run *d, struct err *e)
{
    const char *pgdata = d->s->pgdata;
    int rc = pgdata == NULL ? 0 : place_inside(d->scratch.base_path, pgdata, e);

    if (rc <= 0)
        return rc;
    (void)err_set(e, ERR_REFUSED, "\"%s\" lies inside the data directory of the server",
                  d->scratch.base_path);
    return err_hint(e, "Give another directory with --scratch.");
}

static int prepare(struct drill_run *d, struct drill_rows *rows, struct err *e)
{
    struct restore *r = d->r;
    char target[RESTORE_TARGET_TEXT];

    if (restore_target(r, e) != 0 || restore_open(r, e) != 0)
        return -1;
    d->repo = &r->repo;
    d->reader = &r->scratch;
    if (r->repo.marker.sealed && !r->repo.has_secret)
        return no_key(d, e);
    r->o->action = RESTORE_PROMOTE; /* so that everything can be asked */
    if (restore_heads(r, e) != 0 || plan(d, rows, e) != 0)
        return -1;
    (void)snprintf(d->record.what, sizeof d->record.what, "%s", restore_backup(r)->label);
    d->record.system_id = r->repo.where.system_id;
    d->record.server_version = restore_backup(r)->version;
    restore_target_text(r, target);
    (void)snprintf(d->record.target, sizeof d->record.target, "%.*s", DRILL_TEXT_MAX - 1, target);
    if (rows->n == 0 && drill_counts_read(d, rows, e) != 0)
        return -1;
    if (scratch_make(&d->scratch, "drill", e) != 0)
        return -1;
    r->o->directory = d->scratch.data;
    if (check_place(d, e) != 0 || restore_place(r, e) != 0 || restore_look(r, e) != 0 ||
        scratch_map_spaces(&d->scratch, &r->unpack, e) != 0 || restore_check(r, e) != 0)
        return -1;
    d->server.ours = true;
    memcpy(d->server.dir, d->scratch.run, sizeof d->server.dir);
    return scratch_own_run(&d->scratch, &r->owner, e);
}

/* --- the copy --- */

/* Every link to a tablespace must lead into the scratch directory. */
static int check_links(struct drill_run *d, struct err *e)
{
    const struct unpack_spaces *spaces = &d->r->unpack.spaces;
    size_t n = strlen(d->scratch.path);

    for (size_t i = 0; i < spaces->n; i++) {
        char name[32];
        char now[PLACE_MAX];

        (void)snprintf(name, sizeof name, "pg_tblspc/%u", (unsigned)spaces->v[i].oid);
        if (os_root_readlink(&d->r->unpack.tree.dir, name, now, sizeof now, e) != 0)
            return e->code != ERR_NONE
                       ? -1
                       : err_set(e, ERR_DAMAGED, "\"%s\" is missing in the copy", name);
        if (strncmp(now, d->scratch.path, n) != 0 || now[n] != '/')
            return err_set(e, ERR_REFUSED, "tablespace %u of the copy leads to \"%s\"",
                           (unsigned)spaces->v[i].oid, now);
    }
    return 0;
}

int drill_backup_to(struct drill_run *d, const struct plan_target *t, enum restore_action action,
                    struct err *e)
{
    struct restore *r = d->r;
    bool is_first = !r->unpacked;
    int64_t began;
    int rc;

    r->target = *t;
    r->o->action = (int)action;
    if (is_first) {
        rc = restore_finish(r, e) == 0 ? check_links(d, e) : -1;
        d->record.unpack_us = (uint64_t)(os_mono_us() - r->started);
        r->unpacked = true;
    } else {
        rc = restore_conf(r, e);
    }
    began = os_mono_us();
    if (rc == 0)
        rc = restore_server_start(r, &d->server, e);
    if (rc == 0)
        rc = restore_server_wait(&d->server, e);
    d->record.replay_us += (uint64_t)(os_mono_us() - began);
    return rc;
}

static void tell_reached(struct drill_run *d)
{
    const struct restore_server *s = &d->server;
    char stop[RESTORE_LOG_LINE];

    if (s->stop[0] == '\0')
        (void)snprintf(stop, sizeof stop, "the end of the archive, after %llu segments",
                       (unsigned long long)d->r->plan.segments);
    else
        (void)text_visible(stop, DRILL_TEXT_MAX / 2, s->stop, strlen(s->stop));
    (void)snprintf(d->record.reached, sizeof d->record.reached, "%.200s%s%.150s", stop,
                   s->last[0] == '\0' ? "" : "; ", s->last);
}

static int prove(struct drill_run *d, struct err *e)
{
    char proof[RESTORE_PROOF_TEXT];
    struct err why = {0};
    int rc = restore_before_prove(d->r, &d->server, proof, &why);

    if (rc == 0 && proof[0] == '\0')
        return 0;
    return drill_add(&d->record, rc == 0 ? DRILL_PASSED : DRILL_FAILED, "table",
                     "the table can be read", rc == 0 ? proof : why.msg, e) == NULL
               ? -1
               : 0;
}

/* Who may ask the copy. */
static int connect_copy(struct drill_run *d, struct err *e)
{
    struct pgconn *c = NULL;

    if (restore_server_connect(&d->server, "postgres", &c, &d->user, e) != 0)
        return -1;
    pgconn_close(c);
    d->how.connect =
        (struct pgconn_opts){.host = d->server.dir, .port = RESTORE_PORT, .user = d->user};
    d->writable = d->server.promoted;
    return 0;
}

static int run(struct drill_run *d, const struct drill_rows *rows, struct err *e)
{
    struct restore *r = d->r;
    struct plan_target final = r->target;

    d->begun = true;
    if (restore_copy(r, e) != 0)
        return -1;
    d->record.bytes = r->unpack.totals.bytes;
    if (drill_counts(d, rows, e) != 0 || drill_backup_to(d, &final, RESTORE_PROMOTE, e) != 0)
        return -1;
    d->record.wal = r->plan.segments * r->inventory.in.segsize;
    tell_reached(d);
    if (connect_copy(d, e) != 0 || drill_isolated(d, e) != 0 || prove(d, e) != 0)
        return -1;
    return drill_ask(d, e);
}

int drill_backup(struct drill_run *d, struct err *e)
{
    struct restore_options *o = &d->o->restore;
    struct drill_rows rows;
    int rc = -1;

    o->directory = "";
    o->action = -1;
    o->backup = d->named;
    o->passphrase_file = d->o->passphrase_file;
    drill_rows_init(&rows, COUNTS_MAX);
    d->r = restore_new(d->m, d->s, o, e);
    if (d->r != NULL && prepare(d, &rows, e) == 0)
        rc = run(d, &rows, e);
    restore_server_stop(&d->server);
    drill_rows_fini(&rows);
    return rc;
}
