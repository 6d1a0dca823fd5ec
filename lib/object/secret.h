/*
 * secret: the cryptography of objects (FORMAT.md sections 2.3 to 2.5), and nothing but that.
 *
 * With stream/seal this is the only code that touches secret keys.  Every function is a direct
 * transcript of a sentence of FORMAT.md.
 */
#ifndef OBJECT_SECRET_H
#define OBJECT_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "object/frame.h"
#include "object/page_hash.h"

enum {
    SECRET_KEY = 32,        /* symmetric keys, X25519 keys, Ed25519 public keys and seeds */
    SECRET_SIGN = 64,       /* an Ed25519 secret key as libsodium keeps it */
    SECRET_PART_EXTRA = 16, /* what a part of the trailer, or a pack entry, grows by */
    SECRET_TABLE_KEY = 16
};

/* Prepares libsodium: once, before anything else here.  Draws nothing, opens nothing lasting. */
int secret_start(struct err *e);

void secret_random(uint8_t *out, size_t n);
void secret_wipe(void *p, size_t n);
bool secret_equal(const uint8_t *a, const uint8_t *b, size_t n); /* in constant time */

/* The id of a public key. */
void secret_key_id(uint8_t out[KEY_ID], const uint8_t public_key[SECRET_KEY]);
void secret_write_id(uint8_t out[8], const uint8_t write_key[SECRET_KEY]);

/* Key pairs: X25519 from its secret, Ed25519 from its seed. */
void secret_box_public(uint8_t public_key[SECRET_KEY], const uint8_t secret[SECRET_KEY]);
void secret_sign_pair(uint8_t public_key[SECRET_KEY], uint8_t secret[SECRET_SIGN],
                      const uint8_t seed[SECRET_KEY]);

/* All keys of one object. */
struct secret_content {
    uint8_t key[SECRET_KEY];
    uint8_t commitment[SECRET_KEY];
    uint8_t metadata[SECRET_KEY];
    uint8_t data[SECRET_KEY];
};

void secret_content_new(struct secret_content *c);

/* From a content key that came out of a box: -1 (ERR_DAMAGED) when it is not the one that the
 * header commits to. */
int secret_content_check(struct secret_content *c, const uint8_t key[SECRET_KEY],
                         const uint8_t commitment[SECRET_KEY], struct err *e);

/* The metadata key, wrapped for and unwrapped with the write key. */
void secret_wrap(uint8_t out[48], const struct secret_content *c,
                 const uint8_t write_key[SECRET_KEY]);
int secret_unwrap(uint8_t metadata[SECRET_KEY], const uint8_t wrapped[48],
                  const uint8_t commitment[SECRET_KEY], const uint8_t write_key[SECRET_KEY],
                  struct err *e);

/* The key of a metadata-level body. */
void secret_metadata_body(uint8_t out[SECRET_KEY], const uint8_t metadata[SECRET_KEY]);

int secret_box_seal(uint8_t out[FRAME_BOX], const uint8_t key[SECRET_KEY],
                    const uint8_t recipient[SECRET_KEY], struct err *e);
int secret_box_open(uint8_t key[SECRET_KEY], const uint8_t box[FRAME_BOX],
                    const uint8_t public_key[SECRET_KEY], const uint8_t secret[SECRET_KEY],
                    struct err *e);

/* A part of the trailer; out has len + SECRET_PART_EXTRA (seal) or len - SECRET_PART_EXTRA bytes.
 */
void secret_part_seal(uint8_t *out, const uint8_t *part, size_t len, const uint8_t key[SECRET_KEY],
                      const uint8_t bound[32]);
int secret_part_open(uint8_t *out, const uint8_t *part, size_t len, const uint8_t key[SECRET_KEY],
                     const uint8_t bound[32], struct err *e);

/* Signatures: over any message; over an object's header digest and trailer. */
void secret_sign(uint8_t signature[FRAME_SIGNATURE], const uint8_t *m, size_t len,
                 const uint8_t secret[SECRET_SIGN]);
bool secret_verify(const uint8_t signature[FRAME_SIGNATURE], const uint8_t *m, size_t len,
                   const uint8_t public_key[SECRET_KEY]);
void secret_object_sign(uint8_t signature[FRAME_SIGNATURE], const uint8_t head_digest[32],
                        const uint8_t *tail, size_t len, const uint8_t secret[SECRET_SIGN]);
bool secret_object_verify(const uint8_t signature[FRAME_SIGNATURE], const uint8_t head_digest[32],
                          const uint8_t *tail, size_t len, const uint8_t public_key[SECRET_KEY]);

/* Keys of the fast digests (64 bytes): of plain bodies, and of plaintext under the write key. */
void secret_plain_digest_key(uint8_t out[64], const uint8_t repo_id[16]);
void secret_write_digest_key(uint8_t out[64], const uint8_t write_key[SECRET_KEY],
                             const uint8_t repo_id[16]);

/* Pack entries (FORMAT.md section 8): the key of all entries born in one pack, and one entry; out
 * has len + SECRET_PART_EXTRA (seal) or len - SECRET_PART_EXTRA bytes. */
struct secret_entry {
    uint64_t system_id;
    const uint8_t *pack; /* id of the birth pack, 16 bytes */
    uint64_t ordinal;
    uint32_t plain_len;
};

void secret_entry_key(uint8_t out[SECRET_KEY], const uint8_t content_key[SECRET_KEY]);
void secret_entry_seal(uint8_t *out, const uint8_t *bytes, size_t len,
                       const uint8_t key[SECRET_KEY], const struct secret_entry *at);
int secret_entry_open(uint8_t *out, const uint8_t *bytes, size_t len, const uint8_t key[SECRET_KEY],
                      const struct secret_entry *at, struct err *e);

/* The page hash's key, made of the write key, or, in a plain repository (write_key NULL), of the
 * repository's id. */
void secret_page_hash(struct page_hash *h, const uint8_t *write_key, const uint8_t repo_id[16]);

/* For tables in memory whose keys somebody else chooses: SipHash-2-4 under a random key. */
uint64_t secret_table_hash(const uint8_t key[SECRET_TABLE_KEY], const uint8_t *bytes, size_t len);

#endif
