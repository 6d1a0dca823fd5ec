/*
 * source: the server that is backed up: who it is, and whether its WAL is archived with us.
 */
#ifndef BASEBACKUP_SOURCE_H
#define BASEBACKUP_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "basebackup/backup.h"
#include "pgconn/replication.h"
#include "repo/repo.h"

struct source {
    struct pgconn *c;
    struct pgconn_opts conn;
    struct replication_system who;
    uint32_t segsize;
    uint32_t dir_mode;
    char archive_mode[16];
    bool says_walden; /* its archive_command or archive_library names us */
};

/* Connects and asks.  What the server refuses is ERR_IO here, for it is no refusal of ours. */
int source_open(struct source *s, const struct settings *settings, const struct backup_options *o,
                struct err *e) __attribute__((warn_unused_result));
void source_close(struct source *s); /* accepts a zeroed one */

/* Connects again, after a backup that was broken off. */
int source_again(struct source *s, struct err *e) __attribute__((warn_unused_result));

/* Opens the repository for this server's lineage, and refuses what does not belong together. */
int source_open_repo(const struct source *s, struct settings *settings, struct repo *repo,
                     struct err *e) __attribute__((warn_unused_result));

/* Is the server's WAL archived into this repository?  1, 0, -1. */
int source_is_archived(const struct source *s, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* Turns a refusal of the server into a failure; returns -1. */
int source_failed(struct err *e);

#endif
