/*
 * verify_server: compares a backup's files with what PostgreSQL's own backup_manifest says of them.
 *
 * Of each file eight bytes are kept.  This header keeps pg/manifest out of sight, whose words are
 * those of repo/manifest_read.
 */
#ifndef REPO_VERIFY_SERVER_H
#define REPO_VERIFY_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct verify_server;

struct verify_server *verify_server_new(uint64_t system_id, struct err *e);
void verify_server_free(struct verify_server *v); /* accepts NULL */

/* A file of the backup; all of them come before the server's manifest. */
int verify_server_file(struct verify_server *v, const char *path, uint64_t size, uint32_t crc,
                       struct err *e) __attribute__((warn_unused_result));

/* The server's manifest, in pieces.  -1 with ERR_DAMAGED for what does not agree. */
int verify_server_feed(struct verify_server *v, const uint8_t *bytes, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* No more comes.  0 also when there was no manifest at all. */
int verify_server_end(struct verify_server *v, struct err *e) __attribute__((warn_unused_result));

#endif
