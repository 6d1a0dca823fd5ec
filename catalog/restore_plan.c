#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/file.h"
#include "repo/condemned.h"
#include "repo/heads.h"
#include "repo/pack_remove.h"
#include "restore.h"
#include "survey.h"

int restore_open(struct restore *r, struct err *e)
{
    if (cmd_key_repo(&r->repo, r->s, REPO_READ, r->o->passphrase_file, e) != 0)
        return -1;
    r->has_repo = true;
    if (inventory_read(&r->inventory, &r->repo, true, &r->scratch, e) != 0) {
        inventory_fini(&r->inventory);
        return -1;
    }
    r->has_inventory = true;
    return condemned_mark(&r->inventory.in, &r->repo, &r->scratch, e);
}

int restore_heads(struct restore *r, struct err *e)
{
    struct heads h;
    char text[HEADS_TEXT_MAX];
    struct err why = {0};
    int rc = heads_look(&h, &r->repo, r->s->state_dir, &r->scratch, e);

    if (rc == 0 && h.state == HEADS_OLDER) {
        heads_text(&h, text);
        if (!r->o->accept_older) {
            rc = err_set(e, ERR_REFUSED, "the repository is in an older state: %s", text);
            (void)err_hint(e, "An old copy of it may have been put back, or newer backups were "
                              "removed.  To restore from what is there all the same, add "
                              "--accept-older.");
        } else {
            msg_warn(r->m, "the repository is in an older state: %s", text);
        }
    } else if (rc == 0 && h.state == HEADS_GOOD) {
        (void)heads_keep(&h, &r->repo, r->s->state_dir, &why); /* it is not what was asked for */
    } else if (rc == 0) {
        r->unseen = true;
        if (h.state == HEADS_NEW)
            (void)heads_keep(&h, &r->repo, r->s->state_dir, &why); /* likewise */
    }
    heads_fini(&h);
    return rc;
}

void restore_tell_unseen(const struct restore *r)
{
    if (r->unseen)
        msg_note(r->m, "this host has never seen this repository, so nobody can say here whether "
                       "it is in its newest state; \"walden list --heads\" prints what to compare");
}

const struct plan_backup *restore_backup(const struct restore *r)
{
    return &r->inventory.in.backups.v[r->plan.backup];
}

void restore_near_text(const struct restore *r, const struct plan_near *n, char *out, size_t cap)
{
    char lsn[TEXT_LSN_MAX];

    text_lsn(lsn, n->lsn);
    if (n->at_backup)
        (void)snprintf(out, cap, "--target-immediate --backup %s",
                       r->inventory.in.backups.v[n->backup].label);
    else
        (void)snprintf(out, cap, "--target-lsn %s", lsn);
}

static void hint_near(const struct restore *r, struct err *e)
{
    const struct plan *p = &r->plan;
    const struct plan_near *near[] = {&p->before_target, &p->after_target};
    char text[2][ERR_HINT_MAX / 2 - 2] = {"", ""};

    for (unsigned i = 0; i < 2; i++) {
        char option[80];
        char time[TEXT_TIME_MAX] = "";

        if (!near[i]->is_set)
            continue;
        restore_near_text(r, near[i], option, sizeof option);
        if (near[i]->time != COVERAGE_NO_TIME)
            text_time(time, near[i]->time, 6);
        (void)snprintf(
            text[i], sizeof text[i], "%s %s%s%s%s",
            i == 0 ? "The nearest moment before it is" : "The nearest moment after it is", option,
            *time == '\0' ? "" : " (last commit ", time, *time == '\0' ? "" : ")");
    }
    if (p->why == PLAN_OTHER_BRANCH && r->o->backup != NULL && r->o->timeline == NULL)
        (void)err_hint(e, "The backup is of another timeline: \"--target-timeline current\" goes "
                          "along that.");
    else if (p->elsewhere != 0 && p->elsewhere != p->tli)
        (void)err_hint(e, "It is on timeline %u: try --target-timeline %u.", (unsigned)p->elsewhere,
                       (unsigned)p->elsewhere);
    else if (text[0][0] != '\0' || text[1][0] != '\0')
        (void)err_hint(e, "%s%s%s%s", text[0], text[0][0] == '\0' ? "" : ".",
                       text[0][0] != '\0' && text[1][0] != '\0' ? " " : "", text[1]);
    else
        (void)err_hint(e, "\"walden list\" shows what the repository holds.");
}

