/*
 * page_hash: by which a backup sees that a page did not change (FORMAT.md section 8).
 *
 * Whoever may write rows chooses most bytes of a page, and a hash that he could make collide would
 * keep an old page where his new one belongs; so it has a key.  Every byte of a cluster passes here
 * in every backup, which a cipher-like hash makes the most expensive step of all.  Hence two steps:
 * NH (Black, Halevi, Krawczyk, Krovetz, Rogaway 1999) with words of 64 bits takes most of a page
 * away with one multiplication per 16 bytes, and for two different pages of one length its results
 * are the same under at most one in 2^64 keys; SipHash-2-4 of these results and the length keeps
 * everything about NH's key out of what is stored.
 */
#ifndef OBJECT_PAGE_HASH_H
#define OBJECT_PAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum {
    PAGE_HASH_KEY = 32,
    PAGE_HASH_BLOCK = 2048, /* bytes that NH takes at once */
    PAGE_HASH_BLOCKS = 4,   /* in a page, at most */
    PAGE_HASH_LAST = 16
};

struct page_hash {
    uint64_t word[PAGE_HASH_BLOCK / 8];
    uint8_t last[PAGE_HASH_LAST];
};

/* Makes the long key of a short one (secret_page_key). */
void page_hash_init(struct page_hash *h, const uint8_t key[PAGE_HASH_KEY]);

/* Of a page of at most PAGE_HASH_BLOCK * PAGE_HASH_BLOCKS bytes. */
uint64_t page_hash(const struct page_hash *h, const uint8_t *page, size_t len);

#endif
