/*
 * connect: the flags that say which server is meant, by the conventions of libpq.
 */
#ifndef CATALOG_CONNECT_H
#define CATALOG_CONNECT_H

#include "base/opt.h"
#include "pgconn/pgconn.h"
#include "repo/settings.h"

struct connect {
    const char *host;
    const char *port;
    const char *user;
    const char *dbname;
};

/* -h, -p, -U, -d; c must outlive the set. */
struct opt_set connect_options(struct connect *c);

/* Flags before the configuration's dsn before what libpq finds by itself. */
struct pgconn_opts connect_to(const struct connect *c, const struct settings *s);

#endif
