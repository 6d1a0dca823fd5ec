/*
 * repo: a repository as one program sees it: opened, recognised, and trusted for a reason.
 *
 * repo_open follows one order, and every program takes it: the marker (is this a repository, is it
 * ours?), the keys of this host (whose word counts?), the comparison of what the storage says with
 * what this host pins, the lineage (which cluster?), its certificates, and the record of what may
 * be plain.  After it every object can be judged.
 */
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include <stdbool.h>

#include "base/err.h"
#include "object/key.h"
#include "object/trust.h"
#include "object/writer.h"
#include "repo/copy_mark.h"
#include "repo/lineage.h"
#include "repo/marker.h"
#include "repo/settings.h"
#include "repo/store.h"

enum repo_use {
    REPO_READ = 0,
    REPO_WRITE = 1,       /* objects will be sealed: host key and pinned recipients are needed */
    REPO_ANY_LINEAGE = 2, /* do not choose a lineage (list, verify, init choose their own) */
    REPO_COPY_TOO = 4 /* with REPO_WRITE: what a copy is written by itself (expire, pins, copy) */
};

struct repo {
    struct store store;
    struct store_writer writer;
    struct marker marker;
    uint64_t marker_stamp;
    struct copy_mark copy;
    struct lineage lineage;
    struct store_lineage where;
    struct trust trust;
    struct sealed_from sealed_from;
    bool has_host;
    bool has_secret;
    struct key_host host;
    struct key_recovery secret;
    struct object_seal seal; /* host NULL in a plain repository */
};

/* Zeroes first; on -1 nothing is left open. */
int repo_open(struct repo *r, const struct settings *s, unsigned use, struct err *e)
    __attribute__((warn_unused_result));
void repo_close(struct repo *r);

/* The same with a recovery key that is open already (it was protected by a passphrase) in place of
 * the one that secret_key names; it is copied.  NULL: as repo_open. */
int repo_open_with(struct repo *r, const struct settings *s, unsigned use,
                   const struct key_recovery *secret, struct err *e)
    __attribute__((warn_unused_result));

/* Opens a lineage that the caller chose (REPO_ANY_LINEAGE); may be called again for another. */
int repo_use_lineage(struct repo *r, const struct settings *s, const char *cluster,
                     uint64_t system_id, struct err *e) __attribute__((warn_unused_result));

/* What to seal with: NULL in a plain repository. */
const struct object_seal *repo_seal(const struct repo *r);

/* What the headers of all objects of the current lineage share: repository, place, system
 * identifier. */
void repo_fill_head(const struct repo *r, struct frame_head *head);

/* The place in the header of an object of that name: the cluster, and for dumps the job as well. */
void repo_place(const struct repo *r, const struct store_name *n, char out[FRAME_PLACE_MAX + 1]);

/* For writers of plain objects, just before they commit: is the repository still the plain one that
 * was opened?  -1 when its marker was replaced meanwhile (encryption was switched on): an object
 * that appeared now would never be believed. */
int repo_still_plain(struct repo *r, struct err *e) __attribute__((warn_unused_result));

/* Opens an object of the current lineage and unlocks it with whatever keys are here.
 * 0, STORE_ABSENT, -1.  Close the reader, then release the object. */
int repo_get(struct repo *r, const struct store_name *n, struct store_object *o,
             struct object_reader *reader, struct err *e) __attribute__((warn_unused_result));

/* Unlocks an object that is open with whatever keys are here. */
int repo_unlock(const struct repo *r, struct object_reader *reader, struct err *e)
    __attribute__((warn_unused_result));

/* The system identifier of the cluster whose data directory is `dir` (NULL: the working
 * directory).  0, 1 when there is no pg_control there, -1. */
int repo_local_system_id(const char *dir, uint64_t *system_id, struct err *e)
    __attribute__((warn_unused_result));

/* Root becomes who owns the repository's marker, whoever owns the directory that it lies in: what
 * root writes, the server's hooks could not read.  1 done, 0 nothing to do, -1. */
int repo_become_owner(const char *path, struct err *e) __attribute__((warn_unused_result));

#endif
