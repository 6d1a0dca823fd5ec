/*
 * beat: keeps the backup's intent alive while it works (repo/pages_lease), in a thread of its own,
 * since each beat is a flush.
 */
#ifndef BASEBACKUP_BEAT_H
#define BASEBACKUP_BEAT_H

#include "basebackup/thread.h"
#include "repo/pages_lease.h"

struct beat {
    struct pages_lease lease;
    struct gate gate;
    struct thread thread;
    bool closing;
    bool lost;
    bool made;
    struct err err;
};

/* Takes the intent and begins to beat. */
int beat_start(struct beat *b, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* -1 with ERR_REFUSED when somebody took us for dead. */
int beat_check(struct beat *b, struct err *e) __attribute__((warn_unused_result));

/* Ends the thread and beats once more: just before the manifest is published. */
int beat_last(struct beat *b, struct err *e) __attribute__((warn_unused_result));

/* Ends the thread and lets the intent go; accepts a zeroed one. */
void beat_stop(struct beat *b);

#endif
