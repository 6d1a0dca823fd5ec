/*
 * walwalk: one pass over a WAL segment, in pieces of any size, that proves and summarises it.
 *
 * Two kinds of bad news are kept apart.  REFUSED: the file is not the segment its name says (wrong
 * size, version, place, cluster); it must not be archived under that name, and the walker stops
 * with an error.  DAMAGE inside the right segment: it is recorded in the summary with its place,
 * and walking goes on at the next page that tells where a record starts, so that the summary stays
 * useful.
 *
 * Not judged: the rest of a .partial behind its last good record (old pages, about to be reused).
 * Demanded: nothing but zeros behind a SWITCH record, where it is not cut off.  Accepted: pages of
 * an older timeline at the start of a new one, segments in which no record starts, records begun
 * before or ended after the segment; those are summarised as fragments that pg/join puts together.
 *
 * The struct is big (see WALWALK_BYTES_MAX) and has no pointers of its own to free: embed it, or
 * allocate it once.  Nothing here allocates.
 */
#ifndef PG_WALWALK_H
#define PG_WALWALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "pg/facts.h"
#include "pg/meta.h"
#include "pg/version.h"
#include "pg/walevent.h"
#include "pg/walname.h"
#include "pg/walpage.h"
#include "pg/walrecord.h"

enum {
    WALWALK_BYTES_MAX = 384 * 1024,
    WALWALK_DATA_MAX = 2048,
    WALWALK_HEAD_RAW = 512, /* bytes kept of a foreign record at the start */
    WALWALK_TAIL_RAW = 1024 /* and of a wanted record cut off by the end */
};

/* Tags of the data part, which only holders of a secret key may see: bytes of records. */
enum { WALWALK_HEAD_BYTES = 0x40, WALWALK_TAIL_BYTES = 0x41 };

enum walwalk_state {
    WALWALK_RECORDS, /* the normal one */
    WALWALK_RESYNC,  /* after damage: the next good page says where a record starts */
    WALWALK_ENDED,   /* zeros where a record must be; more zeros are not news */
    WALWALK_SWITCHED,
    WALWALK_QUIET /* nothing further is judged */
};

/* A record that does not lie within one page. */
struct walwalk_pending {
    lsn_t lsn;    /* its start; for a foreign one the segment's */
    uint32_t tot; /* whole length; for a foreign one what was due */
    uint32_t got;
    uint32_t crc;  /* of the data so far; of all bytes for a foreign one */
    uint32_t want; /* so many first bytes are kept in rec, */
    uint32_t kept; /* and so many are there */
    bool active;
    bool foreign; /* begun in an earlier segment */
};

struct walwalk {
    const struct version *v;
    crc32c_fn *crc;
    uint64_t sysid; /* 0: any */
    uint32_t segsize;
    enum walwalk_state state;
    bool partial;
    bool cuts;    /* set it after walwalk_init: what is behind a SWITCH is not judged but cut off */
    bool later;   /* behind the first damage, or what ends a .partial, is a page of this segment */
    lsn_t behind; /* the end of the last sound record, page headers in it counted */
    bool knows_prev;
    bool suspect; /* the last record was bad, so where it ends is not sure */
    lsn_t prev;   /* start of the last record */
    uint64_t fed;
    uint32_t page_fill;
    struct facts facts;
    struct walwalk_pending pending;
    struct meta_head head;
    uint32_t head_kept;
    uint32_t data_len;
    uint8_t head_raw[WALWALK_HEAD_RAW];
    uint8_t data[WALWALK_DATA_MAX];
    uint8_t page[WALPAGE_SIZE];
    uint8_t rec[WALEVENT_WHOLE];
    uint8_t meta[META_BYTES_MAX];
    struct walevent event;
};

/* The three parts; meta and data point into the walker. */
struct wal_summary {
    struct facts facts;
    const uint8_t *meta;
    size_t meta_len;
    const uint8_t *data;
    size_t data_len;
};

/* Starts on the segment (or partial) that name says; sysid is the cluster's system identifier or
 * 0 when it is not known.  -1 when the name does not fit the segment size. */
int walwalk_init(struct walwalk *w, const struct walname *name, uint32_t segsize, uint64_t sysid,
                 struct err *e) __attribute__((warn_unused_result));

/* The next n bytes of the file.  0; -1 with ERR_REFUSED when this is not the segment its name
 * says, after which the walker must be given up. */
int walwalk_feed(struct walwalk *w, const uint8_t *p, size_t n, struct err *e)
    __attribute__((warn_unused_result));

/* How much of the file, from its start, counts by what was fed; the rest is to be taken for zeros.
 * Less than the segment size only with `cuts`, behind a SWITCH record in a segment without damage:
 * a cascading standby is told of a switch before it has the zeros, and sends on to the next one
 * what its recycled file holds there.  No server ever reads that. */
uint64_t walwalk_kept(const struct walwalk *w);

/* The same for a file that ends early: the end of its last record, when nothing of this segment can
 * be behind it (only old pages); else the segment size. */
uint64_t walwalk_sound(const struct walwalk *w);

/* The end of the file.  Fills *out; -1 with ERR_REFUSED when the size is wrong. */
int walwalk_finish(struct walwalk *w, struct wal_summary *out, struct err *e)
    __attribute__((warn_unused_result));

/* Encodes the public part of *s and returns its length. */
static inline size_t walwalk_public(const struct wal_summary *s, uint8_t out[FACTS_BYTES_MAX])
{
    return facts_encode(&s->facts, out);
}

#endif
