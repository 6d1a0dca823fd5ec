/*
 * own: the backup_manifest of the full backup that is made out of an increment: the server's own
 * names the files that it sent, which are not those that a restore will have.
 *
 * The bytes are those that a server would write for a full backup.  Like check, this header keeps
 * pg/manifest out of sight.
 */
#ifndef BASEBACKUP_OWN_H
#define BASEBACKUP_OWN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "basebackup/check.h"

struct own;

/* Takes a piece of the manifest. */
typedef int own_write(void *arg, const void *bytes, size_t len, struct err *e);

struct own *own_new(uint64_t system_id, own_write *write, void *arg, struct err *e);
void own_free(struct own *o); /* accepts NULL */

int own_file(struct own *o, const char *path, uint64_t size, int64_t mtime, uint32_t crc,
             struct err *e) __attribute__((warn_unused_result));

/* The rest, after the last file; the ranges of WAL are those of the server's manifest. */
int own_finish(struct own *o, const struct check *c, struct err *e)
    __attribute__((warn_unused_result));

#endif
