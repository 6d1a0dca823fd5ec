#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/time.h"
#include "repo/moment.h"
#include "restore.h"
#include "survey.h"

static int in_option(struct err *e, const char *name)
{
    return err_context(e, "--%s", name);
}

static int take_time(struct restore *r, struct err *e)
{
    struct plan_target *t = &r->target;

    if (moment_parse(r->o->time, MOMENT_NO_DAY, os_real_us(), &t->time, &r->assumed_zone, e) != 0)
        return in_option(e, "target-time");
    t->kind = PLAN_TIME;
    return 0;
}

static int take_timeline(struct restore *r, struct err *e)
{
    struct plan_target *t = &r->target;
    uint32_t tli = 0;

    if (r->o->timeline == NULL || strcmp(r->o->timeline, "latest") == 0)
        return 0;
    t->current = strcmp(r->o->timeline, "current") == 0;
    if (t->current)
        return 0;
    if (parse_u32(r->o->timeline, 1, UINT32_MAX, &tli, e) != 0) {
        (void)in_option(e, "target-timeline");
        return err_hint(e, "Give a number, \"latest\" or \"current\".");
    }
    t->timeline = tli;
    return 0;
}

static int check_together(const struct restore *r, struct err *e)
{
    const struct restore_options *o = r->o;
    const char *const given[] = {o->time,        o->lsn, o->xid, o->name, o->immediate ? "" : NULL,
                                 o->before_table};
    unsigned targets = 0;

    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        targets += given[i] != NULL ? 1 : 0;
    if (targets > 1)
        return err_set(e, ERR_USAGE, "only one target can be given");
    if (o->database != NULL && o->before_table == NULL)
        return err_set(e, ERR_USAGE, "--database goes with --before-drop and its like");
    if (o->before_table != NULL && o->timeline != NULL)
        return err_set(e, ERR_USAGE,
                       "--before-drop and its like find the timeline: leave --target-timeline out");
    if (o->exclusive && o->time == NULL && o->lsn == NULL && o->xid == NULL)
        return err_set(e, ERR_USAGE,
                       "--target-exclusive needs --target-time, --target-lsn or --target-xid");
    if (o->action >= 0 && targets == 0)
        return err_set(e, ERR_USAGE, "--target-action needs a target");
    if (o->standby && (targets > 0 || o->start))
        return err_set(e, ERR_USAGE,
                       "a standby has no target and does not end its recovery: "
                       "--standby goes with neither a target nor --start");
    if (o->start && o->become_primary)
        return err_set(e, ERR_USAGE,
                       "--start runs a copy with archiving off, --become-primary is "
                       "for a server that takes the other's place");
    return 0;
}

int restore_target(struct restore *r, struct err *e)
{
    const struct restore_options *o = r->o;
    struct plan_target *t = &r->target;

    memset(t, 0, sizeof *t);
    t->kind = PLAN_LATEST;
    t->exclusive = o->exclusive;
    t->backup = o->backup;
    if (check_together(r, e) != 0 || take_timeline(r, e) != 0)
        return -1;
    if (o->time != NULL)
        return take_time(r, e);
    if (o->lsn != NULL) {
        t->kind = PLAN_LSN;
        return parse_lsn(o->lsn, &t->lsn, e) == 0 ? 0 : in_option(e, "target-lsn");
    }
    if (o->xid != NULL) {
        t->kind = PLAN_XID;
        return parse_u32(o->xid, 3, UINT32_MAX, &t->xid, e) == 0 ? 0 : in_option(e, "target-xid");
    }
    if (o->name != NULL) {
        if (strlen(o->name) >= PLAN_NAME_MAX)
            return err_set(e, ERR_USAGE, "--target-name: no restore point has such a long name");
        t->kind = PLAN_NAME;
        t->name = o->name;
    }
    if (o->immediate)
        t->kind = PLAN_IMMEDIATE;
    return 0;
}

