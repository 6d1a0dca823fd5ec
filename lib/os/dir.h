/*
 * dir: what a directory holds, and whole trees.
 *
 * Listings are read through getdents64 with one reused buffer.  "." and ".." are left out; the
 * order is the filesystem's for os_dir_each and by bytes for os_dir_names.  Trees are walked with a
 * heap of pending paths: depth costs neither stack nor descriptors, and links are never followed.
 */
#ifndef OS_DIR_H
#define OS_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "os/root.h"

enum os_dir_type { OS_TYPE_UNKNOWN, OS_TYPE_FILE, OS_TYPE_DIR, OS_TYPE_LINK, OS_TYPE_OTHER };

/* 0 goes on, a positive value ends the listing and is returned, -1 is an error (err filled). */
typedef int (*os_dir_fn)(void *arg, const char *name, enum os_dir_type type, struct err *err);

/*
 * Calls fn for every entry of the directory fd (its position is not touched).  Entries whose type
 * the filesystem does not tell are asked for with fstatat, so fn sees UNKNOWN only for a name that
 * vanished.  0, what fn returned, -1.
 */
int os_dir_each(int fd, os_dir_fn fn, void *arg, const char *what, struct err *err);

/* A listing in memory: names in one block, sorted by bytes. */
struct os_names {
    size_t n;
    struct os_name {
        uint32_t at;
        uint8_t type; /* enum os_dir_type */
    } * list;
    size_t cap;
    char *text;
    size_t used;
    size_t room;
};

#define OS_NAMES_INIT                                                                              \
    {                                                                                              \
        .n = 0, .list = NULL, .cap = 0, .text = NULL, .used = 0, .room = 0                         \
    }

/* Fills *names (started with OS_NAMES_INIT); more than max entries is ERR_NOMEM. */
int os_dir_names(int fd, struct os_names *names, size_t max, const char *what, struct err *err);
void os_names_fini(struct os_names *names);

static inline const char *os_name_at(const struct os_names *names, size_t i)
{
    return names->text + names->list[i].at;
}

/* Removes a file of the open directory.  Not flushed.  0, OS_ABSENT, -1. */
int os_dir_unlink(int fd, const char *name, const char *what, struct err *err);

/* lstat(2) of a name in the directory fd.  0, OS_ABSENT, -1. */
int os_dir_stat(int fd, const char *name, struct stat *st, const char *what, struct err *err);

int os_dir_is_empty(int fd, bool *empty, const char *what, struct err *err);

/*
 * Flushes every regular file and every directory of the tree at rel ("." for all), after starting
 * write-back of all of them.  Nothing but regular files and directories is opened.
 */
int os_tree_sync(struct os_root *root, const char *rel, struct err *err);

/* Removes the tree at rel, itself included (but not the root).  0, OS_ABSENT, -1. */
int os_tree_remove(struct os_root *root, const char *rel, struct err *err);

#endif
