/*
 * frame: the three frames of an object as bytes (FORMAT.md section 2), and nothing else.
 *
 * Pure: no keys, no files.  Encoding writes what the tables of FORMAT.md say; decoding treats its
 * input as hostile, checks magic, version, lengths and checksum, and answers ERR_DAMAGED for what
 * does not fit and ERR_REFUSED for a version from the future.
 */
#ifndef OBJECT_FRAME_H
#define OBJECT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum object_kind {
    KIND_SEGMENT = 1,
    KIND_PARTIAL,
    KIND_HISTORY,
    KIND_BACKUP_HISTORY,
    KIND_MANIFEST,
    KIND_PACK,
    KIND_DUMP,
    KIND_DRILL,
    KIND_EXPIRE,
    KIND_CONDEMNED,
    KIND_INTENT,
    KIND_LEASE,
    KIND_SEALED_FROM,
    KIND_VERIFIED,
    KIND_PIN,
    KIND_LAST = KIND_PIN
};

enum { CODEC_LZ4 = 1, CODEC_PACK = 2 };

enum {
    FRAME_NAME_MAX = 64,
    FRAME_PLACE_MAX = 144,
    FRAME_SEALED_PART = 128,
    FRAME_HEAD_MAX = 8 + 512, /* a whole frame H */
    FRAME_HEAD_MIN = 8 + 56 + 1 + 1 + 4,
    FRAME_BOX = 80,
    FRAME_BOXES_MAX = 16,
    FRAME_KEYS_MAX = 8 + 4 + 96 * FRAME_BOXES_MAX + 4, /* a whole frame K */
    FRAME_TAIL_FIXED = 96,
    FRAME_TAIL_END = 16,
    FRAME_TAIL_SMALL = 128 * 1024,       /* limit of frame T for most kinds */
    FRAME_TAIL_LARGE = 64 * 1024 * 1024, /* for manifests and packs */
    FRAME_SIGNATURE = 64,
    KEY_ID = 16
};

struct frame_head {
    enum object_kind kind;
    bool sealed;
    bool metadata_body;
    uint8_t codec;
    char name[FRAME_NAME_MAX + 1];
    char place[FRAME_PLACE_MAX + 1]; /* cluster, or cluster/dump/job, or cluster/drill */
    uint64_t system_id;
    uint32_t timeline;
    uint32_t segment_size;
    uint64_t lsn;
    uint8_t repo_id[16];
    /* sealed objects only */
    uint8_t signer[KEY_ID];
    uint8_t write_id[8];
    uint8_t commitment[32];
    uint8_t wrapped[48];
    uint8_t stream[24];
};

/* Writes a whole frame H; answers its length. */
size_t frame_head_encode(const struct frame_head *h, uint8_t out[FRAME_HEAD_MAX]);

/* Reads frame H at the start of bytes; *frame_len is its whole length. */
int frame_head_decode(struct frame_head *h, const uint8_t *bytes, size_t len, size_t *frame_len,
                      struct err *e);

struct frame_keys {
    unsigned count;
    uint8_t recipient[FRAME_BOXES_MAX][KEY_ID];
    uint8_t box[FRAME_BOXES_MAX][FRAME_BOX];
};

size_t frame_keys_encode(const struct frame_keys *k, uint8_t out[FRAME_KEYS_MAX]);
int frame_keys_decode(struct frame_keys *k, const uint8_t *bytes, size_t len, size_t *frame_len,
                      struct err *e);

struct frame_tail {
    uint64_t plain_size;
    uint64_t kept_size;
    uint64_t body_size;
    uint8_t body_digest[32];
    uint8_t plain_digest[16];
    bool damaged;
    /* The parts as stored; when decoded they point into the caller's bytes. */
    const uint8_t *public_part;
    const uint8_t *metadata_part;
    const uint8_t *data_part;
    const uint8_t *signature; /* NULL when there is none */
    uint32_t public_len;
    uint32_t metadata_len;
    uint32_t data_len;
};

/* Length of the frame that frame_tail_encode will write. */
size_t frame_tail_size(const struct frame_tail *t, bool sealed);

/*
 * Writes a whole frame T in two steps, since the signature covers the first: frame_tail_begin
 * writes all up to the signature and answers that length; frame_tail_end adds the signature (NULL:
 * none) and the closing fields and answers the whole length.  `out` has frame_tail_size bytes.
 */
size_t frame_tail_begin(const struct frame_tail *t, bool sealed, uint8_t *out);
size_t frame_tail_end(uint8_t *out, size_t begun, const uint8_t *signature);

/* From the last bytes of a file: the whole length of frame T, at most `limit`. */
int frame_tail_length(const uint8_t *end, size_t len, size_t limit, size_t *frame_len,
                      struct err *e);

/* Reads a whole frame T.  *signed_len is the length that the signature covers, frame head included.
 */
int frame_tail_decode(struct frame_tail *t, bool sealed, const uint8_t *bytes, size_t len,
                      size_t *signed_len, struct err *e);

/* Limit of frame T for a kind. */
size_t frame_tail_limit(enum object_kind kind);

/* "WAL segment", "timeline history" ... for messages. */
const char *frame_kind_name(enum object_kind kind);

#endif
