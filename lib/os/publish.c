#include "os/publish.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"

/*
 * Why temps can be shared by any number of writers and sweepers
 * --------------------------------------------------------------
 * A temp is published by its *name* (rename and link know no descriptors), so one rule carries all:
 *
 *   R  The name of a slot temp is removed, renamed or linked only by a process that holds the
 *      exclusive flock on an inode and has seen, under that lock, that the name leads to that
 *      inode.
 *
 * While somebody holds the lock on the inode that a name leads to, R forbids everybody else to
 * change the name (they would need the same lock), and O_EXCL cannot make it anew because it
 * exists.  So what was seen under the lock stays true until the holder itself acts.  Inode numbers
 * are not reused while a descriptor is open, so "same device and inode" means the same file.
 *
 * Writer: create (O_EXCL), lock, look.  Between create and lock the name is unprotected: a sweeper
 * may lock first and remove it.  Then either our lock is refused (the sweeper still holds it) or
 * the look afterwards finds no name or another inode.  In both cases we have written nothing:
 * close, and try the slot again.  If the look succeeds, R protects the name until our last
 * descriptor is closed.  That is why the lock is carried by a second descriptor past the close of
 * the first: closing both before the rename would let a sweeper remove the temp and another writer
 * make its own, half written, under the very name we are about to publish.
 *
 * Sweeper, and a writer that meets a taken slot: open (no create), lock without waiting, look.
 * Refused lock: a live writer (or another sweeper); leave it.  Lock held and name still leads
 * there: the writer is dead, or has not locked yet and will notice; remove the name.  Name leads
 * elsewhere: somebody was faster; leave it.  The kernel drops a lock only when the last descriptor
 * is gone, after the calls in flight: a killed writer that still sits in fsync or rename counts as
 * alive.
 *
 * Removing a temp never harms a published file, whatever its link count: a crash between link and
 * unlink leaves two names of one whole inode, and the final one stays.  No sweeper writes to a
 * temp, so a published inode is never changed through its old temp name.
 *
 * Where the filesystem has no flock (NFS without lockd: ENOLCK) the temp gets a random name instead
 * of a slot, ".tmp.u<16 hex>.<name>".  It cannot be proven dead, so it is never swept; it is
 * counted (publish_swept.unknown) and a person may remove it.
 *
 * Left open: on NFS another client may serve `look` from a cache some seconds old.  For harm a
 * sweeper there must hit the instant between create and lock and a third writer take the slot.
 */

#define TEMP_PREFIX ".tmp."

/* How often a slot is tried again because a sweeper was faster, and a call because of EINTR. */
enum { SLOT_TRIES = 256, RENAME_NOREPLACE_FLAG = 1, EINTR_TRIES = 8 };

/* Answers of the steps below. */
enum { TAKEN = 10, AGAIN = 11, NO_LOCKS = 12, FORBIDDEN = 13 };

bool publish_is_temp(const char *name)
{
    return strncmp(name, TEMP_PREFIX, sizeof TEMP_PREFIX - 1) == 0;
}

static bool is_slot_temp(const char *name)
{
    const char *slot = name + sizeof TEMP_PREFIX - 1;

    return publish_is_temp(name) && slot[0] >= '0' && slot[0] < '0' + PUBLISH_SLOTS &&
           slot[1] == '.';
}

/* Does the name lead to this inode?  No when it cannot be seen. */
static bool leads_to(int dir, const char *name, dev_t dev, ino_t ino)
{
    struct stat st;

    return os_sys->fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == dev &&
           st.st_ino == ino;
}

/*
 * Removes a slot temp whose writer is provably dead.  0: the name is free now (or was meanwhile);
 * TAKEN: a writer lives; FORBIDDEN: nothing can be proven.
 */
