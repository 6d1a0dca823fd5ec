/*
 * walpage: the header of a WAL page.
 *
 * Each page of 8192 bytes starts with a short header; the first page of a segment has a long one
 * that also says which cluster and which segment size it belongs to.
 */
#ifndef PG_WALPAGE_H
#define PG_WALPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/walname.h"

enum {
    WALPAGE_SIZE = 8192,
    WALPAGE_SHORT = 24, /* header bytes of any page but */
    WALPAGE_LONG = 40   /* of a segment's first */
};

/* Bits of info; which bit says "overwrites an unfinished record" is in pg/version. */
enum { WALPAGE_CONTRECORD = 0x0001, WALPAGE_IS_LONG = 0x0002 };

struct walpage {
    uint16_t magic;
    uint16_t info;
    tli_t tli;
    lsn_t addr;
    uint32_t rem_len; /* bytes of a continued record that are still to come, from here on */
};

/* The part that only a long header has. */
struct walpage_long {
    uint64_t sysid;
    uint32_t segsize;
    uint32_t blcksz;
};

/* Reads the fields; p holds WALPAGE_SHORT or WALPAGE_LONG bytes.  Nothing is judged. */
void walpage_read(const uint8_t *p, struct walpage *out);
void walpage_read_long(const uint8_t *p, struct walpage_long *out);

/* Whether n bytes are all zero. */
bool walpage_is_zero(const uint8_t *p, size_t n);

#endif
