/*
 * run: what the parts of `walden run` share.
 *
 * Which job is due is decided by repo/schedule from what is recorded in state_dir/run-CLUSTER. That
 * file is the only memory: it is read before each decision and written before and after each try,
 * so that a restart, and a person who starts a job by hand, see the same.
 */
#ifndef CATALOG_RUN_H
#define CATALOG_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/msg.h"
#include "base/vec.h"
#include "os/host.h"
#include "os/root.h"
#include "place.h"
#include "repo/run_job.h"

enum { RUN_RESULT_MAX = 16, RUN_FILE_MAX = 128 };

/* A job and what is recorded of it. */
struct run_entry {
    const struct run_job *job;
    uint32_t at_sum; /* of the text of `at`: another one begins anew */
    struct schedule_memory when;
    size_t step;   /* of the time in hand: the first that is still to be done */
    size_t last;   /* the step at which the last try ended */
    int64_t began; /* the last try; 0: never */
    int64_t ended; /* 0: it was cut off */
    int status;
    char result[RUN_RESULT_MAX]; /* "" before the first */
};
VEC_DECLARE(run_entries, struct run_entry);

struct run {
    const struct msg *msg;
    struct settings *settings;
    struct run_jobs jobs;
    struct run_entries entries; /* one per job, in order */
    struct os_root state;       /* state_dir */
    char file[RUN_FILE_MAX];
    int lock; /* held by the one that waits for the clock */
    int turn; /* held while a job runs */
    int64_t up_since;
    struct stat seen; /* of the configuration file */
    char host[OS_HOSTNAME_MAX + 1];
    char program[PLACE_MAX];
};

/* --- run_memory.c --- */

int run_memory_open(struct run *r, struct err *e) __attribute__((warn_unused_result));
void run_memory_close(struct run *r);

/* Reads what is recorded of each job; *changed when there is something new to record. */
int run_memory_read(struct run *r, bool *changed, struct err *e)
    __attribute__((warn_unused_result));
/* flush: it must outlast a power cut. */
int run_memory_write(struct run *r, bool flush, struct err *e) __attribute__((warn_unused_result));

/* Makes sure that nobody else waits for the clock: 0, -1 (ERR_REFUSED). */
int run_lock(struct run *r, struct err *e) __attribute__((warn_unused_result));
/* Does anybody? */
bool run_is_waiting(struct run *r);
/* Waits until no other process runs a job. */
int run_turn_take(struct run *r, struct err *e) __attribute__((warn_unused_result));
void run_turn_end(struct run *r);

/* --- run_step.c --- */

struct run_outcome {
    int status;         /* exit status; 128 + signal */
    const char *result; /* one word */
    bool interrupted;   /* we were asked to stop */
};

/* Runs one command of walden and passes on what it says, until deadline (by os_mono_us). */
void run_step(struct run *r, const struct run_entry *en, const char *const *words, int64_t deadline,
              struct run_outcome *out);

/* --- run_work.c --- */

/* A line of the log. */
void run_log(const struct run_entry *en, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* One try of a job for that time (0: for no time of the clock), hooks, records and log included.
 * -1 only when the record could not be kept. */
int run_work(struct run *r, struct run_entry *en, int64_t time, struct run_outcome *out,
             struct err *e) __attribute__((warn_unused_result));

/* --- run_loop.c --- */

/* What is next of all jobs: NULL when nothing ever is.  Times that are dropped are recorded. */
struct run_entry *run_next(struct run *r, struct schedule_next *next, struct err *e);

/* Notes how the configuration file looks. */
void run_look(struct run *r);
/* Does what is due.  once: and nothing else.  1: the configuration changed; 0: the end; *status. */
int run_loop(struct run *r, bool once, int *status, struct err *e)
    __attribute__((warn_unused_result));

/* --- run_show.c --- */

int run_show(struct run *r, bool json, struct err *e) __attribute__((warn_unused_result));

#endif
