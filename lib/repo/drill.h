/*
 * drill: the record of a restore that was rehearsed (FORMAT.md section 13).
 *
 * A drill restores a base backup or a dump into a scratch server, asks it what it was told to ask,
 * and throws it away; what it found is published as one small signed object beside the lineages,
 * like dumps are, since a drill outlives what it drilled.  The public part says what was drilled,
 * whether it went well and how long it took, and needs no key; names and numbers of the database
 * are in the metadata part.  Each writer's records are a chain of their own and it keeps the newest
 * DRILL_KEEP of them.
 */
#ifndef REPO_DRILL_H
#define REPO_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest.h"
#include "repo/repo.h"

enum drill_kind { DRILL_BACKUP = 1, DRILL_DUMP = 2 };

enum drill_state { DRILL_PASSED = 1, DRILL_FAILED = 2, DRILL_SKIPPED = 3 };

enum {
    DRILL_KEEP = 500,
    DRILL_LIST_MAX = 100 * 1000,
    DRILL_LABEL_MAX = 40,
    DRILL_JOB_MAX = 65,
    DRILL_HOST_MAX = 65,
    DRILL_NAME_MAX = 200,
    DRILL_TEXT_MAX = 400,
    DRILL_CHECKS_MAX = 100 * 1000
};

/* One question that the copy was asked. */
struct drill_check {
    uint8_t state; /* enum drill_state */
    char name[DRILL_NAME_MAX];
    char asked[DRILL_NAME_MAX];
    char found[DRILL_TEXT_MAX];
    char note[DRILL_TEXT_MAX];
};
VEC_DECLARE(drill_checks, struct drill_check);

struct drill {
    /* public */
    struct manifest_head head;
    uint8_t kind; /* enum drill_kind */
    bool failed;
    bool cut; /* checks that passed are not all on record */
    int64_t start;
    int64_t end;
    uint64_t system_id; /* of the lineage; of a dump's cluster the one it was opened with */
    uint64_t unpack_us; /* until the files, or the rows, were in place */
    uint64_t replay_us; /* WAL, of a backup */
    uint64_t total_us;
    uint64_t bytes; /* unpacked */
    uint64_t wal;   /* bytes of WAL that were fetched */
    uint32_t server_version;
    uint32_t passed;
    uint32_t failures;
    uint32_t skipped;
    char job[DRILL_JOB_MAX];     /* of a dump; "" */
    char what[DRILL_LABEL_MAX];  /* the label of the backup or dump */
    char host[DRILL_HOST_MAX];   /* where it was drilled */
    char label[DRILL_LABEL_MAX]; /* its own: the object's name */
    bool readable;               /* in a list; else only the label is known, and kind is 0 */
    /* metadata */
    bool has_details; /* they could be opened */
    char target[DRILL_TEXT_MAX];
    char reached[DRILL_TEXT_MAX];
    char server[DRILL_TEXT_MAX]; /* which server it was restored into */
    char why[DRILL_TEXT_MAX];    /* it failed before it could be asked; "" */
    struct drill_checks checks;
};

void drill_init(struct drill *d);
void drill_fini(struct drill *d);

/* Adds a check; texts that are too long are cut.  NULL: no memory. */
struct drill_check *drill_add(struct drill *d, enum drill_state state, const char *name,
                              const char *asked, const char *found, struct err *e);

/* Both parts as bytes, and back.  -1 with ERR_DAMAGED when an item is missing or impossible. */
int drill_encode(const struct drill *d, struct buf *public_part, struct buf *metadata,
                 struct err *e) __attribute__((warn_unused_result));
int drill_decode(struct drill *d, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int drill_decode_details(struct drill *d, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* Fills in label and head, publishes under the lineage's lock and removes the writer's old records.
 * host: this host's name.  See verified_may_not for where this should not be tried. */
int drill_put(struct drill *d, struct repo *repo, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* --- reading --- */

VEC_DECLARE(drills, struct drill);

struct drill_list {
    struct drills all; /* by number, oldest first; without details */
};

/* The records of repo's cluster, into *l, which is initialised here. */
int drill_list_read(struct drill_list *l, struct repo *repo, struct object_reader *scratch,
                    struct err *e) __attribute__((warn_unused_result));
void drill_list_fini(struct drill_list *l);

/* Opens one record with its details, as far as the keys here open them.  0, STORE_ABSENT, -1. */
int drill_read(struct drill *d, struct repo *repo, const char *label, struct object_reader *scratch,
               struct err *e) __attribute__((warn_unused_result));

/* The newest drill of a subject: a lineage's backups (job NULL), or a job's dumps.  NULL: none. */
const struct drill *drill_newest(const struct drill_list *l, uint64_t system_id, const char *job);

/* What the newest drill of a lineage's backups that went well measured, in bytes per second; 0: not
 * known.  NULL: there is none. */
const struct drill *drill_rates(const struct drill_list *l, uint64_t system_id, uint64_t *copy,
                                uint64_t *replay);

/* "passed", "failed", "skipped". */
const char *drill_word(unsigned state);

#endif
