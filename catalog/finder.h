/*
 * finder: what find, restore --before-drop and rescue share: the candidates of the current lineage,
 * and for each of them where a recovery should stop.
 *
 * Where to stop.  A transaction that drops or truncates holds an exclusive lock from some point on,
 * and a server that is paused behind that point has taken the lock over: a query on the table waits
 * for ever.  Stopping before the lock avoids that, but loses what others committed between the lock
 * and the commit; promoting just before the commit loses nothing, for the transaction is rolled
 * back and its locks are gone, but the copy cannot go further.  So: before the lock, paused, when
 * no commit lies between; else just before the commit, promoted.  Nothing is lost either way, and
 * the table can be read at once.
 */
#ifndef CATALOG_FINDER_H
#define CATALOG_FINDER_H

#include "repo/find_choose.h"
#include "repo/find_read.h"
#include "restore.h"

VEC_DECLARE(finder_texts, char *);

/*
 * An archive of months may hold millions of events, so they are judged as they are read, and of
 * what passes the filter only the newest stay.
 */
struct finder {
    struct find find;
    struct find_read read;
    struct find_filter filter;
    struct find_bounds bounds;                                     /* finder_init: none */
    bool (*fits)(const void *arg, const struct find_candidate *c); /* NULL: all do */
    const void *fits_arg;
    size_t most;      /* so many stay; finder_init: FIND_MAX */
    bool names_first; /* what has no name gives way first */
    struct find_candidates all;
    uint64_t left_out;         /* older ones */
    struct finder_texts texts; /* of those whose maps are gone */
    struct restore *r;         /* while it runs */
};

void finder_init(struct finder *f);

/* Opens nothing: r has its repository and inventory (restore_open).  Reads the archive, as far as
 * f->bounds reach, and fills f->all by f->filter, both of which the caller has set. */
int finder_run(struct finder *f, struct restore *r, struct err *e)
    __attribute__((warn_unused_result));
void finder_fini(struct finder *f); /* accepts a zeroed struct */

struct finder_aim {
    struct plan_target target;
    enum restore_action action;
    bool reachable;
    bool at_lock;          /* it stops before the transaction's first lock */
    bool chosen;           /* by us, because nothing is lost by it */
    bool unproven;         /* only a secret key tells where a database was marked as invalid */
    struct plan_end kept;  /* the last commit that is in; lsn 0: not known exactly */
    int64_t kept_time;     /* COVERAGE_NO_TIME: not known */
    char why[ERR_MSG_MAX]; /* not reachable */
};

/* Where to stop for a candidate.  action: what the user asked for, or -1.  Plans with r, whose
 * target and plan are then those. */
int finder_aim(struct restore *r, const struct find_candidate *c, int action,
               struct finder_aim *aim, struct err *e) __attribute__((warn_unused_result));

/* The options that aim there: "--target-lsn 0/3000028 --target-exclusive". */
int finder_options(const struct finder_aim *aim, struct buf *b, struct err *e)
    __attribute__((warn_unused_result));
/* The whole command, with DIR for the directory. */
int finder_command(const struct restore *r, const struct finder_aim *aim, struct buf *b,
                   struct err *e) __attribute__((warn_unused_result));

enum { FINDER_TEXT = 512 };

/* "table public.orders of database app", made harmless for a terminal. */
void finder_what(const struct find_candidate *c, char out[FINDER_TEXT]);
/* "dropped", "120 rows deleted"; */
void finder_how(const struct find_candidate *c, char out[FINDER_TEXT]);

/* The one candidate that --before-drop and its like mean.  -1: there is none, or more than one,
 * which are then listed on standard error with a command for each. */
int finder_pick(struct finder *f, struct restore *r, const struct find_candidate **out,
                struct err *e) __attribute__((warn_unused_result));

/* What was searched, as far as it was not all: sentences, each on lines of its own. */
int finder_caveats(const struct finder *f, const struct restore *r, struct buf *b, struct err *e)
    __attribute__((warn_unused_result));

/* The table that was asked for, and nothing was found of: is there one that was meant?  Sentences,
 * or nothing. */
int finder_guess(const struct finder *f, struct buf *b, struct err *e)
    __attribute__((warn_unused_result));

/* Is something wrong with the archive, so that not all could be searched? */
bool finder_has_trouble(const struct finder *f);

#endif
