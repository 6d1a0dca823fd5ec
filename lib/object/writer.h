/*
 * writer: makes an object from a stream of plain bytes (FORMAT.md section 2).
 *
 *     object_writer_begin   frames H and K go out
 *     object_writer_write   any number of times; the zero tail is cut off on the way
 *     object_writer_finish  the rest of the body, then frame T
 *
 * One pass: each byte is seen once, by the plaintext digest (sealed), the compressor, the cipher,
 * the body digest and the store.  Nothing is visible until the caller commits the store's sink.
 * The struct is large (about 700 kB) and holds every buffer; keep one static or on the heap.
 */
#ifndef OBJECT_WRITER_H
#define OBJECT_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/frame.h"
#include "object/key.h"
#include "stream/digest.h"
#include "stream/lz4.h"
#include "stream/seal.h"
#include "stream/sink.h"

/* Zero tails are cut at multiples of this. */
enum { OBJECT_KEPT_UNIT = 512 };

/* With what objects are sealed: the writing host's key and the recipients, which this host's
 * configuration pins. */
struct object_seal {
    const struct key_host *host;
    unsigned count;
    uint8_t recipient[FRAME_BOXES_MAX][SECRET_KEY]; /* X25519 public keys */
};

/* What is kept of a stream of plain bytes: all but the zero tail, whatever the pieces. */
struct object_kept {
    uint64_t seen; /* plain bytes that came */
    uint64_t used; /* end of the last byte that is not zero */
    uint64_t sent; /* bytes handed on */
};

struct object_parts {
    bool damaged;
    const uint8_t *public_part;
    const uint8_t *metadata_part;
    const uint8_t *data_part;
    size_t public_len;
    size_t metadata_len;
    size_t data_len;
};

struct object_writer {
    struct sink gate; /* ends the body's chain; the store goes on with frame T */
    struct digest plain;
    struct lz4_pack pack;
    struct seal seal;
    struct digest body;
    struct sink *in;
    struct sink *out;
    const struct object_seal *with;
    struct secret_content content;
    uint8_t head_digest[DIGEST_STRONG];
    struct object_kept kept;
    uint8_t repo_id[16];
    struct frame_tail tail; /* after finish: what was written (its parts are gone) */
};

/*
 * head: kind, name, system_id, timeline, segment_size, lsn, repo_id, metadata_body; the rest is
 * filled in.  with: NULL for a plain object.  out: takes the bytes (PHASE_STORE); it is neither
 * finished nor aborted here.
 */
int object_writer_begin(struct object_writer *w, struct frame_head *head, bool compress,
                        const struct object_seal *with, struct sink *out, struct err *e)
    __attribute__((warn_unused_result));
int object_writer_write(struct object_writer *w, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int object_writer_finish(struct object_writer *w, const struct object_parts *parts, struct err *e)
    __attribute__((warn_unused_result));

/*
 * The ends of an object whose body is written elsewhere (packs).  object_seal_head draws the
 * object's keys and fills the sealed part of its header, all but the stream's, and its key boxes.
 * object_write_tail writes frame T: `tail` holds sizes and digests, `parts` the rest; with NULL:
 * plain, and content is not used.
 */
int object_seal_head(struct secret_content *content, const struct object_seal *with,
                     struct frame_head *head, struct frame_keys *keys, struct err *e)
    __attribute__((warn_unused_result));
int object_write_tail(struct frame_tail *tail, const struct object_parts *parts,
                      const struct object_seal *with, const struct secret_content *content,
                      const uint8_t head_digest[DIGEST_STRONG], struct sink *out, struct err *e)
    __attribute__((warn_unused_result));

/* Forgets keys and content; accepts any state. */
void object_writer_wipe(struct object_writer *w);

/* Hands on to `next` what is kept; finish hands on what rounding adds, and answers the kept size.
 * Used by the writer and by comparisons. */
int object_kept_write(struct object_kept *k, struct sink *next, const uint8_t *bytes, size_t len,
                      struct err *e) __attribute__((warn_unused_result));
int object_kept_finish(struct object_kept *k, struct sink *next, uint64_t *kept, struct err *e)
    __attribute__((warn_unused_result));

#endif
