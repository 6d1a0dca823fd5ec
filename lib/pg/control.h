/*
 * control: the facts of a cluster's global/pg_control that do not depend on a running server.
 *
 * The places of the fields are a table by pg_control_version, checked by the file's CRC-32C and by
 * its float format.  A live file may be caught in the middle of a write: the caller reads again
 * when the CRC does not match.
 */
#ifndef PG_CONTROL_H
#define PG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"

enum { CONTROL_SIZE = 8192 };

enum control_state {
    CONTROL_STARTUP,
    CONTROL_SHUT_DOWN,
    CONTROL_SHUT_DOWN_IN_RECOVERY,
    CONTROL_SHUTTING_DOWN,
    CONTROL_CRASH_RECOVERY,
    CONTROL_ARCHIVE_RECOVERY,
    CONTROL_IN_PRODUCTION
};

struct control {
    uint64_t system_id;
    uint32_t version; /* pg_control_version */
    uint32_t catalog; /* catalog version */
    uint32_t major;   /* PostgreSQL major, 0 when the catalog version is not known */
    uint32_t state;   /* enum control_state */
    lsn_t checkpoint;
    lsn_t redo;
    tli_t tli;
    lsn_t min_recovery;
    uint32_t wal_level; /* 0 minimal, 1 replica, 2 logical */
    int32_t max_connections;
    int32_t max_worker_processes;
    int32_t max_wal_senders;
    int32_t max_prepared_xacts;
    int32_t max_locks_per_xact;
    uint32_t segment_size;
    bool checksums;
};

/* The system identifier alone: the same place in every version, no checksum asked for. */
int control_system_id(const uint8_t *bytes, size_t len, uint64_t *system_id, struct err *e)
    __attribute__((warn_unused_result));

/* Everything.  -1: ERR_REFUSED (another version, another byte order), ERR_DAMAGED (CRC). */
int control_read(const uint8_t *bytes, size_t len, struct control *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
