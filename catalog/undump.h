/*
 * undump: what the parts of `walden undump` share.
 */
#ifndef CATALOG_UNDUMP_H
#define CATALOG_UNDUMP_H

#include <stdbool.h>

#include "command.h"
#include "dump_open.h"
#include "pgconn/pgconn_flags.h"
#include "pgtool.h"
#include "repo/dump_job.h"
#include "sqlrun.h"

/* Of the dump that is taken before a schema is changed. */
#define UNDUMP_SAFETY_TAG "before-undump"

struct undump_options {
    struct pgconn_flags connection;
    const char *database; /* what it shall be called */
    const char *stream;
    const char *schema;
    const char *runner;
    const char *at;
    const char *passphrase_file;
    bool replace;
    bool swap; /* --switch */
    bool drop_first;
    bool globals;
    bool no_owner;
    bool keep_failed;
    bool accept_empty;
    bool yes;
    bool json;
};

enum { UNDUMP_NAME_MAX = 64, UNDUMP_SHOWN_MAX = 20, UNDUMP_VERSION_MAX = 1024 };

/* A table whose rows were counted in what was restored. */
struct undump_table {
    const char *schema;
    const char *name;
    uint64_t rows; /* in the dump */
    uint64_t found;
    const char *why; /* it cannot be read; else NULL */
};

/* Large: on the heap. */
struct undump {
    const struct msg *msg;
    struct settings *settings;
    const struct undump_options *o;
    struct dump_open dump;
    uint32_t stream;
    struct dump_job
        job; /* runner and dsn of the job that made it, where the configuration has it */
    struct sqlrun_how how;
    struct sqlrun *sql; /* on the maintenance database */
    struct pgtool tool;
    struct pgtool_run restore;
    struct pgtool_run psql;
    char final[UNDUMP_NAME_MAX];  /* the name it has in the end */
    char target[UNDUMP_NAME_MAX]; /* the database that is filled */
    char old[UNDUMP_NAME_MAX];    /* what the replaced one is called now; "" */
    char safety[DUMP_LABEL_MAX];  /* the dump that was taken before; "" */
    struct place_owner psql_as;
    bool created;
    struct hook_set hooks; /* empty when nothing that others use is changed */
    bool paused;           /* the pre hook was run */
    bool changed;          /* what others use is not what it was */
    uint64_t ignored;      /* errors that do no harm */
    uint64_t tables;       /* compared, */
    uint64_t rows;
    uint64_t differ;      /* and not as they were, like whatever else is compared; */
    uint64_t differ_rows; /* of these, tables */
    int64_t began;
    int64_t took;
    /* Told each table that is compared; NULL: differences are printed. */
    int (*told)(void *arg, const struct undump_table *t, struct err *e);
    /* The same of what else is compared. */
    int (*told_fact)(void *arg, const char *name, const char *want, const char *found,
                     struct err *e);
    void *arg;
};

/* A zeroed struct with its options; NULL without memory. */
struct undump *undump_new(const struct msg *m, struct settings *s, const struct undump_options *o,
                          struct err *e);
void undump_free(struct undump *u); /* accepts NULL */

/* Connects to the server of the dump's job, or the one that the options name. */
int undump_connect(struct undump *u, struct err *e) __attribute__((warn_unused_result));

/* A new session to clean up in, behind a failure or a signal; without one the old one stays. */
void undump_session_again(struct undump *u);

/* Who runs psql, which does what the dump says, "\\! COMMAND" as well: when we are root and the
 * repository is another's, who owns it.  A runner says that itself. */
const struct place_owner *undump_psql_as(struct undump *u);

/* --- undump_check.c: before anything is changed --- */

/* Versions, encoding, extensions, roles (made with --globals). */
int undump_check(struct undump *u, struct err *e) __attribute__((warn_unused_result));
/* Each line of the globals that were dumped with it. */
typedef int undump_global_fn(void *arg, const char *line, struct err *e);
int undump_each_global(struct undump *u, undump_global_fn *take, void *arg, struct err *e)
    __attribute__((warn_unused_result));
/* One name of SQL at p, quoted or not, into out as it is; what follows it. */
const char *undump_name_at(const char *p, char *out, size_t cap);
/* The word of a person that this database or schema may be changed. */
int undump_confirm(const struct undump *u, const char *what, const char *name, struct err *e)
    __attribute__((warn_unused_result));
bool undump_has_database(struct undump *u, const char *name, struct err *e);

/* --- undump_db.c: databases --- */

/* NAME_word_TIME, which no database has. */
int undump_new_name(struct undump *u, const char *word, char out[UNDUMP_NAME_MAX], struct err *e)
    __attribute__((warn_unused_result));
int undump_create(struct undump *u, struct err *e) __attribute__((warn_unused_result));
/* Takes away what was made, after a failure. */
void undump_drop_failed(struct undump *u);
/* Gives the filled database its name; the one that had it is kept (u->old) or dropped. */
int undump_switch(struct undump *u, struct err *e) __attribute__((warn_unused_result));
int undump_drop(struct undump *u, const char *name, struct err *e)
    __attribute__((warn_unused_result));
/* After a failure: lets sessions in again that undump_drop or undump_switch kept out.  In a session
 * of its own, since a statement may still run in the old one. */
void undump_reopen(struct undump *u, const char *name, struct err *e);
/* Rights and settings that stand at the database itself. */
int undump_properties(struct undump *u, struct err *e) __attribute__((warn_unused_result));

/* --- undump_hook.c: [hook undump] --- */

/* Before anything is changed; before what was restored is used (both a gate: -1 stops); and after,
 * unless what others use was left in pieces.  rc is that of the work, *e its error; the value is
 * that of all. */
int undump_pre(struct undump *u, struct err *e) __attribute__((warn_unused_result));
int undump_gate(struct undump *u, struct err *e) __attribute__((warn_unused_result));
int undump_post(struct undump *u, int rc, struct err *e) __attribute__((warn_unused_result));

/* --- undump_load.c: what is in them --- */

int undump_load(struct undump *u, struct err *e) __attribute__((warn_unused_result));
/* Makes the database u->target, fills and compares it. */
int undump_fill(struct undump *u, struct err *e) __attribute__((warn_unused_result));
/* Counts the rows of what was restored (of one schema, or all) and prints what differs. */
int undump_compare(struct undump *u, const char *schema, struct err *e)
    __attribute__((warn_unused_result));

/* --- undump_facts.c: what else must be as it was --- */

/* Schema version and row security, as noted with the dump; differences are counted like rows. */
int undump_facts(struct undump *u, struct sqlrun *s, const char *schema, struct err *e)
    __attribute__((warn_unused_result));
/* The schema version of the database that is there now: 0, 1 when the dump has none to compare
 * with, -1. */
int undump_live_version(struct undump *u, char out[UNDUMP_VERSION_MAX], struct err *e)
    __attribute__((warn_unused_result));
/* Says so when it is another one than the dump's. */
int undump_tell_version(struct undump *u, struct err *e) __attribute__((warn_unused_result));

/* --- undump_schema.c: one schema in place --- */

int undump_schema(struct undump *u, struct err *e) __attribute__((warn_unused_result));

/* Feeds the dump's stream to a program; what it says matters more than that it does not read. */
int undump_feed(struct undump *u, struct pgtool_run *to, struct err *e)
    __attribute__((warn_unused_result));

/* A fact about the database; "" when it is not known. */
const char *undump_fact(const struct undump *u, const char *key);

#endif
