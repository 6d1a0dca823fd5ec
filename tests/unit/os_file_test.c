/*
 * Descriptors: interrupted and short transfers, errors that must surface, small files and secrets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/host.h"
#include "tap.h"

static struct os_sys table;
static char base[64];

/* Every second call is interrupted, every other moves at most `step` bytes; fail_at ends it. */
static struct {
    size_t step;
    int calls;
    int fail_at;
    int errnum;
} odd;

static bool is_odd_out(void)
{
    odd.calls++;
    if (odd.fail_at != 0 && odd.calls >= odd.fail_at) {
        errno = odd.errnum;
        return true;
    }
    errno = EINTR;
    return odd.calls % 2 == 1;
}

static ssize_t f_read(int fd, void *buf, size_t len)
{
    return is_odd_out() ? -1 : read(fd, buf, len < odd.step ? len : odd.step);
}

static ssize_t f_write(int fd, const void *buf, size_t len)
{
    return is_odd_out() ? -1 : write(fd, buf, len < odd.step ? len : odd.step);
}

static ssize_t f_pread(int fd, void *buf, size_t len, off_t at)
{
    return is_odd_out() ? -1 : pread(fd, buf, len < odd.step ? len : odd.step, at);
}

static ssize_t f_pwrite(int fd, const void *buf, size_t len, off_t at)
{
    return is_odd_out() ? -1 : pwrite(fd, buf, len < odd.step ? len : odd.step, at);
}

static ssize_t f_write_nothing(int fd, const void *buf, size_t len)
{
    (void)fd;
    (void)buf;
    (void)len;
    return 0;
}

static int f_fail(int fd)
{
    (void)fd;
    errno = odd.errnum;
    return -1;
}

static void set_odd(size_t step, int fail_at, int errnum)
{
    odd.step = step;
    odd.calls = 0;
    odd.fail_at = fail_at;
    odd.errnum = errnum;
}

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static void test_transfers(void)
{
    uint8_t out[1000];
    uint8_t in[1200];
    struct err err = {0};
    size_t got;
    int fd;

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7);
    table = os_sys_real;
    table.read = f_read;
    table.write = f_write;
    table.pread = f_pread;
    table.pwrite = f_pwrite;
    os_sys = &table;
    OK(os_open(path_of("odd"), O_RDWR | O_CREAT, 0600, &fd, &err) == 0, "a file");
    set_odd(13, 0, 0);
    OK(os_write_full(fd, out, sizeof out, "odd", &err) == 0, "written in bits");
    OK(os_pwrite_full(fd, out, 500, 500, "odd", &err) == 0, "and at an offset");
    OK(lseek(fd, 0, SEEK_SET) == 0 && os_read_full(fd, in, sizeof in, &got, "odd", &err) == 0 &&
           got == 1000 && memcmp(in, out, 500) == 0 && memcmp(in + 500, out, 500) == 0,
       "read in bits, to the end");
    memset(in, 0, sizeof in);
    OK(os_pread_full(fd, in, 100, 950, &got, "odd", &err) == 0 && got == 50, "at an offset");
    OK(os_pread_exact(fd, in, 50, 950, "odd", &err) == 0, "exactly");
    OK(os_pread_exact(fd, in, 51, 950, "odd", &err) < 0 && err.code == ERR_DAMAGED,
       "a file too short: %s", err.msg);
    err_clear(&err);
    OK(os_read_exact(fd, in, 1, "odd", &err) < 0 && err.code == ERR_DAMAGED, "at its end");
    err_clear(&err);
    OK(os_pread_full(fd, in, 10, UINT64_MAX - 3, &got, "odd", &err) < 0, "an offset that wraps");
    for (int at = 1; at < 9; at++) {
        bool said;

        set_odd(100, at, ENOSPC);
        err_clear(&err);
        said = os_pwrite_full(fd, out, 400, 0, "odd", &err) < 0 && err.sys == ENOSPC;
        set_odd(100, at, EIO);
        err_clear(&err);
        OK(said && os_pread_full(fd, in, 400, 0, &got, "odd", &err) < 0 && err.sys == EIO,
           "an error of call %d surfaces", at);
    }
    table.write = f_write_nothing;
    err_clear(&err);
    OK(os_write_full(fd, out, 10, "odd", &err) < 0 && err.sys == ENOSPC,
       "a write of nothing is a full disk");
    table.fsync = f_fail;
    odd.errnum = EIO;
    err_clear(&err);
    OK(os_sync(fd, "odd", &err) < 0 && err.sys == EIO, "a failed flush: %s", err.msg);
    err_clear(&err);
    OK(os_sync_dir(fd, "odd", &err) < 0, "of a directory, too");
    odd.errnum = EINVAL;
    err_clear(&err);
    OK(os_sync_dir(fd, "odd", &err) == OS_UNSUPPORTED && os_sync(fd, "odd", &err) < 0,
       "EINVAL is accepted for a directory only");
    os_sys = &os_sys_real;
    os_drop(&fd);
    OK(fd == -1, "dropped");
    os_drop(&fd);
}

