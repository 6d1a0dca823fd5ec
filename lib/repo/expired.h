/*
 * expired: what was removed on purpose (FORMAT.md section 10, kind 9).
 *
 * The expire records of a lineage say which WAL and which objects `walden expire` took away.  What
 * they name is shown as expired; a segment that is missing and that no record explains is a hole.
 * A record that cannot be read or must not be trusted explains nothing and is a problem.
 */
#ifndef REPO_EXPIRED_H
#define REPO_EXPIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "pg/walname.h"
#include "repo/manifest.h"
#include "repo/problem.h"
#include "repo/repo.h"

enum {
    EXPIRED_TAG_REMOVED = 90, /* text: a line `kind name reason` per object */
    EXPIRED_TAG_WAL = 91,     /* u32 timeline, u64 from, u64 to */
    EXPIRED_TAG_CLOCK = 92,   /* i64: the clock that was accepted; text: `kind name time` */
    EXPIRED_TAG_LAST = 96,    /* the newest record of a writer that was removed */
    EXPIRED_TAG_RUN = 97,     /* i64: the clock of the run; its host */
    EXPIRED_TAG_COPY = 99,    /* id of the copy that it was written for */
    EXPIRED_NAME_MAX = 144,   /* "<job>/<label>" */
    EXPIRED_MAX = 1 << 22,
    EXPIRED_REASON_MAX = 256
};

/* WAL of a timeline, from <= LSN < to; whole segments. */
struct expired_range {
    tli_t tli;
    lsn_t from;
    lsn_t to;
};
VEC_DECLARE(expired_ranges, struct expired_range);

/* An object that is no WAL. */
struct expired_object {
    enum object_kind kind;
    char name[EXPIRED_NAME_MAX];
    char reason[EXPIRED_REASON_MAX];
};
VEC_DECLARE(expired_objects, struct expired_object);

/* An entry whose own time is not believed, and the time to take instead. */
struct expired_belief {
    enum object_kind kind;
    char name[EXPIRED_NAME_MAX];
    int64_t time;
};
VEC_DECLARE(expired_beliefs, struct expired_belief);

/* The newest record of a writer among those that were removed. */
struct expired_last {
    uint8_t writer[MANIFEST_WRITER];
    uint64_t sequence;
    uint8_t digest[MANIFEST_DIGEST];
};
VEC_DECLARE(expired_lasts, struct expired_last);

/* A record's place in its writer's chain. */
struct expired_head {
    char label[FRAME_NAME_MAX + 1];
    struct manifest_head head;
};
VEC_DECLARE(expired_heads, struct expired_head);

struct expired {
    struct expired_ranges ranges;   /* by timeline and place, apart from each other */
    struct expired_objects objects; /* by kind and name */
    struct expired_heads heads;     /* one per record, by label */
    struct expired_beliefs beliefs;
    struct expired_lasts lasts;
    size_t unreadable; /* records that explain nothing */
    int64_t clock;     /* the greatest that was accepted; INT64_MIN: none */
    int64_t run;       /* the clock of the latest run by its own clock; INT64_MIN */
    char run_label[FRAME_NAME_MAX + 1];
};

void expired_init(struct expired *x);
void expired_fini(struct expired *x);

/* Reads all expire records of the current lineage into *x (initialised).  Those that cannot be read
 * become problems (p may be NULL).  In a copy, what the repository's records name and the copy
 * still has is left out: a copy has its own retention.  0, or -1 when nothing can be listed. */
int expired_read(struct expired *x, struct repo *r, struct problems *p,
                 struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));

/*
 * The same of the condemned lists: what a run is about to remove, or was when it was cut off.  A
 * restore treats it as absent: it takes its lease first, then reads these.  A list that cannot be
 * read is an error.
 */
int expired_read_condemned(struct expired *x, struct repo *r, struct object_reader *scratch,
                           struct err *e) __attribute__((warn_unused_result));

/* One record's public part; expired_finish after the last one. */
int expired_decode(struct expired *x, const char *label, const uint8_t *part, size_t len,
                   struct err *e) __attribute__((warn_unused_result));
void expired_finish(struct expired *x);

/* Was the whole segment removed on purpose? */
bool expired_segment(const struct expired *x, tli_t tli, uint64_t segno, uint32_t segsize);

/* How far, from `segno` on, do the answers of expired_segment stay the same?  The number of the
 * first segment that differs; UINT64_MAX: none does. */
uint64_t expired_until(const struct expired *x, tli_t tli, uint64_t segno, uint32_t segsize);

/* The object, when it was removed on purpose, else NULL. */
const struct expired_object *expired_find(const struct expired *x, enum object_kind kind,
                                          const char *name);

/* ---- inside (expired_copy.c) ---- */

/* Was the record written for this copy? */
bool expired_is_own(const struct repo *r, const uint8_t *part, size_t len);

/* Adds to *x what the records of the repository, *theirs (finished), explain in its copy r: what of
 * it is not there. */
int expired_explain(struct expired *x, const struct expired *theirs, struct repo *r, struct err *e)
    __attribute__((warn_unused_result));

/* The time to believe instead of an entry's own; false: its own. */
bool expired_belief(const struct expired *x, enum object_kind kind, const char *name,
                    int64_t *time);

#endif
