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

/* --- what killed runs left --- */

/* 0 and *fd when nobody holds it; 1 when its run lives, or it is not ours to judge. */
static int take_lock(struct rescue *x, const char *name, int *fd, struct err *e)
{
    char rel[80];
    struct err quiet = {0};

    (void)snprintf(rel, sizeof rel, "%.60s/lock", name);
    *fd = -1;
    if (os_root_at(&x->scratch.base, rel, O_RDWR, 0, fd, &quiet) != 0)
        return 1; /* being made, or somebody else's */
    if (os_lock(*fd, OS_LOCK_EXCLUSIVE, false, rel, e) == 0)
        return 0;
    err_clear(e);
    os_drop(fd);
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
    /* A crash in the middle leaves a part of it; the lock goes last of all, with the directory. */
    rc = place_join(path, x->scratch.base_path, name, e);
    if (rc == 0)
        rc = place_join(data, path, "data", e);
    if (rc == 0) {
        restore_key_forget(data);
        rc = os_tree_remove(&x->scratch.base, name, e) < 0 ? -1 : 0;
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

int rescue_scratch(struct rescue *x, struct err *e)
{
    struct rescue_scratch *s = &x->scratch;
    char rel[96];
    char hex[13];
    uint8_t random[6];

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(s->name, sizeof s->name, PREFIX "%s", hex);
    if (place_join(s->path, s->base_path, s->name, e) != 0 ||
        place_join(s->run, s->path, "run", e) != 0 ||
        place_join(s->data, s->path, "data", e) != 0 || make_dir(x, s->name, e) != 0)
        return -1;
    /* A crash here leaves an empty directory that no run removes; it is harmless. */
    s->made = true;
    (void)snprintf(rel, sizeof rel, "%s/lock", s->name);
    if (os_root_at(&s->base, rel, O_RDWR | O_CREAT | O_EXCL, 0600, &s->lock, e) != 0)
        return e->code != ERR_NONE ? -1 : err_set(e, ERR_IO, "\"%s\" is gone", s->path);
    if (os_lock(s->lock, OS_LOCK_EXCLUSIVE, false, rel, e) != 0)
        return e->code != ERR_NONE ? -1 : err_set(e, ERR_IO, "\"%s\" cannot be locked", rel);
    (void)snprintf(rel, sizeof rel, "%s/run", s->name);
    if (make_dir(x, rel, e) != 0)
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
    return os_tree_remove(&s->base, s->name, e) < 0 ? -1 : 0;
}
