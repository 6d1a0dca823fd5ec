/*
 * find: what happened to relations, told from the metadata of segments (FORMAT.md, section 11), and
 * where to stop a recovery so that it has not happened yet.
 *
 * Pure: it is given items in the order of the WAL, and relation maps; repo/find_read reads both.
 *
 *   find_begin, find_item, find_end     one segment after the other along a timeline: transactions
 *                                       that go over several segments are put together
 *   find_forget                         what was judged goes, so that memory stays bounded
 *   find_wanted, find_maps_*            which numbers need a name; the maps (repo/find_map)
 *   find_candidates                     what it was: dropped, truncated, rewritten, deleted
 *
 * Nothing is guessed in silence.  A candidate is `unsure` when the WAL allows another reading, a
 * count is `at_least` when some rows may have gone untold, and a relation that no map knows keeps
 * its number.
 */
#ifndef REPO_FIND_H
#define REPO_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "pg/meta.h"
#include "repo/find_map.h"
#include "repo/plan.h"

enum { FIND_MAX = 1 << 24, FIND_ROWS_MIN = 64, FIND_VOLUME = 64 * 1024 };

enum find_kind {
    FIND_DROP,          /* the relation is gone */
    FIND_TRUNCATE,      /* it is empty, or was filled anew */
    FIND_REWRITE,       /* VACUUM FULL, CLUSTER, ALTER TABLE: its rows are in another file */
    FIND_DELETE,        /* many rows were deleted or updated */
    FIND_DROP_DATABASE, /* with all that was in it */
    FIND_RESTORE_POINT,
    FIND_COMMIT, /* the end of a transaction that did nothing of the above */
    FIND_KINDS
};

/* So many numbers in the pool; `total` is how many there were. */
struct find_list {
    uint32_t at;
    uint32_t n;
    uint32_t total;
};

/* A committed transaction that dropped or made relation files, or truncated. */
struct find_event {
    lsn_t lsn; /* of the commit */
    lsn_t lock;
    int64_t time; /* microseconds since 1970 */
    uint64_t volume;
    tli_t tli; /* the timeline whose history it is */
    uint32_t xid;
    uint32_t db;
    bool has_stats; /* 15 and later tell which relations were dropped */
    bool incomplete;
    struct find_list dropped; /* file numbers */
    struct find_list created;
    struct find_list stats;
    struct find_list invals;
    struct find_list locked;
    struct find_list truncated;
};

struct find_change {
    lsn_t lsn;
    int64_t time;
    tli_t tli;
    uint32_t xid;
    struct relnode rel;
    uint64_t deletes;
    uint64_t updates;
    bool at_least;
};

/* A database that was dropped. */
struct find_base {
    lsn_t lsn; /* of the record that removes the files */
    lsn_t end; /* of the commit; 0: not seen */
    int64_t time;
    tli_t tli;
    uint32_t xid;
    uint32_t db;
    bool aborted;
};

struct find_point {
    lsn_t lsn;
    int64_t time;
    tli_t tli;
    char name[PLAN_NAME_MAX];
};

VEC_DECLARE(find_numbers, uint32_t);
VEC_DECLARE(find_events, struct find_event);
VEC_DECLARE(find_changes, struct find_change);
VEC_DECLARE(find_bases, struct find_base);
VEC_DECLARE(find_points, struct find_point);

/* Transactions that are open at this point of a timeline. */
struct find_open {
    uint64_t seen; /* the segment it was told of last */
    lsn_t lock;
    uint64_t volume;
    uint32_t xid;
    uint32_t top;
    bool approximate;
};
struct find_count {
    uint32_t xid;
    struct relnode rel;
    uint64_t deletes;
    uint64_t updates;
};
enum find_note_kind { FIND_MADE, FIND_LOCKED, FIND_TRUNCATED };
struct find_note {
    uint32_t xid;
    uint32_t value;
    uint8_t kind; /* enum find_note_kind */
};
struct find_ended {
    lsn_t lsn;
    int64_t time;
    uint32_t xid;
    bool aborted;
    struct find_list subs;
};
/* A commit that was judged, and that the file of a later timeline tells again. */
struct find_place {
    lsn_t lsn;
    tli_t tli;
};
VEC_DECLARE(find_places, struct find_place);
VEC_DECLARE(find_opens, struct find_open);
VEC_DECLARE(find_counts, struct find_count);
VEC_DECLARE(find_notes, struct find_note);
VEC_DECLARE(find_endeds, struct find_ended);

struct find_state {
    struct find_opens opens;
    struct find_counts counts;
    struct find_notes notes;
};

struct find_segment {
    tli_t tli; /* of the file */
    uint64_t segno;
    uint8_t lost;   /* FACTS_LOST_* */
    bool has_stats; /* by its version */
};

