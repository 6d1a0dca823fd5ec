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

/* About half a megabyte: keep one on the heap or static. */
struct verify {
    uint64_t system_id;
    uint64_t content; /* objects proven to that level */
    uint64_t only_stored;
    uint64_t bytes; /* of content that was walked or read */
    struct buf text;
    struct meta_item item;
    struct walwalk walk;
};

void verify_init(struct verify *v, uint64_t system_id);
void verify_fini(struct verify *v);

/* A scan_deep_fn; arg is the struct verify. */
int verify_object(void *arg, const struct scan_object *o, struct wal_summary *found, struct err *e);

#endif
