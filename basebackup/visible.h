/*
 * visible: the visibility maps of an increment.
 *
 * A change of a table's page clears the page's bits in the table's map; before 17.11 and 18.6 the
 * WAL does not name the map's page then, so the server's summaries do not know of it, and the
 * increment leaves the map as it was: a copy would take deleted rows for visible to all, and VACUUM
 * would pass them by.  But the table's page is in the increment.  So maps wait until all files are
 * through, and where a page of a map was left out, though a page that it covers was sent or is
 * gone, it becomes a page of zeros: that nothing is known of the table's pages is always right, and
 * VACUUM finds out again.  No version is trusted: a standby may have WAL of an older primary.
 *
 * Pages are named, not read, so no secret key is needed.  Memory: 8 bytes per map page concerned.
 */
#ifndef BASEBACKUP_VISIBLE_H
#define BASEBACKUP_VISIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "object/secret.h"
#include "pg/increment.h"
#include "repo/pages_put.h"

VEC_DECLARE(visible_marks, uint64_t);

struct visible {
    bool opened;
    uint32_t segment; /* pages of a relation's file before the next one begins */
    uint8_t key[SECRET_TABLE_KEY];
    struct visible_marks marks;
    struct pages_spool later; /* the increments of maps, as they came */
};

/* dir: for a temporary file. */
int visible_begin(struct visible *v, uint32_t segment, const char *dir, struct err *e)
    __attribute__((warn_unused_result));
void visible_fini(struct visible *v); /* accepts a zeroed one */

/* Is that file a map, whose increment has to wait? */
bool visible_is_map(const char *path);

/* The increment of a map comes, of `size` bytes. */
int visible_wait(struct visible *v, const char *path, uint32_t mode, int64_t mtime, uint64_t size,
                 struct err *e) __attribute__((warn_unused_result));
int visible_data(struct visible *v, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* Another file is whole, with `size` bytes, of which the prior backup's had `before`.  sent: the
 * increment that it came as, NULL: all of it was sent. */
int visible_file(struct visible *v, const char *path, const struct increment *sent, uint64_t size,
                 uint64_t before, struct err *e) __attribute__((warn_unused_result));

/* Told of each map that was stored. */
typedef int visible_stored(void *arg, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
                           struct err *e);

/* All other files are through: stores the maps. */
int visible_store(struct visible *v, struct pages_put *put, visible_stored *stored, void *arg,
                  struct err *e) __attribute__((warn_unused_result));

#endif
