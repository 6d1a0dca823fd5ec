/*
 * dump_get: opens a dump and gives back its streams.
 */
#ifndef REPO_DUMP_GET_H
#define REPO_DUMP_GET_H

#include "repo/dump.h"
#include "repo/dump_list.h"
#include "repo/pages_lease.h"
#include "repo/repo.h"

struct dump_get {
    struct repo *repo;
    struct store_object object;
    struct object_reader *reader; /* the caller's */
    bool open;
    bool has_meta; /* else no key for it is here */
    struct dump_public public;
    struct dump_meta meta;
    struct pages_lease lease; /* held, or not: see dump_get_hold */
    int64_t beat;
};

/* Before it is opened (g zeroed): expire leaves alone what somebody reads.  Beats while a stream is
 * read.  holder: host and process, for people.  -1 where no lease can be taken; the dump can be
 * read all the same, for as long as nobody removes it. */
int dump_get_hold(struct dump_get *g, struct repo *repo, const struct dump_item *item,
                  const char *holder, struct err *e);

/* Opens it (g zeroed, or held) and reads what the keys allow.  0, STORE_ABSENT, -1. */
int dump_get_open(struct dump_get *g, struct repo *repo, const struct dump_item *item,
                  struct object_reader *reader, struct err *e) __attribute__((warn_unused_result));
void dump_get_close(struct dump_get *g); /* accepts a zeroed struct */

/* Reads the whole dump and hands one stream to `out` (PHASE_DELIVER), which is finished only when
 * all of the object was proven.  ERR_KEY without a secret key. */
int dump_get_stream(struct dump_get *g, uint32_t stream, struct sink *out, struct err *e)
    __attribute__((warn_unused_result));

/* Reads it back as deep as the keys allow: *whole says whether its streams were decoded, or only
 * the stored bytes proven. */
int dump_get_verify(struct dump_get *g, bool *whole, struct err *e)
    __attribute__((warn_unused_result));

#endif
