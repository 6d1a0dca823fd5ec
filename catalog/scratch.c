#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "base/text.h"
#include "object/secret.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/stray.h"
#include "os/sys.h"
#include "restore_server.h"
#include "scratch.h"

/* Whatever kind of run was killed, the next one of any kind removes what it left. */
static const char *const prefixes[] = {"walden-rescue.", "walden-drill."};

enum { NAMES_MAX = 1 << 20 };

void scratch_init(struct scratch *s, const struct msg *m)
{
    memset(s, 0, sizeof *s);
    s->m = m;
    s->base = (struct os_root)OS_ROOT_INIT;
    s->lock = -1;
}

void scratch_fini(struct scratch *s)
{
    os_drop(&s->lock);
    os_root_close(&s->base);
}

/* --- where --- */

static bool has_room_for_a_socket(const char *base)
{
    return strlen(base) + sizeof((struct scratch *)NULL)->name + sizeof "/run" <=
           RESTORE_RUN_MAX + 16;
}

/* The place that was asked for, else the first of the usual ones in which a server can listen. */
static int choose_base(struct scratch *s, const char *place, const struct settings *settings,
                       struct err *e)
{
    const char *const usual[] = {settings->state_dir, os_env("TMPDIR"), "/tmp"};

    if (place != NULL) {
        if (place_absolute(s->base_path, place, e) != 0)
            return -1;
        if (has_room_for_a_socket(s->base_path))
            return 0;
        (void)err_set(e, ERR_USAGE, "\"%s\" is too long a path for a server's socket",
                      s->base_path);
        return err_hint(e, "Give a shorter one with --scratch.");
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (usual[i] == NULL)
            continue;
        if (place_absolute(s->base_path, usual[i], e) != 0)
            return -1;
        if (has_room_for_a_socket(s->base_path))
            break;
    }
    return 0;
}

static int open_base(struct scratch *s, const char *place, const struct settings *settings,
                     struct err *e)
{
    int rc;

    if (choose_base(s, place, settings, e) != 0)
        return -1;
    rc = os_root_open(&s->base, s->base_path, e);
    if (rc > 0)
        return err_set(e, ERR_USAGE, "directory \"%s\" does not exist", s->base_path);
    return rc;
}

/* Removes a scratch directory.  The lock goes last: a crash before that leaves what the next run
 * finds and removes, a crash behind it an empty directory, which it removes as well. */
