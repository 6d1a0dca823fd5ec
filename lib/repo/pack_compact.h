/*
 * pack_compact: gathers what is still needed of mostly dead packs into one new file.
 *
 * Entries are copied as they are stored, each checked by its public checksum, together with the
 * frames of the pack they were born in: no key opens anything, identities and seals stay, and old
 * manifests resolve as before.  The files that became superfluous are removed later, by
 * pack_remove.
 */
#ifndef REPO_PACK_COMPACT_H
#define REPO_PACK_COMPACT_H

#include "repo/pack_use.h"

enum { PACK_COMPACT_BELOW = 50 /* per cent of a file's bytes that are still needed */ };

struct pack_compacted {
    unsigned sources; /* birth packs that were copied; 0: nothing was worth it */
    unsigned damaged; /* left alone, since a needed entry of theirs is damaged */
    uint64_t bytes;   /* of the new file */
    uint64_t freed;   /* bytes that become superfluous */
};

/*
 * Copies what is needed of files that are mostly dead, up to one pack full: call again while
 * sources > 0 (after loading the set again).  below: per cent; body_max: at most PACK_BODY_MAX.
 */
int pack_compact(struct pack_compacted *done, const struct pack_use *u, const struct pack_set *set,
                 unsigned below, uint64_t body_max, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
