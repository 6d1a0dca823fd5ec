/*
 * keep: WAL that goes into the backup itself, stored while the archives arrive.
 *
 * It has a pack of its own, since the manifest takes one file at a time: pages go to the packs as
 * they come, and where they are is remembered (some bytes per segment) until keep_list writes it
 * all into the manifest.  What is zero costs nothing.
 */
#ifndef BASEBACKUP_KEEP_H
#define BASEBACKUP_KEEP_H

#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "pg/walname.h"
#include "repo/manifest_write.h"
#include "repo/pack_write.h"
#include "repo/pages.h"

enum { KEEP_FILES_MAX = 1 << 20, KEEP_RUNS_MAX = 1 << 24 };

struct keep_run {
    uint8_t pack[PACK_ID]; /* of no meaning when zero */
    uint32_t page;
    uint32_t count;
    bool zero;
};

struct keep_file {
    char name[WALNAME_MAX];
    uint64_t size;
    uint32_t crc;
    uint64_t spread;
    size_t run; /* its runs are runs.v[run .. run + runs) */
    size_t runs;
};

VEC_DECLARE(keep_files, struct keep_file);
VEC_DECLARE(keep_runs, struct keep_run);

struct keep {
    struct pages_judge judge;
    struct pack_writer packs;
    struct pack_chunk chunk;
    uint32_t chunk_base;
    size_t held;
    struct keep_files files; /* the last one is open while in_file */
    struct keep_runs runs;
    bool in_file;
    char path[WALNAME_MAX + 16];
    uint8_t partial[PAGES_SIZE];
};

/* how: as for the backup's own packs, with smaller limits.  The struct is large. */
void keep_init(struct keep *k, const struct pack_how *how);
void keep_fini(struct keep *k);

int keep_begin(struct keep *k, const char *name, struct err *e) __attribute__((warn_unused_result));
int keep_write(struct keep *k, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* The file is over; zeros fill it up to `size`. */
int keep_end(struct keep *k, uint64_t size, struct err *e) __attribute__((warn_unused_result));

/* Forgets the file that was begun last: another one has all that is in it. */
void keep_drop(struct keep *k);

/* Finishes the packs. */
int keep_finish(struct keep *k, struct err *e) __attribute__((warn_unused_result));

/* Writes all files into the manifest, as pg_wal/NAME. */
int keep_list(const struct keep *k, struct manifest_writer *m, uint32_t mode, int64_t mtime,
              struct err *e) __attribute__((warn_unused_result));

#endif
