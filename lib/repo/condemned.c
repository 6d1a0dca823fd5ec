#include "repo/condemned.h"

#include <stdio.h>

static void mark(struct plan_input *in, const struct expired *x, const char *why)
{
    for (size_t i = 0; i < in->backups.n; i++) {
        struct plan_backup *b = &in->backups.v[i];

        if (b->damaged || expired_find(x, KIND_MANIFEST, b->label) == NULL)
            continue;
        b->damaged = true;
        (void)snprintf(b->why, sizeof b->why, "%s", why);
    }
}

int condemned_mark(struct plan_input *in, struct repo *repo, struct object_reader *scratch,
                   struct err *e)
{
    struct expired now;
    struct expired before;
    int rc = -1;

    expired_init(&now);
    expired_init(&before);
    if (expired_read_condemned(&now, repo, scratch, e) == 0 &&
        expired_read(&before, repo, NULL, scratch, e) == 0) {
        mark(in, &now, "walden expire is removing it");
        mark(in, &before, "it has expired");
        rc = 0;
    }
    expired_fini(&now);
    expired_fini(&before);
    return rc;
}

/* A range may end behind the last segment that is read: what lies there is not asked for. */
static bool is_on_way(const struct plan_input *in, const struct plan *p,
                      const struct expired_range *range)
{
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct plan_part *part = &p->parts.v[i];

        if (part->tli == range->tli && part->first < part->behind &&
            walname_start(part->first, in->segsize) < range->to &&
            walname_start(part->behind, in->segsize) > range->from)
            return true;
    }
    return false;
}

int condemned_check(const struct plan_input *in, const struct plan *p, struct repo *repo,
                    struct object_reader *scratch, struct err *e)
{
    const char *label = in->backups.v[p->backup].label;
    const char *what = NULL;
    struct expired x;
    int rc;

    expired_init(&x);
    rc = expired_read_condemned(&x, repo, scratch, e);
    if (rc == 0 && expired_find(&x, KIND_MANIFEST, label) != NULL)
        what = "backup";
    for (size_t i = 0; rc == 0 && what == NULL && i < x.ranges.n; i++)
        if (is_on_way(in, p, &x.ranges.v[i]))
            what = "WAL behind backup";
    expired_fini(&x);
    if (what == NULL)
        return rc;
    (void)err_set(e, ERR_HOLE, "%s %s is being removed by walden expire right now", what, label);
    return err_hint(e, "Run the restore again: it plans with what stays. If walden expire was cut "
                       "off, its next run settles what goes.");
}
