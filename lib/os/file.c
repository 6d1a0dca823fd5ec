#include "os/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/host.h"

int os_denied_hint(int errnum, struct err *err)
{
    if (errnum == EACCES)
        (void)err_hint(err,
                       "This runs as uid %u: look at the owner and permissions of the file and of "
                       "the directories above it, and at who should run this.",
                       (unsigned)os_uid());
    return -1;
}

int os_open(const char *path, int flags, mode_t mode, int *fd, struct err *err)
{
    int errnum;

    do {
        *fd = os_sys->openat(AT_FDCWD, path, flags | O_CLOEXEC, mode);
    } while (*fd < 0 && errno == EINTR);
    if (*fd >= 0)
        return 0;
    if (errno == ENOENT && (flags & O_CREAT) == 0)
        return OS_ABSENT;
    errnum = errno;
    (void)err_sys(err, errnum, "could not open \"%s\"", path);
    return os_denied_hint(errnum, err);
}

int os_close(int *fd, const char *what, struct err *err)
{
    int rc = os_sys->close(*fd);

    /* The descriptor is gone even after EINTR or EIO; what was not written is not. */
    *fd = -1;
    if (rc != 0)
        return err_sys(err, errno, "could not close \"%s\"", what);
    return 0;
}

void os_drop(int *fd)
{
    if (*fd >= 0)
        (void)os_sys->close(*fd); /* nothing was promised about this descriptor's data */
    *fd = -1;
}

int os_read(int fd, void *buf, size_t cap, size_t *got, const char *what, struct err *err)
{
    ssize_t n;

    do {
        n = os_sys->read(fd, buf, cap);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "could not read \"%s\"", what);
    *got = (size_t)n;
    return 0;
}

int os_read_full(int fd, void *buf, size_t cap, size_t *got, const char *what, struct err *err)
{
    uint8_t *to = buf;
    size_t n;

    *got = 0;
    while (*got < cap) {
        if (os_read(fd, to + *got, cap - *got, &n, what, err) < 0)
            return -1;
        if (n == 0)
            break;
        *got += n;
    }
    return 0;
}

int os_pread_full(int fd, void *buf, size_t cap, uint64_t at, size_t *got, const char *what,
                  struct err *err)
{
    uint8_t *to = buf;