static int reap(int dir, const char *temp)
{
    struct err none = {0};
    struct stat st;
    int rc = FORBIDDEN;
    int fd;

    do { /* for writing: NFS gives exclusive locks to no other; a FIFO must not hold us */
        fd = os_sys->openat(dir, temp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == ENOENT ? 0 : FORBIDDEN;
    if (os_sys->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        goto out;
    switch (os_lock(fd, OS_LOCK_EXCLUSIVE, false, temp, &none)) {
    case 0:
        break;
    case OS_BUSY:
        rc = TAKEN;
        goto out;
    default:
        goto out;
    }
    rc = 0;
    /* A crash before this reaches the disk brings the dead temp back, for the next sweep. */
    if (leads_to(dir, temp, st.st_dev, st.st_ino) && os_sys->unlinkat(dir, temp, 0) != 0 &&
        errno != ENOENT)
        rc = FORBIDDEN;
out:
    os_drop(&fd);
    return rc;
}

static int temp_error(const struct publish *p, const char *verb, struct err *err)
{
    int errnum = errno;

    (void)err_sys(err, errnum, "could not %s \"%s\"", verb, p->temp);
    return os_denied_hint(errnum, err);
}

/* Every error of a publish says which file it was about. */
static int about(const struct publish *p, struct err *err)
{
    if (strcmp(p->shown, ".") == 0)
        return err_context(err, "file \"%s/%s\"", p->root, p->name);
    return err_context(err, "file \"%s/%s/%s\"", p->root, p->shown, p->name);
}

/* Creates p->temp.  0, TAKEN when the name exists, -1. */
static int create_temp(struct publish *p, struct err *err)
{
    /* A crash from here to the rename leaves a temp that nobody locks: swept later. */
    do {
        p->fd = os_sys->openat(p->dir, p->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (p->fd < 0 && errno == EINTR);
    if (p->fd >= 0)
        return 0;
    if (errno == EEXIST)
        return TAKEN;
    return temp_error(p, "create", err);
}

/* Fills in the identity of the open temp; with a mode that umask spoiled, mends it. */
static int identify(struct publish *p, struct err *err)
{
    struct stat st;

    if (os_sys->fstat(p->fd, &st) != 0)
        return temp_error(p, "stat", err);
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    if (p->mode == (st.st_mode & 07777))
        p->mode = 0; /* nothing left to set */
    return 0;
}

/* One attempt at one slot.  0: ours; TAKEN: next slot; AGAIN: this one once more; NO_LOCKS; -1. */
static int try_slot(struct publish *p, struct err *err)
{
    int rc;

    rc = create_temp(p, err);
    if (rc == TAKEN) {
        rc = reap(p->dir, p->temp);
        return rc == 0 ? AGAIN : TAKEN;
    }
    if (rc != 0)
        return rc;
    rc = identify(p, err);
    if (rc == 0)
        rc = os_lock(p->fd, OS_LOCK_EXCLUSIVE, false, p->temp, err);
    if (rc == 0 && leads_to(p->dir, p->temp, p->dev, p->ino)) {
        p->has_temp = true;
        return 0;
    }
    if (rc == OS_UNSUPPORTED || rc < 0) {
        /* Without the lock rule R does not let us remove it for sure; but nobody can lock here, or
           we just failed: at worst a writer that took over the name fails and tries again. */
        if (leads_to(p->dir, p->temp, p->dev, p->ino))
            (void)os_sys->unlinkat(p->dir, p->temp, 0); /* the first error counts */
        rc = rc < 0 ? -1 : NO_LOCKS;
    } else {
        rc = AGAIN; /* a sweeper was faster: the name is its to remove */
    }
    os_drop(&p->fd);
    return rc;
}

/* Where nothing can be locked: a name that nobody else will ever use or sweep. */
static int open_unlocked(struct publish *p, struct err *err)
{
    uint64_t random;
    int rc;

    if (os_random(&random, sizeof random, err) < 0)
        return -1;
    (void)snprintf(p->temp, sizeof p->temp, TEMP_PREFIX "u%016llx.%s", (unsigned long long)random,
                   p->name);
    rc = create_temp(p, err);
    if (rc == TAKEN)
        return err_set(err, ERR_INTERNAL, "temporary file \"%s\" exists already", p->temp);
    if (rc == 0)
        p->has_temp = true;
    return rc == 0 ? identify(p, err) : rc;
}

static int open_temp(struct publish *p, struct err *err)
{
    int tries = 0;
    int slot = 0;
    int rc;

    while (slot < PUBLISH_SLOTS && tries < SLOT_TRIES) {
        (void)snprintf(p->temp, sizeof p->temp, TEMP_PREFIX "%d.%s", slot, p->name);
        rc = try_slot(p, err);
        if (rc <= 0)
            return rc;
        if (rc == NO_LOCKS)
            return open_unlocked(p, err);
        if (rc == TAKEN)
            slot++;
        else
            tries++;
    }
    if (slot < PUBLISH_SLOTS)
        return err_set(err, ERR_IO, "could not keep temporary file \"%s\": it vanished %d times",
                       p->temp, SLOT_TRIES);
    (void)err_set(err, ERR_REFUSED, "all %d names for a temporary file are in use", PUBLISH_SLOTS);
    return err_hint(err,
                    "Other processes are writing it, or wait for a slow disk; if there are none, "
                    "remove \"" TEMP_PREFIX "*.%s\" there.",
                    p->name);
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= PUBLISH_NAME_MAX && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !publish_is_temp(name);
}

int publish_begin(struct publish *p, struct os_root *root, const char *dir, const char *name,
                  const struct publish_opts *opts, struct err *err)
{
    static const struct publish_opts plain = {.flags = 0, .mode = 0600, .dir_mode = 0700};
    const struct publish_opts *how = opts != NULL ? opts : &plain;
    int rc;

    memset(p, 0, sizeof *p);
    p->dir = -1;
    p->fd = -1;
    p->lock = -1;
    p->flags = how->flags;
    p->mode = how->mode != 0 ? how->mode : 0600;
    p->root = root->path;
    p->shown = dir;
    if (!name_ok(name))
        return err_set(err, ERR_REFUSED, "\"%s\" cannot be the name of a file here", name);
    memcpy(p->name, name, strlen(name) + 1);
    if ((how->flags & PUBLISH_MKDIRS) != 0)
        rc = os_root_mkdirs(root, dir, how->dir_mode != 0 ? how->dir_mode : 0700, &p->dir, err);
    else
        rc = os_root_dir(root, dir, &p->dir, err);
    if (rc == OS_ABSENT)
        return err_sys(err, ENOENT, "could not open directory \"%s/%s\"", root->path, dir);
    if (rc < 0)
        return -1;
    if (open_temp(p, err) == 0 && os_root_given(root, p->fd, p->temp, err) == 0)
        return 0;
    publish_abort(p);
    return about(p, err);
}

int publish_write(struct publish *p, const void *buf, size_t len, struct err *err)
{
    return os_write_full(p->fd, buf, len, p->temp, err) == 0 ? 0 : about(p, err);
}

int publish_fd(const struct publish *p)
{
    return p->fd;
}

/* This call is not there (kernel, filesystem, container filter); another may be. */
static bool is_missing_call(int errnum)
{
    return errnum == EINVAL || errnum == ENOSYS || errnum == ENOTSUP || errnum == EPERM;
}

/* Mode, content and close: after this the temp holds its bytes, on stable storage. */
static int settle_temp(struct publish *p, struct err *err)
{
    /* Before the flush, so that it is covered by it. */
    if (p->mode != 0 && os_sys->fchmod(p->fd, p->mode) != 0 && !is_missing_call(errno))
        return temp_error(p, "set permissions of", err); /* exFAT has none to set: EPERM */
    /* A crash before: a temp of any content.  After: a temp with all its bytes.  When the flush
       fails the bytes may be gone for good: the temp is removed, and nothing tried again. */
    if ((p->flags & PUBLISH_NO_FLUSH) == 0 && os_sync(p->fd, p->temp, err) < 0)
        return -1;
    p->lock = os_sys->dup_cloexec(p->fd);
    if (p->lock < 0)
        return temp_error(p, "duplicate the descriptor of", err);
    return os_close(&p->fd, p->temp, err);
}

/* After a link: a crash before the temp name goes leaves two names of one whole file. */
static int drop_second_name(struct publish *p)
{
    (void)os_sys->unlinkat(p->dir, p->temp, 0); /* if it fails, it is swept later */
    p->has_temp = false;
    return 0;
}

/*
 * Ends a failed rename or link.  A network filesystem may have done it and lost the answer, so the
 * name decides: it leads to our inode, or not.
 */
static int judge(struct publish *p, int errnum, struct err *err)
{
    if (leads_to(p->dir, p->name, p->dev, p->ino)) {
        /* Done after all; if it was a link our temp name is still there. */
        if (leads_to(p->dir, p->temp, p->dev, p->ino))
            return drop_second_name(p);
        p->has_temp = false;
        return 0;
    }
    if (errnum == EEXIST)
        return PUBLISH_EXISTS;
    return err_sys(err, errnum, "could not rename \"%s\" to \"%s\"", p->temp, p->name);
}

static int move_noreplace(struct publish *p, struct err *err)
{
    int rc;

    /* A crash during it leaves the temp name or the final one, each with the whole content. */
    for (int i = 0; i < EINTR_TRIES; i++) {
        rc = os_sys->renameat2(p->dir, p->temp, p->dir, p->name, RENAME_NOREPLACE_FLAG);
        if (rc == 0 || errno != EINTR)
            break;
    }
    if (rc == 0) {
        p->has_temp = false;
        return 0;
    }
    return is_missing_call(errno) ? OS_UNSUPPORTED : judge(p, errno, err);
}

static int move_link(struct publish *p, struct err *err)
{
    int rc;

    /* A crash after it leaves both names of one whole file; the temp one is swept. */
    for (int i = 0; i < EINTR_TRIES; i++) {
        rc = os_sys->linkat(p->dir, p->temp, p->dir, p->name, 0);
        if (rc == 0 || errno != EINTR)
            break;
    }
    if (rc == 0)
        return drop_second_name(p);
    return is_missing_call(errno) ? OS_UNSUPPORTED : judge(p, errno, err);
}

static int move_replace(struct publish *p, struct err *err)
{
    int rc;

    /* A crash leaves the old content or the new one under the name. */
    for (int i = 0; i < EINTR_TRIES; i++) {
        rc = os_sys->renameat(p->dir, p->temp, p->dir, p->name);
        if (rc == 0 || errno != EINTR)
            break;
    }
    if (rc == 0) {
        p->has_temp = false;
        return 0;
    }
    return judge(p, errno, err);
}

/* The last resort: look and rename under a lock that all our writers take. */
static int move_locked(struct publish *p, struct err *err)
{
    struct stat st;
    int rc;

    if ((p->flags & PUBLISH_LOCKED_RENAME) == 0) {
        (void)err_set(err, ERR_REFUSED,
                      "the filesystem can neither rename without replacing nor link");
        return err_hint(err, "Run walden doctor to see what the filesystem can do.");
    }
    rc = os_lock(p->dir, OS_LOCK_EXCLUSIVE, true, p->shown, err);
    if (rc == OS_UNSUPPORTED)
        return err_set(err, ERR_REFUSED, "the filesystem can neither link nor lock");
    if (rc != 0)
        return -1;
    if (os_sys->fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        rc = judge(p, EEXIST, err);
    else if (errno != ENOENT)
        rc = err_sys(err, errno, "could not stat \"%s\"", p->name);
    else
        rc = move_replace(p, err);
    os_unlock(p->dir);
    return rc;
}

int publish_commit(struct publish *p, struct err *err)
{
    int rc;

    rc = settle_temp(p, err);
    if (rc == 0 && (p->flags & PUBLISH_REPLACE) != 0) {
        rc = move_replace(p, err);
    } else if (rc == 0) {
        rc = move_noreplace(p, err);
        if (rc == OS_UNSUPPORTED)
            rc = move_link(p, err);
        if (rc == OS_UNSUPPORTED)
            rc = move_locked(p, err);
    }
    /* A crash before this flush may lose the name: nothing was acknowledged yet.  When it fails the
       file stays, whole; the next attempt finds it and flushes again on its own descriptor. */
    if (rc == 0 && (p->flags & PUBLISH_NO_FLUSH) == 0) {
        rc = os_sync_dir(p->dir, p->shown, err);
        p->no_dir_sync = rc == OS_UNSUPPORTED;
        rc = rc < 0 ? -1 : 0;
    }
    p->has_seen = rc == 0 && p->lock >= 0 && os_sys->fstat(p->lock, &p->seen) == 0;
    publish_abort(p); /* the temp, if it is still there, and the descriptors */
    return rc < 0 ? about(p, err) : rc;
}

void publish_abort(struct publish *p)
{
    /* Under the lock, so by rule R the name is still ours.  A crash before it leaves a dead temp.
     */
    if (p->has_temp && p->dir >= 0)
        (void)os_sys->unlinkat(p->dir, p->temp, 0); /* if it fails, it is swept later */
    p->has_temp = false;
    os_drop(&p->fd);
    os_drop(&p->lock);
    os_drop(&p->dir);
}

int publish_make_durable(struct os_root *root, const char *dir, const char *name, struct err *err)
{
    int dirfd = -1;
    int fd = -1;
    int rc;

    rc = os_root_dir(root, dir, &dirfd, err);
    if (rc != 0)
        goto out;
    do {
        fd = os_sys->openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                            0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        rc = errno == ENOENT ? OS_ABSENT
                             : err_sys(err, errno, "could not open \"%s/%s\"", dir, name);
        goto out;
    }
    /* The writer may have died between its rename and its directory flush: both are done again, on
       descriptors of our own. */
    rc = os_sync(fd, name, err);
    if (rc == 0)
        rc = os_sync_dir(dirfd, dir, err) < 0 ? -1 : 0;
out:
    os_drop(&fd);
    os_drop(&dirfd);
    return rc;
}

struct sweep {
    int dir;
    struct publish_swept *swept;
};

static int sweep_one(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    struct sweep *sweep = arg;

    (void)err;
    if (!publish_is_temp(name))
        return 0;
    if (!is_slot_temp(name) || type != OS_TYPE_FILE) {
        sweep->swept->unknown++;
        return 0;
    }
    switch (reap(sweep->dir, name)) {
    case 0:
        sweep->swept->removed++;
        break;
    case TAKEN:
        sweep->swept->alive++;
        break;
    default:
        sweep->swept->unknown++;
        break;
    }
    return 0;
}

int os_sweep_temps(struct os_root *root, const char *dir, struct publish_swept *swept,
                   struct err *err)
{
    struct sweep sweep = {.dir = -1, .swept = swept};
    int rc;

    memset(swept, 0, sizeof *swept);
    rc = os_root_at(root, dir, O_RDONLY | O_DIRECTORY, 0, &sweep.dir, err);
    if (rc == 0)
        rc = os_dir_each(sweep.dir, sweep_one, &sweep, dir, err);
    os_drop(&sweep.dir);
    return rc;
}
