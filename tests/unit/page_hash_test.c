/* The page hash: known values, of both ways to multiply, and that every bit counts. */
#include <string.h>

#include "object/secret.h"
#include "tap.h"

/* The way of machines without a product of 128 bits, under other names. */
#define PAGE_HASH_NARROW        1
#define page_hash(h, page, len) narrow_hash(h, page, len)
#define page_hash_init(h, key)  narrow_init(h, key)
uint64_t narrow_hash(const struct page_hash *h, const uint8_t *page, size_t len);
void narrow_init(struct page_hash *h, const uint8_t key[PAGE_HASH_KEY]);
#include "lib/object/page_hash.c"
#undef page_hash
#undef page_hash_init

enum { PAGE = PAGE_HASH_BLOCK * PAGE_HASH_BLOCKS };

/* Made by a transcript of FORMAT.md section 8 in another language. */
static const struct known {
    size_t len;
    uint64_t plain; /* repository id 00 01 .. 0f */
    uint64_t write; /* write key 64 65 .. 83 */
} known[] = {
    {8192, UINT64_C(0x701f1d952dba86ac), UINT64_C(0xbbef3c91df737be0)},
    {8191, UINT64_C(0xf9c75660a260cd2d), UINT64_C(0x2f0c0896ca029604)},
    {4097, UINT64_C(0x5acc13f686f4a1d2), UINT64_C(0xc90fb46d80e7aee5)},
    {2049, UINT64_C(0x39ed81739740e2de), UINT64_C(0xf97ae83c7e8d8a06)},
    {2048, UINT64_C(0xaa79023298cb2ee1), UINT64_C(0xc17ac4d90246ce47)},
    {16, UINT64_C(0x9f45bd147e1dd3ca), UINT64_C(0x905c1ac80f3f15c9)},
    {15, UINT64_C(0xcb316c3453339f63), UINT64_C(0xc574fc7c400e5a2e)},
    {1, UINT64_C(0xbd636a9ef23835c2), UINT64_C(0x225d8d732d7e668f)},
    {0, UINT64_C(0x3c60f8adb5577ef6), UINT64_C(0xfed6bd666f184f8d)},
};

static uint8_t page[PAGE + 1];

static void test_known(const struct page_hash *plain, const struct page_hash *write)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const struct known *k = &known[i];

        OK(page_hash(plain, page, k->len) == k->plain && page_hash(write, page, k->len) == k->write,
           "%zu bytes: the values of FORMAT.md", k->len);
        OK(narrow_hash(plain, page, k->len) == k->plain &&
               narrow_hash(write, page, k->len) == k->write,
           "%zu bytes: the same without wide products", k->len);
    }
}

/* A page at an odd address, and one of ones, where sums wrap most. */
static void test_ends(const struct page_hash *h)
{
    static uint8_t moved[PAGE + 1];

    memcpy(moved + 1, page, PAGE);
    OK(page_hash(h, moved + 1, PAGE) == known[0].plain, "alignment does not matter");
    memset(moved, 0xff, sizeof moved);
    OK(page_hash(h, moved, PAGE) == UINT64_C(0x23bdc57d969ab0a7) &&
           narrow_hash(h, moved, PAGE) == UINT64_C(0x23bdc57d969ab0a7),
       "a page of ones");
}

/* Changes in one place, and in two that a sum without key would take for none. */
static void test_changes(const struct page_hash *h)
{
    uint64_t whole = page_hash(h, page, PAGE);
    unsigned unseen = 0;
    unsigned swaps = 0;

    for (size_t bit = 0; bit < 8 * (size_t)PAGE; bit++) {
        page[bit / 8] ^= (uint8_t)(1U << bit % 8);
        unseen += page_hash(h, page, PAGE) == whole;
        page[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    OK(unseen == 0, "each bit counts");
    for (size_t at = 0; at + 32 <= PAGE; at += 16) {
        uint8_t pair[16];

        memcpy(pair, page + at, 16);
        memcpy(page + at, page + at + 16, 16);
        memcpy(page + at + 16, pair, 16);
        swaps += page_hash(h, page, PAGE) == whole;
        memcpy(page + at + 16, page + at, 16);
        memcpy(page + at, pair, 16);
    }
    OK(swaps == 0 && page_hash(h, page, PAGE) == whole, "and the order of pairs");
    memset(page, 0, sizeof page);
    OK(page_hash(h, page, 100) != page_hash(h, page, 101) &&
           page_hash(h, page, PAGE) != page_hash(h, page, PAGE - 1),
       "zeros at the end are not nothing");
}

int main(void)
{
    static struct page_hash plain;
    static struct page_hash write;
    uint8_t id[16];
    uint8_t key[SECRET_KEY];
    uint32_t x = 12345;

    for (size_t i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(100 + i);
    for (size_t i = 0; i < PAGE; i++) {
        x = x * 1103515245 + 12345;
        page[i] = (uint8_t)(x >> 24);
    }
    secret_page_hash(&plain, NULL, id);
    secret_page_hash(&write, key, id);
    test_known(&plain, &write);
    test_ends(&plain);
    test_changes(&plain);
    return tap_done();
}
