/*
 * check: compares what was received with what the server's own backup_manifest says.
 *
 * Of each received file eight bytes are kept: a keyed hash of path, size and CRC-32C.  Then every
 * file of the manifest must be one that was received, and the other way round.  This header keeps
 * pg/manifest out of sight, whose words are those of repo/manifest_read.
 */
#ifndef BASEBACKUP_CHECK_H
#define BASEBACKUP_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"

struct check;

/* system_id: what a manifest that names one must name. */
struct check *check_new(uint64_t system_id, struct err *e);
void check_free(struct check *c); /* accepts NULL */

/* A file was received. */
int check_file(struct check *c, const char *path, uint64_t size, uint32_t crc, struct err *e)
    __attribute__((warn_unused_result));

/* The manifest, in pieces, after the last file. */
int check_manifest(struct check *c, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));
int check_manifest_end(struct check *c, struct err *e) __attribute__((warn_unused_result));

/* The WAL that the manifest says is needed: from its oldest start to its newest end. */
void check_range_of(const struct check *c, lsn_t *start, lsn_t *end);

/* Calls fn with each of its ranges, as they stand in it. */
typedef int check_range_fn(void *arg, tli_t tli, lsn_t start, lsn_t end, struct err *e);
int check_ranges(const struct check *c, check_range_fn *fn, void *arg, struct err *e)
    __attribute__((warn_unused_result));

#endif
