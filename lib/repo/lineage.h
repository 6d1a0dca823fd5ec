/*
 * lineage: one database cluster (system identifier) inside a repository (FORMAT.md sections 5, 6).
 *
 * Pure: the `cluster` file and the `sealed` record as structs.  Certificates become trust through
 * lineage_trust, in whatever order they stand.
 */
#ifndef REPO_LINEAGE_H
#define REPO_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "object/key.h"
#include "object/trust.h"
#include "stream/digest.h"

#define LINEAGE_FILE        "cluster"
#define LINEAGE_SEALED_FILE "sealed"

enum { LINEAGE_HOSTS_MAX = 64 };

struct lineage_host {
    uint8_t sign[SECRET_KEY];
    uint8_t issuer[SECRET_KEY];
    uint8_t signature[FRAME_SIGNATURE];
    char name[KEY_NAME_MAX + 1];
};

struct lineage {
    uint8_t repo_id[16];
    char cluster[KEY_NAME_MAX + 1];
    uint64_t system_id;
    uint32_t major;
    uint32_t segment_size;
    unsigned count;
    struct lineage_host host[LINEAGE_HOSTS_MAX];
};

int lineage_read(struct lineage *l, const char *text, size_t len, const char *what, struct err *e)
    __attribute__((warn_unused_result));
int lineage_write(struct buf *b, const struct lineage *l, struct err *e)
    __attribute__((warn_unused_result));

/* Adds a certificate for a host's key, issued by a key that is trusted already.  It holds for every
 * lineage of the cluster.  1 when that key has one, 0 when it was added, -1. */
int lineage_certify(struct lineage *l, const uint8_t sign[SECRET_KEY], const char *host,
                    const uint8_t issuer[SECRET_KEY], const uint8_t issuer_secret[SECRET_SIGN],
                    struct err *e);

/* Takes over, from another lineage of the same cluster, the certificates of hosts that `proven`
 * knows: so a new lineage is trusted by whoever trusted the old one. */
int lineage_adopt(struct lineage *l, const struct lineage *from, const struct trust *proven,
                  struct err *e) __attribute__((warn_unused_result));

/* Adds to `t` every host whose certificate can be proven. */
void lineage_trust(const struct lineage *l, struct trust *t);

/* From where a lineage is sealed, and which other plain objects are genuine. */
struct sealed_from_timeline {
    uint32_t timeline;
    uint64_t lsn;
};
/* A dump's name is its job's, a slash, and its own. */
enum { SEALED_FROM_NAME = 2 * FRAME_NAME_MAX + 1 };
struct sealed_from_object {
    uint32_t kind; /* enum object_kind */
    char name[SEALED_FROM_NAME + 1];
    uint8_t digest[DIGEST_STRONG];
};
VEC_DECLARE(sealed_from_timelines, struct sealed_from_timeline);
VEC_DECLARE(sealed_from_objects, struct sealed_from_object);

struct sealed_from {
    uint32_t segment_size; /* of the lineage, to tell a name's LSN */
    struct sealed_from_timelines timelines;
    struct sealed_from_objects objects;
};

void sealed_from_init(struct sealed_from *s);
void sealed_from_fini(struct sealed_from *s);

/* `trust` must know the signer, and the record must name this lineage. */
int sealed_from_read(struct sealed_from *s, const struct lineage *l, const struct trust *trust,
                     const char *text, size_t len, const char *what, struct err *e)
    __attribute__((warn_unused_result));
int sealed_from_write(struct buf *b, const struct sealed_from *s, const struct lineage *l,
                      const struct key_host *signer, struct err *e)
    __attribute__((warn_unused_result));

/* Whether a plain object is genuine; the digest it must have for TRUST_BY_DIGEST.  Only kind, name
 * and, for a dump, place are believed, which the reader compares with what it asked for: whoever
 * forges a plain object chooses every other field of its header. */
enum trust_covered sealed_from_covers(const struct sealed_from *s, const struct frame_head *head,
                                      uint8_t digest[DIGEST_STRONG]);

#endif
