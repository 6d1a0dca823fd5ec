/*
 * find_choose: which segments a search must read, when it asks for a time or a transaction.
 *
 * The facts of a segment, which the index has, tell from when to when transactions ended in it.  A
 * commit whose record crosses into it, and a restore point, are somewhere between the ends before
 * and behind, and so count from the one to the other.  What a transaction did before (rows it
 * deleted, its first lock) stands in earlier segments: these are read as well, back to one whose
 * list of running transactions (in the metadata) knows none of those that are open.  And which
 * relation a file belongs to is followed from the map of a base backup on, or back from a later
 * one: all between those two is read.
 *
 * A transaction ends between the last list before whose making it had not begun and the first one
 * that has only later ones; such lists are looked for by halving.
 */
#ifndef REPO_FIND_CHOOSE_H
#define REPO_FIND_CHOOSE_H

#include "repo/inventory.h"

struct find_bounds {
    int64_t since; /* COVERAGE_NO_TIME: no bound */
    int64_t until;
    uint32_t xid; /* 0: any */
};

bool find_is_bounded(const struct find_bounds *b);

/* want: one for each segment of the inventory, false; those to be read become true. */
int find_choose(bool *want, const struct find_bounds *b, struct inventory *v, struct repo *r,
                struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));

#endif
