/*
 * verify: reads objects back, as deep as the keys that are here allow.
 *
 *   content   plain objects, and sealed ones with a secret key: decrypted, expanded, digests and
 *             ciphers checked, the WAL walked again record by record, and what it says compared
 *             with the stored summary; neighbours are then joined by what was read (repo/scan)
 *   stored    sealed objects without a secret key: the digest of the stored bytes, and the host's
 *             signature over header, summary and digest
 */
#ifndef REPO_VERIFY_H
#define REPO_VERIFY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "pg/meta.h"
#include "pg/walwalk.h"
#include "repo/repo.h"
#include "repo/scan.h"
#include "repo/verified.h"
#include "repo/verify_ahead.h"
#include "repo/verify_log.h"
#include "repo/verify_part.h"

/* About half a megabyte: keep one on the heap or static.  One per thread. */
struct verify {
    uint64_t system_id;
    struct verify_part part;
    struct verify_log *log; /* of an interrupted run, and of this one; NULL: none */
    uint64_t content;       /* objects proven to that level */
    uint64_t only_stored;
    uint64_t resumed;           /* of both, read by the run before */
    uint64_t bytes;             /* of content that was walked or read, or as stored */
    struct verified_wals wal;   /* what was read of each timeline; ranges are not filled in */
    struct verify_ahead *ahead; /* threads that read segments before their turn; NULL: none */
    struct buf text;
    struct meta_item item;
    struct walwalk walk;
};

/* Everything, without a log and threads. */
void verify_init(struct verify *v, uint64_t system_id);
void verify_fini(struct verify *v);

/* A scan_deep_fn; arg is the struct verify. */
int verify_object(void *arg, const struct scan_object *o, struct wal_summary *found, struct err *e);

/* Reads one object back, without counting it: 0, SCAN_DIFFERS, -1.  *bytes: what was read. */
int verify_read(struct verify *v, const struct scan_object *o, struct wal_summary *found,
                uint64_t *bytes, struct err *e) __attribute__((warn_unused_result));

#endif