static int no_fallocate(int fd, int mode, off_t at, off_t len)
{
    (void)fd;
    (void)mode;
    (void)at;
    (void)len;
    errno = odd.errnum;
    return -1;
}

static void test_extend(void)
{
    static const int errs[] = {0, ENOTSUP, ENOSYS};
    struct err err = {0};
    int fd;

    for (size_t i = 0; i < sizeof errs / sizeof *errs; i++) {
        uint8_t in[100001];
        uint8_t sum = 0;
        size_t got = 0;
        struct stat st;

        table = os_sys_real;
        if (errs[i] != 0)
            table.fallocate = no_fallocate;
        odd.errnum = errs[i];
        os_sys = &table;
        OK(os_open(path_of("odd"), O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, &err) == 0 &&
               os_write_full(fd, "abc", 3, "odd", &err) == 0 &&
               os_extend(fd, 100000, "odd", &err) == 0 && os_extend(fd, 50, "odd", &err) == 0 &&
               os_pread_full(fd, in, sizeof in, 0, &got, "odd", &err) == 0 && got == 100000,
           "made longer, never shorter %s", err.msg);
        for (size_t at = 3; at < got; at++)
            sum |= in[at];
        OK(sum == 0 && memcmp(in, "abc", 3) == 0 && fstat(fd, &st) == 0 &&
               st.st_blocks * 512 >= 100000,
           "with zeros, on blocks of its own");
        os_drop(&fd);
    }
    table.fallocate = no_fallocate;
    odd.errnum = ENOSPC;
    OK(os_open(path_of("odd"), O_RDWR, 0, &fd, &err) == 0 &&
           os_extend(fd, 200000, "odd", &err) < 0 && err.sys == ENOSPC,
       "a full disk: %s", err.msg);
    os_drop(&fd);
    os_sys = &os_sys_real;
}

static void test_opening(void)
{
    struct err err = {0};
    uint64_t size = 0;
    struct stat st;
    int fd;

    OK(os_open(path_of("none"), O_RDONLY, 0, &fd, &err) == OS_ABSENT && fd == -1, "absent");
    OK(os_open(path_of("none/x"), O_RDWR | O_CREAT, 0600, &fd, &err) < 0 && err.sys == ENOENT,
       "to be made where no directory is: %s", err.msg);
    err_clear(&err);
    OK(os_open(path_of("odd"), O_RDWR, 0, &fd, &err) == 0, "open");
    OK(os_size(fd, &size, "odd", &err) == 0 && size == 1000, "size");
    OK(os_truncate(fd, UINT64_C(5) << 30, "odd", &err) == 0 &&
           os_size(fd, &size, "odd", &err) == 0 && size == UINT64_C(5) << 30,
       "size beyond 4 GiB");
    OK(os_pwrite_full(fd, "end", 3, UINT64_C(5) << 30, "odd", &err) == 0, "written there");
    OK(os_chmod(fd, 0604, "odd", &err) == 0 && os_stat(path_of("odd"), &st, &err) == 0 &&
           (st.st_mode & 0777) == 0604,
       "mode");
    os_hint_sequential(fd);
    os_hint_writeback(fd, 0, 0);
    os_hint_forget(fd, 0, 0);
    OK(os_close(&fd, "odd", &err) == 0 && fd == -1, "closed");
    OK(os_stat(path_of("none"), &st, &err) == OS_ABSENT, "stat of nothing");
    OK(os_open(base, O_RDONLY, 0, &fd, &err) == 0 && os_size(fd, &size, base, &err) < 0,
       "a directory has no size");
    os_drop(&fd);
}

static void put(const char *name, size_t len, mode_t mode)
{
    FILE *f = fopen(path_of(name), "w");

    for (size_t i = 0; f != NULL && i < len; i++)
        (void)fputc('a' + (int)(i % 26), f);
    if (f != NULL)
        (void)fclose(f);
    (void)chmod(path_of(name), mode);
}

