/*
 * hook: a command that somebody else wrote, as a value of the configuration: "docker compose stop
 * app", or with how long it may take, "timeout=5min docker compose stop app".  No shell reads it.
 */
#ifndef REPO_HOOK_H
#define REPO_HOOK_H

#include <stdint.h>

#include "base/words.h"

enum { HOOK_TIMEOUT_S = 600 };

/* 10 kB. */
struct hook {
    struct words command; /* none: no hook */
    uint64_t timeout;     /* microseconds */
};

/* -1: ERR_CONFIG or ERR_USAGE. */
int hook_parse(struct hook *h, const char *value, struct err *e)
    __attribute__((warn_unused_result));

#endif