void restore_target_text(const struct restore *r, char out[RESTORE_TARGET_TEXT])
{
    const struct plan_target *t = &r->target;
    const char *exclusive = t->exclusive ? ", exclusive" : "";
    char time[SURVEY_TIME_MAX];
    char lsn[TEXT_LSN_MAX];
    char zone[32];
    char name[128];

    if (r->before != NULL) {
        restore_before_text(r, out, RESTORE_TARGET_TEXT);
        return;
    }
    switch (t->kind) {
    case PLAN_TIME:
        survey_time(time, t->time);
        os_local_zone(t->time, zone, sizeof zone);
        (void)snprintf(out, RESTORE_TARGET_TEXT, "time %s%s%s%s%s", time,
                       r->assumed_zone ? " (no zone was given: " : "", r->assumed_zone ? zone : "",
                       r->assumed_zone ? " assumed)" : "", exclusive);
        return;
    case PLAN_LSN:
        text_lsn(lsn, t->lsn);
        (void)snprintf(out, RESTORE_TARGET_TEXT, "LSN %s%s", lsn, exclusive);
        return;
    case PLAN_XID:
        (void)snprintf(out, RESTORE_TARGET_TEXT, "transaction %u%s", (unsigned)t->xid, exclusive);
        return;
    case PLAN_NAME:
        (void)text_visible(name, sizeof name, t->name, strlen(t->name));
        (void)snprintf(out, RESTORE_TARGET_TEXT, "restore point \"%s\"", name);
        return;
    case PLAN_IMMEDIATE:
        (void)snprintf(out, RESTORE_TARGET_TEXT, "the end of the backup");
        return;
    case PLAN_LATEST:
        break;
    }
    (void)snprintf(out, RESTORE_TARGET_TEXT, "%s",
                   r->o->standby ? "a standby: the end of the archive, and on"
                                 : "the end of the archive");
}

/* A value of postgresql.conf: quotes and backslashes doubled. */
static int setting(struct buf *out, const char *name, const char *value, struct err *e)
{
    if (buf_fmt(out, e, "%s = '", name) != 0)
        return -1;
    for (; *value != '\0'; value++)
        if (buf_add(out, value, 1, e) != 0 ||
            ((*value == '\'' || *value == '\\') && buf_add(out, value, 1, e) != 0))
            return -1;
    return buf_str(out, "'\n", e);
}

/* What the server is told.  The end of a backup is nothing that it stops at without a record
 * behind it; the last record is. */
static struct plan_target told(const struct restore *r)
{
    struct plan_target t = r->target;

    if (t.kind == PLAN_IMMEDIATE && restore_backup(r)->last_record != 0) {
        t.kind = PLAN_LSN;
        t.lsn = restore_backup(r)->last_record;
        t.exclusive = false;
    }
    return t;
}

static int one_target(const struct plan_target *t, struct buf *out, struct err *e)
{
    char text[TEXT_TIME_MAX + 8];
    char lsn[TEXT_LSN_MAX];
    char xid[16];

    switch (t->kind) {
    case PLAN_TIME: /* with its offset, whatever the server's zone is */
        text_time(text, t->time, 6);
        text[10] = ' ';
        memcpy(text + 26, "+00", 4);
        return setting(out, "recovery_target_time", text, e);
    case PLAN_LSN:
        text_lsn(lsn, t->lsn);
        return setting(out, "recovery_target_lsn", lsn, e);
    case PLAN_XID:
        (void)snprintf(xid, sizeof xid, "%u", (unsigned)t->xid);
        return setting(out, "recovery_target_xid", xid, e);
    case PLAN_NAME:
        return setting(out, "recovery_target_name", t->name, e);
    case PLAN_IMMEDIATE:
        return setting(out, "recovery_target", "immediate", e);
    case PLAN_LATEST:
        break;
    }
    return 0;
}

int restore_target_settings(const struct restore *r, struct buf *out, struct err *e)
{
    static const struct {
        const char *name;
        enum plan_kind kind;
    } kinds[] = {{"recovery_target", PLAN_IMMEDIATE},
                 {"recovery_target_time", PLAN_TIME},
                 {"recovery_target_lsn", PLAN_LSN},
                 {"recovery_target_xid", PLAN_XID},
                 {"recovery_target_name", PLAN_NAME}};
    static const char *const actions[] = {"pause", "promote", "shutdown"};
    int action = r->o->action >= 0 ? r->o->action : RESTORE_PAUSE;
    const struct plan_target target = told(r);
    char tli[16];

    /* The others are emptied first: a server that finds two does not start, and one may stand in
     * any of its files. */
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].kind != target.kind && setting(out, kinds[i].name, "", e) != 0)
            return -1;
    (void)snprintf(tli, sizeof tli, "%u", (unsigned)r->plan.tli);
    if (one_target(&target, out, e) != 0 ||
        setting(out, "recovery_target_inclusive", target.exclusive ? "off" : "on", e) != 0 ||
        setting(out, "recovery_target_timeline", r->o->standby ? "latest" : tli, e) != 0)
        return -1;
    return setting(out, "recovery_target_action", actions[action], e);
}
