/*
 * init_config: the configuration file as `walden init` writes and completes it.
 *
 * What a person wrote is never changed: missing keys are added behind the main part's last line,
 * and a key that says something else is an error that names it.
 */
#ifndef CATALOG_INIT_CONFIG_H
#define CATALOG_INIT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "object/key.h"
#include "place.h"

/* What the file has to say; NULL or absent for what is not known yet or not needed. */
struct init_config {
    const char *repo;
    const uint8_t *repo_id;
    const char *cluster; /* NULL: the default */
    const char *host_key;
    const char *recipients;       /* path of recovery.pub */
    const struct key_public *pub; /* its content */
    const uint8_t *sealed_from;
    bool repin; /* sealed_from may take another value's place: it was not in force yet */
};

/* Compares without writing: -1 with the first conflict. */
int init_config_check(const char *path, const struct init_config *c, struct err *e)
    __attribute__((warn_unused_result));

/* Writes or completes the file.  0 written, 1 nothing was missing, -1. */
int init_config_write(const char *path, const struct init_config *c,
                      const struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

#endif
