/*
 * pages: what base backups are made of: 8 kB pages, and what is remembered of each.
 *
 * A file is cut into pages from its first byte; the last one may be shorter.  Of every page that is
 * stored two facts are kept: a keyed 64-bit hash, by which the next backup sees that the page did
 * not change, and its CRC-32C, from which the CRC of a whole file is composed without reading it.
 * A page of zeros is neither stored nor hashed.
 */
#ifndef REPO_PAGES_H
#define REPO_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crc32c.h"
#include "object/secret.h"

enum {
    PAGES_SIZE = 8192,
    PAGES_ENTRY = 8, /* pages in one pack entry, at most */
    PAGES_ENTRY_BYTES = PAGES_SIZE * PAGES_ENTRY,
    PAGES_PATH_MAX = 1023
};

struct pages_facts {
    uint64_t hash;
    uint32_t crc;
};

/* How pages are judged; filled once, then read by any number of threads. */
struct pages_judge {
    struct page_hash hash;
    crc32c_fn *crc;
    uint32_t zero_page;     /* CRC of a page of zeros */
    uint32_t shift[4][256]; /* moves a CRC over PAGES_SIZE bytes */
};

/* write_key: NULL in a plain repository. */
void pages_judge_init(struct pages_judge *j, const uint8_t *write_key, const uint8_t repo_id[16]);

/* The facts of one page of len bytes, 1 to PAGES_SIZE. */
struct pages_facts pages_judge_page(const struct pages_judge *j, const uint8_t *page, size_t len);

/* The CRC of a file that goes on with a page whose CRC is known. */
uint32_t pages_crc_add(const struct pages_judge *j, uint32_t crc, uint32_t page_crc, size_t len);

bool pages_is_zero(const uint8_t *bytes, size_t len);

/* A stretch of a file's pages: `count` pages that lie one behind the other in a pack, counted
 * through its entries from 0; pack 0 stands for pages of zeros. */
struct pages_run {
    uint32_t pack; /* an index into some list of packs, from 1 */
    uint32_t page;
    uint32_t count;
};

#endif
