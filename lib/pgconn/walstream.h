/*
 * walstream: START_REPLICATION: a server's WAL from a segment's start to a given end, cut into
 * segments as the files of pg_wal are.
 *
 * Follows the server from timeline to timeline.  Runs until the end is reached, which somebody else
 * may learn while it runs (the end of a base backup on another connection).
 */
#ifndef PGCONN_WALSTREAM_H
#define PGCONN_WALSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"
#include "pgconn/pgconn.h"

enum {
    WALSTREAM_STATUS = 10,   /* seconds between reports to the server */
    WALSTREAM_SILENCE = 120, /* seconds without a word, although the server was asked for one */
    WALSTREAM_BYTES_MAX = 256 * 1024 /* of one message; a server sends 128 kB */
};

struct walstream_opts {
    tli_t tli;
    lsn_t start; /* rounded down to the beginning of its segment */
    uint32_t segsize;
    const char *slot; /* NULL: none */
};

/* segment_begin, data and segment_end must be there, the others may be NULL.  0, or -1 with *e. */
struct walstream_events {
    /* A segment begins with its first byte. */
    int (*segment_begin)(void *arg, tli_t tli, uint64_t segno, struct err *e);
    int (*data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
    /* whole: it got all its bytes.  Else the stream or its timeline ends within it: what was
     * received is its beginning, and on a new timeline the segment comes again. */
    int (*segment_end)(void *arg, bool whole, struct err *e);
    /* The history file of a timeline that the stream is about to follow. */
    int (*history)(void *arg, tli_t tli, const char *text, size_t len, struct err *e);
    /* Where to stop; 0 while that is not known yet.  Asked ten times a second. */
    lsn_t (*stop)(void *arg);
    /* Up to where the received WAL is durable, for the server to know (a slot then lets go of it);
     * NULL: it is told nothing, so that it never counts on us. */
    lsn_t (*durable)(void *arg);
};

struct walstream_end {
    lsn_t lsn; /* where it stopped */
    tli_t tli;
};

/*
 * Streams over a connection of replication_open(REPLICATION_PHYSICAL).  Afterwards the connection
 * is only good for closing.  -1: also ERR_HOLE when the server has removed the WAL that was asked
 * for.
 */
int walstream_run(struct pgconn *c, const struct walstream_opts *o,
                  const struct walstream_events *events, void *arg, struct walstream_end *end,
                  struct err *e) __attribute__((warn_unused_result));

#endif
