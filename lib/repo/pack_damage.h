/*
 * pack_damage: the entries that verify found damaged (FORMAT.md section 8.3).
 *
 * One text file of the lineage.  A backup leans on none of its entries, and so stores their pages
 * afresh.  It is not signed: who forges it makes a backup larger, nothing else.
 */
#ifndef REPO_PACK_DAMAGE_H
#define REPO_PACK_DAMAGE_H

#include "base/vec.h"
#include "repo/pack.h"
#include "repo/repo.h"

struct pack_bad {
    uint8_t id[PACK_ID];
    uint32_t ordinal;
};

enum { PACK_BAD_MAX = 200 * 1000 };

VEC_DECLARE(pack_bads, struct pack_bad);

/* Reads the list, sorted; nothing there is an empty list.  `d` is initialised here. */
int pack_damage_read(struct pack_bads *d, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* Adds entries to the repository's list, under its lock; known ones are not repeated. */
int pack_damage_add(struct repo *repo, const struct pack_bads *more, struct err *e)
    __attribute__((warn_unused_result));

/* The first entry of a pack in the sorted list; *n of them. */
const struct pack_bad *pack_damage_of(const struct pack_bads *d, const uint8_t id[PACK_ID],
                                      size_t *n);

#endif
