/*
 * Names beneath a descriptor: links, dots, made directories; with openat2 and without.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/file.h"
#include "os/root.h"
#include "tap.h"

static struct os_sys table;
static char base[64];
static struct os_root root = OS_ROOT_INIT;

static int openat2_error;
static int eagain_left;
static int openat2_calls;

static int f_openat2(int dir, const char *path, const struct os_open_how *how)
{
    openat2_calls++;
    if (openat2_error != 0 || eagain_left > 0) {
        errno = openat2_error != 0 ? openat2_error : EAGAIN;
        eagain_left--;
        return -1;
    }
    return os_sys_real.openat2(dir, path, how);
}

static void put(const char *path, const char *text)
{
    char whole[256];
    FILE *f;

    (void)snprintf(whole, sizeof whole, "%s/%s", base, path);
    f = fopen(whole, "w");
    if (f != NULL) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static void put_link(const char *target, const char *path)
{
    char whole[256];

    (void)snprintf(whole, sizeof whole, "%s/%s", base, path);
    (void)!symlink(target, whole);
}

/* 0 and the first byte, or what os_root_at said. */
static int try_open(const char *rel, char *first, struct err *err)
{
    int fd;
    int rc;

    err_clear(err);
    rc = os_root_at(&root, rel, O_RDONLY, 0, &fd, err);
    *first = 0;
    if (rc == 0 && read(fd, first, 1) < 0)
        *first = '!';
    os_drop(&fd);
    return rc;
}

static void test_paths(void)
{
    static const char *const good[] = {".", "a", "a/b", "a/b/c.d", "...", ".a", "..a/b.."};
    static const char *const bad[] = {"",     "/",    "/a",     "a/",  "a//b", "..",
                                      "../a", "a/..", "a/../b", "./a", "a/.",  "a/./b"};
    char longest[300];
    bool all = true;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        all = os_root_path_ok(good[i]) && all;
    OK(all, "plain relative paths are accepted");
    all = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        all = !os_root_path_ok(bad[i]) && all;
    OK(all, "all others are not");
    memset(longest, 'x', sizeof longest);
    longest[255] = '\0';
    OK(os_root_path_ok(longest), "a component of 255 bytes");
    longest[255] = 'x';
    longest[256] = '\0';
    OK(!os_root_path_ok(longest), "none of 256");
}

