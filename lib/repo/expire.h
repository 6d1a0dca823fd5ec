/*
 * expire: looks what there is, has retention decide, and removes what goes (FORMAT.md section 10).
 *
 * Nothing goes without a record of it on stable storage, and nothing that a restore, drill or
 * backup on whatever host holds.  A run that is cut off leaves a state that the next one completes.
 * No secret key is needed; in a sealed repository the host's key signs the record.
 */
#ifndef REPO_EXPIRE_H
#define REPO_EXPIRE_H

#include "repo/expire_record.h"
#include "repo/inventory.h"
#include "repo/pack_remove.h"
#include "repo/pages_lease.h"
#include "repo/pin.h"
#include "repo/retention.h"

struct expire_how {
    const struct settings *settings;
    const char *host;
    const char *state_dir; /* NULL: there is none */
    int64_t now;
    bool dry_run; /* look only: no lock, no waiting; every mark counts as somebody's */
    bool accept_clock;
    pages_wait_fn wait; /* see pages_lease_look */
    void (*warn)(void *arg, const struct err *why);
    void *arg; /* of both */
};

/* A backup's place in its writer's chain. */
struct expire_place {
    uint8_t writer[MANIFEST_WRITER];
    uint64_t sequence;
    bool is_known;
};
VEC_DECLARE(expire_places, struct expire_place);

struct expire_done {
    unsigned records;
    unsigned backups;
    unsigned dumps;
    uint64_t wal;    /* files */
    unsigned spared; /* were to go, but somebody took hold of them meanwhile */
    unsigned compactions;
    uint64_t gained; /* bytes that compaction made superfluous */
    struct pack_removed packs;
    bool packs_failed; /* the rest was done; warn() was told why */
};

VEC_DECLARE(expire_copies, struct copied);

/* Large: on the heap. */
struct expire {
    struct repo *repo;
    struct object_reader *scratch;
    const struct expire_how *how;
    int lock; /* -1: none */
    struct inventory inventory;
    bool has_inventory;
    struct retention_input in;
    struct expire_places places; /* one per item */
    struct retention r;
    struct expired records;
    struct pins pins;
    struct expire_copies copies; /* that require_copy names */
    struct pages_holders holders;
    struct expire_done done;
};

/* Looks and decides.  repo is open for writing, unless it is a dry run.  Call expire_close whatever
 * comes of it. */
int expire_look(struct expire *x, struct repo *repo, const struct expire_how *how,
                struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));
void expire_close(struct expire *x);

/* Removes what was decided; ERR_REFUSED when a clock is in doubt. */
int expire_do(struct expire *x, struct err *e) __attribute__((warn_unused_result));

/* ---- inside ---- */

/* Reads marks and pins anew into the input: who holds what. */
int expire_holds(struct expire *x, struct err *e) __attribute__((warn_unused_result));

/* The work on packs: compaction, removal, condemning (expire_packs.c). */
int expire_packs(struct expire *x, struct err *e) __attribute__((warn_unused_result));

#endif
