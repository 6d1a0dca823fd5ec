/*
 * retention_model: what retention should decide about a situation of plan_sim, written from the
 * rules alone, the slow and obvious way.
 */
#ifndef TESTS_UNIT_RETENTION_MODEL_H
#define TESTS_UNIT_RETENTION_MODEL_H

#include "repo/retention.h"

struct situation {
    struct plan_input wal;
    struct retention_input in;
    struct retention r;
};

/* Is the item kept? */
bool model_keeps(const struct situation *s, const struct retention_item *x);

/* Given which backups are kept: does one need that file, on the way to some timeline? */
bool model_needs(const struct situation *s, tli_t file, uint64_t segno);

/* May any WAL go? */
bool model_may_remove(const struct situation *s);

/* Are the clocks that are in doubt those that have to be? */
bool model_doubts(const struct situation *s);

#endif
