/*
 * Listings and trees: many names, unknown types, deep trees, links, injected failures.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/dir.h"
#include "os/file.h"
#include "tap.h"

enum { MANY = 3000, DEEP = 300 };

static struct os_sys table;
static char base[64];
static struct os_root root = OS_ROOT_INIT;

static int files_flushed;
static int dirs_flushed;
static int fail_flush;

static int f_fsync(int fd)
{
    struct stat st;

    if (fail_flush > 0 && --fail_flush == 0) {
        errno = EIO;
        return -1;
    }
    if (fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            dirs_flushed++;
        else
            files_flushed++;
    }
    return 0;
}

/* A filesystem that does not tell types. */
static ssize_t f_getdents64(int fd, void *buf, size_t len)
{
    ssize_t n = os_sys_real.getdents64(fd, buf, len);
    uint8_t *bytes = buf;

    for (ssize_t at = 0; at < n; at += bytes[at + 16] | bytes[at + 17] << 8)
        bytes[at + 18] = 0;
    return n;
}

static ssize_t f_getdents_fails(int fd, void *buf, size_t len)
{
    (void)fd;
    (void)buf;
    (void)len;
    errno = EIO;
    return -1;
}

static void make_file(const char *rel)
{
    struct err err = {0};
    int fd;

    (void)os_root_at(&root, rel, O_WRONLY | O_CREAT, 0600, &fd, &err);
    os_drop(&fd);
}

static void make_dir(const char *rel)
{
    struct err err = {0};
    int fd;

    (void)os_root_mkdirs(&root, rel, 0700, &fd, &err);
    os_drop(&fd);
}

static int stop_at_three(void *arg, const char *name, enum os_dir_type type, struct err *err)
{
    (void)name;
    (void)type;
    (void)err;
    return ++*(int *)arg == 3 ? 42 : 0;
}

static void test_names(void)
{
    struct os_names names = OS_NAMES_INIT;
    struct err err = {0};
    bool sorted = true;
    bool empty = false;
    int seen = 0;
    int fd;

    make_dir("many");
    OK(os_root_dir(&root, "many", &fd, &err) == 0 &&
           os_dir_is_empty(fd, &empty, "many", &err) == 0 && empty,
       "a new directory is empty");
    OK(os_dir_names(fd, &names, 10, "many", &err) == 0 && names.n == 0, "and lists nothing");
    os_names_fini(&names);
    for (int i = 0; i < MANY; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "many/%08X-a-longer-name", (unsigned)i * 2654435761U);
        make_file(name);
    }
    OK(os_dir_is_empty(fd, &empty, "many", &err) == 0 && !empty, "no longer empty");
    OK(os_dir_names(fd, &names, MANY, "many", &err) == 0 && names.n == MANY, "all are listed: %zu",
       names.n);
    for (size_t i = 1; i < names.n; i++)
        sorted = sorted && strcmp(os_name_at(&names, i - 1), os_name_at(&names, i)) < 0 &&
                 names.list[i].type == OS_TYPE_FILE;
    OK(sorted, "sorted, each once, all files");
    os_names_fini(&names);
    OK(os_dir_names(fd, &names, MANY - 1, "many", &err) < 0 && err.code == ERR_NOMEM &&
           names.list == NULL,
       "a limit is kept: %s", err.msg);
    err_clear(&err);
    OK(os_dir_each(fd, stop_at_three, &seen, "many", &err) == 42 && seen == 3,
       "a callback ends the listing");
    table = os_sys_real;
    table.getdents64 = f_getdents_fails;
    os_sys = &table;
    OK(os_dir_names(fd, &names, MANY, "many", &err) < 0 && err.sys == EIO, "EIO is told: %s",
       err.msg);
    os_sys = &os_sys_real;
    os_drop(&fd);
}

static void test_types(void)
{
    static const uint8_t want[] = {OS_TYPE_DIR, OS_TYPE_OTHER, OS_TYPE_FILE, OS_TYPE_LINK};
    char path[128];

    make_dir("types/dir");
    make_file("types/file");
    (void)snprintf(path, sizeof path, "%s/types/fifo", base);
    (void)mkfifo(path, 0600);
    (void)snprintf(path, sizeof path, "%s/types/link", base);
    (void)!symlink("/nowhere", path);
    for (int pass = 0; pass < 2; pass++) {
        struct os_names names = OS_NAMES_INIT;
        struct err err = {0};
        bool right;
        int fd;

        table = os_sys_real;
        if (pass == 1)
            table.getdents64 = f_getdents64;
        os_sys = &table;
        right = os_root_dir(&root, "types", &fd, &err) == 0 &&
                os_dir_names(fd, &names, 10, "types", &err) == 0 && names.n == 4;
        for (size_t i = 0; right && i < 4; i++)
            right = names.list[i].type == want[i];
        OK(right, "types %s", pass == 0 ? "as the filesystem tells them" : "where it does not");
        os_names_fini(&names);
        os_drop(&fd);
        os_sys = &os_sys_real;
    }
}

static void test_trees(void)
{
    char deep[DEEP * 2 + 32] = "deep";
    struct err err = {0};
    char outside[128];
    int bad = 0;

    for (int i = 0; i < DEEP; i++)
        (void)memcpy(deep + strlen(deep), "/d", 3);
    make_dir(deep);
    (void)memcpy(deep + strlen(deep), "/f", 3);
    make_file(deep);
    table = os_sys_real;
    table.fsync = f_fsync;
    os_sys = &table;
    OK(os_tree_sync(&root, "deep", &err) == 0 && dirs_flushed == DEEP + 1 && files_flushed == 1,
       "a deep tree: %d directories, %d file %s", dirs_flushed, files_flushed, err.msg);
    files_flushed = dirs_flushed = 0;
    OK(os_tree_sync(&root, ".", &err) == 0 && files_flushed == MANY + 2, "the whole root: %d files",
       files_flushed);
    for (int at = 1; at <= 3; at++) {
        fail_flush = at * 100;
        err_clear(&err);
        bad += os_tree_sync(&root, ".", &err) < 0 && err.sys == EIO ? 0 : 1;
    }
    OK(bad == 0, "a failed flush anywhere is told: %s", err.msg);
    os_sys = &os_sys_real;
    err_clear(&err);
    OK(os_tree_sync(&root, "none", &err) < 0 && err.sys == ENOENT, "no tree: %s", err.msg);
    err_clear(&err);
    (void)snprintf(outside, sizeof outside, "%s/types/out", base);
    (void)!symlink("../many", outside);
    OK(os_tree_remove(&root, "types", &err) == 0, "a tree with a link out of it is removed");
    (void)snprintf(outside, sizeof outside, "%s/many", base);
    OK(access(outside, F_OK) == 0, "the link's target is not");
    OK(os_tree_remove(&root, "deep", &err) == 0, "the deep tree %s", err.msg);
    OK(os_tree_remove(&root, "many", &err) == 0, "the wide one %s", err.msg);
    make_file("single");
    OK(os_tree_remove(&root, "single", &err) == 0, "a file");
    OK(os_tree_remove(&root, "single", &err) == OS_ABSENT, "nothing");
    OK(os_tree_remove(&root, ".", &err) < 0, "never the root");
}

int main(void)
{
    struct err err = {0};

    (void)snprintf(base, sizeof base, "/tmp/os_dir_test.XXXXXX");
    if (mkdtemp(base) == NULL || os_root_open(&root, base, &err) != 0)
        return 1;
    test_names();
    test_types();
    test_trees();
    os_root_close(&root);
    OK(rmdir(base) == 0, "all cleaned up");
    return tap_done();
}
