/*
 * history: a timeline's history file, strictly read.
 *
 * One line per ancestor, oldest first: timeline, LSN where it ended, reason.  Blank lines and
 * comments are allowed, as the server allows them.  Timelines and LSNs must not go backwards, and
 * every ancestor is older than the timeline that the file is about.
 */
#ifndef PG_HISTORY_H
#define PG_HISTORY_H

#include <stddef.h>

#include "base/err.h"
#include "pg/walname.h"

enum { HISTORY_MAX = 4096 };

struct history_entry {
    tli_t tli;
    lsn_t end; /* first byte that does not belong to it any more */
};

struct history {
    size_t n;
    struct history_entry entry[HISTORY_MAX];
};

/* Reads the history of `tli`.  0, or -1 with ERR_REFUSED: no history of that timeline. */
int history_parse(const char *text, size_t len, tli_t tli, struct history *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
