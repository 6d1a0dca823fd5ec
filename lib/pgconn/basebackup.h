/*
 * basebackup: BASE_BACKUP, from a server of 13 to 18, as a stream of archives.
 *
 * The two dialects (one COPY per archive up to 14, one COPY of typed messages from 15 on) look the
 * same from here.  Nothing is buffered: what arrives is handed on before more is taken.
 *
 * A backup is good only when basebackup_run returned 0.  In particular a server that meets pages
 * with wrong checksums sends everything, the end position too, and only then says that it failed.
 * An archive's end is called only when the server has shown that it did not break off there.
 */
#ifndef PGCONN_BASEBACKUP_H
#define PGCONN_BASEBACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/walname.h"
#include "pgconn/pgconn.h"

enum {
    BASEBACKUP_LABEL_MAX = 1000, /* bytes */
    BASEBACKUP_RATE_MIN = 32,    /* kB/s, the server's own limits */
    BASEBACKUP_RATE_MAX = 1024 * 1024,
    BASEBACKUP_SPACES_MAX = 65536,
    BASEBACKUP_SILENCE = 300 /* seconds without a byte, once the archives have begun */
};

struct basebackup_opts {
    const char *label;   /* one line */
    bool fast;           /* an immediate checkpoint instead of waiting for a spread one */
    bool sizes;          /* ask for the sizes of the tablespaces: the server walks all files */
    bool tablespace_map; /* in the archive, instead of links */
    bool skip_checksums; /* do not let the server verify the pages' checksums */
    bool incremental;    /* against the manifest uploaded on this connection; 17 and later */
    uint32_t max_rate;   /* kB/s; 0: no limit */
    uint32_t silence;    /* seconds; 0: BASEBACKUP_SILENCE */
};

struct basebackup_space {
    uint32_t oid;   /* 0: the data directory */
    char *location; /* on the server; "" for the data directory */
    bool has_size;
    uint64_t size; /* bytes, estimated */
};

/* What is known before the first archive; spaces is in the order in which the archives come, the
 * data directory last. */
struct basebackup_start {
    lsn_t lsn;
    tli_t tli;
    size_t n;
    const struct basebackup_space *spaces;
};

struct basebackup_end {
    lsn_t lsn;
    tli_t tli;
};

/* Each may be NULL; returns 0, or -1 with *e filled, which ends the backup. */
struct basebackup_events {
    int (*start)(void *arg, const struct basebackup_start *s, struct err *e);
    int (*archive_begin)(void *arg, const struct basebackup_space *s, struct err *e);
    int (*archive_data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
    int (*archive_end)(void *arg, struct err *e);
    int (*manifest_begin)(void *arg, struct err *e);
    int (*manifest_data)(void *arg, const uint8_t *bytes, size_t len, struct err *e);
    int (*manifest_end)(void *arg, struct err *e);
    /* Bytes of all archives that arrived so far: with each piece, and once a second when nothing
     * comes.  0 while the server still works on its checkpoint, which only this call can cut
     * short: it may take many minutes unless opts.fast is set. */
    int (*progress)(void *arg, uint64_t bytes, struct err *e);
    /* A warning of the server, one line. */
    void (*warning)(void *arg, const char *text);
    /* The server has nothing to be received: time for some other work, of no more than some tenths
     * of a millisecond.  1: did some, there may be more; 0: nothing to do; -1: gives up. */
    int (*idle)(void *arg, struct err *e);
};

/*
 * Runs one backup with a manifest of CRC-32Cs, over a connection of replication_open.  It does not
 * wait for the server to archive the WAL.  After -1 the connection is only good for closing, unless
 * the server refused before it sent anything (ERR_REFUSED; pgconn_sqlstate says why: "55000" when
 * an incremental backup is not possible).
 *
 * Archives of servers before 15 have no closing blocks (basebackup_has_end).
 */
int basebackup_run(struct pgconn *c, const struct basebackup_opts *o,
                   const struct basebackup_events *events, void *arg, struct basebackup_end *end,
                   struct err *e) __attribute__((warn_unused_result));

/* Whether the archives of this server end as tar archives do. */
bool basebackup_has_end(const struct pgconn *c);

/* Gives the next bytes: *got is 0 at the end. */
typedef int basebackup_read(void *arg, uint8_t *bytes, size_t cap, size_t *got, struct err *e);

/* Sends the manifest of the prior backup, on which an incremental one will build; 17 and later. */
int basebackup_upload(struct pgconn *c, basebackup_read *next, void *arg, struct err *e)
    __attribute__((warn_unused_result));

#endif
