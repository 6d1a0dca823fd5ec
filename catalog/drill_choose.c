/* Which backup or dump is drilled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drill.h"
#include "repo/backup_list.h"
#include "repo/manifest_read.h"

/* What could be drilled: the backups of the lineage, or the dumps of a job. */
struct subject {
    const char *job; /* NULL: the backups */
    int64_t drilled; /* the end of the newest drill; INT64_MIN: never */
};

struct choosing {
    struct repo repo;
    struct object_reader reader;
    struct dump_list dumps;
    struct drill_list drills;
    bool open;
    bool backups;
};

static int see_backup(void *arg, const char *label, const struct manifest_public *p,
                      const uint8_t *part, size_t len, const struct err *why, struct err *e)
{
    struct choosing *c = arg;

    (void)label, (void)part, (void)len, (void)why, (void)e;
    c->backups = c->backups || p != NULL;
    return 0;
}

/* The public parts will do, so no passphrase is asked for where other keys are here. */
static int look(struct choosing *c, const struct drill_run *d, struct err *e)
{
    struct settings quiet = *d->s;

    if (quiet.host_key != NULL || quiet.n_recipients > 0 || quiet.recipients_file != NULL)
        quiet.secret_key = NULL;
    if (cmd_key_repo(&c->repo, &quiet, REPO_READ, d->o->passphrase_file, e) != 0)
        return -1;
    c->open = true;
    if (dump_list_read(&c->dumps, &c->repo, NULL, &c->reader, e) != 0 ||
        drill_list_read(&c->drills, &c->repo, &c->reader, e) != 0)
        return -1;
    return manifest_each(&c->repo, see_backup, c, &c->reader, e);
}

static int64_t last_drill(const struct choosing *c, const char *job)
{
    const struct drill *last = drill_newest(&c->drills, c->repo.where.system_id, job);

    return last == NULL ? INT64_MIN : last->end;
}

/* Whose turn it is: what was never drilled, then what was drilled the longest ago; the backups
 * first. */
static bool least_recent(const struct choosing *c, bool backups, struct subject *out)
{
    bool any = backups && c->backups;

    *out = (struct subject){NULL, any ? last_drill(c, NULL) : INT64_MAX};
    for (size_t i = 0; i < c->dumps.n; i++) {
        const struct dump_item *d = &c->dumps.v[i];
        int64_t drilled = d->readable ? last_drill(c, d->job) : INT64_MAX;

        if (!d->readable || (any && drilled >= out->drilled))
            continue;
        *out = (struct subject){d->job, drilled};
        any = true;
    }
    return any;
}

static int choose_dump(struct drill_run *d, const struct choosing *c, const char *text,
                       struct err *e)
{
    const struct dump_item *found = dump_list_find(&c->dumps, text, INT64_MAX, e);

    if (found == NULL && e->code == ERR_USAGE) {
        err_clear(e);
        (void)err_set(e, ERR_USAGE, "there is no base backup and no dump \"%.100s\"", text);
        return err_hint(
            e, "\"walden list\" shows the labels; the name of a job means its newest dump.");
    }
    if (found == NULL)
        return -1;
    d->record.kind = DRILL_DUMP;
    (void)snprintf(d->record.job, sizeof d->record.job, "%s", found->job);
    (void)snprintf(d->record.what, sizeof d->record.what, "%s", found->label);
    return 0;
}

static int choose(struct drill_run *d, const struct choosing *c, struct err *e)
{
    struct subject s;

    if (d->o->dump != NULL)
        return choose_dump(d, c, d->o->dump, e);
    if (d->named != NULL)
        return choose_dump(d, c, d->named, e);
    if (!least_recent(c, !d->o->server, &s)) { /* backups bring their own server */
        (void)err_set(e, ERR_HOLE, "there is nothing to drill: no base backup and no dump");
        return err_hint(e, "Take one with \"walden backup\" or \"walden dump\".");
    }
    if (s.job != NULL)
        return choose_dump(d, c, s.job, e);
    d->record.kind = DRILL_BACKUP;
    return 0;
}

int drill_choose(struct drill_run *d, struct err *e)
{
    const struct restore_options *r = &d->o->restore;
    struct choosing *c;
    int rc;

    if (d->o->latest || d->o->random || r->time != NULL || r->before_table != NULL ||
        (d->named != NULL && backup_list_is_label(d->named))) {
        d->record.kind = DRILL_BACKUP;
        return 0;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return err_set(e, ERR_NOMEM, "no memory to look for what to drill");
    rc = look(c, d, e);
    if (rc == 0)
        rc = choose(d, c, e);
    drill_list_fini(&c->drills);
    dump_list_fini(&c->dumps);
    if (c->open)
        repo_close(&c->repo);
    free(c);
    return rc;
}
