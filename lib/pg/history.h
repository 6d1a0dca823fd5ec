/*
 * history: a timeline history file, TTTTTTTT.history.
 *
 * Each line says that a parent timeline was left at an LSN: number, tab, LSN, tab, reason.  Lines
 * go from the oldest ancestor to the direct parent; blank lines and # comments may stand between.
 * The timelines rise; the LSNs do not always: who restores with recovery_target_timeline = latest
 * to before that timeline began gets a line for it with an LSN below the one where it began. The
 * server writes a newline at the very end, so a file without one was cut.
 */
#ifndef PG_HISTORY_H
#define PG_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"

enum { HISTORY_MAX = 10000, HISTORY_BYTES_MAX = 1 << 20 };

struct history_entry {
    tli_t tli;
    lsn_t end; /* the next entry's timeline, or the file's own, goes on from here */
};

struct history {
    tli_t tli; /* whose history it is */
    uint32_t n;
    struct history_entry entry[HISTORY_MAX];
};

/* Reads the history of timeline tli: the ancestors that it has something of, their ends rising.
 * -1 with ERR_DAMAGED and the line's number when it is not one that a server writes: no parent,
 * timelines that do not rise, anything unreadable. */
int history_parse(const char *text, size_t n, tli_t tli, struct history *out, struct err *e)
    __attribute__((warn_unused_result));

/* The timeline that a byte at lsn belongs to on the way to h->tli. */
tli_t history_tli_at(const struct history *h, lsn_t lsn);

/* Where timeline tli was left on the way to h->tli; false when it is not an ancestor. */
bool history_end_of(const struct history *h, tli_t tli, lsn_t *end);

#endif
