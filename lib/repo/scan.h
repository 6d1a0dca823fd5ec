/*
 * scan: looks at everything that the WAL tree of a lineage holds.
 *
 * First all names are listed, with sizes and times (with `quick` not of each: FORMAT.md 10.1). What
 * the index (repo/index) does not know as it is there, is opened: two small reads, which prove
 * header, trailer and signature and give the facts (and a record for the index).  Neighbours are
 * joined on the way (pg/join).  What is wrong with one object is a problem, not an error: the scan
 * goes on.  What was there once and is not any more, is one, too.  No object is changed, and no
 * secret key is needed.
 *
 * With `deep` every object is opened and read back as well (repo/verify), and neighbours are joined
 * with checksums, too, where the metadata can be read.
 */
#ifndef REPO_SCAN_H
#define REPO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "pg/walname.h"
#include "pg/walwalk.h"
#include "repo/coverage.h"
#include "repo/expired.h"
#include "repo/index.h"
#include "repo/problem.h"
#include "repo/repo.h"
#include "repo/wal.h"

enum { SCAN_EXTRAS_MAX = 1 << 22 };

/* A .partial or .backup file. */
struct scan_extra {
    uint64_t segno;
    uint64_t stored;
    lsn_t end;         /* partial: of valid data; 0 when not known */
    int64_t last_time; /* partial: of its commits; COVERAGE_NO_TIME when there are none */
    tli_t tli;
    uint32_t offset; /* backup: where it started in its segment */
    uint32_t known;  /* see struct coverage_row */
    bool partial;
};
VEC_DECLARE(scan_extras, struct scan_extra);

struct scan {
    struct coverage cover;
    struct problems problems;
    struct scan_extras extras; /* by timeline and segment */
    struct expired expired;
    uint64_t objects;   /* looked at, */
    uint64_t opened;    /* and so many of them opened */
    uint64_t stored;    /* their bytes */
    bool index_damaged; /* some file of the index was (it is made again where possible) */
};

/* An open object, for `deep`. */
struct scan_object {
    const struct walname *name;
    struct object_reader *reader;        /* unlocked with whatever keys are here */
    const struct facts *facts;           /* segments and partials: what is stored, decoded */
    const struct wal_branches *branches; /* histories: likewise */
};

enum { SCAN_DIFFERS = 1 };

/*
 * Reads one object back.  *found is the stored summary, as far as the keys here open it (o->facts
 * are its facts); it may be replaced by what the content really says, which is then used to join
 * the object with its neighbours, and must stay valid until the next call.  0; -1, or SCAN_DIFFERS
 * when the object is sound but its summary does not tell what is in it, both with *e.
 */
typedef int (*scan_deep_fn)(void *arg, const struct scan_object *o, struct wal_summary *found,
                            struct err *e);

/* What a segment says of itself; called for each in order, whether it was opened or not. */
typedef int (*scan_facts_fn)(void *arg, const struct facts *f, struct err *e);

struct scan_how {
    tli_t timeline;      /* look into this one only (0: all); the others are only listed */
    bool quick;          /* where a directory shows no change since the index knew it, believe that
                            nobody changed an object in its place */
    scan_facts_fn facts; /* may be NULL */
    scan_deep_fn deep;
    void *arg;
    /* Told which segments will be read back, by timeline and number, before the first of them is,
       and behind the last (c NULL); may be NULL. */
    int (*begin)(void *arg, const struct coverage *c, struct err *e);
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_arg;
};

void scan_init(struct scan *s);
void scan_fini(struct scan *s);

/*
 * Scans the current lineage of r into *s (initialised) and derives all problems.  reader is
 * scratch.  0, or -1 for what ends a scan: no memory, a signal, the repository is gone.
 */
int scan_lineage(struct scan *s, struct repo *r, const struct scan_how *how,
                 struct object_reader *reader, struct err *e) __attribute__((warn_unused_result));

#endif
