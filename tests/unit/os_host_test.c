/*
 * Clocks, local time, host, random bytes, locks, free space and what a filesystem can do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/host.h"
#include "os/lock.h"
#include "os/space.h"
#include "os/time.h"
#include "tap.h"

static struct os_sys table;
static char base[64];
static struct os_root root = OS_ROOT_INIT;

static void zone(const char *tz)
{
    (void)setenv("TZ", tz, 1);
    tzset();
}

static void test_clocks(void)
{
    int64_t mono = os_mono_us();
    int64_t real = os_real_us();
    int64_t cpu = os_cpu_us();

    os_sleep_us(20000);
    OK(os_mono_us() - mono >= 20000 && os_mono_us() - mono < 5000000, "sleeps");
    OK(real > INT64_C(1700000000000000), "the wall clock counts from 1970 in microseconds");
    OK(os_cpu_us() >= cpu && os_cpu_us() - cpu < 1000000, "sleeping costs no CPU");
    os_sleep_us(-5);
}

static void test_local(void)
{
    int64_t t = INT64_C(1772370306123456); /* 2026-03-01 13:05:06.123456 UTC */
    char buf[OS_LOCAL_TIME_MAX];
    char small[8];
    int64_t s = 0;

    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    os_local_time(t, 1, buf, sizeof buf);
    IS_STR(buf, "2026-03-01 14:05:06.123456 CET (+01:00)", "winter");
    os_local_time(t + INT64_C(86400000000) * 120, 0, buf, sizeof buf);
    IS_STR(buf, "2026-06-29 15:05:06 CEST (+02:00)", "summer");
    os_local_time(-1, 1, buf, sizeof buf);
    IS_STR(buf, "1970-01-01 00:59:59.999999 CET (+01:00)", "a microsecond before 1970");
    os_local_time(t, 1, small, sizeof small);
    OK(strlen(small) == 7, "cut to the buffer");
    OK(os_local_offset(t) == 3600, "offset");
    os_local_zone(t, buf, sizeof buf);
    IS_STR(buf, "CET", "zone");
    OK(os_local_to_unix(2026, 3, 1, 14, 5, 6, &s) == 0 && s == t / 1000000, "and back");
    OK(os_local_to_unix(2026, 3, 29, 2, 30, 0, &s) == OS_ABSENT, "the hour that is skipped");
    OK(os_local_to_unix(2026, 3, 29, 3, 0, 0, &s) == 0 && s == 1774746000, "the one after it");
    OK(os_local_to_unix(2026, 2, 29, 1, 0, 0, &s) == OS_ABSENT, "a day that does not exist");
    OK(os_local_to_unix(2028, 2, 29, 1, 0, 0, &s) == 0, "one that does");
    OK(os_local_to_unix(2026, 13, 1, 1, 0, 0, &s) == OS_ABSENT, "a month that does not");
    OK(os_local_to_unix(2026, 10, 25, 2, 30, 0, &s) == 0,
       "the hour that comes twice is one of both");
    OK(os_local_to_unix(2050, 7, 1, 12, 0, 0, &s) == 0 && s > INT64_C(2500000000), "after 2038");
    zone("<-0330>3:30");
    os_local_time(t, 0, buf, sizeof buf);
    IS_STR(buf, "2026-03-01 09:35:06 -0330 (-03:30)", "west, and half an hour");
    os_local_time(INT64_MAX, 0, buf, sizeof buf);
    OK(strlen(buf) > 0, "the far end: %s", buf);
    zone("UTC0");
}

static ssize_t f_getrandom(void *buf, size_t len, unsigned flags)
{
    static int calls;

    errno = EINTR;
    return ++calls % 2 == 1 ? -1 : os_sys_real.getrandom(buf, len > 3 ? 3 : len, flags);
}

