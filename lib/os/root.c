#include "os/root.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "os/file.h"

/* RESOLVE_* of openat2(2). */
enum { NO_MAGICLINKS = 0x02, NO_SYMLINKS = 0x04, BENEATH = 0x08 };

/* openat2 answers EAGAIN when something was renamed while it looked; then the walk decides. */
enum { OPENAT2_TRIES = 16 };

/* A directory that carries this bit may not yet be flushed into its parent (see root.h). */
enum { MARK = S_ISVTX };

static int at_error(const struct os_root *root, const char *rel, const char *verb, struct err *err)
{
    int errnum = errno;

    (void)err_sys(err, errnum, "could not %s \"%s/%s\"", verb, root->path, rel);
    if (errnum == ELOOP || errnum == EXDEV)
        (void)err_hint(err, "Symbolic links are not followed there; put the real directory in "
                            "place.");
    return os_denied_hint(errnum, err);
}

int os_root_open(struct os_root *root, const char *path, struct err *err)
{
    root->walk = false;
    root->path = path;
    root->give = false;
    return os_open(path, O_RDONLY | O_DIRECTORY, 0, &root->fd, err);
}

int os_root_give(struct os_root *root, struct err *err)
{
    struct stat st;

    if (os_sys->geteuid() != 0)
        return 0;
    if (os_stat_fd(root->fd, &st, root->path, err) != 0)
        return -1;
    root->give = st.st_uid != 0;
    root->uid = st.st_uid;
    root->gid = st.st_gid;
    return 0;
}

int os_root_given(const struct os_root *root, int fd, const char *name, struct err *err)
{
    struct stat st;

    if (!root->give)
        return 0;
    if (os_stat_fd(fd, &st, name, err) != 0)
        return -1;
    /* A second name of a file of root's, put here, must not be a way to get it. */
    if (st.st_uid != 0 || (S_ISREG(st.st_mode) && st.st_nlink > 1))
        return 0;
    return os_chown(fd, root->uid, root->gid, name, err);
}

int os_root_open_at(struct os_root *root, struct os_root *above, const char *rel, const char *path,
                    struct err *err)
{
    root->walk = above->walk;
    root->path = path;
    root->give = above->give;
    root->uid = above->uid;
    root->gid = above->gid;
    return os_root_at(above, rel, O_RDONLY | O_DIRECTORY, 0, &root->fd, err);
}

void os_root_close(struct os_root *root)
{
    os_drop(&root->fd);
}

bool os_root_path_ok(const char *rel)
{
    const char *at = rel;

    if (strcmp(rel, ".") == 0)
        return true;
    if (strlen(rel) >= PATH_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(at, "/");

        if (len == 0 || len > NAME_MAX)
            return false;
        if (at[0] == '.' && (len == 1 || (len == 2 && at[1] == '.')))
            return false;
        if (at[len] == '\0')
            return true;
        at += len + 1;
    }
}

static int bad_path(const struct os_root *root, const char *rel, struct err *err)
{
    return err_set(err, ERR_REFUSED, "\"%s\" is not a plain relative path below \"%s\"", rel,
                   root->path);
}

