/*
 * settings: the main configuration, from flags, environment and file.
 *
 * One table names every setting once.  A setting `keep_backups` is the flag --keep-backups, the
 * variable WALDEN_KEEP_BACKUPS and the key keep_backups of the file; flags beat the environment,
 * the environment beats the file, the file beats the default, and each field remembers where its
 * value came from.  A value is checked wherever it stands, also where a stronger one beats it.
 *
 * The file is --config, else WALDEN_CONFIG, else SETTINGS_FILE, and only the last may be absent.
 * Sections ([dump NAME], [drill NAME], [repo NAME], [run NAME]) are kept as they stand for the
 * program that knows them.  A hook reads the main part only and cannot be stopped by a mistake in a
 * section.
 *
 * How a program uses it:
 *
 *     settings_init(&s);
 *     sets[0] = (struct opt_set){"Options", my_options, n, &mine, NULL, NULL};
 *     sets[1] = settings_options(&s);
 *     opt_parse(&program, sets, 2, argc, argv, &args, &e);
 *     settings_load(&s, environ, SETTINGS_HOOK, &e);
 *     settings_need(&s, "repo", &e);
 *     ...
 *     settings_fini(&s);
 *
 * Strings belong to the settings (or to argv and environ) and live until settings_fini.
 */
#ifndef REPO_SETTINGS_H
#define REPO_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/vec.h"

#define SETTINGS_FILE "/etc/walden/walden.conf"

enum {
    SETTINGS_MAX = 25,          /* keys of the main part, for ever */
    SETTINGS_SECTION_KEYS = 12, /* keys of one section */
    SETTINGS_SECTIONS_MAX = 256,
    SETTINGS_RECIPIENTS_MAX = 16,
    SETTINGS_KEY_BYTES = 32, /* a public key, a digest */
    SETTINGS_ID_BYTES = 16   /* a repository id */
};

enum settings_source {
    SETTINGS_DEFAULT,
    SETTINGS_FROM_FILE,
    SETTINGS_FROM_ENV,
    SETTINGS_FROM_FLAG
};

enum settings_compression { SETTINGS_LZ4, SETTINGS_NO_COMPRESSION };
enum settings_on_trouble { SETTINGS_FAIL, SETTINGS_DROP_AND_RECORD };

/* "last=3 daily=7 weekly=4 monthly=6 yearly=1 within=30d"; what is not named is 0.  All 0: keep
 * everything. */
struct settings_rule {
    uint32_t last;
    uint32_t daily;
    uint32_t weekly;
    uint32_t monthly;
    uint32_t yearly;
    uint64_t within; /* microseconds */
};

enum { SETTINGS_KEEP_NAMED = 8, SETTINGS_KEEP_NAME_MAX = 64 };

/* The rule, and those of some tags (of dumps: jobs), as in "daily=7 release:last=2 test:all". */
struct settings_keep {
    struct settings_rule rule;
    unsigned n;
    struct settings_keep_named {
        char name[SETTINGS_KEEP_NAME_MAX + 1];
        struct settings_rule rule;
    } named[SETTINGS_KEEP_NAMED];
};

/* A line of a section; key and value are NULL for the section's own line. */
struct settings_row {
    const char *kind;
    const char *name;
    const char *key;
    const char *value;
    unsigned line;
};

VEC_DECLARE(settings_rows, struct settings_row);
VEC_DECLARE(settings_texts, char *);

/* What is known about a setting besides its value, for messages and `doctor`. */
struct settings_origin {
    enum settings_source source;
    const char *text; /* as it was written; NULL for a default */
    unsigned line;    /* in the file, when the file names it (even if it was beaten), else 0 */
};

struct settings {
    const char *config; /* --config; after settings_load the file that was read, or NULL */

