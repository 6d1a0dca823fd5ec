/*
 * meta: the metadata part of a segment summary, for holders of the write key or of a secret key.
 *
 * It names things: restore points, relations (by number), databases, tablespaces, transactions;
 * and it has the checksums of the record pieces at both ends of the segment.  It never has bytes
 * of a row.  It is a sequence of items in the order in which things happened, except that what is
 * only known at the end (mass changes, open transactions, the two ends) comes last.
 *
 * The structs below are both what the collector hands to meta_put_* and what metaread_next fills.
 * LSNs are absolute; they are stored relative to the segment's start.
 */
#ifndef PG_META_H
#define PG_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/tlv.h"
#include "pg/walrecord.h"

enum {
    META_BYTES_MAX = 48 * 1024,
    META_LIST_MAX = 128, /* items kept of any list; its total is always exact or marked */
    META_NAME_MAX = 64,  /* a restore point's name with its closing 0 */
    META_PATH_MAX = 1024 /* a tablespace's path with its closing 0 */
};

enum meta_tag {
    META_HEAD = 0x20,
    META_TAIL = 0x21,
    META_RESTORE_POINT = 0x22,
    META_EVENT = 0x23,
    META_CHANGE = 0x24,
    META_DATABASE = 0x25,
    META_TABLESPACE = 0x26,
    META_OUTCOME = 0x27,
    META_OPEN = 0x28,
    META_RUNNING = 0x29
};

/* Checksums of the piece of a foreign record at the start, for a joiner that knows how many of
 * its bytes still belong to the record header: none, 8 or 16.  mix is, for 8 or 16 header bytes,
 * the CRC of those before xl_crc, exclusive-or xl_crc; it lets the whole be checked without
 * giving the bytes themselves away. */
struct meta_head {
    uint32_t crc[3]; /* of the piece without its first 0, 8, 16 bytes */
    uint32_t mix[3]; /* [0] is unused */
};

/* The record cut off by the end of the segment. */
struct meta_tail {
    uint8_t header_len; /* record header bytes that are in here: 8, 16 or 24 */
    uint8_t header[WALRECORD_HEADER];
    uint32_t crc; /* of the data bytes that are in here */
};

struct meta_restore_point {
    lsn_t lsn;
    int64_t time;
    char name[META_NAME_MAX];
};

/* A list that may have been longer: n kept, total seen. */
struct meta_list {
    uint32_t total;
    uint32_t n;
    uint32_t v[META_LIST_MAX];
};

struct meta_nodes {
    uint32_t total;
    uint32_t n;
    struct relnode v[META_LIST_MAX];
};

enum { META_APPROXIMATE = 0x01, META_ABORTED = 0x02, META_PREPARED = 0x04, META_CREATED = 0x08 };

/* A committed transaction that removed or made relation files, or logged a TRUNCATE. */
struct meta_event {
    lsn_t lsn; /* of the commit record */
    int64_t time;
    uint32_t xid;
    uint32_t db;
    uint8_t flags;   /* META_APPROXIMATE, META_PREPARED */
    lsn_t lock;      /* its first AccessExclusiveLock in this segment, or 0 */
    uint64_t volume; /* bytes of records that filled the files it made */
    struct meta_nodes dropped;
    struct meta_list created;   /* file numbers */
    struct meta_list stats;     /* relation OIDs whose statistics were dropped (15 and later) */
    struct meta_list invals;    /* relation OIDs taken out of the relation cache */
    struct meta_list locked;    /* relation OIDs it locked exclusively */
    struct meta_list truncated; /* relation OIDs of TRUNCATE records (wal_level logical) */
};

/* Rows deleted or updated in one relation by one committed transaction. */
struct meta_change {
    lsn_t lsn; /* of the commit record */
    int64_t time;
    uint32_t xid;
    uint8_t flags; /* META_APPROXIMATE, META_PREPARED */
    struct relnode rel;
    uint32_t deletes;
    uint32_t updates;
};

struct meta_database {
    lsn_t lsn; /* of the record itself; META_OUTCOME of xid says when it was committed */
    uint32_t xid;
    uint8_t flags; /* META_CREATED, else it was dropped */
    uint32_t db;
    uint32_t spc;
    uint32_t source; /* the template database, or 0 when the record does not say */
};

struct meta_tablespace {
    lsn_t lsn;
    uint32_t xid;
    uint8_t flags; /* META_CREATED, else it was dropped */
    uint32_t spc;
    char path[META_PATH_MAX]; /* "" for a drop */
};

/* How a transaction ended that may have begun in an earlier segment. */
struct meta_outcome {
    lsn_t lsn;
    int64_t time;
    uint32_t xid;
    uint8_t flags;         /* META_ABORTED, META_PREPARED */
    struct meta_list subs; /* its subtransactions that may have begun earlier */
};

struct meta_count {
    struct relnode rel;
    uint32_t deletes;
    uint32_t updates;
};

/* What a transaction without an end in this segment has done in it. */
struct meta_open {
    uint32_t xid;
    uint32_t top;  /* the transaction it is part of, 0 when not known */
    uint8_t flags; /* META_APPROXIMATE */
    lsn_t lock;
    uint64_t volume;
    uint32_t counts_total;
    uint32_t counts_n;
    struct meta_count counts[META_LIST_MAX];
    struct meta_list created;
    struct meta_list locked;
    struct meta_list truncated;
};

/* The last list of running transactions: what is older than `oldest` has ended. */
struct meta_running {
    lsn_t lsn;
    uint32_t next;
    uint32_t oldest;
};

struct meta_item {
    enum meta_tag tag;
    union {
        struct meta_head head;
        struct meta_tail tail;
        struct meta_restore_point restore_point;
        struct meta_event event;
        struct meta_change change;
        struct meta_database database;
        struct meta_tablespace tablespace;
        struct meta_outcome outcome;
        struct meta_open open;
        struct meta_running running;
    } u;
};

/* What outcomes are stored relative to; starts as {0}. */
struct meta_base {
    uint32_t xid;
    lsn_t lsn;
    int64_t time;
};

void meta_list_add(struct meta_list *l, uint32_t v);       /* keeps one of equal values */
bool meta_list_has(const struct meta_list *l, uint32_t v); /* among those kept */

/* Append one item; false when it did not fit and was left out.  start is the segment's. */
bool meta_put_head(struct tlv_out *o, const struct meta_head *h);
bool meta_put_tail(struct tlv_out *o, const struct meta_tail *t);
bool meta_put_restore_point(struct tlv_out *o, lsn_t start, const struct meta_restore_point *r);
bool meta_put_event(struct tlv_out *o, lsn_t start, const struct meta_event *ev);
bool meta_put_change(struct tlv_out *o, lsn_t start, const struct meta_change *c);
bool meta_put_database(struct tlv_out *o, lsn_t start, const struct meta_database *d);
bool meta_put_tablespace(struct tlv_out *o, lsn_t start, const struct meta_tablespace *t);
bool meta_put_outcome(struct tlv_out *o, lsn_t start, struct meta_base *b,
                      const struct meta_outcome *oc);
bool meta_put_open(struct tlv_out *o, lsn_t start, const struct meta_open *x);
bool meta_put_running(struct tlv_out *o, lsn_t start, const struct meta_running *r);

#endif
