/*
 * place: paths as a person typed them, and files outside the repository (configuration, keys).
 */
#ifndef CATALOG_PLACE_H
#define CATALOG_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "os/root.h"

enum { PLACE_MAX = 4096, PLACE_FILE_MAX = 256 * 1024 };

/* Whose things become; only root can give something away, so for others nothing is asked. */
struct place_owner {
    bool change;
    uid_t uid;
    gid_t gid;
};

/* From "/" on, without doubled or trailing slashes; links stay as they are. */
int place_absolute(char out[PLACE_MAX], const char *path, struct err *e)
    __attribute__((warn_unused_result));

/* dir/name */
int place_join(char out[PLACE_MAX], const char *dir, const char *name, struct err *e)
    __attribute__((warn_unused_result));

/* Copies the directory of an absolute path; answers the last component inside path. */
const char *place_split(char dir[PLACE_MAX], const char *path);

/* Follows the links that the last component of path may be. */
int place_resolve(char path[PLACE_MAX], struct err *e) __attribute__((warn_unused_result));

/* Whether two paths lead to one file or directory (both must exist). */
bool place_is_same(const char *a, const char *b);

/* Whether path, or the nearest directory above it that exists, lies in dir or is it.
 * 1 yes, 0 no, -1. */
int place_inside(const char *path, const char *dir, struct err *e)
    __attribute__((warn_unused_result));

/* Whether a directory above path (or it) holds an entry of that name; the directory goes to out. */
bool place_find_above(const char *path, const char *name, char out[PLACE_MAX]);

/* Makes one directory, durably, for its owner.  0 made, 1 it was there, -1 (also when the directory
 * above is missing). */
int place_make_dir(const char *path, mode_t mode, const struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

/* Gives what rel names beneath root to the owner, when it is not his. */
int place_own(struct os_root *root, const char *rel, const struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

/* Writes a file whole and durably; it belongs to the owner before it appears.  0 written; 1 it was
 * there with this content; -1, ERR_REFUSED when it holds something else and replace is false. */
int place_put(const char *path, const void *text, size_t len, mode_t mode, bool replace,
              const struct place_owner *owner, struct err *e) __attribute__((warn_unused_result));

/* The absolute path of another program of ours: beside this one, else as in PATH; false when it is
 * in neither place, and out is its name. */
bool place_program(char out[PLACE_MAX], const char *name);

/* Appends text as one word of a shell. */
int place_shell_word(struct buf *b, const char *text, struct err *e)
    __attribute__((warn_unused_result));

#endif
