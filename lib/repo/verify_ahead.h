/*
 * verify_ahead: threads that read segments back before the scan comes to them.
 *
 * The scan joins neighbours, so it needs the segments in order, one by one.  The workers take them
 * in that order too, each keeps its result until the scan has used it, and then takes the next; so
 * memory is bounded by the number of workers.
 */
#ifndef REPO_VERIFY_AHEAD_H
#define REPO_VERIFY_AHEAD_H

#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"
#include "pg/walwalk.h"
#include "repo/coverage.h"
#include "repo/repo.h"
#include "repo/verify_log.h"
#include "repo/verify_part.h"

enum { VERIFY_AHEAD_MAX = 32, VERIFY_AHEAD_NOT = 2 };

struct verify_ahead;

struct verify_ahead_how {
    struct repo *repo;
    const struct coverage *cover; /* its rows are read, in order; must not change meanwhile */
    const struct verify_log *log; /* what it has is passed over; NULL: none */
    struct verify_part part;
    tli_t timeline; /* 0: all */
    unsigned jobs;
};

/* Starts the workers; NULL with *e. */
struct verify_ahead *verify_ahead_start(const struct verify_ahead_how *how, struct err *e);

/*
 * The result of a segment, waited for: what verify_read answers, with *found replaced (valid until
 * the next call) and *bytes.  VERIFY_AHEAD_NOT: no worker could open it; read it yourself.
 */
int verify_ahead_take(struct verify_ahead *a, const struct walname *name, struct wal_summary *found,
                      uint64_t *bytes, struct err *e);

/* Stops and frees; accepts NULL. */
void verify_ahead_stop(struct verify_ahead *a);

#endif
