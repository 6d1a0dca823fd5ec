/*
 * walrecord: the inside of one WAL record.
 *
 * A record is a header of 24 bytes, a chain of fragment headers, and then the payload they
 * announce: page images, block data, and last the main data.  Main data is what tells what was
 * done; of the block references only the first is of interest, for it names the relation.
 *
 * Nothing here allocates, and nothing trusts a length.  A record may be given cut off behind its
 * first `avail` bytes (big ones are not kept whole); what lies behind is then missing, not wrong.
 */
#ifndef PG_WALRECORD_H
#define PG_WALRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/version.h"
#include "pg/walname.h"

enum {
    WALRECORD_HEADER = 24,
    WALRECORD_MAX = 1020 * 1024 * 1024, /* PostgreSQL's own limit on xl_tot_len */
    WALRECORD_RELATION_BYTES = 64       /* so many first bytes are enough for walrecord_relation */
};

/* Resource managers that are looked into. */
enum {
    WALRECORD_XLOG = 0,
    WALRECORD_XACT = 1,
    WALRECORD_SMGR = 2,
    WALRECORD_DBASE = 4,
    WALRECORD_TBLSPC = 5,
    WALRECORD_STANDBY = 8,
    WALRECORD_HEAP2 = 9,
    WALRECORD_HEAP = 10
};

/* A relation's file: tablespace, database, file number. */
struct relnode {
    uint32_t spc;
    uint32_t db;
    uint32_t rel;
};

struct walrecord {
    lsn_t lsn;
    uint32_t tot_len;
    uint32_t xid;
    lsn_t prev;
    uint8_t info;
    uint8_t rmid;
    uint32_t crc;
    uint32_t top_xid;    /* 0 unless the record names its top transaction */
    bool has_block;      /* block reference 0 is there, */
    struct relnode rel;  /* and this is its relation */
    const uint8_t *main; /* main data, borrowed */
    uint32_t main_len;   /* as announced, */
    uint32_t main_avail; /* and as far as it was given */
};

/* Reads the 24 bytes of a record header; the other fields become 0. */
void walrecord_header(const uint8_t *p, lsn_t lsn, struct walrecord *out);

/* Takes a whole record apart: p holds its first avail bytes, header included, of which there are
 * at least 24 and at most tot_len.  0; 1 when the chain of fragment headers contradicts itself. */
int walrecord_parse(const struct version *v, const uint8_t *p, size_t avail, lsn_t lsn,
                    struct walrecord *out);

/* The relation of block reference 0 when that comes first, as in all heap records; the cheap way
 * for records whose main data is not needed.  False when there is none. */
bool walrecord_relation(const struct version *v, const uint8_t *p, size_t avail,
                        struct relnode *out);

#endif
