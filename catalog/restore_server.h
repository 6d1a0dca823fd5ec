/*
 * restore_server: a server on a restored copy, watched until it has reached its target.
 *
 * It gets a configuration of its own, since the cluster's may lie elsewhere or name what is not
 * here: what recovery demands (from pg_control), a private socket, no TCP, archiving off.  What it
 * says in its log is what counts: it accepts connections long before it has reached a target.
 */
#ifndef CATALOG_RESTORE_SERVER_H
#define CATALOG_RESTORE_SERVER_H

#include "os/proc.h"
#include "pgconn/pgconn.h"
#include "restore.h"

#define RESTORE_PORT "5432"

enum {
    RESTORE_LOG_LINE = 1024,
    RESTORE_RUN_MAX = 80, /* a socket's path has room for 107 bytes */
};

struct restore_server {
    char bin[PLACE_MAX];
    char dir[PLACE_MAX]; /* configuration, socket, log */
    char log[PLACE_MAX];
    bool ours; /* it ends with us; set by the caller, as dir may be (else one is made) */
    struct os_root root;
    struct os_proc proc;
    int fd; /* of the log, for reading */
    char line[RESTORE_LOG_LINE];
    size_t held;
    bool reached;
    bool paused;
    bool promoted;
    bool shut_down;
    uint64_t segments;
    char stop[RESTORE_LOG_LINE];  /* "recovery stopping before ..." */
    char last[RESTORE_LOG_LINE];  /* "last completed transaction was ..." */
    char fatal[RESTORE_LOG_LINE]; /* the last FATAL or PANIC */
};

void restore_server_init(struct restore_server *s);

/* Starts it on r->dir, and waits until it has reached the target. */
int restore_server_start(struct restore *r, struct restore_server *s, struct err *e)
    __attribute__((warn_unused_result));
int restore_server_wait(struct restore *r, struct restore_server *s, struct err *e)
    __attribute__((warn_unused_result));

/* A connection, as PGUSER or postgres; *user is who.  0 or -1. */
int restore_server_connect(const struct restore_server *s, const char *database, struct pgconn **c,
                           const char **user, struct err *e) __attribute__((warn_unused_result));

/* Stops it; nothing when it runs no more. */
void restore_server_stop(struct restore_server *s);

/* Lets go of it: the server goes on without us. */
void restore_server_fini(struct restore_server *s);

/* The folder of a program of ours' majors least to most: pg_bin, PATH, the usual places. */
int restore_programs(const struct settings *s, const char *program, uint32_t least, uint32_t most,
                     char out[PLACE_MAX], struct err *e) __attribute__((warn_unused_result));

#endif
