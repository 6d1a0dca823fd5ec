/*
 * seal: authenticated encryption of a stream in pieces of 64 KiB (FORMAT.md section 2.4).
 *
 * Each piece is one secretstream message bound to the object's header by its associated data; the
 * last carries the final tag.  So a stream cannot be cut (not even between pieces), reordered, or
 * moved to another object without being noticed.
 */
#ifndef STREAM_SEAL_H
#define STREAM_SEAL_H

#include <sodium.h>
#include <stdbool.h>

#include "stream/sink.h"

enum {
    SEAL_PIECE = 64 * 1024,
    SEAL_EXTRA = 17, /* what one piece grows by */
    SEAL_KEY = 32,
    SEAL_HEADER = 24,
    SEAL_BOUND = 32, /* length of the associated data */
};

struct seal {
    struct sink sink;
    bool done; /* the final message was read */
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t bound[SEAL_BOUND];
    size_t held;
    uint8_t in[SEAL_PIECE + SEAL_EXTRA];
    uint8_t out[SEAL_PIECE + SEAL_EXTRA];
};

/* Encrypts.  Step one draws the stream's header, which goes into the object's header; step two
 * binds the stream to the digest of that finished header. */
void seal_push_init(struct seal *s, const uint8_t key[SEAL_KEY], uint8_t header[SEAL_HEADER]);
void seal_bind(struct seal *s, const uint8_t bound[SEAL_BOUND]);

/* Decrypts. */
int seal_pull_init(struct seal *s, const uint8_t key[SEAL_KEY], const uint8_t header[SEAL_HEADER],
                   const uint8_t bound[SEAL_BOUND], struct err *e);

/* Forgets keys and plaintext. */
void seal_wipe(struct seal *s);

#endif
