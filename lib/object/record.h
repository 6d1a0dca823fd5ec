/*
 * record: the small text files of a repository and its keys (FORMAT.md sections 4 to 7).
 *
 * One statement a line, words separated by one blank, first line `walden-<type> 1`, then the
 * statements, then `crc <8 hex>` over all lines before, then perhaps `signature <key> <signature>`.
 * People can read them; programs accept exactly what they would have written.
 */
#ifndef OBJECT_RECORD_H
#define OBJECT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { RECORD_MAX = 16 * 1024 * 1024, RECORD_LINE_MAX = 1024, RECORD_WORDS_MAX = 6 };

struct record {
    const char *what; /* for messages: the file */
    const char *at;
    const char *end; /* start of the crc line */
    unsigned line;
    size_t signed_len; /* bytes that a signature covers: all up to its line */
    bool has_signature;
    uint8_t signer[32]; /* public key, as claimed */
    uint8_t signature[64];
};

struct record_line {
    unsigned words; /* at least 1 */
    const char *word[RECORD_WORDS_MAX];
    char text[RECORD_LINE_MAX];
};

/* Checks first line, checksum and shape.  `bytes` and `what` are borrowed.  A file of another
 * type or version is ERR_REFUSED, everything else that is wrong ERR_DAMAGED. */
int record_open(struct record *r, const char *type, const char *bytes, size_t len, const char *what,
                struct err *e) __attribute__((warn_unused_result));

/* The next statement: 1, or 0 after the last.  A line that does not fit is ERR_DAMAGED. */
int record_next(struct record *r, struct record_line *l, struct err *e)
    __attribute__((warn_unused_result));

/* Checks that a line has `words` words; else ERR_DAMAGED naming file and line. */
int record_expect(const struct record *r, const struct record_line *l, unsigned words,
                  struct err *e) __attribute__((warn_unused_result));

/* Word i as 2n hexadecimal digits. */
int record_bytes(const struct record *r, const struct record_line *l, unsigned i, uint8_t *out,
                 size_t n, struct err *e) __attribute__((warn_unused_result));

/* ERR_DAMAGED: a statement this version does not know, or a missing one. */
int record_bad(const struct record *r, const char *why, struct err *e);

/* Writing: the first line, a line `word hex(bytes)`, the closing checksum. */
int record_begin(struct buf *b, const char *type, struct err *e)
    __attribute__((warn_unused_result));
int record_hex(struct buf *b, const char *word, const uint8_t *bytes, size_t n, const char *rest,
               struct err *e) __attribute__((warn_unused_result));
int record_end(struct buf *b, struct err *e) __attribute__((warn_unused_result));

#endif
