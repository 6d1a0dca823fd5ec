/*
 * schedule: when a job is due, as a pure function of its rule, of what was recorded, and of now.
 *
 *     02:00                    every day          sun 03:30            on Sundays (or sunday)
 *     mon-fri 08:00 20:00      twice on workdays  1,15 04:00           on these days of the month
 *     sun 1-7 04:00            the first Sunday   last 23:30           the last day of the month
 *     every 15min              at :00, :15 ...    every 1h +17min      at :17 of each hour
 *
 * Clock times are local, in the zone of TZ.  One that a change of the clocks skips comes when the
 * gap is over; one that comes twice counts the first time.  `every` is counted from midnight UTC,
 * so that no change of the clocks stretches or shrinks it.
 *
 * What is recorded is the newest time that is over with.  However many were missed, a job runs
 * once: for the newest of them.
 */
#ifndef REPO_SCHEDULE_H
#define REPO_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SCHEDULE_NEVER INT64_MAX

enum { SCHEDULE_TIMES_MAX = 48 };

struct schedule {
    uint64_t every;      /* microseconds; 0: by the clock */
    uint64_t offset;     /* of every */
    uint32_t month_days; /* bit 1 to 31; 0: any */
    bool last_day;
    uint8_t weekdays; /* bit 0 is Sunday; 0: any */
    unsigned n;
    uint16_t minute[SCHEDULE_TIMES_MAX]; /* of the day, ascending */
};

/* -1: ERR_CONFIG. */
int schedule_parse(struct schedule *s, const char *text, struct err *e)
    __attribute__((warn_unused_result));

/* The first time behind t, and the newest at or before t: microseconds since 1970; SCHEDULE_NEVER
 * when there is none (within the years that a calendar needs to come round). */
int64_t schedule_after(const struct schedule *s, int64_t t);
int64_t schedule_latest(const struct schedule *s, int64_t t);

/* What a job asks for. */
struct schedule_rule {
    struct schedule at;
    uint64_t jitter;   /* microseconds; each time is put off by up to so much */
    uint32_t seed;     /* what makes one host's jitter differ from another's */
    uint64_t catch_up; /* how late a time that was slept through may still be run */
    unsigned retries;
    uint64_t retry_wait; /* before the first; doubled each time */
};

/* What is recorded of it; 0 for what is not known. */
struct schedule_memory {
    int64_t since;  /* when the rule was first seen: nothing before that was missed */
    int64_t taken;  /* the newest time that is over with: done, given up, passed over */
    int64_t trying; /* the time that is in hand or shall be tried again */
    unsigned tries; /* begun for it */
    int64_t tried;  /* when the last of them began, or ended */
};

enum schedule_why {
    SCHEDULE_ON_TIME,
    SCHEDULE_MISSED, /* nobody was there at the time */
    SCHEDULE_AGAIN   /* the last try failed, or was cut off */
};

struct schedule_next {
    int64_t time;    /* the clock's time it is for; SCHEDULE_NEVER */
    int64_t at;      /* when to begin: jitter, or the wait before another try; due when <= now */
    int64_t dropped; /* what will not be run any more, or was recorded by a clock that was far
                        ahead: for schedule_take; 0: nothing */
    enum schedule_why why;
};

/* up_since: since when somebody has been there to run it. */
void schedule_next(const struct schedule_rule *r, const struct schedule_memory *m, int64_t up_since,
                   int64_t now, struct schedule_next *out);

/* Notes that all times up to this one are over with. */
void schedule_take(struct schedule_memory *m, int64_t time);

#endif
