#include "os/dir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "os/file.h"
#include "os/signal.h"

/* Layout of struct linux_dirent64: inode (8), offset (8), length (2), type (1), name. */
enum { ENTRY_LEN_AT = 16, ENTRY_TYPE_AT = 18, ENTRY_NAME_AT = 19 };

/* DT_* of the kernel. */
enum { KERNEL_DIR = 4, KERNEL_FILE = 8, KERNEL_LINK = 10 };

enum { LIST_BUF = 32 * 1024, TREE_DIRS_MAX = 16 * 1024 * 1024 };

static enum os_dir_type type_of_mode(mode_t mode)
{
    if (S_ISREG(mode))
        return OS_TYPE_FILE;
    if (S_ISDIR(mode))
        return OS_TYPE_DIR;
    return S_ISLNK(mode) ? OS_TYPE_LINK : OS_TYPE_OTHER;
}

static enum os_dir_type type_of_entry(int fd, const char *name, uint8_t type)
{
    struct stat st;

    switch (type) {
    case KERNEL_FILE:
        return OS_TYPE_FILE;
    case KERNEL_DIR:
        return OS_TYPE_DIR;
    case KERNEL_LINK:
        return OS_TYPE_LINK;
    case 0:
        if (os_sys->fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return OS_TYPE_UNKNOWN;
        return type_of_mode(st.st_mode);
    default:
        return OS_TYPE_OTHER;
    }
}

/* Hands the entries of one buffer to fn. */
static int each_in(int fd, const uint8_t *buf, size_t len, os_dir_fn fn, void *arg, struct err *err)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && at < len) {
        const uint8_t *entry = buf + at;
        size_t size = get_u16(entry + ENTRY_LEN_AT);
        const char *name = (const char *)(entry + ENTRY_NAME_AT);

        if (size <= ENTRY_NAME_AT || size > len - at)
            return err_set(err, ERR_INTERNAL, "the kernel returned an impossible directory entry");
        at += size;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        rc = fn(arg, name, type_of_entry(fd, name, entry[ENTRY_TYPE_AT]), err);
    }
    return rc;
}

