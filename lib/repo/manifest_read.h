/*
 * manifest_read: reads a manifest's records as they come out of the object, in bounded memory.
 *
 * The reader is the last sink of the object's chain.  What it hands on is checked in itself (paths
 * are clean, runs lie within packs, sizes add up to the file's), but may be believed only when
 * object_content answered 0.  A path that comes twice is not noticed here: restore makes files
 * that must not exist.
 */
#ifndef REPO_MANIFEST_READ_H
#define REPO_MANIFEST_READ_H

#include <stdint.h>

#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest.h"
#include "repo/repo.h"
#include "stream/sink.h"

struct manifest_file {
    const char *path; /* valid until the file's end */
    unsigned flags;
    uint32_t mode;
    int64_t mtime;
    /* at the end */
    uint64_t size;
    uint32_t crc;
    uint64_t spread;
};

/* Each may be NULL.  0 goes on; -1 ends the reading with *e. */
struct manifest_events {
    int (*pack)(void *arg, uint32_t index, const uint8_t id[PACK_ID], struct err *e);
    int (*tablespace)(void *arg, uint32_t oid, const char *path, struct err *e);
    int (*dir)(void *arg, uint32_t mode, const char *path, struct err *e);
    int (*link)(void *arg, const char *path, const char *target, struct err *e);
    int (*text)(void *arg, enum manifest_type type, const uint8_t *bytes, size_t len,
                struct err *e);
    int (*file)(void *arg, const struct manifest_file *f, struct err *e);
    int (*run)(void *arg, const struct pages_run *run, struct err *e);
    int (*file_end)(void *arg, const struct manifest_file *f, struct err *e);
};

VEC_DECLARE(manifest_nexts, uint32_t);

struct manifest_reader {
    struct sink sink; /* PHASE_DELIVER */
    const struct manifest_events *events;
    void *arg;
    struct manifest_nexts next; /* per pack: page behind the last run */
    struct manifest_file file;
    bool in_file;
    bool ended;
    uint64_t files;
    uint64_t pages; /* of the current file */
    size_t held;
    char path[PAGES_PATH_MAX + 1];
    uint8_t record[1 + VARINT_MAX + MANIFEST_RECORD_MAX + 1];
};

void manifest_reader_init(struct manifest_reader *m, const struct manifest_events *events,
                          void *arg);
void manifest_reader_fini(struct manifest_reader *m);

/* Opens a manifest by its label, reads it through and, when `p` is not NULL, its public part.
 * Needs the write key or a secret key when it is sealed.  0, STORE_ABSENT, -1. */
int manifest_read(struct repo *repo, const char *label, const struct manifest_events *events,
                  void *arg, struct manifest_public *p, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));

/* Calls fn with the public part of every manifest of the lineage, in the order of their labels.
 * No key is needed.  What cannot be read is given with `why`, and p NULL. */
typedef int (*manifest_each_fn)(void *arg, const char *label, const struct manifest_public *p,
                                const uint8_t *part, size_t len, const struct err *why,
                                struct err *e);
int manifest_each(struct repo *repo, manifest_each_fn fn, void *arg, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));

#endif
