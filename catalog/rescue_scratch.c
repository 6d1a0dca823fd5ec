#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "object/secret.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/sys.h"
#include "rescue.h"

#define PREFIX "walden-rescue."

enum { NAMES_MAX = 1 << 20 };

void rescue_init(struct rescue *x)
{
    x->scratch.base = x->out = (struct os_root)OS_ROOT_INIT;
    x->scratch.lock = -1;
    restore_server_init(&x->server);
}

void rescue_fini(struct rescue *x)
{
    os_drop(&x->scratch.lock);
    os_root_close(&x->scratch.base);
    os_root_close(&x->out);
}

/* --- where --- */

static int open_base(struct rescue *x, struct err *e)
{
    const char *place = x->o->scratch;
    struct rescue_scratch *s = &x->scratch;
    int rc;

    if (place == NULL)
        place = x->r->s->state_dir;
    if (place == NULL)
        place = os_env("TMPDIR");
    if (place == NULL)
        place = "/tmp";
    if (place_absolute(s->base_path, place, e) != 0)
        return -1;
    if (strlen(s->base_path) + sizeof s->name + sizeof "/run" > RESTORE_RUN_MAX + 16) {
        (void)err_set(e, ERR_USAGE, "\"%s\" is too long a path for a server's socket",
                      s->base_path);
        return err_hint(e, "Give a shorter one with --scratch.");
    }
    rc = os_root_open(&s->base, s->base_path, e);
    if (rc > 0)
        return err_set(e, ERR_USAGE, "directory \"%s\" does not exist", s->base_path);
    return rc;
}

/* Removes a scratch directory.  The lock goes last: a crash before that leaves what the next run
 * finds and removes, a crash behind it an empty directory, which it removes as well. */
static int remove_all(struct rescue *x, const char *name, struct err *e)
{
    static const char *const parts[] = {"data", "space", "run", "lock"};
    struct os_root *base = &x->scratch.base;
    char rel[96];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(rel, sizeof rel, "%.60s/%s", name, parts[i]);
        if (os_tree_remove(base, rel, e) < 0)
            return -1;
    }
    return os_tree_remove(base, name, e) < 0 ? -1 : 0;
}

/* --- what killed runs left --- */

/* Is the open lock still the one of that name? */
static bool is_there(struct rescue *x, int fd, const char *rel)
{
    struct stat ours;
    struct stat there;
    struct err quiet = {0};

    return os_stat_fd(fd, &ours, rel, &quiet) == 0 &&
           os_root_stat(&x->scratch.base, rel, &there, &quiet) == 0 && ours.st_ino == there.st_ino;
}

/* 0 and *fd when nobody holds it; 1 when its run lives, or it is not ours to judge. */
static int take_lock(struct rescue *x, const char *name, int *fd, struct err *e)
{
    char rel[80];
    struct err quiet = {0};
    int rc;

    (void)snprintf(rel, sizeof rel, "%.60s/lock", name);
    *fd = -1;
    rc = os_root_at(&x->scratch.base, rel, O_RDWR, 0, fd, &quiet);
    if (rc > 0) /* only when it is empty; a run that was just making it makes another one */
        (void)os_root_unlink(&x->scratch.base, name, AT_REMOVEDIR, &quiet);
    if (rc != 0)
        return 1;
    rc = os_lock(*fd, OS_LOCK_EXCLUSIVE, false, rel, &quiet);
    if (rc == 0 && is_there(x, *fd, rel))
        return 0;
    os_drop(fd);
    (void)e;
    return 1;
}

