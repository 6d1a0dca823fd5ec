/*
 * file: descriptors: open, whole reads and writes, flush, close.
 *
 * `what` is the name an error message shows for a descriptor.  Reads and writes go on after
 * EINTR and after short transfers; a write that moves nothing is an error, so a full disk cannot
 * be taken for success.  Every descriptor is opened with O_CLOEXEC.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "os/sys.h"

/* The most os_read_small and os_read_secret accept as `max`. */
enum { OS_SMALL_MAX = 16 * 1024 * 1024 };

/*
 * Opens a path as the user wrote it (configuration, keys, %p); links are followed.  Names inside a
 * repository or a restore target go through os/root instead.
 * 0 and *fd; OS_ABSENT when there is none (never with O_CREAT); -1.  *fd is -1 unless 0.
 */
int os_open(const char *path, int flags, mode_t mode, int *fd, struct err *err);

/* Answers -1.  Where permission was denied, hints as whom: nearly always the wrong user runs it. */
int os_denied_hint(int errnum, struct err *err);

/* Closes; an error is a delayed write error and counts as one.  *fd becomes -1 in any case. */
int os_close(int *fd, const char *what, struct err *err);

/* Closes in a clean-up, where an error could change nothing; accepts -1; *fd becomes -1. */
void os_drop(int *fd);

/* One read(2) of at most cap bytes; *got is 0 at the end of the file. */
int os_read(int fd, void *buf, size_t cap, size_t *got, const char *what, struct err *err);

/* Reads until cap bytes are there or the file ends; *got < cap means it ended. */
int os_read_full(int fd, void *buf, size_t cap, size_t *got, const char *what, struct err *err);
int os_pread_full(int fd, void *buf, size_t cap, uint64_t at, size_t *got, const char *what,
                  struct err *err);

/* Reads exactly len bytes; a shorter file is ERR_DAMAGED. */
int os_read_exact(int fd, void *buf, size_t len, const char *what, struct err *err);
int os_pread_exact(int fd, void *buf, size_t len, uint64_t at, const char *what, struct err *err);

int os_write_full(int fd, const void *buf, size_t len, const char *what, struct err *err);
int os_pwrite_full(int fd, const void *buf, size_t len, uint64_t at, const char *what,
                   struct err *err);

int os_stat_fd(int fd, struct stat *st, const char *what, struct err *err);

/* Like stat(2) on a path as the user wrote it.  0, OS_ABSENT, -1. */
int os_stat(const char *path, struct stat *st, struct err *err);

/* The size of a regular file; anything else is an error. */
int os_size(int fd, uint64_t *size, const char *what, struct err *err);

/*
 * Makes a file longer, with zeros on blocks that are allocated now, not when they are written
 * later. A file that is that long already is left as it is.
 */
int os_extend(int fd, uint64_t size, const char *what, struct err *err);

int os_truncate(int fd, uint64_t size, const char *what, struct err *err);

int os_chmod(int fd, mode_t mode, const char *what, struct err *err);
int os_chown(int fd, uid_t uid, gid_t gid, const char *what, struct err *err);

/*
 * Flushes a file.  After -1 the descriptor must not be flushed again: the kernel reports a lost
 * write once, and a second call would answer 0 for data that is gone.
 */
int os_sync(int fd, const char *what, struct err *err);

/*
 * Flushes a directory.  0; OS_UNSUPPORTED where the filesystem knows no such call (SMB, some
 * FUSE), which a caller may accept; -1.
 */
int os_sync_dir(int fd, const char *what, struct err *err);

/* Hints; they cannot fail in a way that matters. */
void os_hint_sequential(int fd);
void os_hint_forget(int fd, uint64_t at, uint64_t len);    /* drop from the page cache */
void os_hint_writeback(int fd, uint64_t at, uint64_t len); /* start writing dirty pages */

/*
 * Reads a whole small file into memory from malloc: *text has *len bytes and a NUL behind them;
 * the caller frees it.  More than max bytes is ERR_REFUSED.  0, OS_ABSENT, -1.
 */
int os_read_small(const char *path, size_t max, char **text, size_t *len, struct err *err);

/* The same from a descriptor (read from its current position). */
int os_read_small_fd(int fd, size_t max, char **text, size_t *len, const char *what,
                     struct err *err);

/* The same when it is known how much is in it (os_stat_fd) and nobody appends: one call less, which
 * counts where an archiver reads four of them for each segment. */
int os_read_sized_fd(int fd, uint64_t size, size_t max, char **text, size_t *len, const char *what,
                     struct err *err);

/*
 * The same for a file that holds a secret.  Refused (ERR_KEY) unless it is a regular file, owned by
 * us or root, without rights for group and others; 0640 is accepted when root owns it and its
 * group is one of ours.  (root itself may read a file of any owner.)
 */
int os_read_secret(const char *path, size_t max, char **text, size_t *len, struct err *err);

/* Overwrites and frees what os_read_secret gave; accepts NULL. */
void os_wipe_free(char *text, size_t len);

#endif
