/*
 * rescue: what the parts of `walden rescue` share.
 *
 *   scratch          the directory of the copy: made, locked, swept, removed
 *   rescue_dump      pg_dump of the one table, read back, published as a file
 *   rescue_store     the same as a dump in the repository
 */
#ifndef CATALOG_RESCUE_H
#define CATALOG_RESCUE_H

#include "os/publish.h"
#include "restore_server.h"
#include "scratch.h"

struct rescue_options {
    const char *database;
    const char *output;
    const char *scratch;
    const char *backup;
    const char *owner;
    const char *passphrase_file;
    unsigned kinds;
};

struct rescue {
    const struct rescue_options *o;
    struct restore *r;
    struct scratch scratch;
    struct restore_server server;
    struct os_root out; /* the directory of the dump */
    char out_dir[PLACE_MAX];
    char out_path[PLACE_MAX];
    const char *out_name;
};

/* ---- dump ---- */

/* Where the dump goes: nothing may be there. */
int rescue_output(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_dump(struct rescue *x, struct err *e) __attribute__((warn_unused_result));

/* The table and, of a partitioned one, all parts, as pg_dump's patterns: rows of one column; and
 * the user that may read them. */
int rescue_tables(const struct rescue *x, struct pgconn_rows **rows, const char **user,
                  struct err *e) __attribute__((warn_unused_result));

/* ---- into the repository ---- */

/* Before anything is done: ERR_REFUSED when dumps cannot be written from here. */
int rescue_may_store(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_store(struct rescue *x, struct err *e) __attribute__((warn_unused_result));

#endif
