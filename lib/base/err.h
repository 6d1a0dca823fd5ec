/*
 * err: how a failure travels from the place that saw it to the program that prints it.
 *
 * Library code never prints and never exits.  A function that can fail takes a `struct err *`
 * as its last parameter and returns -1 (or NULL); the first failure writes the record, callers
 * may put context in front of it, and only layer 5 prints it, once: message, then hint.
 *
 * Wording follows PostgreSQL's style: lower case, no full stop, names in double quotes,
 * `could not VERB "NAME": reason`.  The hint is a full sentence that says what to type next.
 *
 * The record is a fixed buffer: recording an out-of-memory needs no memory.  Long text is cut.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

enum err_code {
    ERR_NONE = 0,
    ERR_USAGE,       /* wrong command line */
    ERR_CONFIG,      /* wrong configuration file or environment */
    ERR_IO,          /* a system call failed */
    ERR_NOMEM,       /* no memory, or a buffer's ceiling was met */
    ERR_DAMAGED,     /* bytes are not what they must be */
    ERR_REFUSED,     /* doing it would be unsafe: other content, other cluster, non-empty target */
    ERR_UNREACHABLE, /* repository or server is not there (unmounted, refused, wrong marker) */
    ERR_KEY,         /* a key is missing, wrong, or does not open this */
    ERR_TIMEOUT,     /* the deadline passed */
    ERR_HOLE,        /* a file that must exist does not, and later ones need it */
    ERR_INTERRUPTED, /* a signal asked us to stop */
    ERR_INTERNAL     /* a bug: an invariant of our own does not hold */
};

enum { ERR_MSG_MAX = 768, ERR_HINT_MAX = 384 };

struct err {
    enum err_code code;
    int sys; /* errno for ERR_IO, else 0 */
    char msg[ERR_MSG_MAX];
    char hint[ERR_HINT_MAX];
};

/* Makes *e say "no error".  A struct err on the stack starts with this or `= {0}`. */
void err_clear(struct err *e);

/* The code in one word, which stays the same: "usage", "unreachable". */
const char *err_word(enum err_code code);

/* Records a failure; a record that already holds one is kept (the first cause wins). Returns -1. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: ERR_IO, or ERR_NOMEM for ENOMEM; appends ": strerror". */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Says what to do next.  The first hint wins.  Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "text: " in front of the message.  Returns -1. */
int err_context(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
