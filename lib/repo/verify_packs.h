/*
 * verify_packs: reads every pack of a lineage back, and remembers which of their pages cannot be
 * had, so that the backups that need them can be named.
 *
 * A pack may be in several files.  The one that a restore reads counts; of the others only damage
 * is told.
 */
#ifndef REPO_VERIFY_PACKS_H
#define REPO_VERIFY_PACKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "object/reader.h"
#include "repo/backup_list.h"
#include "repo/manifest.h"
#include "repo/pack_damage.h"
#include "repo/pack_set.h"
#include "repo/problem.h"
#include "repo/verify_log.h"
#include "repo/verify_part.h"

enum {
    VERIFY_FAULTS_MAX = 4000, /* packs with a fault that are described */
    VERIFY_FAULT_ENTRIES = 4, /* of one pack, by number */
    VERIFY_FAULT_TEXT = 512,
    VERIFY_FAULT_USERS = 7
};

/* What is wrong with a pack. */
struct verify_fault {
    uint8_t id[PACK_ID];
    enum problem_kind kind;
    uint32_t entries; /* damaged ones; 0: the pack is lost as a whole */
    uint32_t of;
    uint32_t first[VERIFY_FAULT_ENTRIES];
    char what[VERIFY_FAULT_TEXT];
    uint32_t users; /* backups that need it; */
    uint32_t listed;
    size_t user[VERIFY_FAULT_USERS]; /* the oldest of them, by their places in the list */
};

VEC_DECLARE(verify_faults, struct verify_fault);

struct verify_pack {
    uint8_t id[PACK_ID];
    uint32_t pages; /* 0: it cannot be read; UINT32_MAX: it was not read by this run */
    uint32_t fault; /* index + 1; UINT32_MAX: too many to describe */
    struct manifest_bits bad;
};

VEC_DECLARE(verify_pack_list, struct verify_pack);

struct verify_packs {
    struct verify_pack_list list; /* the first `sorted` by id, then those found missing */
    size_t sorted;
    struct verify_faults faults;
    struct pack_bads bads; /* for the repository's list */
    uint64_t bad_entries;
    uint64_t content; /* packs read to that level */
    uint64_t stored;  /* checksums only */
    uint64_t resumed; /* of both, read by the run before */
    uint64_t bytes;
    pthread_mutex_t lock; /* over all of it but a pack's own entry, while packs are read */
};

/* Told before each pack, in any thread, one at a time. */
typedef void (*verify_tell)(void *arg, uint64_t done, uint64_t total, uint64_t bytes);

struct verify_packs_how {
    struct repo *repo;
    const struct pack_set *set;
    unsigned jobs; /* threads; 0 or 1: none but this one */
    struct object_reader *scratch;
    struct problems *problems;
    struct verify_part part;
    struct verify_log *log; /* may be NULL */
    verify_tell tell;       /* may be NULL */
    void *arg;
};

/* 0, or -1 (no memory). */
int verify_packs_init(struct verify_packs *v, struct err *e) __attribute__((warn_unused_result));
void verify_packs_fini(struct verify_packs *v);

/* Reads all packs that are due.  0, or -1 for what ends the verification. */
int verify_packs_read(struct verify_packs *v, const struct verify_packs_how *how, struct err *e)
    __attribute__((warn_unused_result));

/* These may be called by several threads. */

/* The index of a pack; one that is nowhere is added as missing.  -1: no memory. */
int verify_packs_find(struct verify_packs *v, const uint8_t id[PACK_ID], size_t *index,
                      struct err *e) __attribute__((warn_unused_result));

/* Can pages [page, page + count) not be had? */
bool verify_packs_lost(struct verify_packs *v, size_t index, uint32_t page, uint32_t count);

/* The id of the pack at an index. */
void verify_packs_id(struct verify_packs *v, size_t index, uint8_t id[PACK_ID]);

/* Notes that a backup, by its place in the list, needs what is damaged in a pack; once for each of
 * both. */
void verify_packs_used(struct verify_packs *v, size_t index, size_t backup);

/* Turns what was found into problems. */
int verify_packs_tell(const struct verify_packs *v, const struct backup_list *list,
                      struct problems *p, struct err *e) __attribute__((warn_unused_result));

/* Is the failure about what was read, so that the rest may be looked at? */
bool verify_goes_on(const struct err *why);

#endif
