/*
 * replication: the connections that base backups and WAL come from, and their small commands.
 *
 * A role needs nothing but REPLICATION for them.  What commonly stands in the way (password,
 * pg_hba.conf, the role's attribute, max_wal_senders) is told with what to do about it.
 */
#ifndef PGCONN_REPLICATION_H
#define PGCONN_REPLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "pg/walname.h"
#include "pgconn/pgconn.h"

enum replication_mode {
    REPLICATION_PHYSICAL, /* the commands of the replication protocol alone */
    REPLICATION_DATABASE  /* SQL too; needs the right to connect to the database */
};

enum { REPLICATION_HISTORY_MAX = 1 << 20, REPLICATION_SLOT_MAX = 64 /* with the closing 0 */ };

/* Connects; close with pgconn_close. */
int replication_open(struct pgconn **c, const struct pgconn_opts *o, enum replication_mode mode,
                     struct err *e) __attribute__((warn_unused_result));

struct replication_system {
    uint64_t system_id;
    tli_t tli;
    lsn_t lsn; /* end of the flushed (on a standby: received) WAL */
};

/* IDENTIFY_SYSTEM. */
int replication_identify(struct pgconn *c, struct replication_system *out, struct err *e)
    __attribute__((warn_unused_result));

/* SHOW: the setting's value as text; longer than cap - 1 is an error. */
int replication_show(struct pgconn *c, const char *name, char *out, size_t cap, struct err *e)
    __attribute__((warn_unused_result));

/* Pages of 8 kB in a relation's file before the next one begins. */
int replication_relation_pages(struct pgconn *c, uint32_t *pages, struct err *e)
    __attribute__((warn_unused_result));

/* The WAL segment size in bytes. */
int replication_segsize(struct pgconn *c, uint32_t *segsize, struct err *e)
    __attribute__((warn_unused_result));

/* The permissions of the data directory's folders: 0700, or 0750 with group access. */
int replication_dir_mode(struct pgconn *c, uint32_t *mode, struct err *e)
    __attribute__((warn_unused_result));

/* Appends the history file of a timeline to out, which is empty and has a ceiling of its own.  0;
 * 1 when the server has none, as for timeline 1; -1. */
int replication_history(struct pgconn *c, tli_t tli, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

/* Makes a physical slot that vanishes with this connection and holds back WAL from the last
 * checkpoint's redo point on.  The name is a-z, 0-9 and _. */
int replication_temporary_slot(struct pgconn *c, const char *name, struct err *e)
    __attribute__((warn_unused_result));

#endif
