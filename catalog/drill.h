/*
 * drill: what the parts of `walden drill` share.
 *
 *   drill_choose    which backup or dump: the one that is named, else what was drilled the longest
 * ago drill_backup    a base backup, with WAL up to a moment, on a server of its own drill_counts
 * the rows that were counted when it was taken, at that very moment drill_dump      a dump, into a
 * server of its own or into a new database of one that is there drill_left      databases that
 * killed drills left on such a server drill_ask       the questions of the configuration,
 * pg_amcheck drill_show      the evidence: text, JSON, one line, a block for a log
 *
 * The scratch directory is that of catalog/scratch.  What goes wrong before the copy is begun (no
 * room, no program, no key) says nothing about the backup and goes on no record; what goes wrong
 * behind that is the drill's result.
 */
#ifndef CATALOG_DRILL_H
#define CATALOG_DRILL_H

#include "pgconn/pgconn_flags.h"
#include "repo/counts.h"
#include "repo/drill.h"
#include "repo/drill_ask.h"
#include "restore_server.h"
#include "scratch.h"
#include "undump.h"

struct drill_options {
    struct pgconn_flags connection;
    struct restore_options restore; /* which moment, of a backup */
    bool latest;
    bool random;
    bool server; /* --on-server */
    bool amcheck;
    bool json;
    bool line;
    const char *dump;
    const char *scratch;
    const char *runner;
    const char *log;
    const char *show;
    const char *passphrase_file;
};

/* A database, as it was called and as it is called in the copy. */
struct drill_base {
    char was[UNDUMP_NAME_MAX];
    char now[UNDUMP_NAME_MAX];
};
VEC_DECLARE(drill_bases, struct drill_base);

/* Large: on the heap. */
struct drill_run {
    const struct msg *m;
    struct settings *s;
    struct drill_options *o;
    struct place_owner owner; /* as root: who runs the server and what the configuration asks */
    const char *named;        /* what the command line names; NULL */
    struct drill record;
    struct scratch scratch;
    struct restore_server server;
    struct restore *r; /* of a backup */
    struct undump *u;  /* of a dump */
    struct undump_options undump;
    struct repo *repo;
    struct object_reader *reader;
    struct sqlrun_how how; /* to the copy */
    const char *user;      /* who asks it */
    struct drill_bases bases;
    unsigned spaces; /* tablespaces that were made for a dump */
    bool begun;      /* a failure is now the drill's result */
    bool writable;   /* the copy */
    bool recorded;
    char unrecorded[ERR_MSG_MAX];
};

/* --- drill_choose.c --- */

/* Kind, job and label of d->record. */
int drill_choose(struct drill_run *d, struct err *e) __attribute__((warn_unused_result));

/* --- drill_backup.c, drill_counts.c --- */

int drill_backup(struct drill_run *d, struct err *e) __attribute__((warn_unused_result));

/* Brings the restored files to a target and waits until it is reached. */
int drill_backup_to(struct drill_run *d, const struct plan_target *t, enum restore_action action,
                    struct err *e) __attribute__((warn_unused_result));

VEC_DECLARE(drill_rows, struct counts_row);

/* Reads the counts that the backup holds. */
int drill_counts_read(struct drill_run *d, struct drill_rows *rows, struct err *e)
    __attribute__((warn_unused_result));
/* The moment behind the newest of them; 0: there are none. */
lsn_t drill_counts_moment(const struct drill_rows *rows);
/* Goes to the moments of the counts that lie on the way, and compares. */
int drill_counts(struct drill_run *d, const struct drill_rows *rows, struct err *e)
    __attribute__((warn_unused_result));

/* --- drill_dump.c, drill_left.c --- */

int drill_dump(struct drill_run *d, struct err *e) __attribute__((warn_unused_result));

enum { DRILL_MARK_MAX = 32 };

/* On a server that is there: removes databases of drills that are gone, and makes a name for ours,
 * by which the next drill knows whether it still lives. */
int drill_left(struct drill_run *d, char mark[DRILL_MARK_MAX], struct err *e)
    __attribute__((warn_unused_result));

/* --- drill_ask.c --- */

/* Are all questions of the configuration well formed? */
int drill_ask_check(const struct drill_run *d, struct err *e) __attribute__((warn_unused_result));
/* Asks them; answers go into the record. */
int drill_ask(struct drill_run *d, struct err *e) __attribute__((warn_unused_result));
/* That the server cannot reach anything of the original. */
int drill_isolated(struct drill_run *d, struct err *e) __attribute__((warn_unused_result));

/* --- drill_show.c --- */

int drill_text(const struct drill_run *d, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));
int drill_line(const struct drill_run *d, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));
int drill_markdown(const struct drill_run *d, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));
int drill_json(const struct drill_run *d, struct err *e) __attribute__((warn_unused_result));

#endif
