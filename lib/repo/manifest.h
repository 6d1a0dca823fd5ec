/*
 * manifest: a backup's public part as bytes (FORMAT.md sections 9 and 10), and the words shared by
 * manifest_write and manifest_read.
 *
 * The public part is what list, window, check and expire need, and all that compaction needs: no
 * names, no contents.
 */
#ifndef REPO_MANIFEST_H
#define REPO_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "repo/pack.h"

enum manifest_type {
    MANIFEST_PACK = 1,
    MANIFEST_TABLESPACE,
    MANIFEST_DIR,
    MANIFEST_FILE,
    MANIFEST_LINK,
    MANIFEST_SERVER, /* backup_manifest; this and the following are texts in pieces */
    MANIFEST_LABEL,
    MANIFEST_MAP,
    MANIFEST_RELATIONS,
    MANIFEST_COUNTS,
    MANIFEST_RUNS,
    MANIFEST_FILE_END,
    MANIFEST_END
};

enum manifest_flags {
    MANIFEST_WAL = 1,    /* a WAL segment that is kept in the backup */
    MANIFEST_OUTSIDE = 2 /* a configuration file from outside the data directory: absolute path */
};

enum {
    MANIFEST_RECORD_MAX = 64 * 1024, /* payload of one record */
    MANIFEST_PIECE = 32 * 1024,      /* what the writer puts into one */
    MANIFEST_PACKS_MAX = 1 << 20,
    MANIFEST_PUBLIC_MAX = 32 * 1024 * 1024,
    MANIFEST_IN_USE_SMALL = 1024 * 1024,
    MANIFEST_LABEL_MAX = 40,
    MANIFEST_TAG_MAX = 64,
    MANIFEST_WRITER = 16,
    MANIFEST_DIGEST = 32
};

/* "<tli>-<start LSN>-<random>" */
void manifest_label(char out[MANIFEST_LABEL_MAX], uint32_t timeline, uint64_t lsn,
                    const uint8_t random[3]);

/* Relative and clean, or, with MANIFEST_OUTSIDE, absolute and clean; at most PAGES_PATH_MAX. */
bool manifest_path_ok(const char *path, unsigned flags);

/* One writer's chain of records (section 10). */
struct manifest_head {
    uint8_t writer[MANIFEST_WRITER];
    uint64_t sequence;
    uint8_t previous[MANIFEST_DIGEST];
    uint32_t wal_timeline; /* newest acknowledged WAL */
    uint64_t wal_lsn;
};

struct tlv_out;

/* The payload of item 64. */
void manifest_head_put(struct tlv_out *o, const struct manifest_head *h);
bool manifest_head_get(struct cur *c, struct manifest_head *h);

/* Item 64 of any record's public part; false when there is none, or an impossible one. */
bool manifest_head_read(struct manifest_head *h, const uint8_t *part, size_t len);
/* Appends it. */
int manifest_head_write(struct buf *part, const struct manifest_head *h, struct err *e)
    __attribute__((warn_unused_result));

struct manifest_public {
    struct manifest_head head;
    uint32_t start_timeline;
    uint64_t start_lsn;
    uint64_t checkpoint_lsn;
    uint32_t stop_timeline;
    uint64_t stop_lsn;
    int64_t start_time;
    int64_t stop_time;
    uint64_t bytes;  /* of the cluster */
    uint64_t stored; /* anew */
    uint64_t files;
    uint32_t server_version;
    bool from_standby;
    bool data_checksums;
    bool wal_inside;
    uint64_t last_record; /* where it begins; 0: the WAL inside goes on behind the stop LSN */
    char tag[MANIFEST_TAG_MAX + 1];
};

/* Appends all items but those of packs in use. */
int manifest_public_write(struct buf *part, const struct manifest_public *p, struct err *e)
    __attribute__((warn_unused_result));
/* ERR_DAMAGED when an item is missing or impossible. */
int manifest_public_read(struct manifest_public *p, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* The pages of one pack that a backup needs, as ranges (pack_range_next).  The list may cover more
 * than is needed, never less. */
struct manifest_in_use {
    uint8_t pack[PACK_ID];
    struct cur ranges;
};

/* The next item 69 of a public part: 0, 1 at the end, -1 (ERR_DAMAGED). */
int manifest_in_use_next(struct cur *part, struct manifest_in_use *u, struct err *e)
    __attribute__((warn_unused_result));

/* --- bitmaps of pages in use --- */

struct manifest_bits {
    uint8_t *bits;
    uint32_t pages; /* room */
};

int manifest_bits_set(struct manifest_bits *b, uint32_t page, uint32_t count, struct err *e)
    __attribute__((warn_unused_result));
bool manifest_bits_any(const struct manifest_bits *b, uint32_t page, uint32_t count);
void manifest_bits_fini(struct manifest_bits *b);

/* Appends item 69 for one pack, nothing when no page is in use; gaps below min_gap count as used.
 */
int manifest_bits_write(struct buf *part, const uint8_t pack[PACK_ID],
                        const struct manifest_bits *b, uint32_t min_gap, struct err *e)
    __attribute__((warn_unused_result));

#endif