static void test_opening(const char *how)
{
    struct err err = {0};
    struct stat st;
    char first;
    char text[64];
    int fd;

    OK(try_open("d/e/file", &first, &err) == 0 && first == 'f', "%s: a file beneath", how);
    OK(try_open("d/e/none", &first, &err) == OS_ABSENT, "%s: an absent file", how);
    OK(try_open("d/none/file", &first, &err) == OS_ABSENT, "%s: an absent directory", how);
    OK(try_open("out/passwd", &first, &err) < 0, "%s: a link to a directory is not followed: %s",
       how, err.msg);
    OK(try_open("inner/file", &first, &err) < 0, "%s: not even one that stays inside", how);
    OK(try_open("d/last", &first, &err) < 0, "%s: a link as the last part is not, either", how);
    OK(try_open("d/e/file/x", &first, &err) < 0, "%s: a file is no directory", how);
    OK(try_open("d/../d/e/file", &first, &err) < 0 && err.code == ERR_REFUSED, "%s: no dots", how);
    OK(try_open("/etc/passwd", &first, &err) < 0 && err.code == ERR_REFUSED, "%s: no slash", how);
    err_clear(&err);
    OK(os_root_stat(&root, "d/last", &st, &err) == 0 && S_ISLNK(st.st_mode), "%s: lstat", how);
    OK(os_root_stat(&root, ".", &st, &err) == 0 && S_ISDIR(st.st_mode), "%s: the root", how);
    OK(os_root_stat(&root, "none", &st, &err) == OS_ABSENT, "%s: nothing there", how);
    OK(os_root_readlink(&root, "d/last", text, sizeof text, &err) == 0 &&
           strcmp(text, "e/file") == 0,
       "%s: readlink", how);
    OK(os_root_readlink(&root, "d/last", text, 6, &err) < 0, "%s: readlink into too little", how);
    err_clear(&err);
    OK(os_root_at(&root, "d/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &fd, &err) == 0,
       "%s: a new file", how);
    os_drop(&fd);
    OK(os_root_at(&root, "d/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &fd, &err) < 0 &&
           err.sys == EEXIST && fd == -1,
       "%s: not twice", how);
    err_clear(&err);
    OK(os_root_rename(&root, "d/new", "d/e/moved", &err) == 0 &&
           os_root_stat(&root, "d/e/moved", &st, &err) == 0,
       "%s: renamed", how);
    OK(os_root_rename(&root, "d/new", "d/x", &err) == OS_ABSENT, "%s: rename of nothing", how);
    OK(os_root_unlink(&root, "d/e/moved", 0, &err) == 0 &&
           os_root_unlink(&root, "d/e/moved", 0, &err) == OS_ABSENT,
       "%s: removed, and only once", how);
    OK(os_root_symlink(&root, "d/link", "anywhere", &err) == 0 &&
           os_root_symlink(&root, "d/link", "elsewhere", &err) < 0,
       "%s: a link is made once", how);
    err_clear(&err);
    OK(os_root_unlink(&root, "d/link", 0, &err) == 0, "%s: and removed", how);
    OK(os_root_unlink(&root, "inner/file", 0, &err) < 0 && access("/etc/passwd", F_OK) == 0,
       "%s: nothing is removed through a link", how);
    err_clear(&err);
    OK(os_root_mkdirs(&root, "out/x", 0700, &fd, &err) < 0 && fd == -1,
       "%s: nothing is made through a link: %s", how, err.msg);
    err_clear(&err);
    OK(os_root_mkdirs(&root, "m/n/o", 0750, &fd, &err) == 0, "%s: directories made", how);
    os_drop(&fd);
    OK(os_root_stat(&root, "m", &st, &err) == 0 && (st.st_mode & 07777) == 0750 &&
           os_root_stat(&root, "m/n/o", &st, &err) == 0 && (st.st_mode & 07777) == 0750,
       "%s: with their mode", how);
    OK(os_root_mkdirs(&root, "m/n/o", 0750, &fd, &err) == 0, "%s: again", how);
    os_drop(&fd);
    OK(os_tree_remove(&root, "m", &err) == 0 && os_tree_remove(&root, "m", &err) == OS_ABSENT,
       "%s: the tree is removed", how);
    OK(os_root_dir(&root, "m", &fd, &err) == OS_ABSENT && fd == -1, "%s: and gone", how);
}

static void test_fallbacks(void)
{
    struct err err = {0};
    char first;

    table = os_sys_real;
    table.openat2 = f_openat2;
    os_sys = &table;
    root.walk = false;
    eagain_left = 3;
    OK(try_open("d/e/file", &first, &err) == 0 && first == 'f' && openat2_calls == 4 && !root.walk,
       "EAGAIN is tried again");
    eagain_left = 1000;
    OK(try_open("d/e/file", &first, &err) == 0 && first == 'f' && !root.walk,
       "and then walked, this time only");
    eagain_left = 0;
    openat2_error = ENOSYS;
    openat2_calls = 0;
    OK(try_open("d/e/file", &first, &err) == 0 && try_open("d/e/file", &first, &err) == 0 &&
           root.walk && openat2_calls == 1,
       "ENOSYS is remembered");
    root.walk = false;
    openat2_error = EPERM;
    OK(try_open("d/e/file", &first, &err) == 0 && root.walk, "EPERM of a container filter, too");
    root.walk = false;
    openat2_error = EACCES;
    OK(try_open("d/e/file", &first, &err) < 0 && !root.walk, "EACCES is an error");
    os_sys = &os_sys_real;
    openat2_error = 0;
}

static void test_roots(void)
{
    struct os_root other = OS_ROOT_INIT;
    struct os_root inner = OS_ROOT_INIT;
    struct err err = {0};
    struct stat st;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/none", base);
    OK(os_root_open(&other, path, &err) == OS_ABSENT && other.fd == -1, "no such root");
    os_root_close(&other);
    (void)snprintf(path, sizeof path, "%s/d/e/file", base);
    OK(os_root_open(&other, path, &err) < 0, "a file is no root: %s", err.msg);
    err_clear(&err);
    (void)snprintf(path, sizeof path, "%s/inner", base);
    OK(os_root_open(&other, path, &err) == 0, "a root through a link is what the user wrote");
    os_root_close(&other);
    OK(os_root_open_at(&inner, &root, "d/e", "inner root", &err) == 0 &&
           os_root_stat(&inner, "file", &st, &err) == 0,
       "a root beneath a root");
    OK(os_root_stat(&inner, "../last", &st, &err) < 0, "has no way up");
    os_root_close(&inner);
    os_root_close(&inner);
}

/* --- root in somebody's directory: every file is root's, the directory is theirs --- */

enum { THEIRS = 4711 };

static ino_t base_inode;
static int gifts;
static uid_t given_to;

static uid_t f_geteuid(void)
{
    return 0;
}

static int f_fstat(int fd, struct stat *st)
{
    int rc = os_sys_real.fstat(fd, st);

    st->st_uid = st->st_ino == base_inode ? THEIRS : 0;
    return rc;
}

static int f_fchown(int fd, uid_t uid, gid_t gid)
{
    (void)fd;
    (void)gid;
    gifts++;
    given_to = uid;
    return 0;
}

static int create(struct os_root *at, const char *rel, struct err *err)
{
    int fd = -1;
    int rc = os_root_at(at, rel, O_RDWR | O_CREAT, 0600, &fd, err);

    os_drop(&fd);
    return rc;
}

static void test_giving(void)
{
    struct os_root theirs = OS_ROOT_INIT;
    struct err err = {0};
    struct stat st;
    char from[128];
    char to[128];
    int fd = -1;

    (void)stat(base, &st);
    base_inode = st.st_ino;
    table = os_sys_real;
    table.geteuid = f_geteuid;
    table.fstat = f_fstat;
    table.fchown = f_fchown;
    os_sys = &table;
    OK(os_root_open(&theirs, base, &err) == 0 && create(&theirs, "d/before", &err) == 0 &&
           gifts == 0,
       "what root makes stays root's");
    OK(os_root_give(&theirs, &err) == 0 && create(&theirs, "d/after", &err) == 0 && gifts == 1 &&
           given_to == THEIRS,
       "unless it is to be given");
    OK(os_root_mkdirs(&theirs, "d/new", 0700, &fd, &err) == 0 && gifts == 2,
       "and so is a directory");
    os_drop(&fd);
    (void)snprintf(from, sizeof from, "%s/d/before", base);
    (void)snprintf(to, sizeof to, "%s/d/planted", base);
    OK(link(from, to) == 0 && create(&theirs, "d/planted", &err) == 0 && gifts == 2,
       "but never a file of root's that has two names");
    os_sys = &os_sys_real;
    os_root_close(&theirs);
}

/* Where a file of ours is looked for; an open that waits for a writer ends the test by SIGALRM. */
static void test_fifo(void)
{
    struct err err = {0};
    char path[128];
    char byte;
    int fd = -1;

    (void)snprintf(path, sizeof path, "%s/d/fifo", base);
    OK(mkfifo(path, 0600) == 0, "a FIFO");
    (void)alarm(10);
    OK(os_root_at(&root, "d/fifo", O_RDONLY, 0, &fd, &err) == 0 && read(fd, &byte, 1) == 0,
       "is an empty file, and nothing to wait for");
    os_drop(&fd);
    OK(os_root_at(&root, "d/fifo", O_WRONLY, 0, &fd, &err) < 0, "nor a file to write to");
    (void)alarm(0);
}

int main(void)
{
    struct err err = {0};
    char path[128];

    (void)snprintf(base, sizeof base, "/tmp/os_root_test.XXXXXX");
    if (mkdtemp(base) == NULL || os_root_open(&root, base, &err) != 0)
        return 1;
    (void)umask(077);
    (void)snprintf(path, sizeof path, "%s/d", base);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/d/e", base);
    (void)mkdir(path, 0700);
    put("d/e/file", "file");
    put_link("/etc", "out");
    put_link("d/e", "inner");
    put_link("e/file", "d/last");
    test_paths();
    test_opening("openat2");
    if (root.walk)
        SKIP("this kernel has no openat2", "openat2 is used");
    else
        OK(!root.walk, "openat2 is used");
    root.walk = true;
    test_opening("walk");
    if (!root.walk || os_sys_real.openat2(root.fd, ".", &(struct os_open_how){0}) < 0)
        SKIP("this kernel has no openat2", "fallbacks");
    else
        test_fallbacks();
    test_roots();
    test_fifo();
    test_giving();
    for (const char *const *name = (const char *const[]){"d", "out", "inner", NULL}; *name != NULL;
         name++)
        (void)os_tree_remove(&root, *name, &err);
    os_root_close(&root);
    OK(rmdir(base) == 0, "all cleaned up");
    return tap_done();
}
