/*
 * find_read: reads what repo/find judges: the metadata of segments, the relation maps of backups,
 * and, where only the records of a segment tell, these.
 *
 * The metadata opens with the write key of a host or with a secret key; the records, and what
 * crosses from one segment into the next, with a secret key alone.  What stays closed is counted.
 */
#ifndef REPO_FIND_READ_H
#define REPO_FIND_READ_H

#include "repo/find.h"
#include "repo/inventory.h"

struct find_read {
    const bool *want;  /* set by the caller (repo/find_choose); NULL: all are read */
    uint64_t skipped;  /* not wanted */
    uint64_t segments; /* read */
    uint64_t sealed;   /* no key here opens their metadata */
    uint64_t broken;   /* damaged, or gone */
    uint64_t holes;    /* places where segments are missing */
    uint64_t crossing; /* records between two segments that only a secret key opens */
    uint64_t maps;     /* with names */
    uint64_t no_maps;  /* backups whose map cannot be read, or that have none */
    int64_t first;     /* commits from, */
    int64_t last;      /* to; COVERAGE_NO_TIME: none */
    struct err why;    /* the first that was broken */
    struct find_guess guess;
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* set by the caller; may be NULL */
    void *progress_arg;
    /* Set by the caller; may be NULL: much waits to be judged, so judge and forget it (find_finish,
     * find_read_maps_near, find_judge, find_forget). */
    int (*judge)(void *arg, struct err *e);
    void *judge_arg;
};

enum { FIND_PENDING_MAX = 6 * 1024 * 1024 };

/* Reads the segments of the inventory that are wanted into f (initialised with the inventory's
 * lines), and orders them.  0, or -1 for what ends the reading: no memory, a signal. */
int find_read_segments(struct find *f, const struct inventory *v, struct repo *r,
                       struct object_reader *scratch, struct find_read *how, struct err *e)
    __attribute__((warn_unused_result));

/* Reads the relation maps, keeping what the segments mention and what `table` names. */
int find_read_maps(struct find *f, const struct inventory *v, struct repo *r,
                   const struct find_table *table, struct object_reader *scratch,
                   struct find_read *how, struct err *e) __attribute__((warn_unused_result));

/* The same for a part of the archive, with the maps before, in and next behind it. */
int find_read_maps_near(struct find *f, const struct inventory *v, struct repo *r,
                        const struct find_table *table, struct object_reader *scratch,
                        struct find_read *how, struct err *e) __attribute__((warn_unused_result));

/*
 * Where to stop so that a database that was dropped can still be used.  Its files go with the
 * record at c->before, but servers mark it as invalid first, at once and for good; the mark is
 * looked for in the records before.  c->before becomes its place.  0; 1: the records cannot be
 * read; -1.
 */
int find_read_mark(struct find_candidate *c, const struct inventory *v, struct repo *r,
                   struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* The ends of transactions in one segment, into `ends`.  0; 1: it cannot be read; -1. */
int find_read_ends(struct plan_ends *ends, const struct inventory *v, struct repo *r, tli_t tli,
                   uint64_t segno, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
