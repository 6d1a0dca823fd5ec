/*
 * version: what differs between the WAL of PostgreSQL 13 to 18, one table row for each.
 *
 * The page magic is the only version stamp inside WAL, so it selects the row; a magic that is not
 * in the table is refused, never guessed.  A new major version is one more row, plus whatever it
 * changed that no column speaks of yet.
 */
#ifndef PG_VERSION_H
#define PG_VERSION_H

#include <stdbool.h>
#include <stdint.h>

struct version {
    uint16_t magic;           /* xlp_magic of every page */
    uint8_t major;            /* 13 to 18 */
    uint8_t image_compressed; /* bits of bimg_info: any of them means compressed */
    uint8_t stats_item;       /* bytes of a dropped-statistics item of a commit; 0 = has none */
    uint8_t dbase_drop;       /* info bits of the Database rmgr: DROP, */
    uint8_t dbase_create_log; /* and CREATE through WAL; equal to dbase_drop = has none */
    uint16_t page_overwrite;  /* xlp_info bit: the page overwrites an unfinished record */
    uint16_t page_known;      /* xlp_info: all bits that may be set */
};

/* The row for a page magic, or NULL. */
const struct version *version_by_magic(uint16_t magic);

/* The row for a major version, or NULL. */
const struct version *version_by_major(unsigned major);

/* Whether a magic is that of a known version with its bytes swapped, which says that the WAL comes
 * from a big-endian machine. */
bool version_is_swapped(uint16_t magic);

#endif
