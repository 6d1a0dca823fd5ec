/*
 * extras: what a backup holds besides the data directory, where a SQL connection allows it: the
 * relation map, the configuration that lies elsewhere (Debian keeps it in /etc/postgresql), and the
 * numbers of rows of chosen tables.
 *
 * Nothing of it is needed to recover, so what is not allowed is told and does not fail the backup.
 */
#ifndef BASEBACKUP_EXTRAS_H
#define BASEBACKUP_EXTRAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/msg.h"
#include "pgconn/pgconn.h"
#include "repo/pages_put.h"

struct extras {
    const struct msg *msg;
    uint64_t system_id;
    struct manifest_writer *manifest;
    struct pages_put *put;
    bool conf_inside;         /* postgresql.conf is in the data directory */
    bool names;               /* the relation map and configuration files are wanted */
    const char *count_tables; /* NULL: none */
    struct pgconn *conn;      /* to the database that was named, once it is open */
    /* the result */
    uint64_t relations;
    unsigned databases;
    unsigned skipped;
    unsigned counted;      /* tables, */
    unsigned not_counted;  /* and those that could not be */
    unsigned config_files; /* kept */
    bool config_outside;   /* there is some, or nobody told */
    bool config_missing;   /* and not all of it could be kept */
};

/* In this order, after the last file of the backup; the map needs no more pages to be stored.  -1
 * only for what fails the backup. */
int extras_count(struct extras *x, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));
int extras_config(struct extras *x, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));
int extras_map(struct extras *x, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));
void extras_close(struct extras *x);

#endif
