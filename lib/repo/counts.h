/*
 * counts: the numbers of rows that a backup's manifest holds of chosen tables, by which a restored
 * copy is compared with what was backed up (FORMAT.md section 9).
 *
 * They stand in the metadata part of the manifest's trailer, found with one read.
 */
#ifndef REPO_COUNTS_H
#define REPO_COUNTS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { COUNTS_NAME_MAX = 256, COUNTS_MAX = 1024 * 1024 };

struct counts_row {
    char database[COUNTS_NAME_MAX];
    char schema[COUNTS_NAME_MAX];
    char table[COUNTS_NAME_MAX];
    uint64_t rows;
    int64_t time; /* of the snapshot */
    uint64_t lsn; /* the snapshot is not younger; 0: not known */
};

/* Appends one row to a manifest's metadata part. */
int counts_add(struct buf *part, const struct counts_row *row, struct err *e)
    __attribute__((warn_unused_result));

/* Takes the next row off a metadata part, passing what is none: 0, 1 at the end, -1
 * (ERR_DAMAGED). */
int counts_next(struct cur *part, struct counts_row *row, struct err *e)
    __attribute__((warn_unused_result));

#endif
