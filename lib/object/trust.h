/*
 * trust: whose signature is accepted, and what may be plain.
 *
 * It starts from the owner's public key, which comes from a key file on this host, never from the
 * storage.  The lineage's certificates are then added; one is accepted when its issuer is already
 * trusted, so the storage can hide a certificate but cannot make one.
 */
#ifndef OBJECT_TRUST_H
#define OBJECT_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/frame.h"
#include "object/secret.h"

enum { TRUST_HOSTS_MAX = 65, TRUST_CHAIN_MAX = 8 };

struct trust_host {
    uint8_t public_key[SECRET_KEY];
    uint8_t id[KEY_ID];
    unsigned depth; /* certificates between it and the owner */
};

/* What a sealed-from record says of a plain object. */
enum trust_covered {
    TRUST_NOT_COVERED,
    TRUST_COVERED,
    TRUST_BY_DIGEST /* only when the whole file has this BLAKE2b-256 */
};

struct trust {
    bool sealed; /* the repository must be sealed: a plain object is refused unless covered */
    uint8_t repo_id[16];
    const char *cluster; /* whose objects these are; NULL: of any */
    uint8_t owner[SECRET_KEY];
    unsigned count;
    struct trust_host host[TRUST_HOSTS_MAX];
    /* May this plain object be there (FORMAT.md section 6)?  NULL: none may. */
    enum trust_covered (*covers)(const void *arg, const struct frame_head *head,
                                 uint8_t digest[SECRET_KEY]);
    const void *covers_arg;
};

/* A repository without encryption. */
void trust_plain(struct trust *t, const uint8_t repo_id[16]);

/* A sealed one whose owner this host knows. */
void trust_sealed(struct trust *t, const uint8_t repo_id[16], const uint8_t owner[SECRET_KEY]);

/* What a certificate says (FORMAT.md section 5). */
struct trust_certificate {
    uint8_t sign[SECRET_KEY];
    uint8_t issuer[SECRET_KEY];
    uint8_t signature[FRAME_SIGNATURE];
    uint64_t system_id; /* 0: every lineage of the cluster */
    const char *cluster;
    const char *host;
};

/* Fills in issuer and signature. */
void trust_certify(struct trust_certificate *c, const uint8_t repo_id[16],
                   const uint8_t issuer[SECRET_KEY], const uint8_t issuer_secret[SECRET_SIGN]);

/* Adds what can be proven: call again while it answers true, for certificates may stand in any
 * order.  False: nothing new (known already, issuer not trusted, forged, chain too long). */
bool trust_add(struct trust *t, const struct trust_certificate *c);

/* This host's own key, which is trusted because it is here. */
void trust_add_own(struct trust *t, const uint8_t sign[SECRET_KEY]);

/* The public key with that id, or NULL. */
const uint8_t *trust_find(const struct trust *t, const uint8_t id[KEY_ID]);

#endif
