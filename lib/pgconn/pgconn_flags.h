/*
 * pgconn_flags: the flags that say which server is meant, by the conventions of libpq, for every
 * program that connects to one.
 */
#ifndef PGCONN_PGCONN_FLAGS_H
#define PGCONN_PGCONN_FLAGS_H

#include "base/opt.h"
#include "pgconn/pgconn.h"

struct pgconn_flags {
    const char *host;
    const char *port;
    const char *user;
    const char *dbname;
    uint64_t wait;
};

/* -h, -p, -U, -d, --wait; f must outlive the set. */
struct opt_set pgconn_flags_set(struct pgconn_flags *f);

/* Flags before the configuration's dsn (or NULL) before what libpq finds by itself. */
struct pgconn_opts pgconn_flags_to(const struct pgconn_flags *f, const char *dsn);

#endif
