/*
 * pack_set: which packs a lineage has, and in which file a birth pack's entries are now.
 *
 * A birth pack is found under its own name, or inside a compacted pack, or both.  Among several
 * holders the one with the lowest generation has the most entries.  The set is read once and
 * then shared by any number of threads.
 */
#ifndef REPO_PACK_SET_H
#define REPO_PACK_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "repo/pack.h"
#include "repo/repo.h"

enum { PACK_HOLDERS_MAX = 4 * 1024 * 1024 };

/* A file in the store. */
struct pack_holder {
    uint8_t id[PACK_ID];
    bool compacted;
    bool excluded;       /* condemned: treated as absent */
    bool lost;           /* compacted, and unreadable */
    bool plain;          /* compacted, and not sealed */
    uint32_t generation; /* 0 for a pack that is no compaction */
    uint64_t body_at;    /* compacted */
};

/* What a compacted pack holds of a birth pack. */
struct pack_place {
    struct pack_source source; /* `taken` points into the pool after loading */
    uint32_t holder;
    size_t taken_at; /* in the pool */
};

VEC_DECLARE(pack_holders, struct pack_holder);
VEC_DECLARE(pack_places, struct pack_place);

struct pack_set {
    struct repo *repo;
    struct pack_holders holders; /* in the order of their names */
    struct pack_places places;   /* by birth pack, then generation */
    struct buf pool;
    unsigned lost; /* compacted packs that cannot be read */
};

/* Lists and reads.  `scratch` opens the compacted packs one by one.  An unreadable compacted pack
 * is no error here: what only it holds is missing. */
int pack_set_load(struct pack_set *s, struct repo *repo, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));
void pack_set_fini(struct pack_set *s);

/* Treats that file as absent. */
void pack_set_exclude(struct pack_set *s, const char *name);

/* The file that is named after the birth pack, or NULL. */
const struct pack_holder *pack_set_direct(const struct pack_set *s, const uint8_t id[PACK_ID]);

/* The places of a birth pack in compacted packs: *n of them from the answer on. */
const struct pack_place *pack_set_places(const struct pack_set *s, const uint8_t id[PACK_ID],
                                         size_t *n);

#endif
