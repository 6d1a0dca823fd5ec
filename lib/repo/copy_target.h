/*
 * copy_target: where copies of the repository are: the sections [repo NAME] of the configuration.
 *
 *     [repo usb]
 *     path = /mnt/usb/walden          its directory
 *     keep_backups = daily=30         what it keeps; where nothing is set, it keeps everything
 *     keep_dumps = daily=30
 *     wal_within = 30d
 *     max_rate = 5MB                  it grows by at most so many bytes per second (default: the
 *                                     host's max_rate; 0: as fast as it goes)
 *     max_age = 2d                    walden check complains when the last copy is older (default:
 *                                     26h; 0: never)
 */
#ifndef REPO_COPY_TARGET_H
#define REPO_COPY_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "repo/settings.h"

enum { COPY_TARGETS_MAX = 64 };

#define COPY_RATE_HOSTS UINT64_MAX

struct copy_target {
    const char *name;
    const char *path;
    unsigned line;
    struct settings_keep keep_backups;
    struct settings_keep keep_dumps;
    uint64_t wal_within;
    uint64_t max_rate; /* COPY_RATE_HOSTS: what the host's settings say */
    uint64_t max_age;  /* 0: any */
};
VEC_DECLARE(copy_targets, struct copy_target);

/* All of them, into *t (initialised); -1 (ERR_CONFIG with file and line). */
int copy_targets_load(struct copy_targets *t, const struct settings *s, struct err *e)
    __attribute__((warn_unused_result));

/* The one of that name; NULL with *e. */
const struct copy_target *copy_targets_find(const struct copy_targets *t, const char *name,
                                            struct err *e);

/* The one of that name or path; NULL. */
const struct copy_target *copy_targets_of(const struct copy_targets *t, const char *text);

/* Makes settings of the host those for the copy: its place, its rules, nothing it has to wait for.
 */
void copy_target_use(const struct copy_target *t, struct settings *s);

#endif
