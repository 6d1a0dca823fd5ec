/*
 * rescue: what the parts of `walden rescue` share.
 *
 *   rescue_scratch   the scratch directory: made, locked, swept, removed
 *   rescue_dump      pg_dump of the one table, read back, published
 *
 * The scratch directory is walden-rescue.<random>, with `lock` (held by the run that owns it),
 * `data` (the copy), `run` (configuration, socket and log of the server) and `space` (tablespaces).
 * A run that is killed takes its server with it and leaves the directory, whose lock is then free:
 * the next run removes it, and the key that its hook was handed.
 */
#ifndef CATALOG_RESCUE_H
#define CATALOG_RESCUE_H

#include "os/publish.h"
#include "restore_server.h"

struct rescue_options {
    const char *database;
    const char *output;
    const char *scratch;
    const char *backup;
    const char *owner;
    const char *passphrase_file;
    unsigned kinds;
};

struct rescue_scratch {
    struct os_root base; /* the directory that it is in */
    char base_path[PLACE_MAX];
    char name[48];
    char path[PLACE_MAX];
    char data[PLACE_MAX];
    char run[PLACE_MAX];
    int lock;
    bool made;
};

struct rescue {
    const struct rescue_options *o;
    struct restore *r;
    struct rescue_scratch scratch;
    struct restore_server server;
    struct os_root out; /* the directory of the dump */
    char out_dir[PLACE_MAX];
    char out_path[PLACE_MAX];
    const char *out_name;
};

void rescue_init(struct rescue *x);
void rescue_fini(struct rescue *x);

/* ---- scratch ---- */

/* Removes what killed runs left. */
int rescue_sweep(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
/* Makes the directory; r->o->directory is its data. */
int rescue_scratch(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_map_spaces(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_own_run(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_remove(struct rescue *x, struct err *e) __attribute__((warn_unused_result));

/* ---- dump ---- */

/* Where the dump goes: nothing may be there. */
int rescue_output(struct rescue *x, struct err *e) __attribute__((warn_unused_result));
int rescue_dump(struct rescue *x, struct err *e) __attribute__((warn_unused_result));

#endif
