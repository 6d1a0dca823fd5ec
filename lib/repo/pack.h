/*
 * pack: the public and metadata parts of pack objects as bytes (FORMAT.md section 8), and nothing
 * else.
 *
 * A pack's entries hold up to eight pages each.  Its pages are counted through the entries from 0;
 * (birth pack, page) names a page for ever, wherever compaction moves the entry.  Pure: no keys,
 * no files; decoding treats its input as hostile.
 */
#ifndef REPO_PACK_H
#define REPO_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "repo/pages.h"

enum {
    PACK_ID = 16,
    PACK_NAME_MAX = 2 * PACK_ID + 2 + 1,
    PACK_BODY_MAX = 1 << 30,
    PACK_PAGES_MAX = 131072,
    PACK_FACTS = 12, /* bytes of one page's facts */
    PACK_PART_MAX = 60 * 1024 * 1024
};

enum pack_codec { PACK_AS_IS = 0, PACK_LZ4 = 1 };

static const uint32_t PACK_ELSEWHERE = UINT32_MAX; /* a row's `at`: not in this file */

/* An object's name from its id, and back.  A compacted pack's name ends in ".c". */
void pack_name(char out[PACK_NAME_MAX], const uint8_t id[PACK_ID], bool compacted);
bool pack_name_read(const char *name, uint8_t id[PACK_ID], bool *compacted);

/* --- the table of entries --- */

struct pack_row {
    uint32_t at;   /* of its bytes in the body, or PACK_ELSEWHERE */
    uint32_t len;  /* as stored */
    uint32_t page; /* number of its first page */
    uint32_t crc;  /* of its stored bytes */
    uint32_t plain_len;
    uint8_t codec;
};

struct pack_table {
    struct pack_row *row;
    uint32_t count;
    uint32_t pages;
    uint64_t body; /* bytes of all entries */
};

/* One entry of item 80. */
int pack_table_add(struct buf *item, const struct pack_row *row, struct err *e)
    __attribute__((warn_unused_result));

/* Writes an item: tag, length, payload. */
int pack_item(struct buf *part, uint8_t tag, const struct buf *payload, struct err *e)
    __attribute__((warn_unused_result));

/* Finds item 80 in a public part and checks every row.  The table is freed by pack_table_fini. */
int pack_table_read(struct pack_table *t, const uint8_t *part, size_t len, bool sealed,
                    struct err *e) __attribute__((warn_unused_result));
void pack_table_fini(struct pack_table *t);

/* The entry that holds a page below t->pages. */
uint32_t pack_table_find(const struct pack_table *t, uint32_t page);

static inline uint32_t pack_row_pages(const struct pack_row *r)
{
    return (r->plain_len + PAGES_SIZE - 1) / PAGES_SIZE;
}

/* --- entries taken from other packs --- */

/* Item 81: where a compacted pack's file keeps what it took from one birth pack: its frames H, K
 * and T whole, then the entries in order. */
struct pack_source {
    uint8_t id[PACK_ID];
    uint64_t at;       /* of the frames, in the body */
    uint32_t head_len; /* frames H and K */
    uint32_t tail_len; /* frame T */
    uint64_t size;     /* of the birth pack's file, when it was whole */
    struct cur taken;  /* pairs of varint: gap, run length, in ordinals */
};

int pack_source_add(struct buf *part, const struct pack_source *s, struct err *e)
    __attribute__((warn_unused_result));

/* The next item 81 of a public part: 0, 1 at the end, -1 (ERR_DAMAGED).  *generation (item 82) is
 * set when it comes by. */
int pack_source_next(struct cur *part, struct pack_source *s, uint32_t *generation, struct err *e)
    __attribute__((warn_unused_result));

/* Sets every row's `at` for a source's place in a compacted pack.  Ranges beyond the table are
 * damage. */
int pack_table_move(struct pack_table *t, const struct pack_source *s, struct err *e)
    __attribute__((warn_unused_result));

/* Pairs of gap and run length, as used by items 69 and 81: true while there is one more. */
bool pack_range_next(struct cur *ranges, uint64_t *pos, uint64_t *first, uint64_t *count);

/* --- metadata --- */

/* The facts of all pages (item 84); points into part.  ERR_DAMAGED unless there are `pages`. */
int pack_facts_find(const uint8_t *part, size_t len, uint32_t pages, const uint8_t **facts,
                    struct err *e) __attribute__((warn_unused_result));

static inline struct pages_facts pack_facts_get(const uint8_t *facts, uint32_t page)
{
    struct pages_facts f = {get_u64(facts + (size_t)PACK_FACTS * page),
                            get_u32(facts + (size_t)PACK_FACTS * page + 8)};

    return f;
}

/* Where a pack's pages came from (item 85): for each file in order its path and the pages of it
 * that follow each other in the pack. */
struct pack_origin {
    struct cur item;
    uint32_t left; /* pages of the current file still to come */
    uint64_t next; /* file page behind the last run */
    uint32_t page; /* pack page of the next run */
    size_t path_len;
    char path[PAGES_PATH_MAX + 1];
};

int pack_origin_open(struct pack_origin *o, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));
/* The next file: 0, 1 at the end, -1. */
int pack_origin_file(struct pack_origin *o, struct err *e) __attribute__((warn_unused_result));
/* The next run of the current file, pages o->page - *count up to o->page: 0, 1 at its end, -1. */
int pack_origin_run(struct pack_origin *o, uint64_t *file_page, uint32_t *count, struct err *e)
    __attribute__((warn_unused_result));

#endif
