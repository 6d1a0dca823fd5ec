/*
 * pack_use: which pages any backup needs, and so what each pack file is still good for.
 *
 * All of it from public parts: no key is needed.
 */
#ifndef REPO_PACK_USE_H
#define REPO_PACK_USE_H

#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest.h"
#include "repo/pack_set.h"

struct pack_used {
    uint8_t id[PACK_ID];
    struct manifest_bits pages;
};

VEC_DECLARE(pack_uses, struct pack_used);

struct pack_use {
    struct pack_uses packs; /* sorted by id */
    unsigned manifests;
};

/* The union over all manifests of the lineage.  One that cannot be read is an error: nobody may
 * judge what is not in use then. */
int pack_use_load(struct pack_use *u, struct repo *repo, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));

/* The same of the manifests that `takes` says true of; one that cannot be read is passed over, so
 * this tells what is needed, not what is not. */
typedef bool (*pack_use_fn)(void *arg, const char *label);
int pack_use_load_some(struct pack_use *u, struct repo *repo, pack_use_fn takes, void *arg,
                       struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));
void pack_use_fini(struct pack_use *u);

/* The pages of one pack in use; NULL: none. */
const struct manifest_bits *pack_use_of(const struct pack_use *u, const uint8_t id[PACK_ID]);

/* What one file of the set is good for. */
struct pack_worth {
    uint64_t size;   /* of all entries in it, in bytes */
    uint64_t live;   /* of those that a backup needs, */
    uint64_t needed; /* and that no file of higher rank holds */
    bool unknown;    /* cannot be read, so cannot be judged */
    bool unused;     /* no backup knows it */
};

/* Rank is generation, then id: of two files that hold the same entry, the higher one keeps it. */
int pack_use_judge(const struct pack_use *u, const struct pack_set *set, uint32_t holder,
                   struct pack_worth *worth, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* Does this file rank above that one? */
bool pack_use_outranks(const struct pack_holder *a, const struct pack_holder *b);

#endif
