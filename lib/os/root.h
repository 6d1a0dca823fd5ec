/*
 * root: a directory opened once, and every name resolved beneath that descriptor.
 *
 * A repository or restore target that is swapped, unmounted or full of hostile links cannot lead
 * us elsewhere: names are relative, have no "..", and no symbolic link is followed on the way.
 * openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) where the kernel has it,
 * else a walk, component by component, with O_NOFOLLOW.  Mount points beneath are crossed.
 *
 * A relative path is "a/b/c": no leading or trailing slash, no empty, "." or ".." component.
 * "." alone is the root itself.
 */
#ifndef OS_ROOT_H
#define OS_ROOT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "os/sys.h"

struct os_root {
    int fd;           /* -1 when closed; OS_ROOT_INIT */
    bool walk;        /* openat2 is not there (remembered after the first try) */
    const char *path; /* for messages; borrowed, must outlive the root */
    bool give;        /* what is made beneath becomes uid's and gid's */
    uid_t uid;
    gid_t gid;
};

#define OS_ROOT_INIT                                                                               \
    {                                                                                              \
        .fd = -1, .walk = false, .path = "", .give = false, .uid = 0, .gid = 0                     \
    }

/* Opens a directory by a path as the user wrote it (links allowed).  0, OS_ABSENT, -1. */
int os_root_open(struct os_root *root, const char *path, struct err *err);

/* Of root only: whatever is made beneath from now on belongs to the directory's owner before it has
 * its name (of directories: before anything is in them), so that those who work there every day can
 * read what a command of root's left.  0, -1. */
int os_root_give(struct os_root *root, struct err *err);

/* Gives the open file or directory of that name, when it is root's and that was asked for. */
int os_root_given(const struct os_root *root, int fd, const char *name, struct err *err);

/* Makes a root of the directory rel beneath another; `path` is borrowed, for messages. */
int os_root_open_at(struct os_root *root, struct os_root *above, const char *rel, const char *path,
                    struct err *err);

/* Accepts a closed root. */
void os_root_close(struct os_root *root);

/* True for a relative path as described above. */
bool os_root_path_ok(const char *rel);

/*
 * Opens rel with flags (O_CLOEXEC and O_NOFOLLOW are added).  0 and *fd; OS_ABSENT when it or a
 * directory above it is not there (with O_CREAT: a directory above it); -1.  With
 * O_CREAT | O_EXCL an existing name is -1 with err->sys == EEXIST.
 */
int os_root_at(struct os_root *root, const char *rel, int flags, mode_t mode, int *fd,
               struct err *err);

/* lstat(2) beneath.  0, OS_ABSENT, -1. */
int os_root_stat(struct os_root *root, const char *rel, struct stat *st, struct err *err);

/*
 * Opens the directory that holds rel: *fd, and *last points to the last component inside rel.
 * For unlinkat and friends.  0, OS_ABSENT, -1.
 */
int os_root_parent(struct os_root *root, const char *rel, int *fd, const char **last,
                   struct err *err);

/*
 * Opens the directory rel and makes what is missing, durably: each made directory is flushed into
 * its parent before anything below it appears.  A directory keeps a mark (the sticky bit) from
 * mkdir until that flush, so that another process that meets it in between flushes the parent
 * itself instead of trusting the maker.  Made directories get `mode`.  0 and *fd (open for
 * reading, fit for os_sync_dir); -1.
 */
int os_root_mkdirs(struct os_root *root, const char *rel, mode_t mode, int *fd, struct err *err);

/*
 * Opens an existing directory the same way: when it still carries the mark its parent is flushed
 * first.  0, OS_ABSENT, -1.
 */
int os_root_dir(struct os_root *root, const char *rel, int *fd, struct err *err);

/*
 * Removes a file, link or (with AT_REMOVEDIR) an empty directory.  Not flushed: the name may come
 * back after a power cut.  0, OS_ABSENT, -1.
 */
int os_root_unlink(struct os_root *root, const char *rel, int flags, struct err *err);

/* Makes a symbolic link at rel; the target is text and is not checked here.  0, -1 (EEXIST too). */
int os_root_symlink(struct os_root *root, const char *rel, const char *target, struct err *err);

/* Reads a symbolic link into buf with a NUL.  0, OS_ABSENT, -1 (also when it does not fit). */
int os_root_readlink(struct os_root *root, const char *rel, char *buf, size_t cap, struct err *err);

/* Renames beneath one root and replaces what is there.  Not flushed.  0, OS_ABSENT, -1. */
int os_root_rename(struct os_root *root, const char *from, const char *to, struct err *err);

#endif
