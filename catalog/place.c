#include "place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/host.h"
#include "os/publish.h"

_Static_assert((int)PLACE_MAX == PATH_MAX, "paths");

enum { LINKS_MAX = 16 };

static int too_long(const char *path, struct err *e)
{
    return err_set(e, ERR_USAGE, "path \"%.200s...\" is too long", path);
}

int place_join(char out[PLACE_MAX], const char *dir, const char *name, struct err *e)
{
    const char *slash = strcmp(dir, "/") == 0 ? "" : "/";

    if (strlen(dir) + strlen(name) + 2 > PLACE_MAX)
        return too_long(name, e);
    (void)snprintf(out, PLACE_MAX, "%s%s%s", dir, slash, name);
    return 0;
}

static int link_of(const char *dir, const char *name, char out[PLACE_MAX], struct err *e)
{
    struct os_root root = OS_ROOT_INIT;
    int rc = os_root_open(&root, dir, e);

    if (rc == 0)
        rc = os_root_readlink(&root, name, out, PLACE_MAX, e);
    os_root_close(&root);
    return rc;
}

/* The working directory: as the shell names it where that is right, else as the kernel does. */
static int working_directory(char out[PLACE_MAX], struct err *e)
{
    const char *pwd = os_env("PWD");

    if (pwd != NULL && *pwd == '/' && strlen(pwd) < PLACE_MAX && place_is_same(pwd, ".")) {
        (void)snprintf(out, PLACE_MAX, "%s", pwd);
        return 0;
    }
    if (link_of("/proc/self", "cwd", out, e) == 0)
        return 0;
    err_clear(e);
    (void)err_set(e, ERR_USAGE, "could not find out the working directory");
    return err_hint(e, "Write paths from \"/\" on.");
}

