/*
 * init_server: what `walden init` has to know about the server, and what it tells it.
 */
#ifndef CATALOG_INIT_SERVER_H
#define CATALOG_INIT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/msg.h"
#include "pgconn/pgconn.h"
#include "place.h"

struct init_server {
    struct pgconn *c;             /* NULL: offline */
    struct pgconn_rows *settings; /* NULL: offline */
    uint64_t system_id;
    uint32_t major;
    uint32_t segment_size;
    bool checksums;
    bool in_recovery;
    bool wal_minimal;  /* wal_level is minimal: nothing that can be archived */
    bool has_position; /* where its WAL ends is known: */
    uint32_t timeline;
    uint64_t position;
    char data_dir[PLACE_MAX]; /* "" when not known, or not on this host */
};

/* From a data directory. */
int init_server_offline(struct init_server *s, const char *pgdata, struct err *e)
    __attribute__((warn_unused_result));

/* From the server itself.  After init_server_offline: both must be the same cluster. */
int init_server_connect(struct init_server *s, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));
void init_server_close(struct init_server *s);

/* Looks where the server's WAL ends now: no segment behind that can be its own.  From pg_control
 * when it is shut down, else from the server, which is connected to when it was not yet. */
int init_server_where(struct init_server *s, const struct pgconn_opts *o, struct err *e)
    __attribute__((warn_unused_result));

/* The commands that the server runs. */
struct init_commands {
    struct buf archive;
    struct buf restore;
};

/* config: NULL when it is the default one. */
int init_server_commands(struct init_commands *c, const char *config, const struct msg *m,
                         struct err *e) __attribute__((warn_unused_result));
void init_server_commands_fini(struct init_commands *c);

/* One setting that has to change. */
struct init_change {
    const char *name;
    const char *value;
    bool restart;
};
enum { INIT_CHANGES_MAX = 4 };

/* What has to change for the server to archive; everything when offline.  Answers the number. */
size_t init_server_changes(const struct init_server *s, const struct init_commands *c,
                           struct init_change out[INIT_CHANGES_MAX]);

/* The value of a setting in the running server; NULL when offline or not visible. */
const char *init_server_setting(const struct init_server *s, const char *name);

/* Makes the changes by ALTER SYSTEM and has the configuration read again.  Refuses to take the
 * place of another archive_command or archive_library. */
int init_server_apply(struct init_server *s, const struct init_change *changes, size_t n,
                      struct err *e) __attribute__((warn_unused_result));

/* Appends a change as a statement of SQL. */
int init_server_sql(const struct init_change *change, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
