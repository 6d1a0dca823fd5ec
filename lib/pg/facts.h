/*
 * facts: the public part of a segment summary.
 *
 * What anybody who holds the archive may know: where the segment lies, how it joins its
 * neighbours, when its transactions ended, how many there were, and whether it is damaged.  No
 * names, no relation, no row.  Enough for the restorable window, for `check` and for `expire`.
 *
 * LSNs are absolute in the struct and relative to the segment's start when encoded.  Times are
 * PostgreSQL's: microseconds since 2000-01-01 UTC.  0 stands for "none" in every LSN but start.
 */
#ifndef PG_FACTS_H
#define PG_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"

enum {
    FACTS_BYTES_MAX = 1024, /* the encoded form never needs more */
    FACTS_DAMAGE_MAX = 16,
    FACTS_CHANGES_MAX = 4
};

/* Bits of facts.flags. */
enum {
    FACTS_PARTIAL = 0x01,      /* a .partial: what follows its last record was not judged */
    FACTS_SWITCHED = 0x02,     /* ends with a SWITCH record; the rest is zero */
    FACTS_OVERWRITE = 0x04,    /* the first page drops the unfinished record before it */
    FACTS_HEAD_ENDS = 0x08,    /* the record that was continued at the start ends in here */
    FACTS_HEAD_DROPPED = 0x10, /* it was given up in here: a later page overwrites it */
    FACTS_OPEN_END = 0x20      /* valid data stop before the segment does (.partial, or damage) */
};

/* Bits of facts.lost: what did not fit the metadata part. */
enum {
    FACTS_LOST_EVENTS = 0x01,   /* events, restore points, databases, tablespaces */
    FACTS_LOST_CHANGES = 0x02,  /* mass changes: the smaller ones are missing */
    FACTS_LOST_COUNTS = 0x04,   /* counts of open transactions: too low, or include rolled-back */
    FACTS_LOST_OUTCOMES = 0x08, /* ends of transactions that began in an earlier segment */
    FACTS_LOST_OPEN = 0x10      /* transactions still open at the end */
};

enum facts_damage {
    FACTS_BAD_CRC = 1,        /* a record's bytes do not have its checksum */
    FACTS_BAD_PREV = 2,       /* a record does not point to the one before it */
    FACTS_BAD_PAGE = 3,       /* a page header is not that of this place */
    FACTS_BAD_LENGTH = 4,     /* a record length that cannot be */
    FACTS_BAD_CONTRECORD = 5, /* a continued record goes on with another length, or not at all */
    FACTS_AFTER_SWITCH = 6,   /* bytes other than zero behind a SWITCH record */
    FACTS_ENDS_EARLY = 7,     /* zeros where a record must be */
    FACTS_BAD_RECORD = 8      /* the checksum is right, the inside contradicts itself */
};

/* The end of transactions; all 0 while none was seen. */
struct facts_times {
    int64_t first; /* in LSN order */
    int64_t last;
    int64_t least; /* in time order: clocks step, and times are taken before the insertion */
    int64_t greatest;
};

struct facts {
    uint16_t magic;
    uint8_t flags;
    uint8_t lost;
    uint32_t segsize;
    uint64_t sysid;
    tli_t tli; /* of the file name */
    tli_t first_tli;
    tli_t last_tli; /* of its first and last page */
    lsn_t start;

    uint64_t records; /* that start here, the one that the end cuts included */
    lsn_t first_rec;  /* first record start, */
    lsn_t first_prev; /* and the record before it as that record says */
    lsn_t last_rec;   /* last record that lies wholly in here */
    lsn_t end;        /* end of valid data */

    uint64_t commits; /* prepared ones included */
    uint64_t aborts;
    uint64_t prepares;
    struct facts_times xact_times;   /* commits and aborts: what a time target looks at */
    struct facts_times commit_times; /* commits alone */
    lsn_t first_commit;
    lsn_t last_commit;

    uint64_t checkpoints;
    lsn_t last_checkpoint;
    lsn_t last_redo;

    uint32_t switches; /* of the timeline; the first FACTS_CHANGES_MAX are kept */
    struct {
        lsn_t lsn;
        tli_t from;
        tli_t to;
    } tli_switch[FACTS_CHANGES_MAX];

    uint32_t levels; /* parameter changes; the first FACTS_CHANGES_MAX are kept */
    struct {
        lsn_t lsn;
        uint32_t level; /* 0 minimal, 1 replica, 2 logical */
    } wal_level[FACTS_CHANGES_MAX];

    uint64_t points; /* restore points, */
    uint64_t spaces; /* and tablespaces that were made; none are counted in old summaries */

    uint32_t head_rem;     /* bytes of a record begun before that were due at the start; 0: none */
    uint32_t head_present; /* of these in here */
    lsn_t tail;            /* record that goes on in the next segment; 0: none */
    uint32_t tail_len;     /* its whole length */
    uint32_t tail_present; /* of these in here */

    uint64_t damages; /* the first FACTS_DAMAGE_MAX are kept */
    struct {
        lsn_t lsn;
        uint32_t reason; /* enum facts_damage; later versions may know more */
    } damage[FACTS_DAMAGE_MAX];
};

/* Adds one moment to times; `any` says whether there was one before. */
void facts_time(struct facts_times *t, int64_t time, bool any);

/* A damage in one phrase: "a record's checksum is wrong". */
const char *facts_damage_text(uint32_t reason);

/* Writes the encoded form and returns its length. */
size_t facts_encode(const struct facts *f, uint8_t out[FACTS_BYTES_MAX]);

/* Reads it back.  What the bytes say is checked against itself (LSNs within the segment, counts
 * within limits), so that a reader need not.  0, or -1 with ERR_DAMAGED. */
int facts_decode(const void *p, size_t n, struct facts *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
