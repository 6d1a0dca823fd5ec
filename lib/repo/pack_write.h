/*
 * pack_write: stores pages in packs.
 *
 * A backup has one pack open at a time.  It goes to the store as it grows; when it is full it gets
 * its trailer and is handed to `done`, which makes it durable and visible - in a thread of its own,
 * when the caller likes, so that no flush holds up the stream.  A backup that fails still calls
 * pack_writer_finish: what was stored is complete in itself (each pack says where its pages came
 * from), and the next backup reuses it.  A killed one leaves the packs that were done.
 */
#ifndef REPO_PACK_WRITE_H
#define REPO_PACK_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "object/writer.h"
#include "repo/pack.h"
#include "repo/repo.h"
#include "repo/store.h"

struct pack_limits {
    uint32_t body;  /* bytes; at most PACK_BODY_MAX */
    uint32_t pages; /* at most PACK_PAGES_MAX */
};

/* What every program uses; with it the memory for one open pack stays below 5 MB. */
static const struct pack_limits PACK_LIMITS = {PACK_BODY_MAX, 65536};

/* Takes a finished pack over: commits it (store_put_commit), aborts and frees it, now or later. */
typedef int (*pack_done_fn)(void *arg, struct store_put *put, struct err *e);

/* Commits at once; what a NULL `done` means. */
int pack_commit(void *arg, struct store_put *put, struct err *e);

struct pack_how {
    struct repo *repo;
    bool compress;
    struct pack_limits limits;
    pack_done_fn done;
    void *done_arg;
};

struct pack_writer {
    struct pack_how how;
    struct store_put *put; /* NULL: no pack is open */
    uint8_t id[PACK_ID];   /* of the open pack */
    struct secret_content content;
    uint8_t key[SECRET_KEY];
    uint8_t head_digest[DIGEST_STRONG];
    bool broken; /* a write failed: the open pack is lost */
    uint64_t body;
    uint64_t plain;
    uint32_t entries;
    uint32_t pages;
    struct buf table;
    struct buf facts;
    struct buf origin;
    /* the file whose pages came last: its row of the origin */
    struct buf runs;
    uint32_t row_pages;
    uint64_t row_next;
    uint64_t row_run; /* length of the run that is still growing */
    uint64_t row_gap; /* and the gap before it */
    size_t path_len;
    char path[PAGES_PATH_MAX + 1];
    size_t last_len; /* the path of the row before */
    char last[PAGES_PATH_MAX + 1];
    /* totals over all packs */
    uint64_t stored_bytes; /* of the packs that are done */
    uint32_t packs;
    uint64_t lz4[LZ4_STATE / 8];
    uint8_t packed[PAGES_ENTRY_BYTES];
    uint8_t sealed[PAGES_ENTRY_BYTES + SECRET_PART_EXTRA];
};

/* Pages of one file that become an entry. */
struct pack_chunk {
    const char *path;
    unsigned pages;
    size_t len;                      /* all but the last page are PAGES_SIZE long */
    uint64_t file_page[PAGES_ENTRY]; /* their numbers in the file, ascending */
    struct pages_facts facts[PAGES_ENTRY];
    uint8_t bytes[PAGES_ENTRY_BYTES];
};

void pack_writer_init(struct pack_writer *w, const struct pack_how *how);

/* Makes sure that a pack is open which takes a full entry more: the next entry's pages will be
 * (w->id, w->pages) and following. */
int pack_writer_room(struct pack_writer *w, struct err *e) __attribute__((warn_unused_result));

/* Stores an entry, after pack_writer_room. */
int pack_writer_add(struct pack_writer *w, const struct pack_chunk *chunk, struct err *e)
    __attribute__((warn_unused_result));

/* Completes the open pack, if any, and hands it over. */
int pack_writer_finish(struct pack_writer *w, struct err *e) __attribute__((warn_unused_result));

/* Drops the open pack and all memory; accepts any state after init. */
void pack_writer_fini(struct pack_writer *w);

#endif
