#include "object/secret.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "os/proc.h"

static const uint8_t zero_nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

int secret_start(struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, ERR_INTERNAL, "could not start the cryptographic library");
    os_keep_secrets();
    return 0;
}

void secret_random(uint8_t *out, size_t n)
{
    randombytes_buf(out, n);
}

void secret_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

/* Hn(key, label) and Hn(key, label || more) of FORMAT.md; all sizes are constants that fit. */
static void derive(uint8_t *out, size_t n, const uint8_t *key, size_t key_len, const char *label,
                   const uint8_t *more, size_t more_len)
{
    crypto_generichash_state h;

    (void)crypto_generichash_init(&h, key, key_len, n);
    (void)crypto_generichash_update(&h, (const uint8_t *)label, strlen(label));
    if (more_len > 0)
        (void)crypto_generichash_update(&h, more, more_len);
    (void)crypto_generichash_final(&h, out, n);
    sodium_memzero(&h, sizeof h);
}

static void subkey(uint8_t out[SECRET_KEY], const uint8_t key[SECRET_KEY], const char *label)
{
    derive(out, SECRET_KEY, key, SECRET_KEY, label, NULL, 0);
}

void secret_key_id(uint8_t out[KEY_ID], const uint8_t public_key[SECRET_KEY])
{
    uint8_t h[32];

    (void)crypto_generichash(h, sizeof h, public_key, SECRET_KEY, NULL, 0); /* sizes are right */
    memcpy(out, h, KEY_ID);
}

void secret_write_id(uint8_t out[8], const uint8_t write_key[SECRET_KEY])
{
    uint8_t h[SECRET_KEY];

    subkey(h, write_key, "walden write key id");
    memcpy(out, h, 8);
}

void secret_box_public(uint8_t public_key[SECRET_KEY], const uint8_t secret[SECRET_KEY])
{
    (void)crypto_scalarmult_base(public_key, secret); /* cannot fail on this curve */
}

void secret_sign_pair(uint8_t public_key[SECRET_KEY], uint8_t secret[SECRET_SIGN],
                      const uint8_t seed[SECRET_KEY])
{
    (void)crypto_sign_seed_keypair(public_key, secret, seed); /* cannot fail */
}

static void content_derive(struct secret_content *c)
{
    subkey(c->commitment, c->key, "walden commitment");
    subkey(c->metadata, c->key, "walden metadata key");
    subkey(c->data, c->key, "walden data key");
}

void secret_content_new(struct secret_content *c)
{
    randombytes_buf(c->key, sizeof c->key);
    content_derive(c);
}

int secret_content_check(struct secret_content *c, const uint8_t key[SECRET_KEY],
                         const uint8_t commitment[SECRET_KEY], struct err *e)
{
    memcpy(c->key, key, SECRET_KEY);
    content_derive(c);
    if (!secret_equal(c->commitment, commitment, SECRET_KEY))
        return err_set(e, ERR_DAMAGED, "object is damaged: its key box holds another object's key");
    return 0;
}

void secret_wrap(uint8_t out[48], const struct secret_content *c,
                 const uint8_t write_key[SECRET_KEY])
{
    uint8_t key[SECRET_KEY];

    subkey(key, write_key, "walden wrap");
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, c->metadata, SECRET_KEY, NULL, 0,
                                                     NULL, c->commitment, key); /* cannot fail */
    sodium_memzero(key, sizeof key);
}

int secret_unwrap(uint8_t metadata[SECRET_KEY], const uint8_t wrapped[48],
                  const uint8_t commitment[SECRET_KEY], const uint8_t write_key[SECRET_KEY],
                  struct err *e)
{
    uint8_t key[SECRET_KEY];
    int rc;

    subkey(key, write_key, "walden wrap");
    rc = crypto_aead_xchacha20poly1305_ietf_decrypt(metadata, NULL, NULL, wrapped, 48, NULL, 0,
                                                    commitment, key);
    sodium_memzero(key, sizeof key);
    return rc == 0 ? 0 : err_set(e, ERR_KEY, "the write key does not open this object's metadata");
}

void secret_metadata_body(uint8_t out[SECRET_KEY], const uint8_t metadata[SECRET_KEY])
{
    subkey(out, metadata, "walden metadata body");
}

int secret_box_seal(uint8_t out[FRAME_BOX], const uint8_t key[SECRET_KEY],
                    const uint8_t recipient[SECRET_KEY], struct err *e)
{
    if (crypto_box_seal(out, key, SECRET_KEY, recipient) != 0)
        return err_set(e, ERR_KEY, "a recipient's public key is not a valid key");
    return 0;
}

int secret_box_open(uint8_t key[SECRET_KEY], const uint8_t box[FRAME_BOX],
                    const uint8_t public_key[SECRET_KEY], const uint8_t secret[SECRET_KEY],
                    struct err *e)
{
    if (crypto_box_seal_open(key, box, FRAME_BOX, public_key, secret) != 0)
        return err_set(e, ERR_DAMAGED, "object is damaged: its key box does not open");
    return 0;
}

