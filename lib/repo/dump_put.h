/*
 * dump_put: makes a dump's object from its streams, as they come.
 *
 * All streams of a job go into one object, which appears whole when dump_put_finish answers 0 and
 * not at all otherwise.  Every byte is decoded on its way (repo/dump_check): a stream that is not a
 * whole dump ends the object.  Nothing is on disk but the compressed, sealed bytes of the temporary
 * file.
 */
#ifndef REPO_DUMP_PUT_H
#define REPO_DUMP_PUT_H

#include "object/writer.h"
#include "repo/dump.h"
#include "repo/dump_check.h"
#include "repo/dump_list.h"
#include "repo/manifest_chain.h"
#include "repo/repo.h"

/* Large: keep one on the heap. */
struct dump_put {
    struct repo *repo;
    const char *job;
    char label[DUMP_LABEL_MAX];
    struct dump_public public; /* the caller fills start, versions, tag and what dump_put cannot
                                  know */
    struct dump_meta meta;
    struct dump_check check; /* of the stream in hand */
    bool in_stream;
    struct manifest_seen seen; /* after finish: for manifest_heads_keep */
    uint64_t stored;
    struct digest whole;
    struct object_writer object;
    struct store_put put;
};

/* `existing`: all dumps of the cluster.  compress: false when pg_dump does it. */
int dump_put_begin(struct dump_put *p, struct repo *repo, const char *job,
                   const struct dump_list *existing, bool compress, struct err *e)
    __attribute__((warn_unused_result));

int dump_put_stream(struct dump_put *p, enum dump_kind kind, const char *name, struct err *e)
    __attribute__((warn_unused_result));
int dump_put_write(struct dump_put *p, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
/* Proves that the stream is a whole dump, and notes its tables. */
int dump_put_stream_end(struct dump_put *p, struct err *e) __attribute__((warn_unused_result));

/* public.head is filled by the caller (manifest_chain_next) before. */
int dump_put_finish(struct dump_put *p, struct err *e) __attribute__((warn_unused_result));

/* Releases all; what was not finished leaves nothing.  Accepts a zeroed struct. */
void dump_put_fini(struct dump_put *p);

#endif
