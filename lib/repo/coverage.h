/*
 * coverage: what a recovery can walk: segments and branches become ranges and holes.
 *
 * Pure: it knows names, facts and histories, no files.  A segment is a row; a timeline's history
 * tells where it left its ancestors and so what it needs of them.  The rules are those of the
 * restore hook (repo/absence), so a hole that is shown here is one that would stop a recovery:
 *
 *   A timeline begins at its birth: the segment that holds the point where it left its parent.  A
 *   segment before that does not exist and is no hole.
 *   A timeline needs every segment from its first one (from its birth, when anything of its
 *   ancestors is there) up to its last one, and up to the point where a later timeline left it.
 *   Before the first segment of all the archive has not begun; after the last one it goes on.
 *
 * What an expire record explains (repo/expired) is no hole.
 *
 * Rows are small, for there may be hundreds of thousands, and nothing here is quadratic.
 */
#ifndef REPO_COVERAGE_H
#define REPO_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "pg/walname.h"
#include "repo/wal.h"

enum { COVERAGE_ROWS_MAX = 1 << 26, COVERAGE_TIMELINES_MAX = 1 << 20 };

/* Stands for "no moment is known". */
#define COVERAGE_NO_TIME INT64_MIN

enum coverage_state {
    COVERAGE_UNSEEN,  /* only its name is known */
    COVERAGE_GOOD,    /* the object is sound, and so was the WAL in it when it was stored */
    COVERAGE_DAMAGED, /* the object is sound; the WAL in it was broken already */
    COVERAGE_LOST,    /* the object is damaged, forged, or cannot be read */
    COVERAGE_GONE     /* it vanished after it was listed; dropped by coverage_finish */
};

/* One segment.  Times are microseconds since 1970. */
struct coverage_row {
    uint64_t segno;
    uint64_t stored;    /* bytes of the object */
    int64_t first_time; /* of the commits in it; COVERAGE_NO_TIME when there are none */
    int64_t last_time;
    int64_t seen; /* the last commit up to its end, ancestors included; made by coverage_finish */
    lsn_t at;     /* COVERAGE_DAMAGED: the first damage */
    lsn_t end;    /* of valid data; 0 when not known */
    tli_t tli;
    uint8_t state;  /* enum coverage_state */
    uint8_t reason; /* COVERAGE_DAMAGED: enum facts_damage, 255 for greater ones */
    uint8_t join;   /* enum join_result with the segment before it on its path */
    uint32_t known; /* for the scan: 1 + the number of its entry in the index; 0: none */
};

/* Segments first <= n < end are missing. */
struct coverage_hole {
    tli_t tli;
    tli_t
        needed_by; /* the timeline that left later, or tli itself for a later segment of its own */
    uint64_t first;
    uint64_t end;
    int64_t seen; /* last commit before it */
};

enum coverage_history { COVERAGE_NO_HISTORY, COVERAGE_HISTORY, COVERAGE_HISTORY_LOST };

struct coverage_timeline {
    tli_t tli;
    tli_t parent;    /* 0: none, or not known */
    lsn_t birth;     /* where it left its parent; 0 with parent 0 */
    uint8_t history; /* enum coverage_history */
    bool reaches;    /* ancestors have segments before its birth */
    uint64_t need;   /* a later timeline needs all segments below this number; 0: none does */
    tli_t needed_by; /* that timeline */
    int64_t seen;    /* last commit of its ancestors before its birth */
    size_t row;      /* its segments are rows.v[row .. row + rows) */
    size_t rows;
    size_t hole; /* and its holes holes.v[hole .. hole + holes) */
    size_t holes;
    size_t expired; /* and what was removed on purpose expired.v[expired .. expired + expireds) */
    size_t expireds;
    size_t early; /* so many of its first rows are before its birth, where nothing can be */
    lsn_t start;  /* range of what is there, holes included; equal when nothing is */
    lsn_t end;
    uint64_t stored;
    int64_t first_time;
    int64_t last_time;
};

struct expired;

VEC_DECLARE(coverage_rows, struct coverage_row);
VEC_DECLARE(coverage_holes, struct coverage_hole);
VEC_DECLARE(coverage_timelines, struct coverage_timeline);

struct coverage {
    uint32_t segsize;
    struct coverage_rows rows;           /* by timeline and segment number */
    struct coverage_timelines timelines; /* ascending */
    struct coverage_holes holes;         /* by timeline and segment number */
    struct coverage_holes expired; /* what would be holes, had they not been removed on purpose */
    const struct expired *why;     /* what was; NULL: nothing */
};

void coverage_init(struct coverage *c, uint32_t segsize);
void coverage_fini(struct coverage *c);

/* The timeline, added when it is new (which may move the others).  NULL: no memory. */
struct coverage_timeline *coverage_timeline(struct coverage *c, tli_t tli, struct err *e);

/* The timeline if it is known. */
struct coverage_timeline *coverage_find(const struct coverage *c, tli_t tli);

/* Appends a row; rows come by timeline and segment number, ascending. */
int coverage_add(struct coverage *c, const struct coverage_row *row, struct err *e)
    __attribute__((warn_unused_result));

/* What a timeline's history says.  0; -1 with ERR_DAMAGED when it cannot be (an ancestor that is
 * no older timeline, ends that go backwards), ERR_NOMEM. */
int coverage_branches(struct coverage *c, tli_t tli, const struct wal_branches *b, struct err *e)
    __attribute__((warn_unused_result));

/* After the last row and branch: fills in what is derived.  May be called again after changes. */
int coverage_finish(struct coverage *c, struct err *e) __attribute__((warn_unused_result));

/* The row of a segment, or NULL. */
struct coverage_row *coverage_row(const struct coverage *c, const struct coverage_timeline *t,
                                  uint64_t segno);

/* The row that a recovery reads before the first segment of a timeline, on an ancestor; NULL when
 * there is none.  Needs coverage_finish, or rows and branches at least. */
struct coverage_row *coverage_before_birth(const struct coverage *c,
                                           const struct coverage_timeline *t);

/* The segment number in which a timeline begins; 0 when that is not known. */
uint64_t coverage_birth(const struct coverage *c, const struct coverage_timeline *t);

#endif