static int open_retry(int dir, const char *name, int flags, mode_t mode)
{
    int fd;

    do {
        fd = os_sys->openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* The next component of *at into name; false at the last one. */
static bool next_part(const char **at, char name[NAME_MAX + 1])
{
    size_t len = strcspn(*at, "/");
    bool more = (*at)[len] == '/';

    memcpy(name, *at, len);
    name[len] = '\0';
    *at += len + (more ? 1 : 0);
    return more;
}

/* open_beneath without openat2: one component after the other, none of them a link. */
static int open_by_walk(int from, const char *rel, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    const char *at = rel;
    int dir = -1;
    int next;
    int saved;

    while (next_part(&at, name)) {
        next = open_retry(dir < 0 ? from : dir, name, O_PATH | O_DIRECTORY, 0);
        saved = errno;
        os_drop(&dir);
        errno = saved;
        if (next < 0)
            return -1;
        dir = next;
    }
    next = open_retry(dir < 0 ? from : dir, name, flags, mode);
    saved = errno;
    os_drop(&dir);
    errno = saved;
    return next;
}

/* A descriptor, or -1 and errno. */
static int open_beneath(struct os_root *root, const char *rel, int flags, mode_t mode)
{
    struct os_open_how how;
    int fd;

    if (root->walk)
        return open_by_walk(root->fd, rel, flags, mode);
    how.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW);
    how.mode = (flags & O_CREAT) != 0 ? mode : 0;
    how.resolve = BENEATH | NO_SYMLINKS | NO_MAGICLINKS;
    for (int i = 0; i < OPENAT2_TRIES; i++) {
        fd = os_sys->openat2(root->fd, rel, &how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd >= 0)
        return fd;
    /* Old kernels and qemu's user mode say ENOSYS, old container filters EPERM. */
    if (errno == ENOSYS || errno == EPERM)
        root->walk = true;
    else if (errno != EAGAIN && errno != EINTR)
        return -1;
    return open_by_walk(root->fd, rel, flags, mode);
}

int os_root_at(struct os_root *root, const char *rel, int flags, mode_t mode, int *fd,
               struct err *err)
{
    *fd = -1;
    if (!os_root_path_ok(rel))
        return bad_path(root, rel, err);
    /* A FIFO where a file should be must not hold us up, nor a terminal become ours. */
    if ((flags & (O_PATH | O_DIRECTORY)) == 0)
        flags |= O_NONBLOCK | O_NOCTTY;
    *fd = open_beneath(root, rel, flags, mode);
    if (*fd >= 0 && (flags & O_CREAT) != 0 && os_root_given(root, *fd, rel, err) != 0) {
        os_drop(fd);
        return -1;
    }
    if (*fd >= 0)
        return 0;
    if (errno == ENOENT)
        return OS_ABSENT;
    return at_error(root, rel, "open", err);
}

int os_root_stat(struct os_root *root, const char *rel, struct stat *st, struct err *err)
{
    int rc;
    int fd;

    rc = os_root_at(root, rel, O_PATH, 0, &fd, err);
    if (rc == 0)
        rc = os_stat_fd(fd, st, rel, err);
    os_drop(&fd);
    return rc;
}

/* Opens the directory above rel. */
static int open_above(struct os_root *root, const char *rel, int flags, int *fd, struct err *err)
{
    char dir[PATH_MAX] = ".";
    const char *slash = strrchr(rel, '/');

    if (slash != NULL) {
        memcpy(dir, rel, (size_t)(slash - rel));
        dir[slash - rel] = '\0';
    }
    return os_root_at(root, dir, flags, 0, fd, err);
}

int os_root_parent(struct os_root *root, const char *rel, int *fd, const char **last,
                   struct err *err)
{
    const char *slash = strrchr(rel, '/');

    *fd = -1;
    if (!os_root_path_ok(rel) || strcmp(rel, ".") == 0)
        return bad_path(root, rel, err);
    *last = slash == NULL ? rel : slash + 1;
    return open_above(root, rel, O_PATH | O_DIRECTORY, fd, err);
}

/*
 * Flushes the entry of a directory into its parent, then takes the mark off.  A crash before the
 * flush may lose the directory (with all below it: nothing there was acknowledged); a crash
 * before the mark is off costs the next one that passes a flush.
 */
static int settle(int parent, int fd, mode_t mode, const struct os_root *root, const char *rel,
                  struct err *err)
{
    if (os_sync_dir(parent, root->path, err) < 0)
        return err_context(err, "directory \"%s\"", rel);
    /* May fail where modes are fixed (exFAT) or another user made it; the mark then stays and every
       writer flushes the parent: slower, not wrong.  Who does not know the mode leaves it, too. */
    if (mode != 0)
        (void)os_sys->fchmod(fd, mode);
    return 0;
}

/* Opens a directory that an umask like 0777 shut when we made it, now or in a run that ended there:
 * it is ours, bears the mark, and its owner may do nothing with it. */
static int open_shut(int parent, const char *name)
{
    struct stat st;

    if (os_sys->fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (!S_ISDIR(st.st_mode) || st.st_uid != os_sys->geteuid() ||
        (st.st_mode & (MARK | 0700)) == (MARK | 0700) || (st.st_mode & MARK) == 0) {
        errno = EACCES;
        return -1;
    }
    if (os_sys->fchmodat(parent, name, MARK | 0700) != 0)
        return -1;
    return open_retry(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Makes (if need be) and opens one directory. */
static int make_one(int parent, const char *name, mode_t mode, const struct os_root *root,
                    const char *rel, int *fd, struct err *err)
{
    struct stat st;
    bool made = false;

    *fd = open_retry(parent, name, O_RDONLY | O_DIRECTORY, 0);
    if (*fd < 0 && errno == EACCES)
        *fd = open_shut(parent, name);
    if (*fd < 0 && errno == ENOENT) {
        int rc;

        do {
            rc = os_sys->mkdirat(parent, name, MARK | 0700);
        } while (rc != 0 && errno == EINTR);
        made = rc == 0;
        if (rc != 0 && errno != EEXIST)
            return at_error(root, rel, "create directory", err);
        *fd = open_retry(parent, name, O_RDONLY | O_DIRECTORY, 0);
        if (*fd < 0 && errno == EACCES)
            *fd = open_shut(parent, name);
    }
    if (*fd < 0)
        return at_error(root, rel, "open directory", err);
    if (os_stat_fd(*fd, &st, rel, err) < 0)
        return -1;
    if (!made && (st.st_mode & MARK) == 0)
        return 0;
    /* A crash before this leaves one of root's that bears the mark: root's next run gives it. */
    if (os_root_given(root, *fd, rel, err) != 0)
        return -1;
    return settle(parent, *fd, mode, root, rel, err);
}

/* Opens a directory that is there; one with the mark is flushed into its parent. */
static int open_settled(struct os_root *root, const char *rel, mode_t mode, int *fd,
                        struct err *err)
{
    struct stat st;
    int parent = -1;
    int rc;

    rc = os_root_at(root, rel, O_RDONLY | O_DIRECTORY, 0, fd, err);
    if (rc != 0)
        return rc;
    rc = os_stat_fd(*fd, &st, rel, err);
    /* The root itself was not made by us: its mode is not ours to read. */
    if (rc == 0 && (st.st_mode & MARK) != 0 && strcmp(rel, ".") != 0) {
        rc = open_above(root, rel, O_RDONLY | O_DIRECTORY, &parent, err);
        if (rc == 0)
            rc = settle(parent, *fd, mode, root, rel, err);
        os_drop(&parent);
    }
    if (rc != 0)
        os_drop(fd);
    return rc;
}

int os_root_mkdirs(struct os_root *root, const char *rel, mode_t mode, int *fd, struct err *err)
{
    char name[NAME_MAX + 1];
    const char *at = rel;
    bool more;
    int dir = -1;
    int rc;

    /* The usual case costs two calls: it is there and bears no mark. */
    rc = open_settled(root, rel, mode, fd, err);
    if (rc < 0 && err->sys == EACCES)
        err_clear(err); /* the walk tells whether it is ours to open */
    else if (rc != OS_ABSENT)
        return rc;
    do {
        more = next_part(&at, name);
        rc = make_one(dir < 0 ? root->fd : dir, name, mode, root, rel, fd, err);
        os_drop(&dir);
        if (rc < 0) {
            os_drop(fd);
            return -1;
        }
        dir = *fd;
    } while (more);
    return 0;
}

int os_root_dir(struct os_root *root, const char *rel, int *fd, struct err *err)
{
    return open_settled(root, rel, 0, fd, err);
}

int os_root_unlink(struct os_root *root, const char *rel, int flags, struct err *err)
{
    const char *last;
    int dir;
    int rc;

    rc = os_root_parent(root, rel, &dir, &last, err);
    if (rc != 0)
        return rc;
    /* A crash later may bring the name back; readers tolerate that. */
    if (os_sys->unlinkat(dir, last, flags) != 0)
        rc = errno == ENOENT ? OS_ABSENT : at_error(root, rel, "remove", err);
    os_drop(&dir);
    return rc;
}

int os_root_symlink(struct os_root *root, const char *rel, const char *target, struct err *err)
{
    const char *last;
    int dir;
    int rc;

    rc = os_root_parent(root, rel, &dir, &last, err);
    if (rc == OS_ABSENT) {
        errno = ENOENT;
        return at_error(root, rel, "create symbolic link", err);
    }
    if (rc == 0 && os_sys->symlinkat(target, dir, last) != 0)
        rc = at_error(root, rel, "create symbolic link", err);
    os_drop(&dir);
    return rc;
}

int os_root_readlink(struct os_root *root, const char *rel, char *buf, size_t cap, struct err *err)
{
    const char *last;
    ssize_t n;
    int dir;
    int rc;

    rc = os_root_parent(root, rel, &dir, &last, err);
    if (rc != 0)
        return rc;
    n = os_sys->readlinkat(dir, last, buf, cap);
    if (n < 0)
        rc = errno == ENOENT ? OS_ABSENT : at_error(root, rel, "read symbolic link", err);
    else if ((size_t)n >= cap)
        rc = err_set(err, ERR_REFUSED, "target of symbolic link \"%s/%s\" is too long", root->path,
                     rel);
    else
        buf[n] = '\0';
    os_drop(&dir);
    return rc;
}

int os_root_rename(struct os_root *root, const char *from, const char *to, struct err *err)
{
    const char *from_last;
    const char *to_last;
    int from_dir = -1;
    int to_dir = -1;
    int rc;

    rc = os_root_parent(root, from, &from_dir, &from_last, err);
    if (rc == 0) {
        rc = os_root_parent(root, to, &to_dir, &to_last, err);
        /* A crash leaves the one name or the other, which of them is not known until a flush. */
        if (rc == 0 && os_sys->renameat(from_dir, from_last, to_dir, to_last) != 0)
            rc = errno == ENOENT ? OS_ABSENT : at_error(root, from, "rename", err);
    }
    os_drop(&from_dir);
    os_drop(&to_dir);
    return rc;
}