void secret_part_seal(uint8_t *out, const uint8_t *part, size_t len, const uint8_t key[SECRET_KEY],
                      const uint8_t bound[32])
{
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, part, len, bound, 32, NULL,
                                                     zero_nonce, key); /* cannot fail */
}

int secret_part_open(uint8_t *out, const uint8_t *part, size_t len, const uint8_t key[SECRET_KEY],
                     const uint8_t bound[32], struct err *e)
{
    if (len < SECRET_PART_EXTRA || crypto_aead_xchacha20poly1305_ietf_decrypt(
                                       out, NULL, NULL, part, len, bound, 32, zero_nonce, key) != 0)
        return err_set(e, ERR_DAMAGED, "object is damaged: a sealed part of its trailer");
    return 0;
}

void secret_sign(uint8_t signature[FRAME_SIGNATURE], const uint8_t *m, size_t len,
                 const uint8_t secret[SECRET_SIGN])
{
    (void)crypto_sign_detached(signature, NULL, m, len, secret); /* cannot fail */
}

bool secret_verify(const uint8_t signature[FRAME_SIGNATURE], const uint8_t *m, size_t len,
                   const uint8_t public_key[SECRET_KEY])
{
    return crypto_sign_verify_detached(signature, m, len, public_key) == 0;
}

enum { OBJECT_MESSAGE = 16 + 32 + 32 };

static void object_message(uint8_t m[OBJECT_MESSAGE], const uint8_t head_digest[32],
                           const uint8_t *tail, size_t len)
{
    memcpy(m, "walden object 1\n", 16);
    memcpy(m + 16, head_digest, 32);
    (void)crypto_generichash(m + 48, 32, tail, len, NULL, 0); /* sizes are right */
}

void secret_object_sign(uint8_t signature[FRAME_SIGNATURE], const uint8_t head_digest[32],
                        const uint8_t *tail, size_t len, const uint8_t secret[SECRET_SIGN])
{
    uint8_t m[OBJECT_MESSAGE];

    object_message(m, head_digest, tail, len);
    secret_sign(signature, m, sizeof m, secret);
}

bool secret_object_verify(const uint8_t signature[FRAME_SIGNATURE], const uint8_t head_digest[32],
                          const uint8_t *tail, size_t len, const uint8_t public_key[SECRET_KEY])
{
    uint8_t m[OBJECT_MESSAGE];

    object_message(m, head_digest, tail, len);
    return secret_verify(signature, m, sizeof m, public_key);
}

void secret_plain_digest_key(uint8_t out[64], const uint8_t repo_id[16])
{
    derive(out, 64, NULL, 0, "walden plain digest", repo_id, 16);
}

void secret_write_digest_key(uint8_t out[64], const uint8_t write_key[SECRET_KEY],
                             const uint8_t repo_id[16])
{
    derive(out, 64, write_key, SECRET_KEY, "walden plaintext digest", repo_id, 16);
}

void secret_entry_key(uint8_t out[SECRET_KEY], const uint8_t content_key[SECRET_KEY])
{
    subkey(out, content_key, "walden pack entries");
}

enum { ENTRY_BOUND = 8 + 16 + 8 + 4 };

static void entry_bound(uint8_t bound[ENTRY_BOUND],
                        uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES],
                        const struct secret_entry *at)
{
    memcpy(nonce, at->pack, 16);
    put_u64(nonce + 16, at->ordinal);
    put_u64(bound, at->system_id);
    memcpy(bound + 8, nonce, 24);
    put_u32(bound + 32, at->plain_len);
}

void secret_entry_seal(uint8_t *out, const uint8_t *bytes, size_t len,
                       const uint8_t key[SECRET_KEY], const struct secret_entry *at)
{
    uint8_t bound[ENTRY_BOUND];
    uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

    entry_bound(bound, nonce, at);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, bytes, len, bound, sizeof bound,
                                                     NULL, nonce, key); /* cannot fail */
}

int secret_entry_open(uint8_t *out, const uint8_t *bytes, size_t len, const uint8_t key[SECRET_KEY],
                      const struct secret_entry *at, struct err *e)
{
    uint8_t bound[ENTRY_BOUND];
    uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

    entry_bound(bound, nonce, at);
    if (len < SECRET_PART_EXTRA ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, bytes, len, bound, sizeof bound,
                                                   nonce, key) != 0)
        return err_set(e, ERR_DAMAGED, "sealed entry is damaged or was changed");
    return 0;
}

void secret_page_hash(struct page_hash *h, const uint8_t *write_key, const uint8_t repo_id[16])
{
    uint8_t key[PAGE_HASH_KEY];

    derive(key, sizeof key, write_key != NULL ? write_key : repo_id,
           write_key != NULL ? SECRET_KEY : 16, "walden page hash", NULL, 0);
    page_hash_init(h, key);
    sodium_memzero(key, sizeof key);
}

uint64_t secret_table_hash(const uint8_t key[SECRET_TABLE_KEY], const uint8_t *bytes, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];

    (void)crypto_shorthash(hash, bytes, len, key); /* cannot fail */
    return get_u64(hash);
}
