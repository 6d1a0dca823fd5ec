/*
 * find: what the parts of `walden find` share.
 */
#ifndef CATALOG_FIND_H
#define CATALOG_FIND_H

#include "finder.h"

enum { FIND_SCHEMA = 1 };

struct find_options {
    const char *near;
    const char *since;
    const char *until;
    const char *database;
    const char *xid;
    const char *passphrase_file;
    uint64_t rows;
    uint64_t limit;
    bool drop;
    bool truncate;
    bool deletes;
    bool rewrites;
    bool points;
    bool json;
};

/* A run.  Large: on the heap. */
struct find_run {
    const struct find_options *o;
    struct restore *r;
    struct finder finder;
    struct find_candidates shown; /* oldest first */
    uint64_t omitted;             /* older ones beyond the limit */
    int64_t since;                /* COVERAGE_NO_TIME: no bound */
    int64_t until;
    int64_t near;
    uint32_t xid;  /* 0: not asked for */
    lsn_t aborted; /* where that transaction was rolled back; 0 */
    int64_t aborted_time;
    bool no_ends;  /* commits near the time could not be read without the secret key */
    bool narrowed; /* by time, transaction or table */
};

/* Adds what only the records tell: commits near a time, the end of a transaction (find_ends). */
int find_near(struct find_run *f, struct err *e) __attribute__((warn_unused_result));
int find_xid(struct find_run *f, struct err *e) __attribute__((warn_unused_result));

int find_show(const struct find_run *f, struct err *e) __attribute__((warn_unused_result));
int find_json(const struct find_run *f, struct err *e) __attribute__((warn_unused_result));

#endif
