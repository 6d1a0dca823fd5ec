/*
 * increment: a relation's file of which the server sent only what changed (INCREMENTAL.<name>, 17
 * and later), read as it arrives.
 *
 *     u32 magic, u32 count, u32 length          length: pages that the file has at least
 *     u32 number of a page                      count times, ascending
 *     zeros up to a multiple of 8192            when count is not 0
 *     the pages                                 in the same order
 *
 * The integers are in the server's byte order; a server of the other one is refused.  All other
 * pages up to the file's end are those of the backup before; that it is shorter means zeros.
 */
#ifndef PG_INCREMENT_H
#define PG_INCREMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    INCREMENT_PAGE = 8192,
    INCREMENT_HEAD = 12,
    INCREMENT_PAGES_MAX = 1 << 22 /* of a relation's segment, whatever the server was built for */
};

/* Each returns 0, or -1 with *e filled.  In the order of the file's pages. */
struct increment_events {
    int (*known)(void *arg, uint64_t count, struct err *e); /* so many pages are as before */
    /* A page that was sent, in pieces. */
    int (*data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
};

struct increment {
    const struct increment_events *events;
    void *arg;
    uint32_t count;
    uint32_t length;
    struct buf numbers; /* as they came, u32 each */
    uint64_t at;        /* bytes fed */
    uint64_t body;      /* where the pages begin */
    uint32_t sent;      /* pages begun */
    uint64_t page;      /* the next page of the file */
    uint8_t head[INCREMENT_HEAD];
};

/* Is that the name of such a file, in a directory of relations?  *prefix: where in the path the
 * word begins that the relation's own name has not, of INCREMENT_WORD bytes. */
#define INCREMENT_WORD "INCREMENTAL."
bool increment_is_path(const char *path, size_t *prefix);

void increment_init(struct increment *i, const struct increment_events *events, void *arg);
void increment_fini(struct increment *i);

/* -1 with ERR_DAMAGED when it is not such a file. */
int increment_feed(struct increment *i, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* The n-th page that was sent, when the list has come; n < count. */
uint32_t increment_number(const struct increment *i, uint32_t n);

/* No more comes: the pages behind the last one that was sent. */
int increment_finish(struct increment *i, struct err *e) __attribute__((warn_unused_result));

#endif
