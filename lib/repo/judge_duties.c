/* The questions about what is to be done from time to time: copies, jobs. */
#include <stdio.h>

#include "repo/judge_inside.h"

static void copy(struct judge *j, const struct judge_copy *c)
{
    enum judge_state state;
    char age[JUDGE_AGE_MAX];
    char next[JUDGE_NEXT_MAX];

    (void)snprintf(next, sizeof next, "walden copy %.64s", c->name);
    if (!c->known) {
        judge_say(j, "copy", JUDGE_CRITICAL, next, "what copy %s has cannot be told: %s", c->name,
                  c->why);
        return;
    }
    if (c->time == JUDGE_NEVER) {
        judge_say(j, "copy", JUDGE_CRITICAL, next, "copy %s was never made", c->name);
        return;
    }
    state = judge_against(judge_since(j, c->time), c->limit);
    judge_age(age, judge_since(j, c->time));
    if (!c->whole)
        judge_say(j, "copy", JUDGE_CRITICAL, next,
                  "copy %s is %s old, and something could not be copied", c->name, age);
    else
        judge_say(j, "copy", state, state == JUDGE_OK ? NULL : next, "copy %s is %s old", c->name,
                  age);
}

static void jobs(struct judge *j)
{
    const struct judge_jobs *f = &j->f->jobs;
    char next[JUDGE_NEXT_MAX];
    char age[JUDGE_AGE_MAX];

    if (f->jobs == 0)
        return;
    if (f->failed == 0) {
        judge_say(j, "jobs", JUDGE_OK, NULL, "%llu job%s of walden run: no last try failed",
                  (unsigned long long)f->jobs, f->jobs == 1 ? "" : "s");
        return;
    }
    (void)snprintf(next, sizeof next, "walden run %.64s", f->name);
    judge_age(age, judge_since(j, f->ended));
    judge_say(j, "jobs", JUDGE_CRITICAL, next,
              "%llu of %llu jobs of walden run did not go well when last tried; %s: %s, %s ago",
              (unsigned long long)f->failed, (unsigned long long)f->jobs, f->name, f->result, age);
}

void judge_duties(struct judge *j)
{
    for (unsigned i = 0; i < j->f->copies; i++)
        copy(j, &j->f->copy[i]);
    jobs(j);
}
