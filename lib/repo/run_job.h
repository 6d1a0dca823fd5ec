/*
 * run_job: a section [run NAME] of the configuration: what `walden run` does, and when.
 *
 *     [run nightly]
 *     do = dump shop && expire       commands of walden; the next one only when that before went
 * well at = 02:00                     see repo/schedule jitter = 10min                 put off by
 * up to so much, always the same for the same time catch_up = 6h                  a time that was
 * slept through is made up for, not later than that; on (default): however late; off: never retry =
 * 3 5min                 what failed is tried again, after 5, 10, 20 minutes; 0: never timeout = 1d
 * what takes longer is ended pre = timeout=5min mount /mnt/usb       before; when it fails nothing
 * is done post = umount /mnt/usb         after, whatever happened ping = curl -fsS -m 10
 * https://hc.example/uuid            after it went well ping_failed = curl -fsS -m 10
 * https://hc.example/uuid/fail ping_start = curl -fsS -m 10 https://hc.example/uuid/start
 */
#ifndef REPO_RUN_JOB_H
#define REPO_RUN_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "base/words.h"
#include "repo/schedule.h"
#include "repo/settings.h"

enum { RUN_STEPS_MAX = 8, RUN_JOBS_MAX = 64 };

/* The texts belong to the settings and were checked; a hook that is NULL is none. */
struct run_job {
    const char *name;
    unsigned line;
    const char *task; /* `do` */
    const char *at;
    struct schedule_rule rule;
    uint64_t timeout; /* microseconds */
    const char *pre;
    const char *post;
    const char *ping;
    const char *ping_failed;
    const char *ping_start;
};

VEC_DECLARE(run_jobs, struct run_job);

/* The commands of a task. */
struct run_steps {
    struct words words; /* each step is ended by a NULL in words.v */
    size_t n;
    size_t first[RUN_STEPS_MAX]; /* index into words.v */
};

/* All sections, in order.  `host` makes the jitter of two hosts differ.  -1: ERR_CONFIG with file
 * and line. */
int run_jobs_load(struct run_jobs *jobs, const struct settings *s, const char *host, struct err *e)
    __attribute__((warn_unused_result));

int run_steps_parse(struct run_steps *steps, const char *task, struct err *e)
    __attribute__((warn_unused_result));

#endif