int os_dir_each(int fd, os_dir_fn fn, void *arg, const char *what, struct err *err)
{
    _Alignas(8) uint8_t buf[LIST_BUF];
    ssize_t n;
    int own;
    int rc = 0;

    /* A descriptor of its own: the position belongs to the open file, not to us. */
    do {
        own = os_sys->openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    } while (own < 0 && errno == EINTR);
    if (own < 0)
        return err_sys(err, errno, "could not open directory \"%s\"", what);
    while (rc == 0) {
        n = os_sys->getdents64(own, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(err, errno, "could not read directory \"%s\"", what);
        if (n <= 0)
            break;
        rc = each_in(own, buf, (size_t)n, fn, arg, err);
    }
    os_drop(&own);
    return rc;
}

struct filling {
    struct os_names *names;
    size_t max;
};

/* Room for at least `need` elements of `size` bytes in *block, doubling. */
static int grow(void **block, size_t *cap, size_t need, size_t size, struct err *err)
{
    size_t want = *cap < 64 ? 64 : *cap;
    size_t bytes;
    void *more;

    if (need <= *cap)
        return 0;
    while (want < need)
        if (!size_mul(want, 2, &want))
            return err_sys(err, ENOMEM, "could not list a directory");
    if (!size_mul(want, size, &bytes))
        return err_sys(err, ENOMEM, "could not list a directory");
    more = realloc(*block, bytes);
    if (more == NULL)
        return err_sys(err, ENOMEM, "could not list a directory");
    *block = more;
    *cap = want;
    return 0;
}

static int fill(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    struct filling *filling = arg;
    struct os_names *names = filling->names;
    size_t len = strlen(name) + 1;
    void *text = names->text;
    void *list = names->list;
    int rc;

    if (names->n >= filling->max || names->used > UINT32_MAX - len)
        return err_set(err, ERR_NOMEM, "directory has more than %zu entries", names->n);
    rc = grow(&text, &names->room, names->used + len, 1, err);
    names->text = text;
    if (rc == 0)
        rc = grow(&list, &names->cap, names->n + 1, sizeof *names->list, err);
    names->list = list;
    if (rc < 0)
        return -1;
    memcpy(names->text + names->used, name, len);
    names->list[names->n].at = (uint32_t)names->used;
    names->list[names->n].type = (uint8_t)type;
    names->used += len;
    names->n++;
    return 0;
}

static int by_name(const void *a, const void *b, void *text)
{
    const struct os_name *x = a;
    const struct os_name *y = b;

    return strcmp((const char *)text + x->at, (const char *)text + y->at);
}

int os_dir_names(int fd, struct os_names *names, size_t max, const char *what, struct err *err)
{
    struct filling filling = {.names = names, .max = max};

    if (os_dir_each(fd, fill, &filling, what, err) < 0) {
        os_names_fini(names);
        return -1;
    }
    if (names->n > 1)
        qsort_r(names->list, names->n, sizeof *names->list, by_name, names->text);
    return 0;
}

void os_names_fini(struct os_names *names)
{
    free(names->list);
    free(names->text);
    memset(names, 0, sizeof *names);
}

static int found_one(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    (void)arg;
    (void)name;
    (void)type;
    (void)err;
    return 1;
}

int os_dir_unlink(int fd, const char *name, const char *what, struct err *err)
{
    if (os_sys->unlinkat(fd, name, 0) == 0)
        return 0;
    if (errno == ENOENT)
        return OS_ABSENT;
    return err_sys(err, errno, "could not remove \"%s/%s\"", what, name);
}

int os_dir_stat(int fd, const char *name, struct stat *st, const char *what, struct err *err)
{
    if (os_sys->fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno == ENOENT)
        return OS_ABSENT;
    return err_sys(err, errno, "could not look at \"%s/%s\"", what, name);
}

int os_dir_is_empty(int fd, bool *empty, const char *what, struct err *err)
{
    int rc = os_dir_each(fd, found_one, NULL, what, err);

    *empty = rc == 0;
    return rc < 0 ? -1 : 0;
}

/* Directories still to be visited, as paths below the root. */
struct pending {
    char **list;
    size_t n;
    size_t cap;
};

static int push(struct pending *todo, const char *dir, const char *name, struct err *err)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    void *list = todo->list;
    char *path;
    int rc;

    if (todo->n >= TREE_DIRS_MAX)
        return err_set(err, ERR_NOMEM, "\"%s\" has too many directories", dir);
    rc = grow(&list, &todo->cap, todo->n + 1, sizeof *todo->list, err);
    todo->list = list;
    if (rc < 0)
        return -1;
    path = malloc(len);
    if (path == NULL)
        return err_sys(err, ENOMEM, "could not walk \"%s\"", dir);
    if (strcmp(dir, ".") == 0)
        (void)snprintf(path, len, "%s", name);
    else if (name[0] == '\0')
        (void)snprintf(path, len, "%s", dir);
    else
        (void)snprintf(path, len, "%s/%s", dir, name);
    todo->list[todo->n++] = path;
    return 0;
}

static int push_first(struct pending *todo, const char *rel, struct err *err)
{
    memset(todo, 0, sizeof *todo);
    return strcmp(rel, ".") == 0 ? push(todo, ".", ".", err) : push(todo, rel, "", err);
}

static void pending_fini(struct pending *todo)
{
    while (todo->n > 0)
        free(todo->list[--todo->n]);
    free(todo->list);
}

struct visit {
    struct pending *todo;
    const char *path;
    int fd;
    bool flush;  /* else start write-back only */
    bool deeper; /* a directory was found (removal) */
};

