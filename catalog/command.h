/*
 * command: what the commands of `walden` share.
 *
 * A command is one line in the table of main.c and one file cmd_<name>.c with
 * `int cmd_<name>(int argc, char **argv)`, whose argv[0] is the command's name and whose value is
 * the exit status.
 */
#ifndef CATALOG_COMMAND_H
#define CATALOG_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/msg.h"
#include "base/opt.h"
#include "repo/settings.h"

enum command_status {
    STATUS_OK = 0,
    STATUS_PROBLEM = 1,     /* a problem was found, or the job failed */
    STATUS_USAGE = 2,       /* command line or configuration */
    STATUS_CANNOT_TELL = 3, /* repository or server unreachable */
    STATUS_REFUSED = 4,     /* for safety */
    STATUS_INTERRUPTED = 130
};

/* The same as lines for opt_program.exits. */
#define COMMAND_EXITS                                                                              \
    "0    done, all is well\n"                                                                     \
    "1    a problem was found, or the job failed\n"                                                \
    "2    wrong command line or configuration\n"                                                   \
    "3    cannot tell: repository or server unreachable\n"                                         \
    "4    refused for safety\n"                                                                    \
    "130  interrupted\n"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* one line, without a full stop */
};

int cmd_expire(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_copy(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_drill(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_find(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_keep(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_rescue(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_undump(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_window(int argc, char **argv);

/* All commands of this program. */
const struct command *command_table(size_t *n);

/* The entry with that name; NULL with an error and, where one is close, a suggestion. */
const struct command *command_find(const struct command *table, size_t n, const char *name,
                                   struct err *e);

/* Appends the table as lines of --help. */
int command_list(const struct command *table, size_t n, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

/* The exit status that an error stands for. */
int command_status(const struct err *e);

/* Prints the error and answers its status. */
int command_fail(const struct msg *m, const struct err *e);

/* How a command talks: its name, and whether the line has --json, also where it is a wrong line. */
struct msg command_msg(const struct opt_program *prog, int argc, char *const *argv);

/* Parses a command's own line.  0: go on.  1: all was said (--help, --version, a wrong line), and
 * *status is the exit status. */
int command_parse(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
                  int argc, char **argv, struct opt_args *args, int *status);

/* --help (man false) or the manual page of a program with commands, to standard output;
 * `table` NULL for a single command. */
int command_print_help(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
                       const struct command *table, size_t n, bool man);

/* What a command's work gets. */
struct command_call {
    const struct msg *m;
    struct settings *s;
    void *mine;          /* what its own options have set */
    const char *operand; /* the first one; NULL: none */
};
/* The exit status, or -1 with *e. */
typedef int command_body(const struct command_call *c, struct err *e);

/* The frame of most commands: sets of options of their own and the settings are parsed, the
 * settings loaded, `body` does the work, and what fails is told.  Answers the exit status.  The
 * first set is what `mine` is. */
enum { COMMAND_SETS_MAX = 4 };
int command_run(const struct opt_program *prog, const struct opt_set *own, size_t n_own,
                command_body *body, int argc, char **argv);

/* Reads environment and file, and prints the warnings.  0 or -1. */
int command_settings(struct settings *s, const struct msg *m, struct err *e)
    __attribute__((warn_unused_result));
int command_settings_as(struct settings *s, enum settings_reader reader, const struct msg *m,
                        struct err *e) __attribute__((warn_unused_result));

/* How many threads to use: the setting jobs, else as many as the machine has processors, at most
 * four; never more than `most`. */
unsigned command_jobs(const struct settings *s, unsigned most);

/* Sets one setting as if its flag had been given; key must be one of the table. */
int command_set(struct settings *s, const char *key, const char *value, struct err *e)
    __attribute__((warn_unused_result));

/* Writes text to standard output and flushes it: 0, or -1 when nobody takes it (a full disk, say).
 */
int command_print(const char *text, size_t len, struct err *e) __attribute__((warn_unused_result));

enum { COMMAND_WIDTH = 80 };

/* How wide lines may be: COLUMNS, else the terminal's columns, but no more than COMMAND_WIDTH. */
unsigned command_width(void);

/* Appends a text (of visible characters) as lines that are no wider than that, unless a word is:
 * the first behind `lead`, the others as far from the margin. */
int command_wrap_behind(struct buf *out, const char *lead, const char *text, struct err *e)
    __attribute__((warn_unused_result));
/* The same, all of them indented; no line for an empty text. */
int command_wrap(struct buf *out, unsigned indent, const char *text, struct err *e)
    __attribute__((warn_unused_result));

#endif