static int remove_all(struct scratch *s, const char *name, struct err *e)
{
    static const char *const parts[] = {"data", "space", "run", "lock"};
    struct os_root *base = &s->base;
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
static bool is_there(struct scratch *s, int fd, const char *rel)
{
    struct stat ours;
    struct stat there;
    struct err quiet = {0};

    return os_stat_fd(fd, &ours, rel, &quiet) == 0 &&
           os_root_stat(&s->base, rel, &there, &quiet) == 0 && ours.st_ino == there.st_ino;
}

/* 0 and *fd when nobody holds it; 1 when its run lives, or it is not ours to judge. */
static int take_lock(struct scratch *s, const char *name, int *fd, struct err *e)
{
    char rel[80];
    struct err quiet = {0};
    int rc;

    (void)snprintf(rel, sizeof rel, "%.60s/lock", name);
    *fd = -1;
    rc = os_root_at(&s->base, rel, O_RDWR, 0, fd, &quiet);
    if (rc > 0) /* only when it is empty; a run that was just making it makes another one */
        (void)os_root_unlink(&s->base, name, AT_REMOVEDIR, &quiet);
    if (rc != 0)
        return 1;
    rc = os_lock(*fd, OS_LOCK_EXCLUSIVE, false, rel, &quiet);
    if (rc == 0 && is_there(s, *fd, rel))
        return 0;
    os_drop(fd);
    (void)e;
    return 1;
}

/* The server of a killed run dies with it; should one still be there, it is ended by its number,
 * and only when it works in that very directory.  What it could not give back of shared memory is.
 */
static bool end_server(const char *data)
{
    enum { LINES = 8, PID_FILE_MAX = 4096, WAIT_US = 10 * 1000 * 1000 };
    char path[PLACE_MAX];
    char *text = NULL;
    char *next;
    size_t len = 0;
    uint64_t key = 0;
    uint32_t pid = 0;
    uint32_t id = 0;
    struct err quiet = {0};
    bool ended = true;

    if (place_join(path, data, "postmaster.pid", &quiet) != 0 ||
        os_read_small(path, PID_FILE_MAX, &text, &len, &quiet) != 0)
        return true;
    next = text;
    for (unsigned i = 1; next != NULL && i < LINES; i++) {
        char *line = next;
        char *blank;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        line += strspn(line, " ");
        if (i == 1 && parse_u32(line, 2, INT32_MAX, &pid, &quiet) == 0)
            ended = os_stray_end((pid_t)pid, data, WAIT_US);
        blank = strchr(line, ' ');
        if (i != LINES - 1 || blank == NULL)
            continue;
        *blank = '\0';
        blank += 1 + strspn(blank + 1, " ");
        if (parse_u64(line, 1, UINT64_MAX, &key, &quiet) == 0 &&
            parse_u32(blank, 0, INT32_MAX, &id, &quiet) == 0)
            os_stray_forget_memory((int)id, key);
    }
    free(text);
    return ended;
}

static int sweep_one(struct scratch *s, const char *name, struct err *e)
{
    char path[PLACE_MAX];
    char data[PLACE_MAX];
    int fd = -1;
    int rc = take_lock(s, name, &fd, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    rc = place_join(path, s->base_path, name, e);
    if (rc == 0)
        rc = place_join(data, path, "data", e);
    if (rc == 0) {
        restore_key_forget(data);
        rc = end_server(data) ? remove_all(s, name, e)
                              : err_set(e, ERR_REFUSED, "a server still runs in \"%s\"", data);
    }
    os_drop(&fd);
    if (rc == 0)
        msg_note(s->m, "removed %s, which a run that was killed had left", path);
    return rc;
}

static bool is_scratch(const char *name)
{
    struct scratch s;

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return strlen(name) < sizeof s.name;
    return false;
}

int scratch_open(struct scratch *s, const char *place, const struct settings *settings,
                 struct err *e)
{
    struct os_names names = OS_NAMES_INIT;
    struct err why = {0};
    int rc;

    if (open_base(s, place, settings, e) != 0)
        return -1;
    rc = os_dir_names(s->base.fd, &names, NAMES_MAX, s->base_path, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        const char *name = os_name_at(&names, i);

        if (!is_scratch(name))
            continue;
        if (sweep_one(s, name, &why) != 0) {
            msg_warn_err(s->m, &why); /* another user's, perhaps */
            err_clear(&why);
        }
    }
    os_names_fini(&names);
    return rc;
}

/* --- ours --- */

static int make_dir(struct scratch *s, const char *rel, struct err *e)
{
    int fd = -1;
    /* As root the server's user must get through. */
    int rc = os_root_mkdirs(&s->base, rel, os_uid() == 0 ? 0711 : 0700, &fd, e);

    os_drop(&fd);
    return rc < 0 ? -1 : 0;
}

/* 0; 1 when another run took it for a dead one's before it was locked; -1. */
static int make_locked(struct scratch *s, const char *word, struct err *e)
{
    char rel[96];
    char hex[13];
    uint8_t random[6];
    int rc;

    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(s->name, sizeof s->name, "walden-%.16s.%s", word, hex);
    (void)snprintf(rel, sizeof rel, "%s/lock", s->name);
    if (make_dir(s, s->name, e) != 0)
        return -1;
    rc = os_root_at(&s->base, rel, O_RDWR | O_CREAT | O_EXCL, 0600, &s->lock, e);
    if (rc != 0)
        return rc;
    rc = os_lock(s->lock, OS_LOCK_EXCLUSIVE, false, rel, e);
    if (rc < 0)
        return -1;
    if (rc == OS_UNSUPPORTED)
        return err_set(e, ERR_REFUSED, "\"%s\" is on a filesystem without locks", s->base_path);
    if (rc == 0 && is_there(s, s->lock, rel))
        return 0;
    os_drop(&s->lock);
    return 1;
}

int scratch_make(struct scratch *s, const char *word, struct err *e)
{
    enum { TRIES = 10 };
    char rel[96];
    int rc = 1;

    for (int i = 0; rc > 0 && i < TRIES; i++)
        rc = make_locked(s, word, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_IO, "directories in \"%s\" vanish", s->base_path);
    s->made = true;
    (void)snprintf(rel, sizeof rel, "%s/run", s->name);
    if (place_join(s->path, s->base_path, s->name, e) != 0 ||
        place_join(s->run, s->path, "run", e) != 0 ||
        place_join(s->data, s->path, "data", e) != 0 || make_dir(s, rel, e) != 0)
        return -1;
    (void)snprintf(rel, sizeof rel, "%s/space", s->name);
    return make_dir(s, rel, e);
}

int scratch_map_spaces(const struct scratch *s, struct unpack *u, struct err *e)
{
    for (size_t i = 0; i < u->spaces.n; i++) {
        char to[PLACE_MAX + 32];

        (void)snprintf(to, sizeof to, "%s/space/%u", s->path, (unsigned)u->spaces.v[i].oid);
        if (unpack_map(u, u->spaces.v[i].path, to, e) != 0)
            return -1;
    }
    return 0;
}

int scratch_own_run(struct scratch *s, const struct place_owner *owner, struct err *e)
{
    char rel[96];

    (void)snprintf(rel, sizeof rel, "%s/run", s->name);
    return place_own(&s->base, rel, owner, e);
}

int scratch_dir(struct scratch *s, const char *name, const struct place_owner *owner, struct err *e)
{
    char rel[128];
    int fd = -1;
    int rc;

    (void)snprintf(rel, sizeof rel, "%s/%.64s", s->name, name);
    rc = os_root_mkdirs(&s->base, rel, 0700, &fd, e);
    os_drop(&fd);
    return rc < 0 ? -1 : place_own(&s->base, rel, owner, e);
}

int scratch_remove(struct scratch *s, struct err *e)
{
    if (!s->made)
        return 0;
    restore_key_forget(s->data);
    return remove_all(s, s->name, e);
}
