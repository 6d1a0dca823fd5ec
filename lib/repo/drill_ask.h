/*
 * drill_ask: a section [drill NAME] of the configuration: one question to a restored copy.
 *
 *     [drill queued_ready]
 *     of = shop                      a dump job, "backup", or "all" (default)
 *     database = app                 default: the dump's own database; of a backup "postgres"
 *     sql = select count(*) from app.jobs where state = 'queued'
 *     expect = >= 1                  =, !=, <, <=, >, >= or contains, and a value (default: t)
 *     why = a queued job without a lease may resume
 *     timeout = 5min
 *
 *     [drill health]
 *     command = /usr/local/bin/app-health --short      no shell; it finds the copy by PGHOST and
 * its like expect = contains "db":"ok"    what it must print (default: anything); its exit status
 * must be 0
 */
#ifndef REPO_DRILL_ASK_H
#define REPO_DRILL_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/words.h"
#include "repo/settings.h"

/* About 10 kB. */
struct drill_ask {
    const char *name;
    const char *of; /* NULL: all */
    const char *database;
    const char *sql; /* this or the command */
    const char *expect;
    const char *why;
    struct words command;
    uint64_t timeout; /* microseconds */
};

/* Section i = 0, 1 ...: 0; 1 behind the last; -1 (ERR_CONFIG with file and line). */
int drill_ask_load(struct drill_ask *a, const struct settings *s, size_t i, struct err *e)
    __attribute__((warn_unused_result));

/* Is it a question to the backups (job NULL), or to that job's dumps? */
bool drill_ask_is_of(const struct drill_ask *a, const char *job);

/* Checks what stands behind "expect": 0, or -1 (ERR_CONFIG). */
int drill_expect_check(const char *expect, struct err *e) __attribute__((warn_unused_result));

/* Is what was found as expected?  Numbers are compared as such, of any length, other texts as they
 * stand; NULL expects "t". */
bool drill_expect(const char *expect, const char *found);

#endif
