/*
 * hook_run: runs a command of the configuration (repo/hook) and says how it ended.
 *
 * It is told what it is about in its environment, reads a text or nothing, and may print what it
 * likes: standard output is passed over, of standard error the words that matter come into the
 * message.  It has a process group of its own; when its time is over, all of the group is asked to
 * end, and then ended.
 */
#ifndef REPO_HOOK_RUN_H
#define REPO_HOOK_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "repo/hook.h"

enum { HOOK_FACTS_MAX = 40, HOOK_FACTS_TEXT_MAX = 16 * 1024 };

/* Variables for its environment. */
struct hook_facts {
    size_t n;
    const char *v[HOOK_FACTS_MAX];
    size_t used;
    char text[HOOK_FACTS_TEXT_MAX];
};

/* NAME=value; NULL is empty.  False when it did not fit and is not there. */
bool hook_fact(struct hook_facts *f, const char *name, const char *value);

/* The whole environment of a child: the facts in front of ours.  To be freed; NULL: no memory. */
const char **hook_env(const struct hook_facts *f, struct err *e);

/* The word for an outcome: ok, failed, refused, unreachable, interrupted, timeout. */
const char *hook_outcome(const struct err *e);

/* 0 when there is no command, or it ended with 0.  `name` is for messages: "the pre hook".  input
 * may be NULL.  -1 with ERR_IO (its exit status), ERR_TIMEOUT, ERR_INTERRUPTED. */
int hook_run(const struct hook *h, const char *name, const struct hook_facts *facts,
             const char *input, struct err *e) __attribute__((warn_unused_result));

/* The same from the text of the configuration, NULL for none. */
int hook_run_text(const char *value, const char *name, const struct hook_facts *facts,
                  struct err *e) __attribute__((warn_unused_result));

#endif
