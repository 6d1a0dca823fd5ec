/*
 * pages_put: stores the files of a backup: what the repository holds already is named, the rest is
 * gathered into chunks and stored.
 *
 *     pages_put_file                 path and attributes, from the stream
 *     pages_put_write                its bytes, in pieces of any size
 *     pages_put_end                  size and CRC-32C of the whole file
 *     ...
 *     pages_put_finish               the last pack; also when the backup failed
 *
 * Each file goes to the manifest as it ends.  Where a file has become scattered, so that reading it
 * back would mean expanding much more than its size, pages of hardly used entries are stored again
 * (see prior.h).
 */
#ifndef REPO_PAGES_PUT_H
#define REPO_PAGES_PUT_H

#include "repo/manifest_write.h"
#include "repo/pack_write.h"
#include "repo/pages.h"
#include "repo/prior.h"

struct pages_put_totals {
    uint64_t files;
    uint64_t pages;
    uint64_t zeros;  /* of them */
    uint64_t same;   /* as before */
    uint64_t stored; /* anew */
};

struct pages_put {
    struct pages_judge judge;
    struct pack_writer packs;
    struct manifest_writer *manifest;
    struct prior *prior;
    struct pages_put_totals totals;
    /* the current file */
    struct prior_file found;
    uint64_t size;
    uint64_t page; /* the next one's number */
    uint32_t crc;
    uint64_t spread;
    size_t held; /* bytes of an incomplete page */
    char path[PAGES_PATH_MAX + 1];
    /* the chunk that is being gathered: its pages have their places already */
    uint32_t chunk_pack; /* index in the manifest */
    uint32_t chunk_base;
    struct pack_chunk chunk;
    uint8_t partial[PAGES_SIZE];
};

/* manifest and prior (NULL: nothing is known) are borrowed.  The struct is large. */
void pages_put_init(struct pages_put *p, const struct pack_how *how,
                    struct manifest_writer *manifest, struct prior *prior);

int pages_put_file(struct pages_put *p, const char *path, unsigned flags, uint32_t mode,
                   int64_t mtime, struct err *e) __attribute__((warn_unused_result));
int pages_put_write(struct pages_put *p, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* Instead of a write, at a page's boundary: the next `count` pages are those of the prior backup,
 * which the server did not send; those behind the file's end there are zeros.  ERR_DAMAGED when one
 * cannot be leaned on: a full stream is needed then. */
int pages_put_known(struct pages_put *p, uint64_t count, struct err *e)
    __attribute__((warn_unused_result));

int pages_put_end(struct pages_put *p, uint64_t *size, uint32_t *crc, struct err *e)
    __attribute__((warn_unused_result));

int pages_put_finish(struct pages_put *p, struct err *e) __attribute__((warn_unused_result));
void pages_put_fini(struct pages_put *p);

#endif
