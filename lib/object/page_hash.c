#include "object/page_hash.h"

#include <sodium.h>

#include "base/bytes.h"

enum { PAIR = 16 };

struct sum {
    uint64_t low;
    uint64_t high;
};

void page_hash_init(struct page_hash *h, const uint8_t key[PAGE_HASH_KEY])
{
    static const uint8_t nonce[crypto_stream_chacha20_IETF_NONCEBYTES];
    uint8_t bytes[PAGE_HASH_BLOCK + PAGE_HASH_LAST];

    (void)crypto_stream_chacha20_ietf(bytes, sizeof bytes, nonce, key); /* cannot fail */
    for (size_t i = 0; i < PAGE_HASH_BLOCK / 8; i++)
        h->word[i] = get_u64(bytes + 8 * i);
    memcpy(h->last, bytes + PAGE_HASH_BLOCK, sizeof h->last);
    sodium_memzero(bytes, sizeof bytes);
}

/* Adds a * b, modulo 2^128. */
BYTES_INLINE void add_product(struct sum *s, uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__) && !defined(PAGE_HASH_NARROW)
    __extension__ typedef unsigned __int128 wide;
    wide sum = ((wide)s->high << 64 | s->low) + (wide)a * b;

    s->low = (uint64_t)sum;
    s->high = (uint64_t)(sum >> 64);
#else
    uint64_t a0 = (uint32_t)a;
    uint64_t a1 = a >> 32;
    uint64_t b0 = (uint32_t)b;
    uint64_t b1 = b >> 32;
    uint64_t cross = a0 * b1 + (a0 * b0 >> 32); /* none of these can wrap */
    uint64_t other = a1 * b0 + (uint32_t)cross;
    uint64_t low = a * b;

    s->low += low;
    s->high += a1 * b1 + (cross >> 32) + (other >> 32) + (s->low < low);
#endif
}

/* NH of a block whose length is a multiple of a pair. */
static struct sum nh(const uint64_t *key, const uint8_t *p, size_t len)
{
    struct sum s = {0, 0};
    const uint8_t *end = p + len;

    for (; (size_t)(end - p) >= 4 * (size_t)PAIR; p += 4 * PAIR, key += 8) {
        add_product(&s, get_u64(p) + key[0], get_u64(p + 8) + key[1]);
        add_product(&s, get_u64(p + 16) + key[2], get_u64(p + 24) + key[3]);
        add_product(&s, get_u64(p + 32) + key[4], get_u64(p + 40) + key[5]);
        add_product(&s, get_u64(p + 48) + key[6], get_u64(p + 56) + key[7]);
    }
    for (; p < end; p += PAIR, key += 2)
        add_product(&s, get_u64(p) + key[0], get_u64(p + 8) + key[1]);
    return s;
}

uint64_t page_hash(const struct page_hash *h, const uint8_t *page, size_t len)
{
    uint8_t results[PAGE_HASH_BLOCKS * PAIR + 8];
    uint8_t hash[crypto_shorthash_BYTES];
    uint8_t *out = results;
    size_t at = 0;

    for (; at < len; at += PAGE_HASH_BLOCK) {
        size_t n = len - at < PAGE_HASH_BLOCK ? len - at : (size_t)PAGE_HASH_BLOCK;
        size_t odd = n % PAIR;
        struct sum s = nh(h->word, page + at, n - odd);

        if (odd > 0) { /* as if zeros followed; the length tells */
            uint8_t pair[PAIR] = {0};
            const uint64_t *key = h->word + (n - odd) / 8;

            memcpy(pair, page + at + n - odd, odd);
            add_product(&s, get_u64(pair) + key[0], get_u64(pair + 8) + key[1]);
        }
        put_u64(out, s.low);
        put_u64(out + 8, s.high);
        out += PAIR;
    }
    put_u64(out, len);
    (void)crypto_shorthash(hash, results, (size_t)(out + 8 - results), h->last); /* cannot fail */
    return get_u64(hash);
}
