#include "stream/digest.h"

#include <stdlib.h>

#include "stream/poly1305.h"
#include "tap.h"

enum { SIZE = 256 * 1024 };

static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static bool is_same(const uint8_t key[POLY1305_KEY], const uint8_t *bytes, size_t len, size_t most)
{
    uint8_t want[POLY1305_BYTES];
    uint8_t found[POLY1305_BYTES];
    struct poly1305 p;

    (void)crypto_onetimeauth(want, bytes, len, key);
    poly1305_init(&p, key);
    while (len > 0) {
        size_t take = most == 0 ? len : next() % most + 1;

        take = take < len ? take : len;
        poly1305_update(&p, bytes, take);
        bytes += take;
        len -= take;
    }
    poly1305_final(&p, found);
    return memcmp(want, found, sizeof want) == 0;
}

static void test_lengths(const uint8_t *bytes)
{
    static uint8_t key[POLY1305_KEY];
    bool whole = true;
    bool pieces = true;

    for (size_t len = 0; len < 1200; len++) {
        randombytes_buf(key, sizeof key);
        whole = whole && is_same(key, bytes + len % 31, len, 0);
        pieces = pieces && is_same(key, bytes + len % 31, len, len / 3 + 1);
    }
    OK(whole, "every length up to 1,200: as libsodium");
    OK(pieces, "and in pieces");
    for (int i = 0; i < 50; i++) {
        randombytes_buf(key, sizeof key);
        whole = whole && is_same(key, bytes, SIZE - next() % 5000, 0);
        pieces = pieces && is_same(key, bytes, SIZE - next() % 5000, 20000);
    }
    OK(whole && pieces, "a quarter of a megabyte, whole and in pieces");
}

/* Where carries are longest, and sums come near the prime. */
static void test_extremes(uint8_t *bytes)
{
    static const uint8_t fills[] = {0x00, 0x01, 0x7f, 0x80, 0xfb, 0xfc, 0xff};
    uint8_t key[POLY1305_KEY];
    bool same = true;

    for (size_t k = 0; k < sizeof fills; k++)
        for (size_t m = 0; m < sizeof fills; m++) {
            memset(key, fills[k], sizeof key);
            memset(bytes, fills[m], 4096);
            for (size_t len = 0; len <= 4096; len += len < 300 ? 1 : 61)
                same = same && is_same(key, bytes, len, 0);
            memset(key, 0, sizeof key); /* r small: the sum itself is what is judged */
            key[0] = fills[k];
            for (size_t len = 0; len <= 640; len++)
                same = same && is_same(key, bytes, len, 0);
        }
    OK(same, "extreme keys and contents");
}

/* RFC 8439, 2.5.2. */
static void test_published(void)
{
    static const uint8_t key[POLY1305_KEY] = {0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33,
                                              0x7f, 0x44, 0x52, 0xfe, 0x42, 0xd5, 0x06, 0xa8,
                                              0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d, 0xb2, 0xfd,
                                              0x4a, 0xbf, 0xf6, 0xaf, 0x41, 0x49, 0xf5, 0x1b};
    static const uint8_t want[POLY1305_BYTES] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6,
                                                 0xc2, 0x2b, 0x8b, 0xaf, 0x0c, 0x01, 0x27, 0xa9};
    static const char text[] = "Cryptographic Forum Research Group";
    uint8_t found[POLY1305_BYTES];
    struct poly1305 p;

    poly1305_init(&p, key);
    poly1305_update(&p, (const uint8_t *)text, sizeof text - 1);
    poly1305_final(&p, found);
    OK(memcmp(want, found, sizeof want) == 0, "the published example");
}

int main(void)
{
    uint8_t *bytes = malloc(SIZE);

    if (bytes == NULL || sodium_init() < 0)
        return 1;
    if (!poly1305_is_fast()) {
        SKIP("no AVX2 here, so libsodium does this", "Poly1305");
        free(bytes);
        return tap_done();
    }
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)next();
    test_published();
    test_lengths(bytes);
    test_extremes(bytes);
    free(bytes);
    return tap_done();
}
