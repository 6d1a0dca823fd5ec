/*
 * dump_job: a section [dump NAME] of the configuration.
 *
 *     [dump shop]
 *     databases = shop               names, or "all" (default: the one that the connection names)
 *     schemas = app                  patterns of pg_dump; with tables: only these
 *     tables = app.orders app.items
 *     exclude = app.cache_*          tables that are left out
 *     format = custom                custom, plain; "custom gzip:6" where pg_dump shall compress
 *     runner = docker compose exec -T db      what stands in front of pg_dump, pg_restore and psql
 *     dsn = user=shop                how to connect (behind the runner: from there)
 *     counts = app.orders            tables whose rows are counted in the dump's own snapshot
 *     schema_version = select max(version) from schema_migrations      noted with the dump
 *     guard = min_size=1MB shrink=50%         refuse a dump that is smaller, or lost so many rows
 *     pre = timeout=5min docker compose stop app      before and after; no shell
 *     post = docker compose start app
 */
#ifndef REPO_DUMP_JOB_H
#define REPO_DUMP_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/words.h"
#include "pg/dumpfile.h"
#include "repo/hook.h"
#include "repo/settings.h"

enum { DUMP_JOB_SHRINK = 50, DUMP_JOB_QUERY_MAX = 1000 };

/* About 100 kB: keep one on the heap. */
struct dump_job {
    const char *name;
    bool all; /* databases = all */
    struct words databases;
    struct words schemas;
    struct words tables;
    struct words exclude;
    struct words counts;
    struct words runner;
    enum dumpfile_format format;
    char compress[16]; /* what pg_dump gets as --compress; "" when Walden compresses */
    const char *dsn;
    const char *schema_version; /* a query */
    uint64_t min_size;
    unsigned shrink; /* percent of rows that may be missing; 100: any */
    struct hook pre;
    struct hook post;
};

/* Defaults. */
void dump_job_init(struct dump_job *j, const char *name);

/* Fills in the section of that name: 0, 1 when there is none, -1 (ERR_CONFIG with file and line).
 */
int dump_job_load(struct dump_job *j, const struct settings *s, struct err *e)
    __attribute__((warn_unused_result));

/* Sets one key, as the section and the command line do. */
int dump_job_set(struct dump_job *j, const char *key, const char *value, struct err *e)
    __attribute__((warn_unused_result));

/* May what the configuration wants run be run by us (settings_may_run): the hooks, if they are; the
 * runner, unless the command line gave it; the programs in pg_bin.  -1: ERR_REFUSED. */
int dump_job_may_run(const struct dump_job *j, const struct settings *s, bool hooks,
                     bool runner_given, struct err *e) __attribute__((warn_unused_result));

/* The name of a section i = 0, 1 ...: NULL behind the last. */
const char *dump_job_name(const struct settings *s, size_t i);

/* A runner that would spoil what flows through it is refused: one that makes a terminal, or does
 * not pass standard input on. */
int dump_job_check_runner(const struct words *runner, struct err *e)
    __attribute__((warn_unused_result));

#endif
