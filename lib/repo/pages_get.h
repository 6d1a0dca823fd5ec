/*
 * pages_get: gives the pages of a backup back.
 *
 * One reader per thread; readers share the pack set, which does not change.  A reader keeps a few
 * packs open and a few entries expanded, so that a file whose pages lie alternately in several
 * packs costs one expansion per entry.  Every byte is proven on the way: the checksum of the
 * stored entry, its authentication when it is sealed, and, by the caller, the CRC of the file.
 */
#ifndef REPO_PAGES_GET_H
#define REPO_PAGES_GET_H

#include "repo/manifest.h"
#include "repo/pack_read.h"
#include "stream/sink.h"

enum {
    PAGES_PACKS_OPEN = 24,
    PAGES_ROWS_OPEN = 200 * 1000, /* table rows in memory, over all open packs */
    PAGES_ENTRIES_OPEN = 20
};

struct pages_open_pack {
    struct pack *pack;
    uint64_t used; /* when, for choosing whom to close */
};

struct pages_open_entry {
    const struct pack *pack; /* NULL: empty */
    uint32_t ordinal;
    uint64_t used;
    uint8_t *bytes;
};

struct pages_get {
    const struct pack_set *set;
    struct object_reader *scratch;
    uint64_t clock;
    uint64_t expanded; /* pages, for measuring */
    struct pages_open_pack packs[PAGES_PACKS_OPEN];
    struct pages_open_entry entries[PAGES_ENTRIES_OPEN];
    struct pack_scratch work;
    uint8_t direct[PAGES_ENTRY_BYTES];
};

/* set and scratch are borrowed; no two threads may share a scratch. */
void pages_get_init(struct pages_get *g, const struct pack_set *set, struct object_reader *scratch);
void pages_get_fini(struct pages_get *g);

/* Writes the pages of a run into `out`; `id` names its pack, and is NULL for zeros.  The last page
 * may be shorter than PAGES_SIZE when it is a file's last. */
int pages_get_run(struct pages_get *g, const uint8_t *id, const struct pages_run *run,
                  struct sink *out, struct err *e) __attribute__((warn_unused_result));

#endif
