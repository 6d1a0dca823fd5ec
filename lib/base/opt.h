/*
 * opt: one table that parses a command line, explains it and sets values.
 *
 * A program describes its options in arrays of struct opt, gathered in struct opt_set: a title, the
 * array, and the struct whose fields the options set.  Sets are passed as an array, so a program
 * puts its own options beside those that every program shares (repo/settings).
 *
 * GNU conventions: --name=value, --name value, -D value, -Dvalue, -vq, "--" ends the options, and
 * operands may stand between options.  - and _ are the same in a long name, so a table may be
 * shared with a configuration file.  Names are never abbreviated: a script must not break when an
 * option is added.  --help (-?) and --version (-V) exist in every program.  A secret is never an
 * option.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"

enum { OPT_ARGS_MAX = 64 };

/* What an option's text becomes.  In brackets: the type of the field. */
enum opt_kind {
    OPT_FLAG,     /* --x is on, --no-x off where OPT_NO allows it; as text a boolean (bool) */
    OPT_TEXT,     /* any text but an empty one (const char *, borrowed) */
    OPT_PATH,     /* an absolute path (const char *, borrowed) */
    OPT_NAME,     /* parse_name (const char *, borrowed) */
    OPT_U64,      /* (uint64_t) */
    OPT_SIZE,     /* (uint64_t, bytes) */
    OPT_DURATION, /* (uint64_t, microseconds) */
    OPT_WORD,     /* one of .words (int) */
    OPT_CALL      /* .call decides; takes a value when .arg is set */
};

enum opt_flags {
    OPT_NO = 1,     /* a flag with a --no- form */
    OPT_ZERO = 2,   /* 0 is valid although below min (it means "automatic" or "no limit") */
    OPT_HIDDEN = 4, /* not in --help nor in the man page */
    /* Options of a shared table that this program uses (see struct opt_program, shows). */
    OPT_FOR_A = 8,
    OPT_FOR_B = 16
};

struct opt;

/* Takes the text of an option (NULL when it takes none).  0, or -1 with a message that needs no
 * "--name:" in front. */
typedef int opt_call(void *into, const struct opt *o, const char *text, struct err *e);

struct opt {
    const char *name; /* long name without dashes */
    char letter;      /* short form, or 0 */
    enum opt_kind kind;
    const char *arg;  /* name of the value in --help, like DIR; NULL for flags */
    const char *help; /* one sentence without a full stop */
    size_t offset;    /* of the field in the set's struct */
    uint64_t min;     /* bounds of a number, size or duration; max 0 means no bound */
    uint64_t max;
    const struct parse_word *words;
    opt_call *call;
    unsigned flags;
};

struct opt_set {
    const char *title; /* of the group in --help: "Options", "Settings" */
    const struct opt *opts;
    size_t n;
    void *into;       /* the struct that offsets are in */
    opt_call *assign; /* used in place of opt_assign when not NULL */
    const char *note; /* a paragraph under the title in --help, or NULL */
};

/* What a program says about itself. */
struct opt_program {
    const char *name;     /* "walden-archive", "walden list" */
    const char *operands; /* "PATH", "NAME DEST", "" */
    const char *summary;  /* "store one WAL file in the repository" */
    const char *examples; /* lines, each ending in a newline, without indentation */
    const char *exits;    /* lines: "0  the file is durable", without indentation */
    size_t args_min;      /* how many operands there must be */
    size_t args_max;
    bool stop_at_arg; /* the first operand ends the options (it names a command) */
    unsigned shows;   /* OPT_FOR_...: others are taken, but not shown; 0: all are shown */
};

/* The operands, and where parsing stopped: argv[next] is the first word that was not looked at
 * (argc unless stop_at_arg). */
struct opt_args {
    const char *v[OPT_ARGS_MAX];
    size_t n;
    int next;
};

/* OPT_MAN, --man, is for the build, which makes the manual pages of it; --help does not show it. */
enum { OPT_HELP = 1, OPT_VERSION = 2, OPT_MAN = 3 };

/* Is "--NAME" among them, in front of "--"?  For what must be known though parsing fails. */
bool opt_is_given(int argc, char *const *argv, const char *name);

/* Parses argv[1] to argv[argc - 1].  0; OPT_HELP, OPT_VERSION or OPT_MAN when that was asked for
 * (nothing behind it was looked at); -1 with ERR_USAGE and a hint. */
int opt_parse(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets, int argc,
              char *const *argv, struct opt_args *args, struct err *e)
    __attribute__((warn_unused_result));

/* Sets the field of o in *into from a text.  0, or -1 with a message without the option's name. */
int opt_assign(void *into, const struct opt *o, const char *text, struct err *e)
    __attribute__((warn_unused_result));

/* Appends the --help text: examples, usage, the options of each set, exit status. */
int opt_help(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
             struct buf *out, struct err *e) __attribute__((warn_unused_result));

/* Appends the same as a manual page of section 1 in man(7) format.  In front of an option that
 * takes one of some words stands a comment with them: .\" one of WORD WORD */
int opt_man(const struct opt_program *prog, const struct opt_set *sets, size_t n_sets,
            const char *version, const char *date, struct buf *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
