/*
 * catalog_count: exact numbers of rows of chosen tables, each database in one snapshot.
 *
 * What cannot be counted (no such table, no right to read it, locked) is told, and the others go
 * on.
 */
#ifndef PGCONN_CATALOG_COUNT_H
#define PGCONN_CATALOG_COUNT_H

#include <stdint.h>

#include "pg/walname.h"
#include "pgconn/pgconn.h"

struct catalog_count {
    const char *database; /* names in UTF-8; valid during the call */
    const char *schema;
    const char *table;
    uint64_t rows;
    int64_t time; /* when the snapshot was taken; microseconds since 1970 */
    lsn_t lsn;    /* WAL inserted (on a standby: replayed) just after it was */
};

struct catalog_count_events {
    int (*count)(void *arg, const struct catalog_count *c, struct err *e);
    void (*skipped)(void *arg, const char *name, const struct err *why);
};

/* tables: a list for tablename_next; names without a database are of that of the connection.  -1
 * also when the first connection is not allowed. */
int catalog_count_read(const struct pgconn_opts *o, const char *tables,
                       const struct catalog_count_events *events, void *arg, struct err *e)
    __attribute__((warn_unused_result));

#endif
