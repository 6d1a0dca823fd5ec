/*
 * walxact: the main data of commit, abort and prepare records.
 *
 * These carry nearly all that makes a moment worth finding: when it happened, which transactions
 * it ends, and which relations' files it removes.
 */
#ifndef PG_WALXACT_H
#define PG_WALXACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pg/walrecord.h"

/* Records of the Transaction resource manager: info & WALXACT_OP. */
enum {
    WALXACT_COMMIT = 0x00,
    WALXACT_PREPARE = 0x10,
    WALXACT_ABORT = 0x20,
    WALXACT_COMMIT_PREPARED = 0x30,
    WALXACT_ABORT_PREPARED = 0x40,
    WALXACT_ASSIGNMENT = 0x50,
    WALXACT_OP = 0x70
};

/* A list of fixed-size items inside the record; n counts those that were given. */
struct walxact_list {
    const uint8_t *p; /* borrowed */
    uint32_t n;
    uint32_t total; /* as announced; more than n when the record was cut off */
};

struct walxact {
    bool commit;                /* COMMIT or COMMIT_PREPARED */
    bool prepared;              /* one of the *_PREPARED */
    int64_t time;               /* microseconds since 2000-01-01 UTC */
    uint32_t xid;               /* for *_PREPARED the one that was prepared */
    uint32_t db;                /* 0 when the record does not say */
    struct walxact_list subs;   /* u32 each */
    struct walxact_list rels;   /* 12 bytes: tablespace, database, file number */
    struct walxact_list stats;  /* item_size bytes: kind, database, object */
    struct walxact_list invals; /* 16 bytes; commits only */
    uint8_t stats_item;         /* bytes of one item of stats */
};

/* Takes a commit or abort record apart.  0; 1 when it contradicts itself.  A record that was cut
 * off is no contradiction: its lists are short and say so in total. */
int walxact_parse(const struct version *v, const struct walrecord *r, struct walxact *out);

/* Items of the lists. */
uint32_t walxact_sub(const struct walxact *x, uint32_t i);
struct relnode walxact_rel(const struct walxact *x, uint32_t i);

/* Dropped statistics of a relation: its OID, or 0 when item i is of another kind. */
uint32_t walxact_stat_relation(const struct walxact *x, uint32_t i);

/* Relation-cache invalidation: the relation's OID, or 0 when message i is of another kind. */
uint32_t walxact_inval_relation(const struct walxact *x, uint32_t i);

#endif