static int sweep_one(struct rescue *x, const char *name, struct err *e)
{
    char path[PLACE_MAX];
    char data[PLACE_MAX];
    int fd = -1;
    int rc = take_lock(x, name, &fd, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    rc = place_join(path, x->scratch.base_path, name, e);
    if (rc == 0)
        rc = place_join(data, path, "data", e);
    if (rc == 0) {
        restore_key_forget(data);
        rc = remove_all(x, name, e);
    }
    os_drop(&fd);
    if (rc == 0)
        msg_note(x->r->m, "removed %s, which a run that was killed had left", path);
    return rc;
}

int rescue_sweep(struct rescue *x, struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    struct err why = {0};
    int rc;

    if (open_base(x, e) != 0)
        return -1;
    rc = os_dir_names(x->scratch.base.fd, &names, NAMES_MAX, x->scratch.base_path, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *name = os_name_at(&names, i);

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strlen(name) >= sizeof x->scratch.name)
            continue;
        if (sweep_one(x, name, &why) != 0) {
            msg_warn_err(x->r->m, &why); /* another user's, perhaps */
            err_clear(&why);
        }
    }
    os_names_fini(&names);
    return rc;
}

/* --- ours --- */

static int make_dir(struct rescue *x, const char *rel, struct err *e)
{
    int fd = -1;
    /* As root the server's user must get through. */
    int rc = os_root_mkdirs(&x->scratch.base, rel, os_uid() == 0 ? 0711 : 0700, &fd, e);

    os_drop(&fd);
    return rc < 0 ? -1 : 0;
}

/* 0; 1 when another run took it for a dead one's before it was locked; -1. */
static int make_locked(struct rescue *x, struct err *e)
{
    struct rescue_scratch *s = &x->scratch;
    char rel[96];
    char hex[13];
    uint8_t random[6];
    int rc;

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(s->name, sizeof s->name, PREFIX "%s", hex);
    (void)snprintf(rel, sizeof rel, "%s/lock", s->name);
    if (make_dir(x, s->name, e) != 0)
        return -1;
    rc = os_root_at(&s->base, rel, O_RDWR | O_CREAT | O_EXCL, 0600, &s->lock, e);
    if (rc != 0)
        return rc;
    rc = os_lock(s->lock, OS_LOCK_EXCLUSIVE, false, rel, e);
    if (rc < 0)
        return -1;
    if (rc == OS_UNSUPPORTED)
        return err_set(e, ERR_REFUSED, "\"%s\" is on a filesystem without locks", s->base_path);
    if (rc == 0 && is_there(x, s->lock, rel))
        return 0;
    os_drop(&s->lock);
    return 1;
}

int rescue_scratch(struct rescue *x, struct err *e)
{
    enum { TRIES = 10 };
    struct rescue_scratch *s = &x->scratch;
    char rel[96];
    int rc = 1;

    for (int i = 0; rc > 0 && i < TRIES; i++)
        rc = make_locked(x, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_IO, "directories in \"%s\" vanish", s->base_path);
    s->made = true;
    (void)snprintf(rel, sizeof rel, "%s/run", s->name);
    if (place_join(s->path, s->base_path, s->name, e) != 0 ||
        place_join(s->run, s->path, "run", e) != 0 ||
        place_join(s->data, s->path, "data", e) != 0 || make_dir(x, rel, e) != 0)
        return -1;
    x->r->o->directory = s->data;
    return 0;
}

int rescue_map_spaces(struct rescue *x, struct err *e)
{
    const struct unpack_spaces *spaces = &x->r->unpack.spaces;

    for (size_t i = 0; i < spaces->n; i++) {
        char to[PLACE_MAX + 32];

        (void)snprintf(to, sizeof to, "%s/space/%u", x->scratch.path, (unsigned)spaces->v[i].oid);
        if (unpack_map(&x->r->unpack, spaces->v[i].path, to, e) != 0)
            return -1;
    }
    return 0;
}

int rescue_own_run(struct rescue *x, struct err *e)
{
    char rel[96];

    (void)snprintf(rel, sizeof rel, "%s/run", x->scratch.name);
    return place_own(&x->scratch.base, rel, &x->r->owner, e);
}

int rescue_remove(struct rescue *x, struct err *e)
{
    struct rescue_scratch *s = &x->scratch;

    if (!s->made)
        return 0;
    if (x->r->key[0] != '\0')
        restore_key_forget(x->r->dir);
    return remove_all(x, s->name, e);
}
