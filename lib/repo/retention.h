/*
 * retention: which backups, dumps and WAL are kept, which go, and why.
 *
 * Pure: it is given what there is and decides; repo/expire finds out and removes.  Without any key,
 * from public parts alone.
 *
 *   Rules     last=N the newest; daily=N the newest of each of the N newest days (UTC) that have
 *             one, so that nothing goes just because time passes; within=T all that are younger,
 *             and of backups the one before them, from which the oldest moments are reached.
 *   Order     by timeline and LSN.  Times only tell which day it was, and only when no clock went
 *             backwards; otherwise nothing is decided until a person accepts the clock.
 *   Good      what cannot be restored takes no place of a rule, and goes when it would go if it
 *             were good.
 *   Floor     the newest good one; the newest that was verified, or, while none was, the newest
 *             two; of backups all this also for the way to the latest timeline: after a recovery
 *             to a moment the newest backup may lie on the branch that was left.
 *   Copies    what would go stays while a copy that must have it has not acknowledged it.
 *   WAL       from the start of each kept backup on, along every timeline that it leads to; with
 *             wal_within only as far back as that, and what each backup needs to be consistent.
 *             None while a backup runs, since nobody knows where it began.
 */
#ifndef REPO_RETENTION_H
#define REPO_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "repo/copied.h"
#include "repo/expired.h"
#include "repo/plan.h"
#include "repo/settings.h"

enum {
    RETENTION_GROUP_MAX = 64,
    RETENTION_NOTE_MAX = 160,
    RETENTION_REASON_MAX = EXPIRED_REASON_MAX,
    RETENTION_ITEMS_MAX = 1 << 20
};

/* An entry may be so much in the future: hosts' clocks differ.  And a backup may have ended so much
 * before one that ends at an earlier LSN: standbys lag. */
#define RETENTION_AHEAD (INT64_C(10) * 60 * 1000000)
#define RETENTION_BACK  (INT64_C(24) * 3600 * 1000000)

/* ---- what there is ---- */

/* A backup (KIND_MANIFEST) or a dump (KIND_DUMP). */
struct retention_item {
    enum object_kind kind;
    char name[EXPIRED_NAME_MAX];
    char group[RETENTION_GROUP_MAX + 1]; /* a backup's tag, a dump's job */
    int64_t time;                        /* when it ended */
    bool believed;                       /* `time` is what a person accepted */
    bool readable;
    bool good;        /* it can be restored, as far as is known */
    bool removed;     /* an expire record names it: it came back, or a run was cut off */
    bool held;        /* a restore or drill is reading it: note says who */
    bool pinned;      /* note says until when and why */
    uint8_t verified; /* enum verified_level */
    char note[RETENTION_NOTE_MAX];
    uint64_t bytes; /* of a dump's object */
    /* Backups; when not readable, start_tli and start are those of the label.  A dump's place in
     * the order of all dumps is `stop`. */
    tli_t start_tli;
    tli_t stop_tli;
    lsn_t start;
    lsn_t stop;
    bool inside; /* its own WAL is in it */
};
VEC_DECLARE(retention_items, struct retention_item);

/* Another clock: when something was written, says whoever wrote it. */
struct retention_mark {
    enum object_kind kind; /* KIND_EXPIRE, KIND_SEGMENT */
    char name[EXPIRED_NAME_MAX];
    int64_t time;
};
VEC_DECLARE(retention_marks, struct retention_mark);

struct retention_input {
    const struct plan_input *wal; /* its segments and lines */
    struct retention_items items; /* any order */
    struct retention_marks marks;
    struct settings_keep keep_backups;
    struct settings_keep keep_dumps;
    uint64_t wal_within; /* microseconds; 0: as long as backups need it */
    int64_t now;
    /* Copies that must have what goes; place: of this lineage's backups and WAL in them. */
    const struct copied *copies;
    size_t n_copies;
    char place[COPIED_PLACE_MAX];
    char cluster[COPIED_PLACE_MAX]; /* the same of dumps */
    unsigned intents;               /* backups that are running */
    bool accept_clock; /* decide in spite of doubts, with the times that they propose */
};

void retention_input_init(struct retention_input *in);
void retention_input_fini(struct retention_input *in);

/* ---- the decision ---- */

enum retention_why {
    RETENTION_ALL = 1, /* the rule keeps everything */
    RETENTION_LAST = 2,
    RETENTION_DAILY = 4,
    RETENTION_WEEKLY = 8,
    RETENTION_MONTHLY = 16,
    RETENTION_YEARLY = 32,
    RETENTION_WITHIN = 64,
    RETENTION_BASE = 128, /* of the oldest moments that `within` covers */
    RETENTION_FLOOR = 256,
    RETENTION_PINNED = 512,
    RETENTION_HELD = 1024,
    RETENTION_UNREADABLE = 2048,
    RETENTION_UNCOPIED = 4096 /* a copy that must have it does not */
};

struct retention_verdict {
    bool keep;
    unsigned why; /* enum retention_why of what is kept */
    int64_t time; /* that was believed */
    char reason[RETENTION_REASON_MAX];
};
VEC_DECLARE(retention_verdicts, struct retention_verdict);

/* An entry whose time cannot be. */
struct retention_doubt {
    enum object_kind kind;
    char name[EXPIRED_NAME_MAX];
    int64_t time;
    int64_t propose;              /* to believe instead */
    char after[EXPIRED_NAME_MAX]; /* "": it is in the future; else it is at odds with this one */
};
VEC_DECLARE(retention_doubts, struct retention_doubt);

/* Segments first <= n < behind go; none of them is needed, some may not be there. */
struct retention_range {
    tli_t tli;
    uint64_t first;
    uint64_t behind;
    uint64_t segments; /* that are there, */
    uint64_t bytes;    /* and stored in them */
};
VEC_DECLARE(retention_ranges, struct retention_range);

/* Moments from <= x < to that could be reached and cannot be any more; from == to: a backup's end
 * alone. */
struct retention_loss {
    tli_t tli;
    lsn_t from;
    lsn_t to;
    int64_t from_time; /* COVERAGE_NO_TIME: not known */
    int64_t to_time;
};
VEC_DECLARE(retention_losses, struct retention_loss);

struct retention {
    struct retention_doubts doubts;     /* any, and not accepted: nothing else is decided */
    struct retention_verdicts verdicts; /* one per item, in the input's order */
    struct retention_ranges ranges;     /* by timeline and number */
    struct retention_losses losses;     /* by timeline and LSN */
    char wal[RETENTION_REASON_MAX];     /* why WAL goes, or why none does */
};

void retention_init(struct retention *r);
void retention_fini(struct retention *r);

/* Decides; r is initialised and may be used again.  0, or -1 for want of memory. */
int retention_decide(struct retention *r, const struct retention_input *in, struct err *e)
    __attribute__((warn_unused_result));

/* Does the decision take this segment? */
bool retention_takes(const struct retention *r, tli_t tli, uint64_t segno);

/* Is the clock in doubt, and not accepted? */
static inline bool retention_is_blocked(const struct retention *r, const struct retention_input *in)
{
    return r->doubts.n > 0 && !in->accept_clock;
}

/* ---- inside (retention_wal.c) ---- */

int retention_wal(struct retention *r, const struct retention_input *in, struct err *e)
    __attribute__((warn_unused_result));

/* Is the backup on that way: can a recovery from it get to the timeline at its end? */
bool retention_leads(const struct plan_parts *parts, const struct retention_item *item);

#endif
