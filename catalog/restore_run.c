/*
 * The folder that a server of `restore --start` has beside its data: configuration, socket, log.
 *
 * The server outlives us and needs it until it is stopped, so nobody is there to remove it then.
 * The log gets its name when it is locked, and the server's processes inherit the open file: while
 * one of them lives the lock is held, wherever it runs from and whatever its number.  Who makes the
 * next folder removes those whose log nobody holds, but not on the day of the last line: somebody
 * was told to read it.
 *
 * | step | state after a crash there | the next run |
 * |---|---|---|
 * | 1 folder, configuration | a folder without a log | removes it when it is a day old |
 * | 2 log, locked; server started | a folder, perhaps a server | removes it a day after the server
 * |
 */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "object/secret.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/time.h"
#include "restore_server.h"

#define PREFIX "walden-run."

enum { NAMES_MAX = 1 << 20, NAME_MAX_HERE = 32 };

static const int64_t DAY = INT64_C(24) * 3600 * USEC_PER_SEC;

static bool is_old(const struct stat *st)
{
    return (int64_t)st->st_mtime * USEC_PER_SEC < os_real_us() - DAY;
}

/* Does nobody need it any more?  Another user's cannot be opened, and stays. */
static bool is_dead(struct os_root *above, const char *name)
{
    char rel[NAME_MAX_HERE + 8];
    struct err quiet = {0};
    struct stat st;
    int fd = -1;
    int rc;

    (void)snprintf(rel, sizeof rel, "%.31s/log", name);
    rc = os_root_at(above, rel, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &quiet);
    if (rc == OS_ABSENT)
        return os_root_stat(above, name, &st, &quiet) == 0 && st.st_uid == os_uid() && is_old(&st);
    if (rc == 0)
        rc = os_lock(fd, OS_LOCK_EXCLUSIVE, false, rel, &quiet);
    if (rc == 0)
        rc = os_root_stat(above, rel, &st, &quiet);
    os_drop(&fd);
    return rc == 0 && is_old(&st);
}

static void sweep(struct os_root *above, const char *what)
{
    struct os_names names = OS_NAMES_INIT;
    struct err quiet = {0};

    if (os_dir_names(above->fd, &names, NAMES_MAX, what, &quiet) != 0)
        return;
    for (size_t i = 0; i < names.n; i++) {
        const char *name = os_name_at(&names, i);

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strlen(name) >= NAME_MAX_HERE ||
            names.list[i].type != OS_TYPE_DIR || !is_dead(above, name))
            continue;
        if (os_tree_remove(above, name, &quiet) < 0)
            err_clear(&quiet); /* the next one tries again */
    }
    os_names_fini(&names);
}

int restore_run_make(struct restore_server *run, struct err *e)
{
    const char *tmp = os_env("TMPDIR");
    struct os_root above = OS_ROOT_INIT;
    uint8_t random[6];
    char hex[13];
    char name[NAME_MAX_HERE];
    int fd = -1;
    int rc;

    if (tmp == NULL || *tmp != '/' || strlen(tmp) > RESTORE_RUN_MAX - sizeof name)
        tmp = "/tmp";
    secret_random(random, sizeof random);
    text_hex(hex, random, sizeof random);
    (void)snprintf(name, sizeof name, PREFIX "%s", hex);
    if (place_join(run->dir, tmp, name, e) != 0)
        return -1;
    rc = os_root_open(&above, tmp, e);
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, ERR_IO, "directory \"%s\" does not exist", tmp);
    sweep(&above, tmp);
    rc = os_root_mkdirs(&above, name, 0700, &fd, e);
    if (rc == 0 && run->owner.change)
        rc = os_chown(fd, run->owner.uid, run->owner.gid, run->dir, e);
    os_drop(&fd);
    os_root_close(&above);
    return rc;
}

void restore_run_remove(struct restore_server *run)
{
    char dir[PLACE_MAX];
    const char *name = place_split(dir, run->dir);
    struct os_root above = OS_ROOT_INIT;
    struct err quiet = {0};

    if (os_root_open(&above, dir, &quiet) == 0)
        (void)!os_tree_remove(&above, name, &quiet); /* what stays is removed by the next run */
    os_root_close(&above);
}