static int sync_entry(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    struct visit *visit = arg;
    int rc = 0;
    int fd;

    if (type == OS_TYPE_DIR)
        return push(visit->todo, visit->path, name, err);
    if (type != OS_TYPE_FILE)
        return 0;
    do {
        fd = os_sys->openat(visit->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_sys(err, errno, "could not open \"%s/%s\"", visit->path, name);
    if (!visit->flush)
        os_hint_writeback(fd, 0, 0);
    else if (os_sync(fd, name, err) < 0)
        rc = err_context(err, "directory \"%s\"", visit->path);
    os_drop(&fd);
    return rc;
}

static int sync_pass(struct os_root *root, const char *rel, bool flush, struct err *err)
{
    struct pending todo;
    int rc = push_first(&todo, rel, err);

    while (rc == 0 && todo.n > 0) {
        char *path = todo.list[--todo.n];
        struct visit visit = {.todo = &todo, .path = path, .fd = -1, .flush = flush};

        rc = os_signal_check(err);
        if (rc == 0)
            rc = os_root_at(root, path, O_RDONLY | O_DIRECTORY, 0, &visit.fd, err);
        if (rc == OS_ABSENT)
            rc = err_sys(err, ENOENT, "could not open directory \"%s\"", path);
        if (rc == 0)
            rc = os_dir_each(visit.fd, sync_entry, &visit, path, err);
        if (rc == 0 && flush && os_sync_dir(visit.fd, path, err) < 0)
            rc = -1;
        os_drop(&visit.fd);
        free(path);
    }
    pending_fini(&todo);
    return rc;
}

int os_tree_sync(struct os_root *root, const char *rel, struct err *err)
{
    /* Two passes: the disk sorts all the writing before the first flush waits for it. */
    if (sync_pass(root, rel, false, err) < 0)
        return -1;
    return sync_pass(root, rel, true, err);
}

static int remove_entry(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    struct visit *visit = arg;

    if (type == OS_TYPE_DIR) {
        visit->deeper = true;
        return push(visit->todo, visit->path, name, err);
    }
    if (os_sys->unlinkat(visit->fd, name, 0) != 0 && errno != ENOENT)
        return err_sys(err, errno, "could not remove \"%s/%s\"", visit->path, name);
    return 0;
}

/*
 * Empties the directory on top of the heap of pending ones, or puts what is inside above it.  1
 * when it had no directories and can go itself (or is gone already: OS_ABSENT is 1, too).
 */
static int empty_one(struct os_root *root, struct pending *todo, const char *path, struct err *err)
{
    struct visit visit = {.todo = todo, .path = path, .fd = -1};
    int rc = os_root_at(root, path, O_RDONLY | O_DIRECTORY, 0, &visit.fd, err);

    if (rc == 0)
        rc = os_dir_each(visit.fd, remove_entry, &visit, path, err);
    os_drop(&visit.fd);
    return rc == 0 && !visit.deeper ? 1 : rc;
}

int os_tree_remove(struct os_root *root, const char *rel, struct err *err)
{
    struct pending todo;
    struct stat st;
    int rc;

    if (strcmp(rel, ".") == 0)
        return err_set(err, ERR_INTERNAL, "the root itself cannot be removed");
    rc = os_root_stat(root, rel, &st, err);
    if (rc != 0)
        return rc;
    if (!S_ISDIR(st.st_mode))
        return os_root_unlink(root, rel, 0, err);
    rc = push_first(&todo, rel, err);
    while (rc == 0 && todo.n > 0) {
        char *path = todo.list[todo.n - 1];

        rc = empty_one(root, &todo, path, err);
        if (rc == 1) {
            /* A crash in the middle leaves part of the tree; the next removal goes on there. */
            rc = os_root_unlink(root, path, AT_REMOVEDIR, err);
            free(path);
            todo.n--;
        }
        if (rc == OS_ABSENT)
            rc = 0; /* somebody else removes it, too */
    }
    pending_fini(&todo);
    return rc;
}
