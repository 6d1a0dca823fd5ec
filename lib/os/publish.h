/*
 * publish: makes a file appear under its final name whole, durable and without replacing.
 *
 *     struct publish p = PUBLISH_INIT;
 *     struct publish_opts how = {.mode = 0600, .flags = PUBLISH_MKDIRS, .dir_mode = 0700};
 *     if (publish_begin(&p, &root, "main/123/wal/00000001", name, &how, err) < 0)
 *         goto out;
 *     ... publish_write(&p, bytes, len, err) ...
 *     rc = publish_commit(&p, err);         0, PUBLISH_EXISTS or -1
 * out:
 *     publish_abort(&p);
 *
 * Sequence: temp in the same directory (O_EXCL, 0600, locked), full writes, mode, fsync(file),
 * close, rename without replacing (else link and unlink, else, if allowed, rename under the
 * directory's lock), fsync(directory).  Directories that had to be made were flushed before
 * (os_root_mkdirs).  When publish_commit answers 0 the file and its name are on stable storage.
 *
 * Temps are named .tmp.<slot>.<name>, slot 0 to 7.  The writer holds an exclusive flock on its temp
 * for as long as it lives, so a temp that can be locked belongs to nobody: the next writer of
 * that name reuses the slot, and os_sweep_temps() removes the others.  The proof is in publish.c.
 */
#ifndef OS_PUBLISH_H
#define OS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "os/root.h"

/* The final name is taken: the caller compares and calls publish_make_durable or refuses. */
enum { PUBLISH_EXISTS = 1 };

enum { PUBLISH_NAME_MAX = 224, PUBLISH_SLOTS = 8 };

enum publish_flags {
    PUBLISH_MKDIRS = 1,        /* make missing directories with dir_mode */
    PUBLISH_LOCKED_RENAME = 2, /* where the filesystem can neither rename without replacing nor link
                                  (FUSE drivers, say): look and rename under the directory's flock.
                                  Safe against our own programs only. */
    PUBLISH_REPLACE = 4,       /* replace what is there (state files, metrics); never EXISTS */
    PUBLISH_NO_FLUSH = 8       /* no fsync at all: restore_command's DEST; still all or nothing */
};

struct publish_opts {
    unsigned flags;
    mode_t mode;     /* final mode of the file; 0 means 0600 */
    mode_t dir_mode; /* mode of made directories; 0 means 0700 */
};

/* Treat as opaque; embed it. */
struct publish {
    int dir;          /* the directory, open */
    int fd;           /* the temp, open for reading and writing */
    int lock;         /* the same open file, kept past close(fd) until the name is final */
    bool has_temp;    /* the temp name is ours to remove */
    bool no_dir_sync; /* after commit: the filesystem has no directory flush (worth a warning) */
    bool has_seen;    /* after commit: */
    struct stat seen; /* what was published */
    unsigned flags;
    mode_t mode;
    dev_t dev; /* identity of the temp */
    ino_t ino;
    const char *root; /* borrowed, for messages */
    const char *shown;
    char name[PUBLISH_NAME_MAX + 1];
    char temp[PUBLISH_NAME_MAX + 32];
};

#define PUBLISH_INIT                                                                               \
    {                                                                                              \
        .dir = -1, .fd = -1, .lock = -1                                                            \
    }

/*
 * Opens a temp for `name` in the directory `dir` beneath root.  `dir` is borrowed until the end.
 * opts may be NULL (0600, nothing is made).  0; -1 (err->sys is ENOENT when the directory is
 * missing).
 */
int publish_begin(struct publish *p, struct os_root *root, const char *dir, const char *name,
                  const struct publish_opts *opts, struct err *err);

/* Appends bytes. */
int publish_write(struct publish *p, const void *buf, size_t len, struct err *err);

/* The open temp, for reading back or pwrite; owned by p. */
int publish_fd(const struct publish *p);

/*
 * 0: there and durable.  PUBLISH_EXISTS: the name is taken, nothing was changed and the temp is
 * gone.  -1: not published, or (only when the directory flush failed) visible but not durable:
 * whole in any case, and the next attempt answers PUBLISH_EXISTS.
 */
int publish_commit(struct publish *p, struct err *err);

/* Removes the temp unless committed and releases all; cannot fail; safe after anything, twice. */
void publish_abort(struct publish *p);

/*
 * For an existing file that was found identical: flushes it, its directory and, when it carries
 * the mark of a directory just made, the parent.  0, OS_ABSENT, -1.
 */
int publish_make_durable(struct os_root *root, const char *dir, const char *name, struct err *err);

/* True for a temp's name (of this module); listings skip these. */
bool publish_is_temp(const char *name);

struct publish_swept {
    unsigned removed; /* dead, now gone */
    unsigned alive;   /* a writer holds it */
    unsigned unknown; /* not provable: not ours to open, no locks here, not a regular file */
};

/* Removes every provably dead temp of one directory.  0 and *swept; OS_ABSENT; -1. */
int os_sweep_temps(struct os_root *root, const char *dir, struct publish_swept *swept,
                   struct err *err);

#endif
