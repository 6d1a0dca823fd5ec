/*
 * sys: every system call of the product, in one table.
 *
 * The modules of lib/os call `os_sys->fsync(fd)` and never the libc function itself; nobody else
 * makes system calls at all.  A test points `os_sys` at a copy in which a call fails, is cut
 * short or never returns, so that every failure of every call can be tried.
 *
 * Each entry behaves like the function of the same name (-1 and errno).  Five are made with
 * syscall(), because a libc may lack them: openat2, renameat2, getdents64, pidfd_open, close_range.
 */
#ifndef OS_SYS_H
#define OS_SYS_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

/* The kernel's struct open_how; declared here since older headers have no linux/openat2.h. */
struct os_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

struct os_sys {
    /* files */
    int (*openat)(int dir, const char *path, int flags, mode_t mode);
    int (*openat2)(int dir, const char *path, const struct os_open_how *how);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t at);
    ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t at);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, int mode, off_t at, off_t len);
    int (*dup_cloexec)(int fd);
    int (*close)(int fd);
    int (*fadvise)(int fd, off_t at, off_t len, int advice);
    int (*sync_file_range)(int fd, off_t at, off_t len, unsigned flags);
    int (*flock)(int fd, int operation);
    int (*fstat)(int fd, struct stat *st);
    int (*fchmod)(int fd, mode_t mode);
    int (*fchown)(int fd, uid_t uid, gid_t gid);
    int (*fchmodat)(int dir, const char *path, mode_t mode);
    /* names */
    int (*fstatat)(int dir, const char *path, struct stat *st, int flags);
    int (*renameat2)(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
    int (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
    int (*linkat)(int from_dir, const char *from, int to_dir, const char *to, int flags);
    int (*unlinkat)(int dir, const char *path, int flags);
    int (*mkdirat)(int dir, const char *path, mode_t mode);
    int (*symlinkat)(const char *target, int dir, const char *path);
    ssize_t (*readlinkat)(int dir, const char *path, char *buf, size_t len);
    ssize_t (*getdents64)(int fd, void *buf, size_t len);
    int (*fstatvfs)(int fd, struct statvfs *st);
    int (*fstatfs)(int fd, struct statfs *st);
    /* processes and signals */
    pid_t (*fork)(void);
    int (*execvpe)(const char *file, char *const argv[], char *const env[]);
    pid_t (*waitpid)(pid_t pid, int *status, int flags);
    int (*kill)(pid_t pid, int sig);
    int (*pidfd_open)(pid_t pid);
    int (*pipe2)(int fds[2], int flags);
    int (*dup2)(int from, int to);
    int (*close_range)(unsigned first, unsigned last);
    int (*chdir)(const char *path);
    int (*setpgid)(pid_t pid, pid_t group);
    int (*prctl)(int option, unsigned long arg);
    int (*become)(uid_t uid, gid_t gid);                   /* setgroups, setgid, setuid */
    int (*core_limit)(const uint64_t *set, uint64_t *old); /* RLIMIT_CORE, the soft limit */
    int (*sigaction)(int sig, const struct sigaction *now, struct sigaction *old);
    int (*sigprocmask)(int how, const sigset_t *now, sigset_t *old);
    int (*sigtimedwait)(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
    int (*ppoll)(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                 const sigset_t *mask);
    int (*shmctl)(int id, int operation, struct shmid_ds *buf);
    pid_t (*getpid)(void);
    pid_t (*getppid)(void);
    uid_t (*geteuid)(void);
    gid_t (*getegid)(void);
    int (*getgroups)(int n, gid_t *list);
    int (*mprotect)(void *at, size_t len, int protection);
    /* the host */
    int (*clock_gettime)(clockid_t clock, struct timespec *ts);
    int (*nanosleep)(const struct timespec *want, struct timespec *left);
    ssize_t (*getrandom)(void *buf, size_t len, unsigned flags);
    int (*gethostname)(char *buf, size_t len);
};

/* The real calls. */
extern const struct os_sys os_sys_real;

/* What lib/os calls through; &os_sys_real unless a test says otherwise. */
extern const struct os_sys *os_sys;

/* Positive answers shared by the functions of lib/os (they are no errors; err stays empty). */
enum {
    OS_ABSENT = 1,     /* there is no such file or directory */
    OS_BUSY = 2,       /* somebody else holds the lock; the process still runs; not yet */
    OS_UNSUPPORTED = 3 /* this filesystem or kernel cannot do that */
};

#endif
