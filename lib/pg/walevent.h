/*
 * walevent: turns the records of a segment into its facts and its metadata.
 *
 * It is told of each good record in LSN order and looks into the few kinds that matter: ends of
 * transactions, row deletes and updates, relation files made, locks, restore points, checkpoints,
 * parameter and timeline changes, databases and tablespaces.
 *
 * A reader that has joined the two pieces of a record that crosses a segment boundary uses the
 * same collector on that one record.
 */
#ifndef PG_WALEVENT_H
#define PG_WALEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/facts.h"
#include "pg/meta.h"
#include "pg/walxact.h"
#include "pg/walxids.h"

enum {
    WALEVENT_WHOLE = 64 * 1024, /* first bytes kept of a record that is looked into */
    WALEVENT_ROWS_MIN = 64,     /* fewer rows of one relation in one transaction are not told */
    WALEVENT_CHANGES = 256,
    WALEVENT_OPEN = 128,
    WALEVENT_OUTCOMES = 512
};

struct walevent {
    const struct version *v;
    struct facts *facts;
    struct tlv_out meta;
    struct meta_base base; /* of the outcomes written so far */
    uint32_t outcomes;
    uint32_t rows_min; /* WALEVENT_ROWS_MIN; who reads a single joined record sets 1 */
    bool knows_old;    /* transactions above old_max began in this segment */
    uint32_t old_max;
    uint32_t seen_max; /* highest transaction seen, while knows_old is false */
    struct meta_running running;
    uint32_t changes; /* filled entries of change */
    struct meta_change change[WALEVENT_CHANGES];
    struct walxids xids;
    union { /* one at a time, too big for the stack of a small machine */
        struct meta_event event;
        struct meta_open open;
        struct meta_outcome outcome;
        struct meta_tablespace tablespace;
    } scratch;
};

/* Starts collecting into *facts (whose place fields are set) and the META_BYTES_MAX bytes at
 * meta; both stay the caller's and are complete after walevent_finish. */
void walevent_init(struct walevent *ev, const struct version *v, struct facts *facts,
                   uint8_t *meta);

/* How many first bytes of a record walevent_record needs: 0 for one that is not looked into. */
static inline uint32_t walevent_want(const struct walevent *ev, uint8_t rmid, uint8_t info);

/* One record with a right checksum: p holds its first avail bytes, at least what walevent_want
 * says or the whole.  0; 1 when it contradicts itself. */
int walevent_record(struct walevent *ev, const uint8_t *p, size_t avail, lsn_t lsn);

/* Whether p, a record's 24 header bytes, is a segment switch. */
static inline bool walevent_is_switch(const uint8_t *p)
{
    return p[17] == WALRECORD_XLOG && (p[16] & 0xf0) == 0x40;
}

/* Writes what only the end of the segment tells: mass changes, open transactions.  Returns the
 * length of the metadata, to which the caller may still add through ev->meta. */
void walevent_finish(struct walevent *ev);

/* What is looked into, by resource manager and high four bits of info; for those of the second
 * table the relation is enough, and for those of the third only while somebody makes files. */
static inline uint32_t walevent_want(const struct walevent *ev, uint8_t rmid, uint8_t info)
{
    static const uint16_t whole[WALRECORD_HEAP + 1] = {
        [WALRECORD_XLOG] = 0x02c3,    /* checkpoints, parameters, restore point, end of recovery */
        [WALRECORD_XACT] = 0x3f3f,    /* all but invalidations */
        [WALRECORD_SMGR] = 0x0002,    /* create */
        [WALRECORD_DBASE] = 0xffff,   /* few */
        [WALRECORD_TBLSPC] = 0xffff,  /* few */
        [WALRECORD_STANDBY] = 0x0003, /* locks, running transactions */
        [WALRECORD_HEAP] = 0x0a0a,    /* delete, truncate */
    };
    static const uint16_t relation[WALRECORD_HEAP + 1] = {
        [WALRECORD_HEAP] = 0x1414, /* update, hot update */
    };
    static const uint16_t volume[WALRECORD_HEAP + 1] = {
        [WALRECORD_XLOG] = 0x0800,  /* page image */
        [WALRECORD_HEAP2] = 0x2020, /* multi-insert */
        [WALRECORD_HEAP] = 0x0101,  /* insert */
    };
    unsigned bit = 1u << (info >> 4);

    if (rmid > WALRECORD_HEAP)
        return 0;
    if ((whole[rmid] & bit) != 0)
        return WALEVENT_WHOLE;
    if ((relation[rmid] & bit) != 0 || (ev->xids.creating > 0 && (volume[rmid] & bit) != 0))
        return WALRECORD_RELATION_BYTES;
    return 0;
}

#endif
