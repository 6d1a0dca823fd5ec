/*
 * Whose is a tablespace?  The links of a data directory that was copied with its links lead into
 * the tablespaces of the original.  Brought up to date through them, the original's files would
 * change, under its server perhaps.
 */
#include <stdio.h>
#include <string.h>

#include "os/dir.h"
#include "os/file.h"
#include "restore.h"

struct search {
    const struct unpack_space *space;
    struct stat dir;    /* ours */
    struct stat target; /* where the tablespace is */
    char *who;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is this another data directory with that tablespace? */
static bool uses(const struct search *s, const char *data)
{
    char path[PLACE_MAX];
    char link[32];
    struct stat st;
    struct err quiet = {0};

    (void)snprintf(link, sizeof link, "pg_tblspc/%u", (unsigned)s->space->oid);
    if (os_stat(data, &st, &quiet) != 0 || is_same(&st, &s->dir))
        return false;
    err_clear(&quiet);
    return place_join(path, data, link, &quiet) == 0 && os_stat(path, &st, &quiet) == 0 &&
           is_same(&st, &s->target);
}

/* A server's processes work in its data directory.  Those of other users cannot be seen. */
static int look_at(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    struct search *s = arg;
    char data[64];
    char lock[64];
    struct stat st;
    struct err quiet = {0};

    (void)type, (void)e;
    if (strspn(name, "0123456789") != strlen(name) || strlen(name) > 20)
        return 0;
    (void)snprintf(data, sizeof data, "/proc/%s/cwd", name);
    /* Whoever looks at a copy that was put aside works in it as well, this program even. */
    (void)snprintf(lock, sizeof lock, "/proc/%.20s/cwd/postmaster.pid", name);
    if (os_stat(lock, &st, &quiet) != 0 || !uses(s, data))
        return 0;
    (void)snprintf(s->who, PLACE_MAX, "a running server (process %s)", name);
    return 1;
}

bool restore_space_used(const struct restore *r, const struct unpack_space *space,
                        char who[PLACE_MAX])
{
    struct search s = {.space = space, .who = who};
    struct err quiet = {0};
    bool found = false;
    int fd = -1;

    if (os_stat(r->dir, &s.dir, &quiet) != 0 || os_stat(space->target, &s.target, &quiet) != 0)
        return false;
    if (os_open("/proc", O_RDONLY | O_DIRECTORY, 0, &fd, &quiet) == 0)
        found = os_dir_each(fd, look_at, &s, "/proc", &quiet) > 0;
    os_drop(&fd);
    if (found || r->s->pgdata == NULL || !uses(&s, r->s->pgdata))
        return found;
    (void)snprintf(who, PLACE_MAX, "the cluster in \"%.4000s\"", r->s->pgdata);
    return true;
}
