#include "stream/digest.h"

#include <string.h>

#include "base/bytes.h"

void digest_strong(uint8_t out[DIGEST_STRONG], const uint8_t *bytes, size_t len)
{
    (void)crypto_generichash(out, DIGEST_STRONG, bytes, len, NULL, 0); /* fails on bad sizes only */
}

static int digest_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct digest *d = (struct digest *)s;

    d->bytes += len;
    if (d->kind == DIGEST_IS_WIDE)
        poly1305_update(&d->state.wide, bytes, len);
    else if (d->kind == DIGEST_IS_FAST)
        (void)crypto_onetimeauth_update(&d->state.poly, bytes, len); /* cannot fail */
    else
        (void)crypto_generichash_update(&d->state.strong, bytes, len); /* cannot fail */
    return s->next == NULL ? 0 : sink_write(s->next, bytes, len, e);
}

static const struct sink_ops digest_ops = {"digest", digest_write, sink_finish_next,
                                           sink_abort_next};

void digest_init_strong(struct digest *d, enum sink_phase phase)
{
    sink_init(&d->sink, &digest_ops, phase);
    d->kind = DIGEST_IS_STRONG;
    d->bytes = 0;
    (void)crypto_generichash_init(&d->state.strong, NULL, 0, DIGEST_STRONG); /* sizes are right */
}

void digest_init_fast(struct digest *d, const uint8_t key[DIGEST_FAST_KEY], enum sink_phase phase)
{
    sink_init(&d->sink, &digest_ops, phase);
    d->kind = poly1305_is_fast() ? DIGEST_IS_WIDE : DIGEST_IS_FAST;
    d->bytes = 0;
    if (d->kind == DIGEST_IS_WIDE)
        poly1305_init(&d->state.wide, key);
    else
        (void)crypto_onetimeauth_init(&d->state.poly, key); /* cannot fail */
    memcpy(d->outer_key, key + 32, sizeof d->outer_key);
}

void digest_get_strong(struct digest *d, uint8_t out[DIGEST_STRONG])
{
    (void)crypto_generichash_final(&d->state.strong, out, DIGEST_STRONG); /* sizes are right */
}

void digest_get_fast(struct digest *d, uint64_t a, uint64_t b, uint8_t out[DIGEST_FAST])
{
    static const char label[] = "walden fast digest";
    uint8_t m[sizeof label - 1 + 16 + crypto_onetimeauth_BYTES];

    memcpy(m, label, sizeof label - 1);
    put_u64(m + sizeof label - 1, a);
    put_u64(m + sizeof label - 1 + 8, b);
    if (d->kind == DIGEST_IS_WIDE)
        poly1305_final(&d->state.wide, m + sizeof label - 1 + 16);
    else
        (void)crypto_onetimeauth_final(&d->state.poly, m + sizeof label - 1 + 16); /* cannot fail */
    (void)crypto_generichash(out, DIGEST_FAST, m, sizeof m, d->outer_key, sizeof d->outer_key);
}

void digest_sha256_init(struct digest_sha256 *d)
{
    (void)crypto_hash_sha256_init(&d->state); /* cannot fail, nor can the other two */
}

void digest_sha256_add(struct digest_sha256 *d, const void *bytes, size_t len)
{
    (void)crypto_hash_sha256_update(&d->state, bytes, len);
}

void digest_sha256_get(struct digest_sha256 *d, uint8_t out[DIGEST_SHA256])
{
    (void)crypto_hash_sha256_final(&d->state, out);
}