struct find {
    const struct plan_lines *lines;
    struct find_numbers pool;
    struct find_events events;
    struct find_changes changes;
    struct find_bases bases;
    struct find_points points;
    struct find_maps maps;
    struct find_state state;
    struct find_segment segment; /* in hand */
    struct find_endeds ends;     /* in it */
    struct meta_running running; /* in it; lsn 0: none */
    size_t first_event;          /* of it */
    size_t first_change;
    struct find_places told; /* before find_forget */
    uint64_t lost;           /* segments whose summary says that events were left out */
};

/* lines: of the inventory; must outlive it. */
void find_init(struct find *f, const struct plan_lines *lines);
void find_fini(struct find *f);

/* The timeline on which a record at lsn, found in a file of `tli`, was written. */
tli_t find_owner(const struct plan_lines *lines, tli_t tli, lsn_t lsn);

/* Was what happened at (a, lsn) before something at lsn or behind it on timeline b? */
bool find_leads_to(const struct plan_lines *lines, tli_t a, lsn_t lsn, tli_t b);

/* ---- items ---- */

void find_begin(struct find *f, const struct find_segment *s);
int find_item(struct find *f, const struct meta_item *item, struct err *e)
    __attribute__((warn_unused_result));
int find_end(struct find *f, struct err *e) __attribute__((warn_unused_result));

/* A segment could not be read: counts of what is open are no longer whole. */
void find_gap(struct find *f);

/* The state in front of a branch: kept, and taken up again. */
int find_state_copy(struct find_state *to, const struct find_state *from, struct err *e)
    __attribute__((warn_unused_result));
void find_state_init(struct find_state *s);
void find_state_fini(struct find_state *s);

/* After the last segment: brings all into order, and keeps one of what two files told. */
void find_finish(struct find *f);

/* So many bytes wait to be judged. */
size_t find_pending(const struct find *f);

/* Forgets events and changes, which were judged (find_judge), and the maps; a segment was ended.
 * What is open, where rewrites put rows, databases and restore points stay. */
int find_forget(struct find *f, uint32_t segsize, struct err *e)
    __attribute__((warn_unused_result));

/* Every number that a map may know, ascending. */
int find_wanted(const struct find *f, struct find_numbers *out, struct err *e)
    __attribute__((warn_unused_result));

/* ---- candidates ---- */

struct find_filter {
    unsigned kinds;          /* bits 1 << enum find_kind */
    struct find_table table; /* none: all */
    const char *database;    /* name or number; NULL: all */
    uint64_t rows;           /* FIND_DELETE: at least so many */
    bool doubtful;           /* with FIND_DROP: rewrites that may have been one, too */
};

struct find_candidate {
    enum find_kind kind;
    lsn_t lsn;    /* of the commit, or of the restore point */
    lsn_t lock;   /* the first exclusive lock of its transaction; 0: none, or not known */
    lsn_t before; /* stopping before this record it has not happened; 0: a restore point */
    int64_t time; /* COVERAGE_NO_TIME when it is not known */
    tli_t tli;
    uint32_t xid;
    uint32_t db;     /* 0: none */
    uint32_t oid;    /* of the relation; 0: not known */
    uint32_t file;   /* its file number, when nothing else is known */
    uint32_t others; /* relations beside it that no map knows */
    char relkind;    /* 0: not known */
    bool unsure;     /* it may have been something else */
    bool incomplete; /* not all that the transaction did is on record */
    bool at_least;   /* the counts */
    bool later;      /* the name is from a map that was made afterwards */
    bool kept;       /* the caller's: the names are its own */
    uint64_t deletes;
    uint64_t updates;
    const char *database; /* names from the maps; NULL: not known */
    const char *schema;
    const char *name; /* of the relation, or the restore point */
};
VEC_DECLARE(find_candidates, struct find_candidate);

/* All that pass the filter, by timeline and LSN; what no map can name passes a filter by name with
 * name NULL, for it may be the one. */
int find_candidates(struct find *f, const struct find_filter *filter, struct find_candidates *out,
                    struct err *e) __attribute__((warn_unused_result));

/* The same without databases and restore points: to be called before find_forget. */
int find_judge(struct find *f, const struct find_filter *filter, struct find_candidates *out,
               struct err *e) __attribute__((warn_unused_result));

/* By timeline and LSN. */
int find_order(const struct find_candidate *a, const struct find_candidate *b);
void find_sort(struct find_candidates *c);

/* "public.orders", as SQL would have it quoted. */
enum { FIND_NAME_MAX = 2 * 2 * 64 + 8 };
void find_relation_text(const char *schema, const char *name, char out[FIND_NAME_MAX]);

/* In one word: "drop", "truncate". */
const char *find_kind_word(enum find_kind kind);

#endif
