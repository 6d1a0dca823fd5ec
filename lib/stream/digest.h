/*
 * digest: what is known about bytes that flowed by.
 *
 * Two kinds, both 16 or 32 bytes as FORMAT.md section 2.5 defines them.  The strong one is
 * BLAKE2b-256: nobody can find other bytes with the same value.  The fast one is Poly1305 under a
 * key, hidden behind a keyed BLAKE2b: as strong against everybody who does not hold the key, at a
 * fifth of the cost; under a public key it is a very good checksum and no more.
 */
#ifndef STREAM_DIGEST_H
#define STREAM_DIGEST_H

#include <sodium.h>
#include <stdbool.h>

#include "stream/poly1305.h"
#include "stream/sink.h"

enum { DIGEST_STRONG = 32, DIGEST_FAST = 16, DIGEST_FAST_KEY = 64, DIGEST_SHA256 = 32 };

/* BLAKE2b-256 at once. */
void digest_strong(uint8_t out[DIGEST_STRONG], const uint8_t *bytes, size_t len);

/* Observers: pass bytes through, or end a chain when nothing is linked behind them. */
struct digest {
    struct sink sink;
    enum { DIGEST_IS_STRONG, DIGEST_IS_FAST, DIGEST_IS_WIDE } kind; /* wide: fast, and AVX2 */
    uint64_t bytes;
    union {
        crypto_generichash_state strong;
        crypto_onetimeauth_state poly;
        struct poly1305 wide;
    } state;
    uint8_t outer_key[32];
};

void digest_init_strong(struct digest *d, enum sink_phase phase);
void digest_init_fast(struct digest *d, const uint8_t key[DIGEST_FAST_KEY], enum sink_phase phase);

/* After the last byte, once.  a and b are the parameters of the fast digest. */
void digest_get_strong(struct digest *d, uint8_t out[DIGEST_STRONG]);
void digest_get_fast(struct digest *d, uint64_t a, uint64_t b, uint8_t out[DIGEST_FAST]);

/* SHA-256 in pieces, only for what others sign with it (PostgreSQL's backup_manifest).  The struct
 * may be copied, to end the same beginning in several places. */
struct digest_sha256 {
    crypto_hash_sha256_state state;
};

void digest_sha256_init(struct digest_sha256 *d);
void digest_sha256_add(struct digest_sha256 *d, const void *bytes, size_t len);
void digest_sha256_get(struct digest_sha256 *d, uint8_t out[DIGEST_SHA256]); /* once */

#endif