    *got = 0;
    if (at > (uint64_t)INT64_MAX - cap)
        return err_set(err, ERR_DAMAGED, "could not read \"%s\": offset out of range", what);
    while (*got < cap) {
        ssize_t n = os_sys->pread(fd, to + *got, cap - *got, (off_t)(at + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "could not read \"%s\" at offset %llu", what,
                           (unsigned long long)(at + *got));
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

int os_read_exact(int fd, void *buf, size_t len, const char *what, struct err *err)
{
    size_t got;

    if (os_read_full(fd, buf, len, &got, what, err) < 0)
        return -1;
    if (got != len)
        return err_set(err, ERR_DAMAGED, "could not read \"%s\": read only %zu of %zu bytes", what,
                       got, len);
    return 0;
}

int os_pread_exact(int fd, void *buf, size_t len, uint64_t at, const char *what, struct err *err)
{
    size_t got;

    if (os_pread_full(fd, buf, len, at, &got, what, err) < 0)
        return -1;
    if (got != len)
        return err_set(err, ERR_DAMAGED,
                       "could not read \"%s\" at offset %llu: read only %zu of %zu bytes", what,
                       (unsigned long long)at, got, len);
    return 0;
}

int os_write_full(int fd, const void *buf, size_t len, const char *what, struct err *err)
{
    const uint8_t *from = buf;
    size_t done = 0;

    while (done < len) {
        ssize_t n = os_sys->write(fd, from + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, n == 0 ? ENOSPC : errno, "could not write to \"%s\"", what);
        done += (size_t)n;
    }
    return 0;
}

int os_pwrite_full(int fd, const void *buf, size_t len, uint64_t at, const char *what,
                   struct err *err)
{
    const uint8_t *from = buf;
    size_t done = 0;

    if (at > (uint64_t)INT64_MAX - len)
        return err_set(err, ERR_INTERNAL, "could not write to \"%s\": offset out of range", what);
    while (done < len) {
        ssize_t n = os_sys->pwrite(fd, from + done, len - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, n == 0 ? ENOSPC : errno, "could not write to \"%s\" at offset %llu",
                           what, (unsigned long long)(at + done));
        done += (size_t)n;
    }
    return 0;
}

int os_stat_fd(int fd, struct stat *st, const char *what, struct err *err)
{
    if (os_sys->fstat(fd, st) != 0)
        return err_sys(err, errno, "could not stat \"%s\"", what);
    return 0;
}

int os_stat(const char *path, struct stat *st, struct err *err)
{
    if (os_sys->fstatat(AT_FDCWD, path, st, 0) == 0)
        return 0;
    if (errno == ENOENT)
        return OS_ABSENT;
    return err_sys(err, errno, "could not stat \"%s\"", path);
}

int os_size(int fd, uint64_t *size, const char *what, struct err *err)
{
    struct stat st;

    if (os_stat_fd(fd, &st, what, err) < 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_REFUSED, "\"%s\" is not a regular file", what);
    *size = (uint64_t)st.st_size;
    return 0;
}

/* Where the filesystem cannot allocate without writing. */
static int write_zeros(int fd, uint64_t at, uint64_t size, const char *what, struct err *err)
{
    uint8_t zeros[16 * 1024];

    memset(zeros, 0, sizeof zeros);
    while (at < size) {
        size_t len = size - at < sizeof zeros ? (size_t)(size - at) : sizeof zeros;

        if (os_pwrite_full(fd, zeros, len, at, what, err) < 0)
            return -1;
        at += len;
    }
    return 0;
}

int os_extend(int fd, uint64_t size, const char *what, struct err *err)
{
    uint64_t now;
    int rc;

    if (os_size(fd, &now, what, err) < 0)
        return -1;
    if (now >= size)
        return 0;
    if (size > INT64_MAX)
        return err_set(err, ERR_INTERNAL, "could not extend \"%s\": size out of range", what);
    do {
        rc = os_sys->fallocate(fd, 0, (off_t)now, (off_t)(size - now));
    } while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno == ENOTSUP || errno == ENOSYS || errno == EINVAL)
        return write_zeros(fd, now, size, what, err);
    return err_sys(err, errno, "could not extend \"%s\"", what);
}

int os_truncate(int fd, uint64_t size, const char *what, struct err *err)
{
    int rc;

    do {
        rc = os_sys->ftruncate(fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return err_sys(err, errno, "could not set the size of \"%s\"", what);
    return 0;
}

int os_chmod(int fd, mode_t mode, const char *what, struct err *err)
{
    if (os_sys->fchmod(fd, mode) != 0)
        return err_sys(err, errno, "could not set permissions of \"%s\"", what);
    return 0;
}

int os_chown(int fd, uid_t uid, gid_t gid, const char *what, struct err *err)
{
    if (os_sys->fchown(fd, uid, gid) != 0)
        return err_sys(err, errno, "could not set owner of \"%s\"", what);
    return 0;
}

int os_sync(int fd, const char *what, struct err *err)
{
    if (os_sys->fsync(fd) != 0)
        return err_sys(err, errno, "could not fsync \"%s\"", what);
    return 0;
}

int os_sync_dir(int fd, const char *what, struct err *err)
{
    if (os_sys->fsync(fd) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOTSUP || errno == ENOTTY || errno == ENOSYS)
        return OS_UNSUPPORTED;
    return err_sys(err, errno, "could not fsync directory \"%s\"", what);
}

void os_hint_sequential(int fd)
{
    (void)os_sys->fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
}

void os_hint_forget(int fd, uint64_t at, uint64_t len)
{
    (void)os_sys->fadvise(fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED); /* only a hint */
}

void os_hint_writeback(int fd, uint64_t at, uint64_t len)
{
    /* Only starts the writing; durability is os_sync's job, which also sees the errors. */
    (void)os_sys->sync_file_range(fd, (off_t)at, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

void os_wipe_free(char *text, size_t len)
{
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}

int os_read_small_fd(int fd, size_t max, char **text, size_t *len, const char *what,
                     struct err *err)
{
    /* Most are a few hundred bytes; a small block comes out of memory that is there already. */
    size_t cap = max < 1000 ? max : 1000;
    size_t got;
    size_t n;
    char *buf;
    char *more;

    *text = NULL;
    *len = 0;
    if (max > OS_SMALL_MAX)
        return err_set(err, ERR_INTERNAL, "limit %zu for \"%s\" is too large", max, what);
    buf = malloc(cap + 1);
    if (buf == NULL)
        return err_sys(err, ENOMEM, "could not read \"%s\"", what);
    /* One byte beyond max is asked for, so that a file of exactly max bytes is told from a longer.
     */
    for (got = 0;;) {
        if (os_read_full(fd, buf + got, cap + 1 - got, &n, what, err) < 0)
            goto fail;
        got += n;
        if (got <= cap)
            break;
        if (cap == max) {
            (void)err_set(err, ERR_REFUSED, "\"%s\" is larger than %zu bytes", what, max);
            goto fail;
        }
        n = cap > max / 2 ? max : cap * 2;
        /* Not realloc: it would leave a copy of a secret behind in freed memory. */
        more = malloc(n + 1);
        if (more == NULL) {
            (void)err_sys(err, ENOMEM, "could not read \"%s\"", what);
            goto fail;
        }
        memcpy(more, buf, got);
        os_wipe_free(buf, got);
        buf = more;
        cap = n;
    }
    buf[got] = '\0';
    *text = buf;
    *len = got;
    return 0;
fail:
    os_wipe_free(buf, cap + 1);
    return -1;
}

int os_read_sized_fd(int fd, uint64_t size, size_t max, char **text, size_t *len, const char *what,
                     struct err *err)
{
    char *buf;

    if (size == 0 || size > max || max > OS_SMALL_MAX) /* or it does not tell, or says why not */
        return os_read_small_fd(fd, max, text, len, what, err);
    *text = NULL;
    *len = 0;
    buf = malloc((size_t)size + 1);
    if (buf == NULL)
        return err_sys(err, ENOMEM, "could not read \"%s\"", what);
    if (os_read_full(fd, buf, (size_t)size, len, what, err) < 0) {
        os_wipe_free(buf, (size_t)size);
        return -1;
    }
    buf[*len] = '\0';
    *text = buf;
    return 0;
}

int os_read_small(const char *path, size_t max, char **text, size_t *len, struct err *err)
{
    int fd;
    int rc;

    *text = NULL;
    *len = 0;
    rc = os_open(path, O_RDONLY, 0, &fd, err);
    if (rc != 0)
        return rc;
    rc = os_read_small_fd(fd, max, text, len, path, err);
    os_drop(&fd);
    return rc;
}

/* 0 when the file's owner and mode keep the secret. */
static int check_secret(const struct stat *st, const char *path, struct err *err)
{
    uid_t me = os_uid();
    unsigned mode = (unsigned)st->st_mode & 07777U;

    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_KEY, "key file \"%s\" is not a regular file", path);
    if (me != 0 && st->st_uid != me && st->st_uid != 0) {
        (void)err_set(err, ERR_KEY, "key file \"%s\" belongs to another user (uid %u)", path,
                      (unsigned)st->st_uid);
        return err_hint(err, "Its owner must be the user who runs this program, or root.");
    }
    if ((mode & 077U) == 0)
        return 0;
    if ((mode & 037U) == 0 && st->st_uid == 0 && os_in_group(st->st_gid))
        return 0;
    (void)err_set(err, ERR_KEY, "key file \"%s\" has group or world access (mode %04o)", path,
                  mode);
    return err_hint(err, "Run: chmod 600 %s (or 0640 when root owns it and its group is yours).",
                    path);
}

int os_read_secret(const char *path, size_t max, char **text, size_t *len, struct err *err)
{
    struct stat st;
    int fd;
    int rc;

    *text = NULL;
    *len = 0;
    /* Not blocked by a FIFO in the key's place; the mode is checked on what was really opened. */
    rc = os_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (rc != 0)
        return rc;
    rc = os_stat_fd(fd, &st, path, err);
    if (rc == 0)
        rc = check_secret(&st, path, err);
    if (rc == 0)
        rc = os_read_sized_fd(fd, (uint64_t)st.st_size, max, text, len, path, err);
    os_drop(&fd);
    return rc;
}
