/*
 * unpack: writes the files of a backup into a directory.
 *
 *     unpack_open       what is in the backup: sizes, tablespaces, every name
 *     unpack_map        a tablespace goes elsewhere
 *     unpack_begin      the directories, which must be there and empty, or are made
 *     unpack_files      all files but global/pg_control, by several threads
 *     ...               settings of the caller's
 *     unpack_finish     flushes everything, then writes global/pg_control: only now a server starts
 *
 * Names are hostile input: they are resolved beneath the directory, or the tablespace's, and
 * never through a link; the only links that are made are pg_tblspc/<oid>.  A file that is there
 * already is an error, unless the caller says that a half-done or older copy of this very cluster
 * is there: then each file is compared by its size and CRC-32C, what differs is written again and
 * what does not belong there is removed.
 */
#ifndef REPO_UNPACK_H
#define REPO_UNPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "os/root.h"
#include "repo/manifest_read.h"
#include "repo/pack_set.h"
#include "repo/pages.h"
#include "repo/unpack_pool.h"

#define UNPACK_CONTROL  "global/pg_control"
#define UNPACK_LABEL    "backup_label"
#define UNPACK_MAP      "tablespace_map"
#define UNPACK_MANIFEST "backup_manifest"

enum { UNPACK_SPACES_MAX = 1 << 20, UNPACK_FILES_MAX = 1 << 28, UNPACK_TEXT_MAX = 4 * 1024 * 1024 };

/* A tablespace outside the data directory. */
struct unpack_space {
    uint32_t oid;
    char *path;   /* as it was on the server */
    char *target; /* where it goes; the same until mapped */
    bool moved;
};
VEC_DECLARE(unpack_spaces, struct unpack_space);
VEC_DECLARE(unpack_hashes, uint64_t);
VEC_DECLARE(unpack_bits, uint8_t);

/* A name in the backup; for a link `target` is where it goes.  outside: an absolute path. */
enum unpack_kind {
    UNPACK_IS_FILE,
    UNPACK_IS_DIR,
    UNPACK_IS_LINK,
    UNPACK_IS_WAL,
    UNPACK_IS_OUTSIDE
};
typedef int (*unpack_name_fn)(void *arg, enum unpack_kind kind, const char *path,
                              const char *target, uint64_t size, struct err *e);

struct unpack_totals {
    uint64_t files; /* pg_control included */
    uint64_t dirs;
    uint64_t bytes;
    uint64_t wal;     /* segments that come with the backup */
    uint64_t outside; /* configuration files from outside the data directory */
    bool has_label;
    bool has_control;
    bool has_map;
    bool has_conf; /* postgresql.conf in the data directory */
    bool group;    /* the group may read the data directory */
};

struct unpack_how {
    const char *dir;     /* absolute */
    const char *outside; /* absolute: where files from outside go; NULL: nowhere */
    unsigned jobs;
    bool existing;    /* compare with what is there */
    const char *keep; /* a file in dir that is the caller's own, and never the backup's; NULL */
    bool own;         /* give everything to: */
    uid_t uid;
    gid_t gid;
    /* Called about five times a second; may be NULL.  -1 ends the work. */
    int (*progress)(void *arg, uint64_t bytes, struct err *e);
    void *arg;
};

/* Where names lead. */
struct unpack_tree {
    struct os_root dir;
    struct os_root outside;
    struct os_root space; /* the one used last */
    uint32_t oid;         /* of it; 0: none */
    char *made;           /* the directory that was made or seen last */
};