static void test_small(void)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 9999, 10000};
    struct err err = {0};
    bool all = true;
    size_t len;
    char *text;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put("small", sizes[i], 0600);
        all = os_read_small(path_of("small"), 10000, &text, &len, &err) == 0 && len == sizes[i] &&
              text[len] == '\0' && (len == 0 || text[len - 1] == (char)('a' + (len - 1) % 26)) &&
              all;
        os_wipe_free(text, len);
    }
    OK(all, "small files of many sizes %s", err.msg);
    put("small", 10001, 0600);
    OK(os_read_small(path_of("small"), 10000, &text, &len, &err) < 0 && text == NULL &&
           err.code == ERR_REFUSED,
       "one byte too many: %s", err.msg);
    err_clear(&err);
    OK(os_read_small(path_of("none"), 10, &text, &len, &err) == OS_ABSENT, "none");
    put("small", 5, 0600);
    OK(os_read_small(path_of("small"), 5, &text, &len, &err) == 0 && len == 5, "exactly the limit");
    os_wipe_free(text, len);
    OK(os_read_small(path_of("small"), 4, &text, &len, &err) < 0, "one below");
    os_wipe_free(NULL, 0);
}

static uid_t fake_uid;
static gid_t fake_gid;
static uid_t fake_owner;
static gid_t fake_group;

static uid_t f_geteuid(void)
{
    return fake_uid;
}

static gid_t f_getegid(void)
{
    return fake_gid;
}

static int f_getgroups(int n, gid_t *list)
{
    (void)n;
    list[0] = 77;
    return 1;
}

static int f_fstat(int fd, struct stat *st)
{
    int rc = fstat(fd, st);

    st->st_uid = fake_owner;
    st->st_gid = fake_group;
    return rc;
}

static void test_secrets(void)
{
    static const struct {
        mode_t mode;
        uid_t me, owner;
        gid_t group;
        bool good;
    } cases[] = {
        {0600, 10, 10, 10, true},  {0400, 10, 10, 10, true},  {0640, 10, 10, 77, false},
        {0604, 10, 10, 10, false}, {0600, 10, 11, 10, false}, {0600, 10, 0, 0, true},
        {0640, 10, 0, 77, true},   {0640, 10, 0, 5, true},    {0640, 10, 0, 6, false},
        {0660, 10, 0, 77, false},  {0644, 10, 0, 77, false},  {0600, 0, 10, 10, true},
        {0644, 0, 0, 0, false},    {0640, 0, 0, 5, true},     {0650, 10, 0, 77, false},
    };
    struct err err = {0};
    size_t len;
    char *text;

    table = os_sys_real;
    table.geteuid = f_geteuid;
    table.getegid = f_getegid;
    table.getgroups = f_getgroups;
    table.fstat = f_fstat;
    os_sys = &table;
    fake_gid = 5;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc;

        put("key", 32, cases[i].mode);
        fake_uid = cases[i].me;
        fake_owner = cases[i].owner;
        fake_group = cases[i].group;
        err_clear(&err);
        rc = os_read_secret(path_of("key"), 100, &text, &len, &err);
        OK(cases[i].good ? rc == 0 && len == 32 : rc < 0 && err.code == ERR_KEY && text == NULL,
           "secret of mode %04o, owner %d, group %d, read by %d: %s", (unsigned)cases[i].mode,
           (int)cases[i].owner, (int)cases[i].group, (int)cases[i].me,
           rc == 0 ? "accepted" : err.msg);
        os_wipe_free(text, len);
        (void)unlink(path_of("key"));
    }
    os_sys = &os_sys_real;
    (void)mkfifo(path_of("fifo"), 0600);
    err_clear(&err);
    OK(os_read_secret(path_of("fifo"), 100, &text, &len, &err) < 0, "a FIFO is none, at once");
    OK(os_read_secret(path_of("none"), 100, &text, &len, &err) == OS_ABSENT, "no secret there");
}

int main(void)
{
    static const char *const made[] = {"odd", "small", "fifo"};

    (void)snprintf(base, sizeof base, "/tmp/os_file_test.XXXXXX");
    if (mkdtemp(base) == NULL)
        return 1;
    test_transfers();
    test_opening();
    test_extend();
    test_small();
    test_secrets();
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        (void)unlink(path_of(made[i]));
    OK(rmdir(base) == 0, "all cleaned up");
    return tap_done();
}
