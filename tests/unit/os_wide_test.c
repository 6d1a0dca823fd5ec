/*
 * Goal: nothing ends in 2038, in 2106 or at 4 GiB, and no user is negative, whatever the target's
 * word is.  (32-bit programs of musl and glibc have a wide time_t and off_t only when built for
 * it.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/file.h"
#include "os/sys.h"
#include "os/time.h"
#include "unit/tap.h"

static time_t clock_says;

static int told_time(clockid_t clock, struct timespec *ts)
{
    (void)clock;
    ts->tv_sec = clock_says;
    ts->tv_nsec = 123456000;
    return 0;
}

static void test_clock(int64_t seconds, const char *shown)
{
    struct os_sys table = os_sys_real;
    struct err e = {0};
    char text[80];
    int64_t parsed = 0;
    bool zoned = false;

    clock_says = (time_t)seconds;
    table.clock_gettime = told_time;
    os_sys = &table;
    OK(os_real_us() == seconds * 1000000 + 123456, "the clock says %s", shown);
    os_sys = &os_sys_real;
    os_local_time(seconds * 1000000, 0, text, sizeof text);
    OK(strncmp(text, shown, strlen(shown)) == 0, "shown as %s", text);
    (void)snprintf(text, sizeof text, "%sZ", shown);
    err_clear(&e);
    OK(parse_time(text, &parsed, &zoned, &e) == 0 && zoned && parsed == seconds * 1000000,
       "read back: %s", text);
}

static void test_large_file(uint64_t at)
{
    char path[] = "wide.XXXXXX";
    struct err e = {0};
    struct stat st;
    uint8_t back[4] = {0};
    int fd = mkstemp(path);

    OK(fd >= 0 && unlink(path) == 0, "a file");
    OK(os_pwrite_full(fd, "wide", 4, at, path, &e) == 0, "written at %llu: %s",
       (unsigned long long)at, e.msg);
    OK(os_stat_fd(fd, &st, path, &e) == 0 && (uint64_t)st.st_size == at + 4, "that is its size");
    OK(os_pread_exact(fd, back, 4, at, path, &e) == 0 && memcmp(back, "wide", 4) == 0,
       "read there");
    OK(os_pread_exact(fd, back, 4, at & UINT32_MAX, path, &e) != 0 || back[0] == 0,
       "and not where a short offset would point");
    os_drop(&fd);
}

static uid_t high_uid(void)
{
    return UINT32_MAX - 1;
}

static void test_user(void)
{
    struct os_sys table = os_sys_real;
    struct err e = {0};

    table.geteuid = high_uid;
    os_sys = &table;
    (void)os_denied_hint(EACCES, &e);
    os_sys = &os_sys_real;
    OK(strstr(e.hint, "uid 4294967294:") != NULL, "a user of the upper half: %s", e.hint);
}

int main(void)
{
    const char *dir = getenv("TMPDIR");

    if (dir != NULL && chdir(dir) != 0)
        return 1;
    (void)setenv("TZ", "UTC", 1);
    tzset();
    OK(sizeof(time_t) == 8 && sizeof(off_t) == 8, "wide types");
    test_clock(INT64_C(2147483648), "2038-01-19 03:14:08");
    test_clock(INT64_C(2177452800), "2039-01-01 00:00:00");
    test_clock(INT64_C(4294967296), "2106-02-07 06:28:16");
    test_clock(INT64_C(4323456000), "2107-01-03 00:00:00");
    test_large_file(UINT64_C(4294967296) + 8192);
    test_large_file(UINT64_C(5) << 40);
    test_user();
    return tap_done();
}
