/*
 * compose: makes whole what the server sends as an increment (BASE_BACKUP INCREMENTAL, 17 and
 * later): pages that it left out are those of the prior backup, which the repository has.
 *
 * The result is what a full backup would have been: files of their full size, a backup_label that
 * a server starts from, a manifest of Walden's own.  No secret key is needed: pages are named, not
 * read, and a file's CRC-32C is composed from its pages'.
 */
#ifndef BASEBACKUP_COMPOSE_H
#define BASEBACKUP_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "basebackup/check.h"
#include "basebackup/own.h"
#include "basebackup/visible.h"
#include "pg/increment.h"
#include "repo/pages_put.h"

struct compose {
    bool on;
    bool opened;
    bool open;  /* a file of which only changes come */
    bool came;  /* the same, until the next file */
    bool waits; /* it is the map of a table: see visible */
    bool unfit; /* it failed since the prior backup does not have what was left out, or since an
                   increment could not be read: a whole stream may do */
    struct own *own;
    struct increment increment;
    struct pages_put *put;
    struct manifest_writer *manifest;
    struct visible visible;
    struct pages_spool text; /* of own, until all files are through */
    uint64_t size;           /* as received */
    uint32_t crc;
    uint64_t pages;      /* that were not sent */
    uint64_t late_files; /* stored by compose_finish, */
    uint64_t late_bytes; /* and how long they are */
};

/* All that follows does nothing, and answers 0, unless compose_begin was called.  segment: pages of
 * a relation's file before the next one begins; `dir` is for temporary files. */
int compose_begin(struct compose *c, uint64_t system_id, uint32_t segment,
                  struct manifest_writer *manifest, struct pages_put *put, const char *dir,
                  struct err *e) __attribute__((warn_unused_result));
void compose_fini(struct compose *c); /* accepts a zeroed one */

/* A file comes: is it an increment?  Then `path`, as the server named it, becomes the file's own in
 * `full`, of `cap` bytes; else it is copied. */
bool compose_name(struct compose *c, const char *path, char *full, size_t cap);

/* An increment that has to wait, c->waits, is not begun with pages_put_file, nor ended. */
int compose_wait(struct compose *c, const char *full, uint32_t mode, int64_t mtime, uint64_t size,
                 struct err *e) __attribute__((warn_unused_result));

/* The increment of the file that was begun with pages_put_file. */
int compose_file(struct compose *c, struct err *e) __attribute__((warn_unused_result));
int compose_data(struct compose *c, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
/* Its size and CRC as received, for the comparison with the server's manifest. */
int compose_end(struct compose *c, uint64_t *size, uint32_t *crc, struct err *e)
    __attribute__((warn_unused_result));

/* A file is whole: it goes into the manifest. */
int compose_whole(struct compose *c, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
                  struct err *e) __attribute__((warn_unused_result));

/* The server's manifest was read: the files that waited, and the rest of our manifest. */
int compose_finish(struct compose *c, const struct check *check, struct err *e)
    __attribute__((warn_unused_result));

#endif
