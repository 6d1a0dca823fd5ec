/*
 * dump_check: proves one stream of a dump by decoding all of it.
 *
 * Archives are read entry by entry: compressed data are expanded and their checksums compared (gzip
 * and lz4; of zstd only the shape of its frames, and the verdict says so), and the data of each
 * COPY are followed to their end, which counts the table's rows.  Used while a dump is taken and
 * when it is verified.
 */
#ifndef REPO_DUMP_CHECK_H
#define REPO_DUMP_CHECK_H

#include "pg/dumpfile.h"
#include "stream/sink.h"

enum dump_level {
    DUMP_LEVEL_NONE = 0,
    DUMP_LEVEL_SHAPE = 1, /* table of contents, blocks, shape of compressed data */
    DUMP_LEVEL_WHOLE = 2  /* and every byte of data */
};

struct dump_decoder;

/* The last sink of a chain, or fed by hand. */
struct dump_check {
    struct sink sink; /* PHASE_DELIVER */
    struct dumpfile file;
    struct sink counter; /* sees the data of an entry in clear */
    struct dumpfile_rows rows;
    bool any;     /* data of the entry in hand */
    bool copying; /* they are those of a COPY */
    bool begun;   /* the decoder holds something */
    struct dump_decoder *decoder;
};

void dump_check_init(struct dump_check *c);
void dump_check_fini(struct dump_check *c); /* accepts a zeroed struct */

/* After the chain was finished: how deep it was. */
enum dump_level dump_check_level(const struct dump_check *c);

#endif
