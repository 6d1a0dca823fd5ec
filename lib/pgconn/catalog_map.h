/*
 * catalog_map: which relation a file of the data directory belongs to, by name, for all databases.
 *
 * WAL knows relations by number alone; the map taken beside each base backup gives them names
 * later.  It needs a SQL login with the right to connect, no more: pg_class is open to everybody.
 * Rows are fetched in portions, so memory is bounded however many relations there are.
 */
#ifndef PGCONN_CATALOG_MAP_H
#define PGCONN_CATALOG_MAP_H

#include <stdint.h>

#include "base/err.h"
#include "pgconn/pgconn.h"

struct catalog_relation {
    uint32_t oid;
    uint32_t filenode;   /* 0: it has no file of its own */
    uint32_t tablespace; /* 0: that of its database */
    char kind;           /* pg_class.relkind */
    const char *schema;  /* in UTF-8; valid during the call */
    const char *name;
};

/* Each returns 0, or -1 with *e filled, which ends the reading. */
struct catalog_map_events {
    int (*database)(void *arg, uint32_t oid, const char *name, struct err *e);
    int (*relation)(void *arg, const struct catalog_relation *r, struct err *e);
    /* A database that nobody let us into; the others go on. */
    void (*skipped)(void *arg, const char *name, const struct err *why);
};

/* Reads the map over an open SQL connection, and one more for each other database. */
int catalog_map_read(struct pgconn *c, const struct catalog_map_events *events, void *arg,
                     struct err *e) __attribute__((warn_unused_result));

/* Where configuration comes from. */
struct catalog_files_events {
    int (*data_directory)(void *arg, const char *path, struct err *e); /* called first */
    int (*file)(void *arg, const char *path, struct err *e);           /* a configuration file */
};

/* Calls with the paths on the server.  A role without pg_read_all_settings is ERR_REFUSED. */
int catalog_files_read(struct pgconn *c, const struct catalog_files_events *events, void *arg,
                       struct err *e) __attribute__((warn_unused_result));

#endif
