/*
 * check: what the parts of `walden check` share.  The facts are gathered here; what they mean is
 * decided in repo/judge.
 */
#ifndef CATALOG_CHECK_H
#define CATALOG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/msg.h"
#include "pgconn/pgconn_flags.h"
#include "place.h"
#include "repo/judge.h"
#include "survey.h"

/* What the check before this one left in state_dir. */
struct check_memory {
    bool known;
    enum judge_state state;
    int64_t time; /* of the WAL position */
    uint64_t lsn;
};

/* Large: keep it on the heap. */
struct check {
    const struct settings *settings;
    struct pgconn_flags connect;
    bool no_server;
    struct judge_limits limits;
    struct judge_facts facts;
    struct judge_verdicts verdicts;
    enum judge_state worst;
    struct check_memory before;
    char cluster[KEY_NAME_MAX + 1];
    uint64_t system_id;       /* 0: not known */
    char data_dir[PLACE_MAX]; /* of the server, when it is a directory of this host; else "" */
    const struct survey_lineage *lineage; /* NULL: none was read */
    struct survey survey;
    bool survey_open;
};

/* check_server.c: asks the server, and looks into its data directory where that is here.  What
 * cannot be seen is no error. */
void check_server(struct check *c);

/* check_repo.c: the repository.  -1 only for what ends the check (memory, a signal). */
int check_repo(struct check *c, struct err *e) __attribute__((warn_unused_result));
/* Opens it and finds the lineage, no more. */
int check_repo_open(struct check *c, struct err *e) __attribute__((warn_unused_result));
void check_repo_close(struct check *c);

/* check_host.c: keys, places, dropped segments. */
int check_host(struct check *c, struct err *e) __attribute__((warn_unused_result));

/* check_duties.c: copies of the repository, and jobs of walden run. */
int check_duties(struct check *c, struct err *e) __attribute__((warn_unused_result));

/* check_memory.c */
void check_remember(struct check *c); /* fills c->before */
void check_keep(struct check *c, const struct msg *m);
/* Runs notify_command with `text` when the state is another than before. */
void check_notify(const struct check *c, const char *text, const struct msg *m);

/* check_show.c: each into a buffer. */
int check_text(const struct check *c, struct buf *out, struct err *e);
int check_nagios(const struct check *c, struct buf *out, struct err *e);
/* The line for a check that could not even begin. */
int check_nagios_failed(const struct err *why, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));
int check_json(const struct check *c, struct err *e); /* to standard output */
int check_verdict(const struct judge_verdict *v, struct buf *out, struct err *e);
void check_json_verdicts(const struct judge_verdicts *v, struct json_out *j, const char *key);
/* check_prometheus.c */
int check_prometheus(const struct check *c, struct buf *out, struct err *e);

/* Space of the filesystem that holds a directory. */
void check_space(struct judge_space *s, const char *dir);

#endif
