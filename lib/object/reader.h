/*
 * reader: opens an object, proves it, and gives back what is inside.
 *
 * object_open reads both ends (two reads), checks frames, sizes, identity and signature, and
 * refuses what must not be trusted: a plain object in a sealed repository, an unknown signer, an
 * object under another's name.  After it, header and public part can be believed.  Metadata needs
 * the write key or a secret key, the body a secret key; both are checked as they are read.
 * The struct is large and holds the buffers; keep one static or on the heap.
 */
#ifndef OBJECT_READER_H
#define OBJECT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/frame.h"
#include "object/key.h"
#include "object/trust.h"
#include "stream/digest.h"
#include "stream/lz4.h"
#include "stream/seal.h"
#include "stream/sink.h"

/* Where the bytes are: reads exactly len bytes at an offset. */
struct object_source {
    int (*read)(void *arg, uint64_t at, void *buf, size_t len, struct err *e);
    void *arg;
    uint64_t size;
    const char *name; /* for messages */
};

/* What the object must be.  Zero or NULL fields are not compared. */
struct object_want {
    enum object_kind kind;
    const char *name;
    uint64_t system_id;
    const char *place; /* NULL: the cluster that `trust` is about, where it names one */
};

enum { OBJECT_IO = 256 * 1024, OBJECT_FIRST = FRAME_HEAD_MAX + FRAME_KEYS_MAX, OBJECT_LAST = 4096 };

struct object_reader {
    const struct object_source *source;
    struct frame_head head;
    struct frame_keys keys;
    struct frame_tail tail;
    uint8_t head_digest[DIGEST_STRONG];
    uint64_t body_at;
    uint8_t *tail_memory; /* what `tail` points into */
    bool has_metadata;    /* metadata key known */
    bool has_content;     /* content key known */
    struct secret_content content;
    struct digest digest;
    struct seal seal;
    struct lz4_unpack unpack;
    uint8_t io[OBJECT_IO];
};

/* 0, or -1: ERR_DAMAGED, ERR_REFUSED (not to be trusted), ERR_KEY (sealed, and no keys here). */
int object_open(struct object_reader *r, const struct object_source *source,
                const struct trust *trust, const struct object_want *want, struct err *e)
    __attribute__((warn_unused_result));

/* Finds this key's box and opens it.  ERR_KEY when the object was not sealed to this key. */
int object_unlock(struct object_reader *r, const struct key_recovery *key, struct err *e)
    __attribute__((warn_unused_result));

/* The same with the host's write key, for metadata only. */
int object_unlock_metadata(struct object_reader *r, const struct key_host *key, struct err *e)
    __attribute__((warn_unused_result));

/* Can the content be read with what was unlocked?  Always, for a plain object. */
bool object_can_read(const struct object_reader *r);

/* Reads the body, proves it, and hands the content (kept bytes) to `out` (PHASE_CONTENT or
 * later), which is finished.  Only when this answers 0 may the content be believed. */
int object_content(struct object_reader *r, struct sink *out, struct err *e)
    __attribute__((warn_unused_result));

/* Proves the stored bytes without any key: the body's digest. */
int object_check_stored(struct object_reader *r, struct err *e) __attribute__((warn_unused_result));

/* The metadata or data part in clear, in memory that the caller frees; *len may be 0 (NULL). */
int object_metadata(struct object_reader *r, uint8_t **part, size_t *len, struct err *e)
    __attribute__((warn_unused_result));
int object_data(struct object_reader *r, uint8_t **part, size_t *len, struct err *e)
    __attribute__((warn_unused_result));

/* Frees and forgets; accepts a zeroed struct, any state, twice. */
void object_close(struct object_reader *r);

#endif
