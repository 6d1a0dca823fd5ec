/*
 * doctor: what the parts of `walden doctor` share.  What is found is kept as verdicts, as check
 * does, and shown like them.
 */
#ifndef CATALOG_DOCTOR_H
#define CATALOG_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "check.h"
#include "pg/walname.h"
#include "pgconn/pgconn.h"

enum { DOCTOR_WORDS_MAX = 64, DOCTOR_OUTPUT_MAX = 4096 };

/* An archive_command, taken apart as the shell would. */
struct doctor_command {
    bool simple; /* one program and its words: no pipe, no &&, no variable */
    size_t n;
    char *word[DOCTOR_WORDS_MAX];
    char *memory;
    const char *program; /* the word that is walden-archive; NULL: none is */
    const char *config;  /* what follows --config; NULL: the default */
};

struct doctor {
    struct check *check; /* facts; its verdicts become ours */
    const char *secret_key;
    int64_t patience; /* microseconds to wait for the archiver */
    struct judge_verdicts out;
    bool failed; /* no memory for a verdict */
    struct pgconn *conn;
    struct doctor_command command;
    bool owner_known; /* of the data directory: the server's user */
    uid_t uid;
    gid_t gid;
    char segment[WALNAME_MAX]; /* the one that goes round; "": none */
    bool digest_known;
    uint8_t digest[DIGEST_STRONG]; /* of the server's own file */
};

void doctor_say(struct doctor *d, const char *name, enum judge_state state, const char *next,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* doctor_command.c */
/* Has the server's user these rights (4 read, 2 write, 1 run or enter)?  By owner and mode; groups
 * that he is in besides his own are not known. */
bool doctor_may(const struct doctor *d, const struct stat *st, unsigned bits);
int doctor_command_parse(struct doctor_command *c, const char *text, struct err *e)
    __attribute__((warn_unused_result));
void doctor_command_free(struct doctor_command *c);
/* Is the program there, and may the server's user run it?  Is the configuration the same? */
void doctor_look_at_command(struct doctor *d);

/* What a program of ours said and how it ended. */
struct doctor_run {
    bool ran; /* else `said` is why not */
    bool timeout;
    int exit_code;
    int64_t took;                 /* microseconds */
    char said[DOCTOR_OUTPUT_MAX]; /* its error and hint, in one line each */
};

/* Runs a program in the data directory, as the server's user where we are root. */
void doctor_run(struct doctor *d, const char *const *argv, bool as_server, struct doctor_run *r);
/* Does what the server would do with a segment.  False: it cannot be done from here. */
bool doctor_archive(struct doctor *d, const char *segment, struct doctor_run *r);

/* doctor_place.c: may the server's user write into the repository, and is the filesystem good for
 * it? */
void doctor_look_at_place(struct doctor *d);

/* doctor_loop.c: a segment is switched, archived, fetched back, compared. */
int doctor_loop(struct doctor *d, struct err *e) __attribute__((warn_unused_result));

#endif
