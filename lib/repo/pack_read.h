/*
 * pack_read: opens a birth pack wherever its entries are now, and reads them.
 *
 * An open pack does not change: any number of threads may read from it, each with its own scratch.
 * Every entry is proven as it is read: its checksum, and, when sealed, its authentication.  The
 * checksum of its stored bytes is public, so that it can be checked, and the entry moved, without
 * any key.
 */
#ifndef REPO_PACK_READ_H
#define REPO_PACK_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/reader.h"
#include "repo/pack.h"
#include "repo/pack_set.h"

enum pack_need {
    PACK_RAW = 0,  /* table and stored bytes; no key is needed */
    PACK_DATA = 1, /* contents: a secret key, when sealed */
    PACK_META = 2  /* facts and origins: the write key or a secret key, when sealed */
};

struct pack {
    uint8_t id[PACK_ID];
    struct store_object file;
    uint64_t body_at; /* in the file; rows count from here */
    struct pack_table table;
    bool sealed;
    uint64_t system_id;
    uint8_t key[SECRET_KEY]; /* PACK_DATA */
    uint8_t *metadata;       /* PACK_META */
    size_t metadata_len;
    const uint8_t *facts;
    struct frame_keys keys; /* whom it is sealed to; boxes included */
    /* where its frames are, for compaction */
    uint64_t head_at;
    uint32_t head_len;
    uint64_t tail_at;
    uint32_t tail_len;
    uint64_t size; /* of the birth pack's file */
};

/* Opens; ERR_HOLE when no file holds it, ERR_DAMAGED, ERR_KEY, ERR_REFUSED.  A file that is damaged
 * gives way to another one that holds the same pack. */
int pack_open(struct pack **p, const struct pack_set *set, const uint8_t id[PACK_ID], unsigned need,
              struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));

/* One certain file: its own (place NULL) or a compacted pack's. */
int pack_open_at(struct pack **p, const struct pack_set *set, const uint8_t id[PACK_ID],
                 const struct pack_place *place, unsigned need, struct object_reader *scratch,
                 struct err *e) __attribute__((warn_unused_result));
void pack_close(struct pack *p); /* accepts NULL */

/* Is this entry in the file that was opened? */
static inline bool pack_has(const struct pack *p, uint32_t ordinal)
{
    return ordinal < p->table.count && p->table.row[ordinal].at != PACK_ELSEWHERE;
}

struct pack_scratch {
    uint8_t stored[PAGES_ENTRY_BYTES + SECRET_PART_EXTRA];
    uint8_t opened[PAGES_ENTRY_BYTES];
};

/* The stored bytes of an entry, their checksum proven. */
int pack_read_raw(const struct pack *p, uint32_t ordinal, uint8_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* An entry's content: table.row[ordinal].plain_len bytes into out. */
int pack_read(const struct pack *p, uint32_t ordinal, struct pack_scratch *scratch,
              uint8_t out[PAGES_ENTRY_BYTES], struct err *e) __attribute__((warn_unused_result));

/*
 * Reads back everything that the open file holds of a pack: what the open keys allow, and page
 * facts when they are there (judge NULL: not).  bad is told the ordinal of each entry that is
 * not what it must be; it answers 0 to go on.  *bytes counts what was read.
 */
typedef int (*pack_bad_fn)(void *arg, const struct pack *p, uint32_t ordinal, const struct err *why,
                           struct err *e);
int pack_check(const struct pack *p, const struct pages_judge *judge, bool content,
               struct pack_scratch *scratch, pack_bad_fn bad, void *arg, uint64_t *bytes,
               struct err *e) __attribute__((warn_unused_result));

/* Proves a pack's file wherever its bytes are: header, table, signature, and the stored bytes of
 * every entry.  No key is needed. */
int pack_prove(const struct object_source *file, const char *name, uint64_t system_id,
               const struct trust *trust, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
