/*
 * join: proves that the summaries of neighbouring segments belong together, and puts the pieces of
 * the record between them into one.
 *
 * Segments are handed over in LSN order along one path of timelines.  With the public part alone
 * the chain of record pointers and the lengths of the pieces are compared; with the metadata part
 * the record's checksum too; with the data part the record itself comes out, as far as its bytes
 * were kept, for walevent_record.  A record may cover any number of segments.
 */
#ifndef PG_JOIN_H
#define PG_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/walwalk.h"

enum join_result {
    JOIN_OK = 0,
    JOIN_FIRST,    /* nothing is known of what comes before; no complaint */
    JOIN_GAP,      /* the segment does not start where the one before ends */
    JOIN_FOREIGN,  /* another cluster, segment size or version, or an older timeline */
    JOIN_PREV,     /* its first record does not point to the last one before */
    JOIN_LENGTH,   /* the record between goes on with another length, or only on one side */
    JOIN_CRC,      /* the pieces do not make a record with a right checksum */
    JOIN_UNPROVEN, /* damage, or the early end of a .partial, hides what would be compared */
    JOIN_GARBLED   /* a part of the summary cannot be decoded */
};

struct join {
    bool started;
    struct facts last; /* the segment handed over last */
    lsn_t last_rec;    /* start of the last whole record, 0 when not known */

    bool pending; /* a record is going on: */
    lsn_t lsn;    /* its start, */
    uint32_t tot; /* its length, */
    uint64_t got; /* what was seen of it */
    bool has_crc; /* and, when the metadata was there all along, */
    uint32_t crc; /* its data's checksum so far, */
    uint8_t header_len;
    uint8_t header[WALRECORD_HEADER];
    uint32_t mix;  /* for a header cut in two: see meta_head */
    bool raw_ends; /* bytes are missing behind raw */
    uint32_t raw_len;
    uint8_t raw[WALWALK_TAIL_RAW + WALWALK_HEAD_RAW];

    bool proved;         /* the last step compared a checksum */
    lsn_t record_lsn;    /* the record that the last step completed, or 0; */
    uint32_t record_tot; /* its length, */
    uint32_t record_len; /* so many first bytes of it are in record */
    uint8_t record[WALWALK_TAIL_RAW + WALWALK_HEAD_RAW];
};

/* Forgets everything: the next segment is a first one. */
void join_init(struct join *j);

/* Hands over the next segment.  Whatever the answer, the segment is then the last one.  Parts that
 * the caller cannot read are given with length 0. */
enum join_result join_step(struct join *j, const struct wal_summary *s);

/* An answer in one phrase. */
const char *join_text(enum join_result r);

#endif
