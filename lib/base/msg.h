/*
 * msg: what a program says to the person who runs it, on standard error; and to a script, when it
 * fails.
 *
 * The only place in lib that prints, and only programs call it.  Each message is one line,
 * "PROGRAM: warning: text", handed over in one write so that lines of several processes do not mix
 * in the server's log.  Whatever a message quotes (file names, content of a damaged file) is made
 * harmless first: it cannot start a new line or act on a terminal.  A line is cut at 2 kB.
 */
#ifndef BASE_MSG_H
#define BASE_MSG_H

#include <stdbool.h>

#include "base/err.h"

enum msg_level {
    MSG_QUIET = -1, /* errors and warnings */
    MSG_NORMAL = 0, /* and notes */
    MSG_VERBOSE = 1 /* and details */
};

struct msg {
    const char *program; /* "walden-archive" */
    enum msg_level level;
    bool json; /* --json: msg_fail says it for scripts, too */
};

/* "PROGRAM: error: message", and "PROGRAM: hint: hint" when there is one. */
void msg_error(const struct msg *m, const struct err *e);

/* msg_error for the failure that ends a command, so that nothing else was or will be written to
 * standard output; with m->json also one JSON object there:
 * {"schema":1,"error":{"command":...,"code":...,"message":...,"hint":... or null}}. */
void msg_fail(const struct msg *m, const struct err *e);

/* The same as msg_error, as a warning: for a failure that the program survives. */
void msg_warn_err(const struct msg *m, const struct err *e);

void msg_warn(const struct msg *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void msg_note(const struct msg *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void msg_detail(const struct msg *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
