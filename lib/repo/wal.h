/*
 * wal: WAL files as objects: which name goes where, and how timelines branch.
 *
 * A timeline's history is small and names the points where its ancestors ended.  Those points are
 * repeated in the public part of the history's object (FORMAT.md section 2.7), so that holes can
 * be told from ends without any key.
 */
#ifndef REPO_WAL_H
#define REPO_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "pg/walname.h"
#include "repo/repo.h"
#include "repo/store.h"

enum { WAL_BRANCHES_MAX = 10000, WAL_BRANCH_TAG = 60, WAL_BRANCH_BYTES = 12 };

/* Takes apart a name that the server uses; `leaf` is borrowed by *object.  False: no WAL name. */
bool wal_object_name(const char *leaf, struct walname *name, struct store_name *object);

/* Is what was opened under this name the file that the name says: place in its header, and size?
 * Without a signature nobody else vouches for them.  ERR_DAMAGED. */
int wal_check_object(const struct object_reader *r, const struct walname *name,
                     uint32_t segment_size, struct err *e) __attribute__((warn_unused_result));

/* An ancestor, and where it ended. */
struct wal_branch {
    tli_t parent;
    lsn_t end;
};
VEC_DECLARE(wal_branches, struct wal_branch);

/* The public part of a history object: the item, or what it says. */
int wal_branches_encode(const struct wal_branches *b, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));
int wal_branches_decode(struct wal_branches *b, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* Reads a timeline's branches from its history object, into *b (initialised).  Timeline 1 has
 * none.  0, STORE_ABSENT, -1. */
int wal_branches_load(struct repo *r, tli_t timeline, struct object_reader *scratch,
                      struct wal_branches *b, struct err *e) __attribute__((warn_unused_result));

/* Where an ancestor ended; false when `parent` is none. */
bool wal_branch_end(const struct wal_branches *b, tli_t parent, lsn_t *end);

#endif
