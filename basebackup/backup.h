/*
 * backup: one base backup, from the first connection to the published manifest.
 */
#ifndef BASEBACKUP_BACKUP_H
#define BASEBACKUP_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/msg.h"
#include "pgconn/pgconn_flags.h"
#include "repo/manifest.h"
#include "repo/settings.h"

enum { BACKUP_WHY_MAX = ERR_MSG_MAX };

enum backup_incremental {
    BACKUP_INCREMENTAL_AUTO, /* when the server can and the repository allows it */
    BACKUP_INCREMENTAL_NEVER,
    BACKUP_INCREMENTAL_ALWAYS /* or fail */
};

enum backup_wal { BACKUP_WAL_AUTO, BACKUP_WAL_ARCHIVE, BACKUP_WAL_STREAM };

struct backup_options {
    struct pgconn_flags connection;
    const char *tag; /* NULL: none */
    bool fast;
    bool spread;
    bool progress;
    bool json;
    bool whole; /* lean on no prior backup */
    bool no_relation_map;
    int wal;         /* enum backup_wal */
    int incremental; /* enum backup_incremental */
    uint64_t wal_timeout;
};

/* What was done. */
struct backup_result {
    char label[MANIFEST_LABEL_MAX];
    char prior[MANIFEST_LABEL_MAX]; /* "": it leans on none */
    uint64_t system_id;
    struct manifest_public public;
    bool wal_archived;  /* proven in the archive; else kept inside */
    uint64_t wal_bytes; /* of it, stored inside */
    uint64_t pages;
    uint64_t pages_same;
    uint64_t pages_zero;
    bool incremental;         /* the server sent only what changed; else */
    char why[BACKUP_WHY_MAX]; /* why it sent everything */
    uint64_t received;        /* bytes of its archives */
    unsigned orphans;         /* packs of failed backups that were used */
    uint64_t relations;
    unsigned databases;
    unsigned counted; /* tables whose rows were counted, */
    unsigned not_counted;
    unsigned config_files;
    bool config_missing;
    uint8_t head[MANIFEST_DIGEST];
    int64_t took_us;
};

/* 0; or -1: nothing became visible. */
int backup_run(struct settings *s, const struct backup_options *o, const struct msg *msg,
               struct backup_result *result, struct err *e) __attribute__((warn_unused_result));

#endif