static ssize_t no_getrandom(void *buf, size_t len, unsigned flags)
{
    (void)buf;
    (void)len;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

static int f_gethostname(char *buf, size_t len)
{
    memset(buf, 'h', len); /* cut, without its NUL, as POSIX allows */
    return 0;
}

static int no_gethostname(char *buf, size_t len)
{
    (void)buf;
    (void)len;
    errno = EPERM;
    return -1;
}

static void test_host(void)
{
    static const uint8_t zero[32];
    struct err err = {0};
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    char name[OS_HOSTNAME_MAX + 1];
    char id[OS_BOOT_ID_LEN + 1];

    OK(os_random(a, sizeof a, &err) == 0 && os_random(b, sizeof b, &err) == 0 &&
           memcmp(a, b, sizeof a) != 0,
       "random bytes differ");
    table = os_sys_real;
    table.getrandom = f_getrandom;
    os_sys = &table;
    memset(a, 0, sizeof a);
    OK(os_random(a, sizeof a, &err) == 0 && memcmp(a + 28, zero, 4) != 0,
       "in bits and with interruptions, too");
    table.getrandom = no_getrandom;
    OK(os_random(a, sizeof a, &err) < 0 && err.sys == ENOSYS, "or an error: %s", err.msg);
    os_hostname(name, sizeof name);
    OK(name[0] != '\0' && strlen(name) < sizeof name, "a host name: %s", name);
    table.gethostname = f_gethostname;
    os_hostname(name, 5);
    IS_STR(name, "hhhh", "a long one is cut");
    table.gethostname = no_gethostname;
    os_hostname(name, sizeof name);
    IS_STR(name, "localhost", "none");
    os_hostname(name, 4);
    IS_STR(name, "loc", "none, in little room");
    os_sys = &os_sys_real;
    if (os_boot_id(id) == 0)
        OK(strlen(id) == OS_BOOT_ID_LEN && id[8] == '-', "boot id %s", id);
    else
        SKIP("no /proc", "boot id");
    OK(os_pid() == getpid() && os_uid() == geteuid() && os_gid() == getegid() &&
           os_in_group(getegid()),
       "ids");
    (void)setenv("OS_HOST_TEST", "", 1);
    OK(os_env("OS_HOST_TEST") == NULL && os_env("OS_HOST_NONE") == NULL, "empty is unset");
    (void)setenv("OS_HOST_TEST", "x", 1);
    OK(os_env("OS_HOST_TEST") != NULL, "and set is set");
}

static int lock_error;

static int f_flock(int fd, int op)
{
    (void)fd;
    (void)op;
    errno = lock_error;
    return -1;
}

static void test_locks(void)
{
    struct err err = {0};
    int a;
    int b;

    (void)os_root_at(&root, "lock", O_RDWR | O_CREAT, 0600, &a, &err);
    (void)os_root_at(&root, "lock", O_RDWR, 0, &b, &err);
    OK(os_lock(a, OS_LOCK_SHARED, false, "lock", &err) == 0 &&
           os_lock(b, OS_LOCK_SHARED, false, "lock", &err) == 0,
       "two may read");
    OK(os_lock(a, OS_LOCK_EXCLUSIVE, false, "lock", &err) == OS_BUSY, "none may write then");
    os_unlock(b);
    OK(os_lock(a, OS_LOCK_EXCLUSIVE, true, "lock", &err) == 0, "one may, alone");
    OK(os_lock(b, OS_LOCK_SHARED, false, "lock", &err) == OS_BUSY, "and the others wait");
    os_drop(&a);
    OK(os_lock(b, OS_LOCK_EXCLUSIVE, false, "lock", &err) == 0, "until it closes");
    table = os_sys_real;
    table.flock = f_flock;
    os_sys = &table;
    lock_error = ENOLCK;
    OK(os_lock(b, OS_LOCK_SHARED, false, "lock", &err) == OS_UNSUPPORTED, "no locks here");
    lock_error = EIO;
    OK(os_lock(b, OS_LOCK_SHARED, false, "lock", &err) < 0 && err.sys == EIO, "an error: %s",
       err.msg);
    os_sys = &os_sys_real;
    os_drop(&b);
    (void)os_root_unlink(&root, "lock", 0, &err);
}

static int fail_einval(int fd)
{
    (void)fd;
    errno = EINVAL;
    return -1;
}

static int fail_rename(int fd, const char *from, int td, const char *to, unsigned flags)
{
    (void)fd;
    (void)from;
    (void)td;
    (void)to;
    (void)flags;
    errno = EINVAL;
    return -1;
}

static int fail_link(int fd, const char *from, int td, const char *to, int flags)
{
    (void)fd;
    (void)from;
    (void)td;
    (void)to;
    (void)flags;
    errno = EPERM;
    return -1;
}

static int fail_big(int fd, off_t size)
{
    (void)fd;
    (void)size;
    errno = EFBIG;
    return -1;
}

static int fail_symlink(const char *target, int dir, const char *path)
{
    (void)target;
    (void)dir;
    (void)path;
    errno = EPERM;
    return -1;
}

static void test_space(void)
{
    struct os_probe probe;
    struct os_space space = {0};
    struct err err = {0};
    bool empty = false;

    OK(os_space(root.fd, &space, "base", &err) == 0 && space.total > 0 &&
           space.free <= space.total && !space.read_only,
       "free space: %llu of %llu", (unsigned long long)space.free, (unsigned long long)space.total);
    OK(os_probe(&root, ".", &probe, &err) == 0 && probe.link && probe.dir_sync && probe.lock &&
           probe.big_file && probe.modes && probe.symlink && probe.case_names &&
           probe.rename_noreplace,
       "this filesystem (%s) can do all", os_fs_name(probe.fs_type));
    OK(os_dir_is_empty(root.fd, &empty, "base", &err) == 0 && empty, "and the trial left nothing");
    table = os_sys_real;
    table.renameat2 = fail_rename;
    table.linkat = fail_link;
    table.flock = f_flock;
    table.ftruncate = fail_big;
    table.symlinkat = fail_symlink;
    lock_error = ENOLCK;
    os_sys = &table;
    OK(os_probe(&root, ".", &probe, &err) == 0 && !probe.rename_noreplace && !probe.link &&
           !probe.lock && !probe.big_file && !probe.symlink && probe.dir_sync,
       "one that cannot is told part by part");
    table.fsync = fail_einval;
    OK(os_probe(&root, ".", &probe, &err) < 0, "one that cannot flush a file is no place: %s",
       err.msg);
    os_sys = &os_sys_real;
    OK(os_dir_is_empty(root.fd, &empty, "base", &err) == 0 && empty, "nothing left then, either");
    err_clear(&err);
    OK(os_probe(&root, "none", &probe, &err) < 0 && err.sys == ENOENT, "no directory: %s", err.msg);
    OK(strcmp(os_fs_name(0xef53), "ext4") == 0 && strcmp(os_fs_name(1), "unknown") == 0 &&
           strcmp(os_fs_name((unsigned long)(int)0x9123683e), "btrfs") == 0,
       "names");
}

int main(void)
{
    struct err err = {0};

    (void)snprintf(base, sizeof base, "/tmp/os_host_test.XXXXXX");
    if (mkdtemp(base) == NULL || os_root_open(&root, base, &err) != 0)
        return 1;
    test_clocks();
    test_local();
    test_host();
    test_locks();
    test_space();
    os_root_close(&root);
    OK(rmdir(base) == 0, "all cleaned up");
    return tap_done();
}