/* Collapses "//" and "/./" and cuts trailing slashes off, in place. */
static void squeeze(char *path)
{
    char *to = path;

    for (const char *from = path; *from != '\0';) {
        size_t len;

        from += strspn(from, "/");
        len = strcspn(from, "/");
        if (len > 0 && !(len == 1 && *from == '.')) {
            *to++ = '/';
            memmove(to, from, len);
            to += len;
        }
        from += len;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

int place_absolute(char out[PLACE_MAX], const char *path, struct err *e)
{
    char dir[PLACE_MAX];

    if (*path == '\0')
        return err_set(e, ERR_USAGE, "the path is empty");
    for (const char *c = path; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return err_set(e, ERR_USAGE, "path \"%s\" holds a control character", path);
    if (*path == '/') {
        if (strlen(path) >= PLACE_MAX)
            return too_long(path, e);
        (void)snprintf(out, PLACE_MAX, "%s", path);
    } else if (working_directory(dir, e) != 0 || place_join(out, dir, path, e) != 0) {
        return -1;
    }
    squeeze(out);
    return 0;
}

const char *place_split(char dir[PLACE_MAX], const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == path ? 1 : (size_t)(slash - path);

    memcpy(dir, path, len);
    dir[len] = '\0';
    return slash + 1;
}

int place_resolve(char path[PLACE_MAX], struct err *e)
{
    char dir[PLACE_MAX];
    char target[PLACE_MAX];
    struct err none = {0};

    for (int i = 0; i < LINKS_MAX; i++) {
        const char *name = place_split(dir, path);

        if (*name == '\0' || link_of(dir, name, target, &none) != 0)
            return 0; /* no link */
        if (*target == '/')
            memcpy(path, target, strlen(target) + 1);
        else if (place_join(path, dir, target, e) != 0)
            return -1;
        squeeze(path);
    }
    return err_set(e, ERR_USAGE, "too many symbolic links at \"%s\"", path);
}

static bool stat_of(const char *path, struct stat *st)
{
    struct err none = {0};

    return os_stat(path, st, &none) == 0;
}

static bool is_same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool place_is_same(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;

    return stat_of(a, &sa) && stat_of(b, &sb) && is_same_stat(&sa, &sb);
}

/* The nearest directory at or above path that exists. */
static void existing(char out[PLACE_MAX], const char *path)
{
    struct stat st;

    (void)snprintf(out, PLACE_MAX, "%s", path);
    while (strcmp(out, "/") != 0 && !(stat_of(out, &st) && S_ISDIR(st.st_mode))) {
        char dir[PLACE_MAX];

        (void)place_split(dir, out);
        memcpy(out, dir, strlen(dir) + 1);
    }
}

/* One step up, by "..", so that links on the way do not matter.  False at the top. */
static bool step_up(char at[PLACE_MAX], struct stat *st)
{
    struct stat above;
    size_t len = strlen(at);

    if (len + 4 > PLACE_MAX)
        return false;
    memcpy(at + len, "/..", 4);
    if (!stat_of(at, &above) || is_same_stat(&above, st))
        return false;
    *st = above;
    return true;
}

int place_inside(const char *path, const char *dir, struct err *e)
{
    char at[PLACE_MAX];
    struct stat want;
    struct stat st;
    int rc = os_stat(dir, &want, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    existing(at, path);
    if (!stat_of(at, &st))
        return 0;
    do {
        if (is_same_stat(&st, &want))
            return 1;
    } while (step_up(at, &st));
    return 0;
}

bool place_find_above(const char *path, const char *name, char out[PLACE_MAX])
{
    struct stat st;
    struct err none = {0};

    existing(out, path);
    for (;;) {
        char dir[PLACE_MAX];
        char at[PLACE_MAX];

        if (place_join(at, out, name, &none) == 0 && stat_of(at, &st))
            return true;
        if (strcmp(out, "/") == 0)
            return false;
        (void)place_split(dir, out);
        memcpy(out, dir, strlen(dir) + 1);
    }
}

int place_own(struct os_root *root, const char *rel, const struct place_owner *owner, struct err *e)
{
    struct stat st;
    int fd = -1;
    int rc;

    if (!owner->change)
        return 0;
    rc = os_root_at(root, rel, O_RDONLY | O_NONBLOCK, 0, &fd, e);
    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = os_stat_fd(fd, &st, rel, e);
    /* A second name may be a trap that somebody laid for root: a link to a file of root's. */
    if (rc == 0 && (st.st_uid != owner->uid || st.st_gid != owner->gid))
        rc = S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1)
                 ? os_chown(fd, owner->uid, owner->gid, rel, e)
                 : err_set(e, ERR_REFUSED,
                           "\"%s\" is no plain file with one name; it stays as it is", rel);
    os_drop(&fd);
    return rc;
}

int place_make_dir(const char *path, mode_t mode, const struct place_owner *owner, struct err *e)
{
    struct os_root above = OS_ROOT_INIT;
    struct stat st;
    char dir[PLACE_MAX];
    const char *name = place_split(dir, path);
    int fd = -1;
    int rc = os_stat(path, &st, e);

    if (rc < 0)
        return -1;
    if (rc == 0 && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_USAGE, "\"%s\" is not a directory", path);
    /* With the sticky bit it may be one whose maker died before its name was durable. */
    if (rc == 0 && (*name == '\0' || (st.st_mode & 07777) != (S_ISVTX | 0700)))
        return 1;
    rc = os_root_open(&above, dir, e);
    if (rc == OS_ABSENT) {
        (void)err_set(e, ERR_USAGE, "directory \"%s\" does not exist", dir);
        return err_hint(e, "If it is on a disk of its own, mount it; else make it first.");
    }
    /* A crash in it leaves an empty directory, which the next run takes over. */
    if (rc == 0)
        rc = os_root_mkdirs(&above, name, mode, &fd, e);
    os_drop(&fd);
    if (rc == 0)
        rc = place_own(&above, name, owner, e);
    os_root_close(&above);
    return rc;
}

/* Is the file there with this content?  1 same, 0 absent, -1. */
static int compare(const char *path, const void *text, size_t len, bool replace, struct err *e)
{
    char *found = NULL;
    size_t found_len = 0;
    int rc = os_read_small(path, PLACE_FILE_MAX, &found, &found_len, e);

    if (rc == OS_ABSENT)
        return 0;
    if (rc == 0)
        rc = found_len == len && memcmp(found, text, len) == 0 ? 1 : 0;
    os_wipe_free(found, found_len);
    if (rc != 0 || replace)
        return rc;
    return err_set(e, ERR_REFUSED, "file \"%s\" exists and holds something else", path);
}

int place_put(const char *path, const void *text, size_t len, mode_t mode, bool replace,
              const struct place_owner *owner, struct err *e)
{
    struct publish_opts how = {.flags = replace ? PUBLISH_REPLACE : 0U, .mode = mode};
    struct os_root root = OS_ROOT_INIT;
    struct publish p = PUBLISH_INIT;
    char dir[PLACE_MAX];
    const char *name = place_split(dir, path);
    int rc = compare(path, text, len, replace, e);

    if (rc < 0)
        return -1;
    if (os_root_open(&root, dir, e) != 0) {
        rc = err_set(e, ERR_USAGE, "directory \"%s\" does not exist", dir);
        goto out;
    }
    if (rc == 1) {
        /* An earlier run may have died before the name was durable. */
        rc = place_own(&root, name, owner, e) == 0 ? publish_make_durable(&root, ".", name, e) : -1;
        rc = rc == 0 ? 1 : -1;
        goto out;
    }
    rc = publish_begin(&p, &root, ".", name, &how, e);
    if (rc == 0)
        rc = publish_write(&p, text, len, e);
    if (rc == 0 && owner->change)
        rc = os_chown(publish_fd(&p), owner->uid, owner->gid, path, e);
    if (rc == 0)
        rc = publish_commit(&p, e);
    if (rc == PUBLISH_EXISTS)
        rc = err_set(e, ERR_REFUSED, "file \"%s\" appeared while it was written", path);
out:
    publish_abort(&p);
    os_root_close(&root);
    return rc;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat_of(path, &st) && S_ISREG(st.st_mode);
}

bool place_program(char out[PLACE_MAX], const char *name)
{
    char self[PLACE_MAX];
    char dir[PLACE_MAX];
    struct err none = {0};
    const char *path = os_env("PATH");

    if (link_of("/proc/self", "exe", self, &none) == 0 && *self == '/') {
        (void)place_split(dir, self);
        if (place_join(out, dir, name, &none) == 0 && is_file(out))
            return true;
    }
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");

        if (*path == '/' && len < PLACE_MAX) {
            memcpy(dir, path, len);
            dir[len] = '\0';
            if (place_join(out, dir, name, &none) == 0 && is_file(out))
                return true;
        }
        path += len + (path[len] == ':' ? 1 : 0);
    }
    (void)snprintf(out, PLACE_MAX, "%s", name);
    return false;
}

int place_shell_word(struct buf *b, const char *text, struct err *e)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=:,@";

    if (text[strspn(text, plain)] == '\0')
        return buf_str(b, text, e);
    if (buf_str(b, "'", e) != 0)
        return -1;
    for (; *text != '\0'; text++)
        if ((*text == '\'' ? buf_str(b, "'\\''", e) : buf_add(b, text, 1, e)) != 0)
            return -1;
    return buf_str(b, "'", e);
}
