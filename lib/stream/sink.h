/*
 * sink: the push chain through which every byte of content flows.
 *
 * A sink takes bytes (write), is told that there are no more (finish), or that the whole was given
 * up (abort).  A filter is a struct whose first member is its sink; it passes what it makes on to
 * `next`.  write consumes all of its input or fails: a filter hands its output on in pieces from
 * its own fixed buffer, so memory is bounded and no input is ever offered twice.  finish travels
 * down the chain, and only the last sink makes anything visible; after abort nothing is visible.
 *
 * Each sink has a phase, and a chain only links phases in order, in one direction: a chain that
 * would encrypt before it compresses cannot be built.
 */
#ifndef STREAM_SINK_H
#define STREAM_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sink_phase {
    /* towards the repository */
    PHASE_PLAIN = 1, /* sees content: count, digest, WAL walk */
    PHASE_COMPRESS,
    PHASE_SEAL,
    PHASE_STORED, /* sees the bytes that will be stored: digest, meter */
    PHASE_STORE,  /* the end: a file, an upload */
    /* from the repository */
    PHASE_LOADED = 11, /* sees stored bytes */
    PHASE_UNSEAL,
    PHASE_DECOMPRESS,
    PHASE_CONTENT, /* sees content again */
    PHASE_DELIVER  /* the end: a file, a checker, nothing */
};

struct sink;

struct sink_ops {
    const char *name;
    int (*write)(struct sink *s, const uint8_t *bytes, size_t len, struct err *e);
    int (*finish)(struct sink *s, struct err *e);
    void (*abort)(struct sink *s);
};

struct sink {
    const struct sink_ops *ops;
    struct sink *next; /* NULL at the end of the chain */
    enum sink_phase phase;
};

/* Sets up the first member of a filter. */
void sink_init(struct sink *s, const struct sink_ops *ops, enum sink_phase phase);

/* Makes `down` the next of `up`.  -1 when the phases are out of order: a bug, ERR_INTERNAL. */
int sink_link(struct sink *up, struct sink *down, struct err *e)
    __attribute__((warn_unused_result));

/* Feeds, finishes or aborts a chain at its head.  An error leaves the chain fit only for abort. */
int sink_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int sink_finish(struct sink *s, struct err *e) __attribute__((warn_unused_result));
void sink_abort(struct sink *s);

/* finish and abort for filters that hold nothing back: pass it on. */
int sink_finish_next(struct sink *s, struct err *e);
void sink_abort_next(struct sink *s);

/* A last sink that takes everything and keeps nothing, for checks. */
void sink_null(struct sink *s, enum sink_phase phase);

#endif
