/*
 * copy_mark: the file that tells a copy of a repository from the repository (FORMAT.md section 14).
 *
 * A copy has the repository's id, so its objects are the same bytes and every key and pin fits.
 * What it must not have is a second life: while it is a copy, nobody archives, backs up or dumps
 * into it, its own runs of expire, verify and drill write chains of their own, and an expire record
 * of the repository explains there what is missing but takes nothing away.  Adopted, it is written
 * like any repository, and the rest stays.
 *
 * Pure.  The file is not signed: whoever can forge it can take away what it protects.
 */
#ifndef REPO_COPY_MARK_H
#define REPO_COPY_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define COPY_MARK_FILE "walden-copy"

enum { COPY_ID = 16 };

struct copy_mark {
    bool there; /* else it is no copy, and the rest is zero */
    bool adopted;
    uint8_t repo[16];
    uint8_t id[COPY_ID]; /* of this copy alone */
};

int copy_mark_read(struct copy_mark *m, const char *text, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int copy_mark_write(struct buf *b, const struct copy_mark *m, struct err *e)
    __attribute__((warn_unused_result));

#endif
