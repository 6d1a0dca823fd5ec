/*
 * sibling: a connection to another database of the same server.
 */
#ifndef PGCONN_SIBLING_H
#define PGCONN_SIBLING_H

#include "pgconn/pgconn.h"

/* Connects as `first` did, of several hosts to the one that answered; *c is NULL unless 0. */
int pgconn_sibling(struct pgconn **c, struct pgconn *first, const char *dbname, struct err *e)
    __attribute__((warn_unused_result));

#endif
