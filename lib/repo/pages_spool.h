/*
 * pages_spool: a temporary file that has no name, for what does not fit into memory.
 *
 * Appended through a buffer and read anywhere.  It is removed as soon as it is open, so nothing
 * stays behind whatever happens.
 */
#ifndef REPO_PAGES_SPOOL_H
#define REPO_PAGES_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct pages_spool {
    int fd; /* -1 when closed */
    uint64_t len;
    size_t held;
    uint8_t buffer[32 * 1024];
};

/* In the directory `dir`. */
int pages_spool_open(struct pages_spool *s, const char *dir, struct err *e)
    __attribute__((warn_unused_result));
int pages_spool_add(struct pages_spool *s, const void *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int pages_spool_read(struct pages_spool *s, uint64_t at, void *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
void pages_spool_empty(struct pages_spool *s); /* forgets what was added */
void pages_spool_close(struct pages_spool *s); /* accepts a closed one */

#endif