/* Why not, as one sentence. */
static void why_not(const struct restore *r, struct err *e)
{
    const struct plan *p = &r->plan;
    char target[RESTORE_TARGET_TEXT];
    char at[TEXT_LSN_MAX];
    char name[WALNAME_MAX];

    restore_target_text(r, target);
    text_lsn(at, p->at);
    walname_segment(name, p->at_tli == 0 ? 1 : p->at_tli, p->at_segno, r->inventory.in.segsize);
    if (r->inventory.in.backups.n == 0) {
        (void)err_set(e, ERR_HOLE, "there is no base backup in the repository");
        (void)err_hint(e, "Take one with \"walden backup\".");
        return;
    }
    switch (p->why) {
    case PLAN_HOLE:
    case PLAN_EXPIRED:
    case PLAN_LOST:
        (void)err_set(e, ERR_HOLE, "cannot reach %s: segment %s is %s, so recovery gets to %s",
                      target, name,
                      p->why == PLAN_HOLE   ? "missing"
                      : p->why == PLAN_LOST ? "damaged"
                                            : "expired",
                      at);
        return;
    case PLAN_DAMAGE:
    case PLAN_MINIMAL:
    case PLAN_JOIN:
    case PLAN_DIVERGES:
    case PLAN_UNSURE:
        (void)err_set(e, ERR_HOLE, "cannot reach %s: %s (timeline %u, at %s)", target,
                      plan_why_text(p->why), (unsigned)p->at_tli, at);
        return;
    case PLAN_ENDS:
        (void)err_set(
            e, ERR_HOLE, "cannot reach %s: the archive ends at %s on timeline %u, before it%s",
            target, at, (unsigned)p->at_tli,
            r->target.kind == PLAN_TIME ? "; a time needs a later commit on record to stop at"
                                        : "");
        return;
    case PLAN_TOO_NEW:
        (void)err_set(e, ERR_HOLE, "cannot reach %s: no backup ends before it", target);
        return;
    case PLAN_NOT_FOUND:
        (void)err_set(e, ERR_HOLE,
                      "cannot reach %s: the archive holds no such record behind a backup", target);
        return;
    case PLAN_OTHER_BRANCH:
        if (p->judged.n > 0 && p->parts.n == 0 && !r->target.current)
            (void)err_set(e, ERR_HOLE,
                          "cannot reach %s: there is no timeline %u, or its history "
                          "is missing",
                          target, (unsigned)p->at_tli);
        else
            (void)err_set(e, ERR_HOLE, "cannot reach %s: no backup is on the way to timeline %u",
                          target, (unsigned)p->tli);
        return;
    case PLAN_UNUSABLE:
        (void)err_set(e, ERR_DAMAGED, "cannot reach %s: the backup is damaged", target);
        return;
    case PLAN_CHOSEN:
    case PLAN_OLDER:
    case PLAN_UNWANTED:
        break;
    }
    (void)err_set(e, ERR_HOLE, "cannot reach %s", target);
}

static int unknown_backup(const struct restore *r, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, r->o->backup);
    for (size_t i = 0; i < r->inventory.in.backups.n; i++)
        text_closest_try(&near, r->inventory.in.backups.v[i].label);
    (void)err_set(e, ERR_USAGE, "there is no backup \"%s\"", r->o->backup);
    if (near.best != NULL)
        return err_hint(e, "Did you mean \"%s\"?", near.best);
    return err_hint(e, "\"walden list\" shows what there is.");
}

int restore_plan(struct restore *r, struct err *e)
{
    struct plan_target target = r->target;

    /* A standby has to become consistent; what is missing behind that, streaming may bring. */
    if (r->o->standby)
        target.kind = PLAN_IMMEDIATE;
    r->plan.verdict = PLAN_NO;
    if (r->o->backup != NULL &&
        inventory_backup(&r->inventory, r->o->backup) == r->inventory.in.backups.n)
        return unknown_backup(r, e);
    if (inventory_plan(&r->inventory, &r->repo, &target, &r->plan, &r->scratch, e) != 0)
        return -1;
    if (r->plan.verdict == PLAN_YES)
        return 0;
    why_not(r, e);
    hint_near(r, e);
    return -1;
}

/* --- the backup --- */

static int add_share(struct restore *r, const char *path, uint64_t bytes, struct err *e)
{
    uint64_t oid = 0;

    if (strncmp(path, "pg_tblspc/", 10) == 0)
        for (path += 10; *path >= '0' && *path <= '9' && oid <= UINT32_MAX; path++)
            oid = 10 * oid + (uint64_t)(*path - '0');
    if (oid > UINT32_MAX)
        oid = 0;
    for (size_t i = r->shares.n; i > 0; i--)
        if (r->shares.v[i - 1].oid == oid) {
            r->shares.v[i - 1].bytes += bytes;
            return 0;
        }
    return restore_shares_push(&r->shares, (struct restore_share){(uint32_t)oid, bytes}, e);
}

static int take_name(void *arg, enum unpack_kind kind, const char *path, const char *target,
                     uint64_t size, struct err *e)
{
    enum { BLOCK = 4096 };

    (void)target;
    if (kind == UNPACK_IS_OUTSIDE)
        return 0;
    return add_share(arg, path, (size + BLOCK - 1) / BLOCK * BLOCK + (size == 0 ? 0 : 512), e);
}

int restore_beat(struct restore *r, struct err *e)
{
    return lease_beat(&r->lease, e);
}

int restore_look(struct restore *r, struct err *e)
{
    /* Nothing of the backup is removed while somebody reads it. */
    if (!r->o->dry_run)
        lease_take(&r->lease, &r->repo, restore_backup(r)->label, "restore", r->m);
    if (!r->o->dry_run &&
        condemned_check(&r->inventory.in, &r->plan, &r->repo, &r->scratch, e) != 0)
        return -1;
    if (unpack_open(&r->unpack, &r->repo, restore_backup(r)->label, take_name, r, e) != 0)
        return -1;
    r->has_unpack = true;
    return 0;
}

void restore_close(struct restore *r)
{
    if (r->has_unpack)
        unpack_close(&r->unpack);
    lease_drop(&r->lease);
    restore_shares_fini(&r->shares);
    restore_rooms_fini(&r->rooms);
    buf_fini(&r->mark);
    restore_before_free(r);
    plan_fini(&r->plan);
    if (r->has_inventory)
        inventory_fini(&r->inventory);
    if (r->has_repo)
        repo_close(&r->repo);
}
