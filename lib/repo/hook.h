/*
 * hook: a command that somebody else wrote, as a value of the configuration: "docker compose stop
 * app", or with how long it may take, "timeout=5min docker compose stop app".  No shell reads it.
 */
#ifndef REPO_HOOK_H
#define REPO_HOOK_H

#include <stdint.h>

#include "base/words.h"
#include "repo/settings.h"

enum { HOOK_TIMEOUT_S = 600 };

/* 10 kB. */
struct hook {
    struct words command; /* none: no hook */
    uint64_t timeout;     /* microseconds */
};

/* -1: ERR_CONFIG or ERR_USAGE. */
int hook_parse(struct hook *h, const char *value, struct err *e)
    __attribute__((warn_unused_result));

/*
 * A section [hook COMMAND], COMMAND being undump, restore or backup: what surrounds a command that
 * changes what others work with, or must find them at rest.
 *
 *     [hook undump]
 *     pre = docker compose stop app        before anything is changed; when it fails nothing is
 *     gate = timeout=20min migrate         before what was restored takes the place of the old
 *     post = docker compose start app      after all
 *
 * A backup has no gate: what it makes is checked before it can be seen, and takes nobody's place.
 */
struct hook_set {
    const char *pre; /* texts of the settings, checked; NULL: none */
    const char *gate;
    const char *post;
};

/* -1: ERR_CONFIG with file and line. */
int hook_set_load(struct hook_set *set, const struct settings *s, const char *command,
                  struct err *e) __attribute__((warn_unused_result));

/* Before the first of them: may they be run by us (settings_may_run)?  -1: ERR_REFUSED. */
int hook_set_may_run(const struct hook_set *set, const struct settings *s, const char *command,
                     struct err *e) __attribute__((warn_unused_result));

#endif
