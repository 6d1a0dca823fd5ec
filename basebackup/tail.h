/*
 * tail: follows the server's WAL on a connection of its own while the backup runs, and keeps it in
 * the backup (keep), so that the backup is restorable by itself.
 *
 * Every whole segment is walked record by record as it arrives: WAL that the server itself has
 * damaged would make the backup worthless, and is said now.
 */
#ifndef BASEBACKUP_TAIL_H
#define BASEBACKUP_TAIL_H

#include "basebackup/keep.h"
#include "basebackup/thread.h"
#include "pg/walwalk.h"
#include "pgconn/replication.h"
#include "pgconn/walstream.h"

struct tail {
    struct pgconn *c;
    char slot[REPLICATION_SLOT_MAX]; /* "": without one */
    uint64_t system_id;
    uint32_t segsize;
    struct keep keep;
    struct walwalk walk;
    struct walstream_opts stream;
    struct walstream_end end;
    struct thread thread;
    struct gate gate;
    bool made;
    bool broken; /* the thread failed; its error comes from tail_end */
    lsn_t stop;  /* 0: not known yet */
    lsn_t last;  /* see tail_last */
};

/* Connects and makes a temporary slot, before the backup begins.  When the server has no slot left
 * that is told through *no_slot and not fatal.  The struct is large and zeroed. */
int tail_open(struct tail *t, const struct pgconn_opts *o, uint64_t system_id, uint32_t segsize,
              const struct pack_how *how, struct err *no_slot, struct err *e)
    __attribute__((warn_unused_result));

/* Begins to stream from the backup's start. */
int tail_start(struct tail *t, tli_t tli, lsn_t start, struct err *e)
    __attribute__((warn_unused_result));

/* Did the thread fail?  Then the backup may as well end now. */
bool tail_failed(struct tail *t);

/* The backup ends there: waits until all is received, and finishes the packs. */
int tail_end(struct tail *t, lsn_t stop, struct err *e) __attribute__((warn_unused_result));

/* Where the last record of what was received begins; 0: in an earlier segment. */
lsn_t tail_last(const struct tail *t);

/* Accepts a zeroed one. */
void tail_close(struct tail *t);

#endif
