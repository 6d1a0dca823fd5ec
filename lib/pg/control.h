/*
 * control: global/pg_control, which says which cluster a data directory is and where it stands.
 *
 * The layout differs between majors; the first fields never did.  For a version that is not in the
 * table only those are given, unproven, because not even the place of the checksum is known.
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
    CONTROL_STARTING = 0,
    CONTROL_SHUT_DOWN = 1,
    CONTROL_SHUT_DOWN_IN_RECOVERY = 2,
    CONTROL_SHUTTING_DOWN = 3,
    CONTROL_CRASH_RECOVERY = 4,
    CONTROL_ARCHIVE_RECOVERY = 5,
    CONTROL_RUNNING = 6
};

struct control {
    uint64_t sysid;
    uint32_t version; /* pg_control_version */
    uint32_t catalog; /* catalog_version_no */
    uint32_t major;   /* 13 to 18, or 0 when the catalog version is that of no release known */
    uint32_t state;   /* enum control_state */
    int64_t time;     /* Unix seconds */
    lsn_t checkpoint;
    lsn_t redo;
    tli_t tli;
    tli_t prev_tli;

    bool is_known; /* the rest is filled, and the checksum was right */
    lsn_t min_recovery;
    tli_t min_recovery_tli;
    lsn_t backup_start;
    lsn_t backup_end;
    bool backup_end_required;
    uint32_t wal_level;       /* 0 minimal, 1 replica, 2 logical */
    uint32_t max_connections; /* recovery wants at least these five */
    uint32_t max_worker_processes;
    uint32_t max_wal_senders;
    uint32_t max_prepared_xacts;
    uint32_t max_locks_per_xact;
    uint32_t block_size;
    uint32_t relation_segment; /* blocks in one file of a relation */
    uint32_t wal_block_size;
    uint32_t segsize;
    uint32_t checksums; /* data_checksum_version; 0 = off */
};

/* The system identifier alone: the same place in every version, no checksum asked for, so that a
 * hook can use it while the server writes the file.  -1 with ERR_DAMAGED. */
int control_system_id(const uint8_t *p, size_t n, uint64_t *sysid, struct err *e)
    __attribute__((warn_unused_result));

/* Reads the CONTROL_SIZE bytes at p.  -1 with ERR_DAMAGED when the size is another, the checksum is
 * wrong (on a live server: half-written, read it again) or the contents cannot be. */
int control_parse(const uint8_t *p, size_t n, struct control *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
