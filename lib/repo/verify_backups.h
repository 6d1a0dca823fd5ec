/*
 * verify_backups: proves the base backups of a lineage, as deep as the keys that are here allow.
 *
 *   whole    plain repositories, and sealed ones with a secret key: every pack entry is decrypted
 * and expanded, every file of every backup put together as a restore does it, its CRC-32C compared
 * with the manifest's and with PostgreSQL's own backup_manifest named    with a host key only: the
 * checksum of every entry, as it is stored, and of each manifest which files need which entries, so
 * that what damage costs is named all the same stored   without any key: checksums, digests and
 * signatures
 *
 * A run over one part of n reads the part's packs, rebuilds the part's backups, and looks of the
 * others whether they need anything that was found damaged.
 *
 * Memory does not grow with the size of the cluster but by eight bytes per file.
 */
#ifndef REPO_VERIFY_BACKUPS_H
#define REPO_VERIFY_BACKUPS_H

#include <stdint.h>

#include "object/reader.h"
#include "repo/backup_list.h"
#include "repo/problem.h"
#include "repo/repo.h"
#include "repo/verified.h"
#include "repo/verify_log.h"
#include "repo/verify_part.h"

/* Adds up over several lineages. */
struct verify_backups {
    uint64_t backups; /* looked at */
    uint64_t whole;   /* rebuilt, or without a key proven as deep as that goes, without a fault */
    uint64_t rebuilt; /* whose files were put together */
    uint64_t files;   /* put together and compared */
    uint64_t bytes;   /* of them */
    uint64_t packs_content;
    uint64_t packs_stored;
    uint64_t pack_bytes; /* stored bytes that were read */
    uint64_t resumed;    /* packs and backups that were read by the run before */
    uint64_t bad_entries;
    uint64_t recorded;            /* of them, in the repository's list */
    char unrecorded[ERR_MSG_MAX]; /* why not, when there are any */
};

struct verify_backups_how {
    struct repo *repo;
    const struct backup_list *list;
    struct problems *problems; /* after problems_derive */
    struct object_reader *scratch;
    unsigned jobs; /* threads; 0 or 1: none but this one */
    struct verify_part part;
    struct verify_log *log;            /* may be NULL */
    struct verified_backups *verdicts; /* gets one of each backup, oldest first; may be NULL */
    /* `what` is "packs" or "backups", `bytes` what was read of them so far; may be NULL */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total, uint64_t bytes);
    void *arg;
};

/*
 * 0, or -1 for what ends the verification.  Damaged entries are put on the repository's list
 * (repo/pack_damage), where this process may write it as the backups' own user: the next backup
 * then stores their pages afresh.
 */
int verify_backups(struct verify_backups *v, const struct verify_backups_how *how, struct err *e)
    __attribute__((warn_unused_result));

#endif
