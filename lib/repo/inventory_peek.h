/*
 * inventory_peek: what the metadata of segments tells: restore points, tablespaces, running
 * transactions, and the records that cross from one segment into the next, put together from the
 * pieces that the summaries keep, as far as the keys here open them.
 *
 * Opening an object costs ten times what the index costs, so only those are opened that a plan's
 * way leads over, and each once.
 */
#ifndef REPO_INVENTORY_PEEK_H
#define REPO_INVENTORY_PEEK_H

#include "repo/inventory.h"

/* Takes what the facts of a segment tell, into *s (zeroed). */
void inventory_facts(struct plan_segment *s, const struct facts *f);

/* The segment that a recovery reads before segment i; the count when there is none. */
size_t inventory_before(const struct inventory *v, size_t i);

/* Reads the metadata of the segments first <= i < end of v->in.segments that were not read yet;
 * *n (may be NULL) grows by their number. */
int inventory_peek(struct inventory *v, struct repo *r, size_t first, size_t end, uint64_t *n,
                   struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