    const char *repo;
    uint8_t repo_id[SETTINGS_ID_BYTES]; /* valid when settings_is_set(s, "repo_id") */
    const char *cluster;
    uint64_t system_id; /* 0: not given */
    const char *pgdata;
    const char *pg_bin;
    const char *dsn;
    int compression;   /* enum settings_compression */
    uint64_t deadline; /* microseconds; 0: automatic, by segment size (settings_deadline) */
    const char *host_key;
    const char *secret_key;
    uint8_t recipients[SETTINGS_RECIPIENTS_MAX][SETTINGS_KEY_BYTES];
    size_t n_recipients;
    const char *recipients_file;             /* when recipients names a file instead */
    uint8_t sealed_from[SETTINGS_KEY_BYTES]; /* valid when settings_is_set(s, "sealed_from") */
    const char *state_dir;
    uint64_t jobs;            /* 0: automatic */
    uint64_t max_rate;        /* bytes per second; 0: no limit */
    const char *count_tables; /* a list for tablename_next, or NULL */
    struct settings_keep keep_backups;
    struct settings_keep keep_dumps;
    uint64_t wal_within;      /* microseconds; 0: as long as the backups that need it */
    const char *require_copy; /* names of [repo NAME] sections, separated by blanks */
    int on_trouble;           /* enum settings_on_trouble */
    const char *notify_command;

    struct settings_rows rows;      /* the sections, in order; empty for a hook */
    bool foreign;                   /* we are root, and others can write the file */
    struct settings_texts warnings; /* to be printed by the program: unknown variables */
    struct settings_texts texts;    /* memory of the strings */
    struct settings_origin origin[SETTINGS_MAX];
};

enum settings_reader {
    SETTINGS_PROGRAM, /* every part of the file must be right */
    SETTINGS_AUTHOR,  /* the same, but it will write the file, which need not be there */
    SETTINGS_HOOK     /* the main part must be right, sections are not read */
};

/* The defaults.  Allocates nothing. */
void settings_init(struct settings *s);
void settings_fini(struct settings *s);

/* Which settings a hook uses: for opt_program.shows.  It takes the others, too, since they may
 * stand in the environment that programs share. */
enum { SETTINGS_ARCHIVE = OPT_FOR_A, SETTINGS_RESTORE = OPT_FOR_B };

/* May a command that the file names be run by us?  Not by root when others can write the file: they
 * would be root.  `what` is the line, as "pre in [hook undump]".  -1: ERR_REFUSED. */
int settings_may_run(const struct settings *s, const char *what, struct err *e)
    __attribute__((warn_unused_result));

/* The same of a setting of the main part, which counts only where the file has the say. */
int settings_may_run_key(const struct settings *s, const char *key, struct err *e)
    __attribute__((warn_unused_result));

/* The option set of all settings and --config; s must outlive it. */
struct opt_set settings_options(struct settings *s);

/* Reads environment and file, after the flags were parsed.  0; -1 with the place, the key, what is
 * wrong and what was probably meant (ERR_CONFIG, also when the file cannot be read). */
int settings_load(struct settings *s, char *const *env, enum settings_reader reader, struct err *e)
    __attribute__((warn_unused_result));

/* Refuses to go on without a setting: -1 with a hint how to give it. */
int settings_need(const struct settings *s, const char *key, struct err *e)
    __attribute__((warn_unused_result));

/* Whether flag, environment or file gave this setting.  key must be one of the table. */
bool settings_is_set(const struct settings *s, const char *key);

/* Whether a flag or the environment gave it: meant for this call, not for the host. */
bool settings_is_explicit(const struct settings *s, const char *key);

/* The name of setting i, NULL behind the last; its origin is s->origin[i]. */
const char *settings_key(size_t i);

/* The environment variable of setting i: "WALDEN_KEEP_BACKUPS". */
void settings_variable(size_t i, char *out, size_t cap);

/* Where a value came from, for a message: "--jobs", "WALDEN_JOBS", "FILE:LINE" or "default". */
void settings_place(const struct settings *s, size_t i, char *out, size_t cap);

/* How long archiving one segment may take, in microseconds: the setting, else 30 s for 16 MB and
 * in proportion for larger segments. */
uint64_t settings_deadline(const struct settings *s, uint64_t segment_size);

#endif
