#include "repo/store_stray.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/lock.h"
#include "pg/walname.h"

struct walk {
    struct store *store;
    uint32_t segment_size;
    store_stray_fn fn;
    void *arg;
};

/* A directory of the tree: wal, wal/<tli>, wal/<tli>/<hi>. */
struct place {
    unsigned level; /* 0, 1, 2 */
    char path[STORE_PATH_MAX];
    const char *tli; /* their digits, inside path */
    const char *hi;
};

static bool is_number(const char *name)
{
    return strlen(name) == 8 && strspn(name, "0123456789ABCDEF") == 8;
}

/* Does a reader look for this name here? */
static bool belongs(const struct walk *w, const struct place *p, const char *name, bool is_dir)
{
    struct walname n;
    uint64_t segno;

    if (is_dir)
        return p->level < 2 && is_number(name);
    if (p->level == 0 || !walname_parse(name, &n) || strncmp(name, p->tli, 8) != 0)
        return false;
    if (p->level == 1)
        return n.kind == WALNAME_HISTORY;
    return n.kind != WALNAME_HISTORY && strncmp(name + 8, p->hi, 8) == 0 &&
           walname_segno(&n, w->segment_size, &segno);
}

/* A writer holds a lock on its temp for as long as it lives. */
static bool is_dead(struct walk *w, const char *path)
{
    struct err quiet = {0};
    bool dead = false;
    int fd = -1;

    if (os_root_at(&w->store->root, path, O_RDONLY | O_NONBLOCK, 0, &fd, &quiet) == 0)
        dead = os_lock(fd, OS_LOCK_SHARED, false, path, &quiet) == 0;
    os_drop(&fd);
    return dead;
}

static int look(struct walk *w, struct place *p, struct err *e);

static int look_at(struct walk *w, const struct place *p, const char *name, enum os_dir_type type,
                   struct err *e)
{
    struct place below = {.level = p->level + 1, .tli = p->tli, .hi = p->hi};
    size_t len = strlen(p->path);
    bool is_dir = type == OS_TYPE_DIR;

    if (type == OS_TYPE_UNKNOWN || /* it vanished */
        (type == OS_TYPE_FILE && belongs(w, p, name, false)))
        return 0;
    if ((size_t)snprintf(below.path, sizeof below.path, "%s/%s", p->path, name) >=
        sizeof below.path) /* longer than any of ours: shown cut */
        return w->fn(w->arg, STORE_STRAY_FILE, below.path, e);
    if (type == OS_TYPE_FILE && publish_is_temp(name))
        return is_dead(w, below.path) ? w->fn(w->arg, STORE_STRAY_TEMP, below.path, e) : 0;
    if (!is_dir || !belongs(w, p, name, true))
        return w->fn(w->arg, STORE_STRAY_FILE, below.path, e);
    if (p->level == 0)
        below.tli = below.path + len + 1;
    else
        below.hi = below.path + len + 1;
    return look(w, &below, e);
}

struct listing {
    struct walk *walk;
    const struct place *place;
};

static int look_each(void *arg, const char *name, enum os_dir_type type, struct err *e)
{
    const struct listing *l = arg;

    return look_at(l->walk, l->place, name, type, e);
}

/* In whatever order: what is found is sorted by whoever shows it. */
static int look(struct walk *w, struct place *p, struct err *e)
{
    struct listing l = {w, p};
    int fd = -1;
    int rc = os_root_at(&w->store->root, p->path, O_RDONLY | O_DIRECTORY, 0, &fd, e);

    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_dir_each(fd, look_each, &l, p->path, e);
    os_drop(&fd);
    return rc;
}

int store_each_stray(struct store *s, const struct store_lineage *l, uint32_t segment_size,
                     store_stray_fn fn, void *arg, struct err *e)
{
    struct walk w = {s, segment_size, fn, arg};
    struct place top = {.level = 0};

    (void)snprintf(top.path, sizeof top.path, "%.64s/%llu/wal", l->cluster,
                   (unsigned long long)l->system_id);
    return look(&w, &top, e);
}
