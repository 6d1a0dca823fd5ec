#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files are larger than 2 GB: build with _FILE_OFFSET_BITS=64");
_Static_assert(sizeof(time_t) == 8, "time goes on after 2038: build with _TIME_BITS=64");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

/* Numbers that are the same on every architecture since Linux 5.0. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static int real_openat(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags, mode);
}

static int real_openat2(int dir, const char *path, const struct os_open_how *how)
{
    return (int)syscall(SYS_openat2, dir, path, how, sizeof *how);
}

/* Of musl's own fcntl this would be two calls. */
static int real_dup_cloexec(int fd)
{
    return (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
}

static int real_fadvise(int fd, off_t at, off_t len, int advice)
{
    int rc = posix_fadvise(fd, at, len, advice);

    if (rc == 0)
        return 0;
    errno = rc;
    return -1;
}

static int real_renameat2(int from_dir, const char *from, int to_dir, const char *to,
                          unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static ssize_t real_getdents64(int fd, void *buf, size_t len)
{
    return syscall(SYS_getdents64, fd, buf, len);
}

static int real_close_range(unsigned first, unsigned last)
{
    return (int)syscall(SYS_close_range, first, last, 0U);
}

static int real_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0U);
}

static int real_prctl(int option, unsigned long arg)
{
    return prctl(option, arg, 0UL, 0UL, 0UL);
}

static int real_become(uid_t uid, gid_t gid)
{
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0)
        return -1;
    return setuid(uid);
}

static int real_fchmodat(int dir, const char *path, mode_t mode)
{
    return fchmodat(dir, path, mode, 0);
}

static int real_core_limit(const uint64_t *set, uint64_t *old)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        return -1;
    if (old != NULL)
        *old = limit.rlim_cur;
    if (set == NULL)
        return 0;
    limit.rlim_cur = *set;
    return setrlimit(RLIMIT_CORE, &limit);
}

const struct os_sys os_sys_real = {
    .openat = real_openat,
    .openat2 = real_openat2,
    .read = read,
    .write = write,
    .pread = pread,
    .pwrite = pwrite,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .dup_cloexec = real_dup_cloexec,
    .close = close,
    .fadvise = real_fadvise,
    .sync_file_range = sync_file_range,
    .flock = flock,
    .fstat = fstat,
    .fchmod = fchmod,
    .fchown = fchown,
    .fchmodat = real_fchmodat,
    .fstatat = fstatat,
    .renameat2 = real_renameat2,
    .renameat = renameat,
    .linkat = linkat,
    .unlinkat = unlinkat,
    .mkdirat = mkdirat,
    .symlinkat = symlinkat,
    .readlinkat = readlinkat,
    .getdents64 = real_getdents64,
    .fstatvfs = fstatvfs,
    .fstatfs = fstatfs,
    .fork = fork,
    .execvpe = execvpe,
    .waitpid = waitpid,
    .kill = kill,
    .pidfd_open = real_pidfd_open,
    .pipe2 = pipe2,
    .dup2 = dup2,
    .close_range = real_close_range,
    .chdir = chdir,
    .setpgid = setpgid,
    .prctl = real_prctl,
    .become = real_become,
    .core_limit = real_core_limit,
    .sigaction = sigaction,
    .sigprocmask = sigprocmask,
    .sigtimedwait = sigtimedwait,
    .ppoll = ppoll,
    .shmctl = shmctl,
    .getpid = getpid,
    .getppid = getppid,
    .geteuid = geteuid,
    .getegid = getegid,
    .getgroups = getgroups,
    .mprotect = mprotect,
    .clock_gettime = clock_gettime,
    .nanosleep = nanosleep,
    .getrandom = getrandom,
    .gethostname = gethostname,
};

const struct os_sys *os_sys = &os_sys_real;
