/*
 * inventory_wal: the ends of transactions in one segment, by LSN.
 *
 * A light walk: the object's digest has proven the bytes, and their checksums were judged when they
 * were archived, so records are only cut out and looked at.  A record that begins before the
 * segment or goes on behind it is left out.
 */
#ifndef REPO_INVENTORY_WAL_H
#define REPO_INVENTORY_WAL_H

#include "pg/version.h"
#include "pg/walpage.h"
#include "repo/plan.h"
#include "stream/sink.h"

enum { INVENTORY_RECORD = 64 * 1024 };

/* Embed it on the heap; a sink of PHASE_DELIVER. */
struct inventory_wal {
    struct sink sink;
    struct plan_ends *ends;
    const struct version *version;
    lsn_t start;   /* of the segment */
    lsn_t stop;    /* records from here on are left out: damage; 0: none */
    lsn_t last_to; /* `last` is before this one; 0: no limit */
    lsn_t last;    /* out: the last whole record */
    /* May be NULL: is shown each whole record, its first bytes, before it is looked at. */
    void (*each)(void *arg, const struct version *v, const uint8_t *record, size_t len, lsn_t lsn);
    void *each_arg;
    uint64_t at; /* bytes fed */
    bool over;
    uint64_t skip; /* of a record that began before */
    bool in_record;
    lsn_t lsn;
    uint32_t tot;
    uint32_t got;
    uint8_t header[WALPAGE_LONG];
    uint8_t record[INVENTORY_RECORD];
};

/* ends is appended to. */
void inventory_wal_init(struct inventory_wal *w, struct plan_ends *ends, lsn_t start, lsn_t stop,
                        lsn_t last_to);

/* A commit or abort record, its first len bytes: true with *out. */
bool inventory_wal_end(const struct version *v, const uint8_t *record, size_t len, lsn_t lsn,
                       struct plan_end *out);

#endif
