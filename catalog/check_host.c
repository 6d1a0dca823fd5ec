/* What this host has: keys, the place of the repository, segments that were dropped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"

enum { KEY_READ_MAX = 64 * 1024, NAMES_MAX = 1 << 20 };

/* Whether it opens data as it lies there: a recovery key without a passphrase. */
static bool is_open_secret(const char *path)
{
    static const char word[] = "walden-protected-key ";
    char *text = NULL;
    struct err quiet = {0};
    size_t len;
    bool open = true; /* what cannot be read is taken for the worse */

    if (os_read_small(path, KEY_READ_MAX, &text, &len, &quiet) == 0)
        open = strncmp(text, word, sizeof word - 1) != 0;
    free(text);
    return open;
}

static void look_at_key(struct check *c, const char *path, bool secret)
{
    struct judge_host *h = &c->facts.host;
    struct judge_key *k = &h->key[h->keys];
    struct stat st;
    struct err quiet = {0};

    if (path == NULL || h->keys == JUDGE_KEYS_MAX)
        return;
    h->keys++;
    (void)snprintf(k->path, sizeof k->path, "%s", path);
    if (os_stat(path, &st, &quiet) != 0) {
        /* A secret key on a stick that is not plugged in is as it should be. */
        k->missing = !secret;
        h->keys -= secret ? 1 : 0;
        return;
    }
    k->secret = secret && is_open_secret(path);
    k->others = (st.st_mode & 077) != 0 && ((st.st_mode & 037) != 0 || st.st_uid != 0);
}

/* Where init left it, and where it should not stay. */
static void look_beside(struct check *c, const char *host_key)
{
    char dir[PLACE_MAX];
    char path[PLACE_MAX];
    struct err quiet = {0};

    if (place_absolute(path, host_key, &quiet) != 0)
        return;
    (void)place_split(dir, path);
    if (place_join(path, dir, "recovery.key", &quiet) == 0)
        look_at_key(c, path, true);
}

static void look_at_places(struct check *c)
{
    struct judge_repo *r = &c->facts.repo;
    const char *repo = c->settings->repo;
    char above[PLACE_MAX];
    char absolute[PLACE_MAX];
    struct err quiet = {0};
    struct stat one;
    struct stat other;

    if (r->state == JUDGE_REPO_AWAY || place_absolute(absolute, repo, &quiet) != 0)
        return;
    if (place_find_above(absolute, ".git", above))
        (void)snprintf(r->git, sizeof r->git, "%.*s", (int)sizeof r->git - 1, above);
    if (c->data_dir[0] == '\0')
        return;
    r->inside_pgdata = place_inside(absolute, c->data_dir, &quiet) > 0;
    r->same_device = os_stat(absolute, &one, &quiet) == 0 &&
                     os_stat(c->data_dir, &other, &quiet) == 0 && one.st_dev == other.st_dev;
}

/* --- dropped segments --- */

/* Is the gap behind us: stored after all, or followed by a base backup? */
static bool is_closed(const struct check *c, const struct walname *n)
{
    const struct survey_lineage *l = c->lineage;
    const struct coverage *cover = l == NULL ? NULL : &l->scan.cover;
    const struct coverage_timeline *t = cover == NULL ? NULL : coverage_find(cover, n->tli);
    uint64_t segno;

    if (n->kind == WALNAME_HISTORY) /* a new backup does not do without it */
        return t != NULL && t->history == COVERAGE_HISTORY;
    if (cover == NULL || !walname_segno(n, cover->segsize, &segno))
        return false;
    if (t != NULL && coverage_row(cover, t, segno) != NULL)
        return true;
    for (size_t i = 0; i < l->backups.items.n; i++) {
        const struct backup_item *b = &l->backups.items.v[i];

        if (b->restorable && b->public.start_timeline >= n->tli &&
            b->public.start_lsn >= walname_start(segno + 1, cover->segsize))
            return true;
    }
    return false;
}

static void look_at_drop(struct check *c, const char *name)
{
    struct judge_host *h = &c->facts.host;
    struct walname n;

    if (!walname_parse(name, &n) || is_closed(c, &n))
        return;
    if (n.kind == WALNAME_HISTORY)
        (void)snprintf(h->dropped_history, sizeof h->dropped_history, "%s", name);
    else if (n.kind == WALNAME_SEGMENT && h->dropped++ == 0)
        (void)snprintf(h->first_dropped, sizeof h->first_dropped, "%s", name);
}

static int look_at_drops(struct check *c, struct err *e)
{
    struct judge_host *h = &c->facts.host;
    struct os_names names = OS_NAMES_INIT;
    struct os_root root = OS_ROOT_INIT;
    int fd = -1;
    int rc;

    h->drops = c->settings->on_trouble == SETTINGS_DROP_AND_RECORD;
    if (c->settings->state_dir == NULL)
        return 0;
    rc = os_root_open(&root, c->settings->state_dir, e);
    if (rc == 0)
        rc = os_root_at(&root, "dropped", O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == 0)
        rc = os_dir_names(fd, &names, NAMES_MAX, "dropped", e);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        look_at_drop(c, os_name_at(&names, i));
    os_names_fini(&names);
    os_drop(&fd);
    os_root_close(&root);
    return rc < 0 ? -1 : 0;
}

int check_host(struct check *c, struct err *e)
{
    look_at_key(c, c->settings->host_key, false);
    look_at_key(c, c->settings->secret_key, true);
    if (c->settings->secret_key == NULL && c->settings->host_key != NULL)
        look_beside(c, c->settings->host_key);
    look_at_places(c);
    if (look_at_drops(c, e) == 0)
        return 0;
    /* A state directory that cannot be read hides gaps. */
    (void)snprintf(c->facts.host.config_error, sizeof c->facts.host.config_error, "%s", e->msg);
    err_clear(e);
    return 0;
}
