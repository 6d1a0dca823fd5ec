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
    bool asked; /* to look whether the mark is still there; */
    int answer; /* 0 or -1 */
    bool lost;
    bool made;
    struct err err;
};

/* Takes the intent and begins to beat. */
int beat_start(struct beat *b, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* -1 with ERR_REFUSED when somebody took us for dead. */
int beat_check(struct beat *b, struct err *e) __attribute__((warn_unused_result));

/* Looks now: the same, and -1 when it cannot be told.  The thread goes on beating. */
int beat_look(struct beat *b, struct err *e) __attribute__((warn_unused_result));

/* Ends the thread and lets the intent go; accepts a zeroed one. */
void beat_stop(struct beat *b);

#endif
