/*
 * judge_inside: what the files of repo/judge share.
 */
#ifndef REPO_JUDGE_INSIDE_H
#define REPO_JUDGE_INSIDE_H

#include "repo/judge.h"

#define JUDGE_SECOND UINT64_C(1000000)
#define JUDGE_MINUTE (60 * JUDGE_SECOND)
#define JUDGE_HOUR   (60 * JUDGE_MINUTE)
#define JUDGE_DAY    (24 * JUDGE_HOUR)

/* The verdicts under way. */
struct judge {
    const struct judge_facts *f;
    const struct judge_limits *l;
    struct judge_verdicts *out;
    bool failed; /* no memory */
};

/* Adds a verdict; `next` may be NULL.  Texts are cut at their room. */
void judge_say(struct judge *j, const char *name, enum judge_state state, const char *next,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* How long ago; 0 for the future (clocks are set back). */
uint64_t judge_since(const struct judge *j, int64_t time);

/* Beyond the limit a warning, beyond twice that critical; a limit of 0 is always ok. */
enum judge_state judge_against(uint64_t age, uint64_t limit);

enum judge_state judge_worse(enum judge_state a, enum judge_state b);

/* Free space and time until it is full: the state, and a text about it. */
enum judge_state judge_room(const struct judge *j, const struct judge_space *s, char *out,
                            size_t cap);

/* judge_server.c, judge_archive.c */
void judge_server(struct judge *j);
void judge_repository(struct judge *j);
void judge_contents(struct judge *j);
void judge_this_host(struct judge *j);
void judge_duties(struct judge *j); /* judge_duties.c: copies and jobs */

#endif
