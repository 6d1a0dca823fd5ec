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
#include "pg/control.h"
#include "pgconn/pgconn.h"
#include "restore.h"

#define RESTORE_PORT "5432"

enum {
    RESTORE_LOG_LINE = 1024,
    RESTORE_RUN_MAX = 80, /* a socket's path has room for 107 bytes */
};

struct restore_server {
    /* set by the caller: */
    const struct msg *m;
    const struct settings *settings;
    char data[PLACE_MAX];
    char dir[PLACE_MAX]; /* configuration, socket, log; "": one is made */
    struct place_owner owner;
    uint32_t major;
    bool ours;                             /* it ends with us */
    struct control control;                /* what recovery demands; zero: nothing */
    uint64_t expected;                     /* segments that it will fetch */
    int (*beat)(void *arg, struct err *e); /* called often while it is waited for; NULL */
    void *arg;

    char bin[PLACE_MAX];
    char log[PLACE_MAX];
    struct os_root root;
    struct os_proc proc;
    int fd; /* of the log, for reading */
    char line[RESTORE_LOG_LINE];
    size_t held;
    bool reached;
    bool paused;
    bool promoted;
    bool shut_down;
    bool lacks; /* a setting is too small for what the WAL says */
    bool stuck; /* and it waits there */
    uint64_t segments;
    char stop[RESTORE_LOG_LINE];  /* "recovery stopping before ..." */
    char last[RESTORE_LOG_LINE];  /* "last completed transaction was ..." */
    char fatal[RESTORE_LOG_LINE]; /* the last FATAL or PANIC */
};

void restore_server_init(struct restore_server *s);

/* Starts it on r->dir, all but dir and ours filled in here. */
int restore_server_start(struct restore *r, struct restore_server *s, struct err *e)
    __attribute__((warn_unused_result));
/* Starts it as it is filled in; one that was stopped may be started again. */
int restore_server_run(struct restore_server *s, struct err *e) __attribute__((warn_unused_result));

/* Waits until it has reached its target, or, without one, until it is open. */
int restore_server_wait(struct restore_server *s, struct err *e)
    __attribute__((warn_unused_result));

/* A connection, as PGUSER or postgres; *user is who.  0 or -1. */
int restore_server_connect(const struct restore_server *s, const char *database, struct pgconn **c,
                           const char **user, struct err *e) __attribute__((warn_unused_result));

/* Stops it; nothing when it runs no more. */
void restore_server_stop(struct restore_server *s);

/* Lets go of it: the server goes on without us. */
void restore_server_fini(struct restore_server *s);

/* ---- its folder (restore_run.c) ---- */

/* Makes s->dir below TMPDIR or /tmp, and removes those whose servers are gone. */
int restore_run_make(struct restore_server *s, struct err *e) __attribute__((warn_unused_result));

/* Removes it: the server has ended, and nobody needs its log. */
void restore_run_remove(struct restore_server *s);

/* The folder of a program of ours' majors least to most: pg_bin, PATH, the usual places. */
int restore_programs(const struct settings *s, const char *program, uint32_t least, uint32_t most,
                     char out[PLACE_MAX], struct err *e) __attribute__((warn_unused_result));

#endif
