/*
 * manifest_write: writes a backup's manifest while the backup runs.
 *
 *     manifest_begin            the object is opened under its label, invisible
 *     manifest_file, _run, _file_end, manifest_dir, _link, _tablespace, _text     as they come
 *     manifest_finish           public part, trailer; only now does the backup exist
 *
 * Records go out as they come, in the stream's order; what stays in memory is one bit per page of
 * every pack in use.  Packs must be durable before manifest_finish.
 */
#ifndef REPO_MANIFEST_WRITE_H
#define REPO_MANIFEST_WRITE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "object/writer.h"
#include "repo/counts.h"
#include "repo/manifest.h"
#include "repo/repo.h"

struct manifest_pack {
    uint8_t id[PACK_ID];
    struct manifest_bits used;
    uint32_t next; /* page behind the last run in it */
};

VEC_DECLARE(manifest_packs, struct manifest_pack);

struct manifest_writer {
    struct repo *repo;
    struct store_put *put;
    struct object_writer *object;
    struct digest whole; /* of the file, for the chain */
    struct manifest_packs packs;
    uint32_t last_pack; /* index of the pack that was asked for last */
    struct buf record;
    struct buf runs;
    struct buf metadata;  /* of the trailer */
    struct pages_run run; /* the growing run; count 0: none */
    bool in_file;
    bool finished;
    uint64_t files;
    uint64_t bytes;
    uint8_t digest[MANIFEST_DIGEST]; /* after manifest_finish: H of the whole file */
};

/* Opens the object: label, timeline and LSN of the backup's start. */
int manifest_begin(struct manifest_writer *m, struct repo *repo, const char *label,
                   uint32_t timeline, uint64_t lsn, struct err *e)
    __attribute__((warn_unused_result));

/* The index of a pack in this manifest, which learns it when it is new. */
int manifest_pack(struct manifest_writer *m, const uint8_t id[PACK_ID], uint32_t *index,
                  struct err *e) __attribute__((warn_unused_result));

int manifest_tablespace(struct manifest_writer *m, uint32_t oid, const char *path, struct err *e)
    __attribute__((warn_unused_result));
int manifest_dir(struct manifest_writer *m, uint32_t mode, const char *path, struct err *e)
    __attribute__((warn_unused_result));
int manifest_link(struct manifest_writer *m, const char *path, const char *target, struct err *e)
    __attribute__((warn_unused_result));

/* A row count, for the trailer. */
int manifest_count(struct manifest_writer *m, const struct counts_row *row, struct err *e)
    __attribute__((warn_unused_result));

/* A piece of a text (MANIFEST_SERVER to MANIFEST_COUNTS); not inside a file. */
int manifest_text(struct manifest_writer *m, enum manifest_type type, const void *bytes, size_t len,
                  struct err *e) __attribute__((warn_unused_result));

/* A file: begin, runs in order (they are joined where they follow each other), end. */
int manifest_file(struct manifest_writer *m, const char *path, unsigned flags, uint32_t mode,
                  int64_t mtime, struct err *e) __attribute__((warn_unused_result));
int manifest_run(struct manifest_writer *m, const struct pages_run *run, struct err *e)
    __attribute__((warn_unused_result));

/* spread: pages that reading the file makes expand. */
int manifest_file_end(struct manifest_writer *m, uint64_t size, uint32_t crc, uint64_t spread,
                      struct err *e) __attribute__((warn_unused_result));

/* Publishes.  Sizes and files of `p` are filled in (bytes: when it is 0). */
int manifest_finish(struct manifest_writer *m, struct manifest_public *p, struct err *e)
    __attribute__((warn_unused_result));

/* Frees, and drops what is not finished; accepts a zeroed struct. */
void manifest_fini(struct manifest_writer *m);

#endif
