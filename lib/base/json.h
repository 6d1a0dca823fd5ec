/*
 * json: writing JSON as it becomes known, and reading it strictly.
 *
 * The writer appends to a buffer, or passes pieces on when a flush function is given, so that a
 * list of any length needs bounded memory.  Its error is sticky: values are written without a check
 * each, and json_end tells whether all went well.  The output is compact ASCII-safe UTF-8: controls
 * are escaped, bytes that are not UTF-8 become U+FFFD, and 64-bit numbers keep all their digits.
 *
 * The reader takes RFC 8259 and nothing else: no comments, no trailing commas, no duplicate
 * documents, strings in valid UTF-8 without U+0000, nesting of at most JSON_DEPTH_MAX.  It is
 * pulled token by token and may be fed in pieces of any size, cut anywhere, so a large file needs
 * no memory but for its longest string.  Numbers stay text until json_u64 reads them exactly.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    JSON_DEPTH_MAX = 64,
    JSON_FLUSH_AT = 16 * 1024, /* a writer with a flush function calls it about this often */
};

/* ---- writer ---- */

/* Takes a piece of output.  0 or -1. */
typedef int json_flush(void *arg, const void *p, size_t n, struct err *e);

struct json_out {
    struct buf *b;
    json_flush *flush;
    void *arg;
    unsigned depth;
    uint64_t is_object; /* one bit per level */
    uint64_t has_items;
    bool done; /* the one value of the document was written */
    int rc;
    struct err err;
};

/* Starts a document in b (borrowed; what is in it stays in front).  flush may be NULL. */
void json_begin(struct json_out *j, struct buf *b, json_flush *flush, void *arg);

/* Values.  key is NULL in an array and for the document itself, and must be set in an object. */
void json_object(struct json_out *j, const char *key);
void json_object_end(struct json_out *j);
void json_array(struct json_out *j, const char *key);
void json_array_end(struct json_out *j);
void json_str(struct json_out *j, const char *key, const char *s); /* s NULL writes null */
void json_strn(struct json_out *j, const char *key, const char *s, size_t n);
void json_fmt(struct json_out *j, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* a string of at most 255 bytes */
void json_num(struct json_out *j, const char *key, uint64_t v);
void json_int(struct json_out *j, const char *key, int64_t v);
void json_bool(struct json_out *j, const char *key, bool v);
void json_null(struct json_out *j, const char *key);

/* Ends the document with a newline and flushes it.  0; -1 with the first failure; a document that
 * is not whole is ERR_INTERNAL. */
int json_end(struct json_out *j, struct err *e) __attribute__((warn_unused_result));

/* ---- reader ---- */

enum json_type {
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_END /* the document is over */
};

struct json_token {
    enum json_type type;
    const char
        *text; /* key, string or number, decoded, with a 0 behind; valid until the next call */
    size_t len;
    unsigned depth; /* open objects and arrays around the token; an END has that of its begin */
};

enum { JSON_MORE = 1 };

struct json_in {
    const uint8_t *p;
    size_t left;
    uint64_t offset; /* of p in the document, for messages */
    bool last;       /* no more will be fed */
    struct buf text; /* the token in hand */
    unsigned depth;
    uint64_t is_object;
    int expect;    /* what may come next */
    int lex;       /* inside which kind of token the input ended */
    unsigned need; /* hexadecimal digits still to come */
    uint32_t code; /* of the \u in hand */
    uint32_t high; /* a high surrogate that waits for its low one */
    bool skipping;
    unsigned skip_depth;
};

/* A reader without input.  No string or number may be longer than max_text bytes. */
void json_in_init(struct json_in *j, size_t max_text);
void json_in_fini(struct json_in *j);

/* Gives the next piece (borrowed until it is used up, which JSON_MORE says); last: there is no
 * further one.  To read a document in memory: one piece, last. */
void json_feed(struct json_in *j, const void *p, size_t n, bool last);

/* The next token.  0; JSON_MORE when the piece is used up and was not the last; -1 with
 * ERR_DAMAGED and the byte at which the input is wrong. */
int json_next(struct json_in *j, struct json_token *t, struct err *e)
    __attribute__((warn_unused_result));

/* Makes json_next pass over the value that comes next, however deep.  Called after a key. */
void json_skip(struct json_in *j);

/* The exact value of a number token; -1 for a sign, fraction, exponent, or more than max. */
int json_u64(const struct json_token *t, uint64_t max, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* Whether a key or string token is exactly this text. */
bool json_is(const struct json_token *t, const char *text);

#endif