struct unpack {
    struct repo *repo;
    char label[MANIFEST_LABEL_MAX];
    struct manifest_public public;
    struct object_reader *scratch;
    struct pack_set set;
    bool has_set;
    struct unpack_totals totals;
    struct unpack_spaces spaces; /* by oid */
    struct unpack_how how;
    struct unpack_tree tree;
    struct unpack_pool pool;
    /* the file in hand */
    struct unpack_file *file;
    struct unpack_job *job;
    uint64_t at;     /* in it */
    bool skip;       /* the file in hand is not written */
    bool is_control; /* it is pg_control */
    struct pages_run control[PAGES_ENTRY];
    unsigned control_runs;
    uint64_t control_size;
    uint32_t control_crc;
    uint32_t control_mode;
    struct buf label_text;
    struct buf map_text;
    bool wrote_label; /* as a file of the backup */
    bool wrote_map;
    int manifest_fd;
    /* existing */
    uint8_t key[SECRET_TABLE_KEY];
    struct unpack_hashes known;
    struct unpack_bits same; /* a bit per file, in the manifest's order */
    uint64_t number;
    uint64_t compared; /* bytes that need not be written */
    char parent[PAGES_PATH_MAX + 1];
    /* unpack_open */
    unpack_name_fn each;
    void *each_arg;
    int64_t told;     /* progress */
    struct err cause; /* why something could not be written */
};

/* Reads the backup's manifest through.  each (may be NULL) is called for every name.  -1 also when
 * the backup is not one that a server can start from. */
int unpack_open(struct unpack *u, struct repo *repo, const char *label, unpack_name_fn each,
                void *arg, struct err *e) __attribute__((warn_unused_result));
/* Calls each for every name, by reading the manifest again: a list of them would be long. */
int unpack_names(struct unpack *u, unpack_name_fn each, void *arg, struct err *e)
    __attribute__((warn_unused_result));
void unpack_close(struct unpack *u); /* accepts a zeroed struct */

/* The tablespace that was at `path` goes to `target` (absolute).  -1: there is none. */
int unpack_map(struct unpack *u, const char *path, const char *target, struct err *e)
    __attribute__((warn_unused_result));

int unpack_begin(struct unpack *u, const struct unpack_how *how, struct err *e)
    __attribute__((warn_unused_result));
int unpack_files(struct unpack *u, struct err *e) __attribute__((warn_unused_result));
int unpack_finish(struct unpack *u, struct err *e) __attribute__((warn_unused_result));

/* Removes global/pg_control, durably, so that nothing starts here meanwhile. */
int unpack_disarm(struct unpack *u, struct err *e) __attribute__((warn_unused_result));

/* ---- inside ---- */

/* Opens the directory at an absolute path; makes it, and what is missing above it. */
int unpack_tree_open(struct os_root *root, const char *path, mode_t mode, struct unpack *u,
                     struct err *e) __attribute__((warn_unused_result));

/* Resolves a name of the manifest: the root it lies beneath, and *rel inside path.  *skip: it is
 * not to be written (a tablespace's own link, files from outside that nobody wants). */
int unpack_tree_find(struct unpack *u, const char *path, unsigned flags, struct os_root **root,
                     const char **rel, bool *skip, struct err *e)
    __attribute__((warn_unused_result));
int unpack_tree_dir(struct unpack *u, const char *path, uint32_t mode, struct err *e)
    __attribute__((warn_unused_result));
int unpack_tree_link(struct unpack *u, const struct unpack_space *s, struct err *e)
    __attribute__((warn_unused_result));
/* Makes a file that must not exist (existing: replaces it). */
int unpack_tree_file(struct unpack *u, struct os_root *root, const char *rel, uint32_t mode,
                     int *fd, struct err *e) __attribute__((warn_unused_result));
void unpack_tree_close(struct unpack *u);

/* Has the file of the backup the name of the caller's own? */
bool unpack_is_kept(const struct unpack *u, const struct manifest_file *f);

/* Where a WAL segment that is kept in the backup goes: "pg_wal/<name>", or NULL. */
const char *unpack_tree_wal(const char *path, char out[64]);

/* The space of that oid, or of pg_tblspc/<oid>[/...]; NULL. */
struct unpack_space *unpack_space(const struct unpack *u, uint32_t oid);
struct unpack_space *unpack_space_of(const struct unpack *u, const char *path);

/* Compares what is there with the manifest, and removes what does not belong. */
int unpack_clean(struct unpack *u, struct err *e) __attribute__((warn_unused_result));

/* Reads the manifest again. */
int unpack_read(struct unpack *u, const struct manifest_events *events, struct err *e)
    __attribute__((warn_unused_result));

/* Calls progress when it is time. */
int unpack_tell(struct unpack *u, struct err *e) __attribute__((warn_unused_result));

#endif
