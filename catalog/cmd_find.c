/*
 * walden find: the moment before an accident.
 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "find.h"
#include "os/time.h"
#include "repo/moment.h"

enum { LIMIT = 50, ROWS_NOTABLE = 1000 };

/* --near shows what is next to a moment: at most a day away. */
static const int64_t AROUND = INT64_C(86400) * USEC_PER_SEC;

#define MINE(field) .offset = offsetof(struct find_options, field)

static const struct opt options[] = {
    {.name = "drop",
     .kind = OPT_FLAG,
     MINE(drop),
     .help = "tables and databases that were dropped"},
    {.name = "truncate", .kind = OPT_FLAG, MINE(truncate), .help = "tables that were truncated"},
    {.name = "deletes",
     .kind = OPT_FLAG,
     MINE(deletes),
     .help = "many rows deleted or updated by one transaction"},
    {.name = "rewrites",
     .kind = OPT_FLAG,
     MINE(rewrites),
     .help = "tables rewritten by VACUUM FULL, CLUSTER or ALTER TABLE, which loses nothing"},
    {.name = "restore_points", .kind = OPT_FLAG, MINE(points), .help = "named restore points"},
    {.name = "near",
     .kind = OPT_TEXT,
     .arg = "TIME",
     MINE(near),
     .help = "the commits around this moment, and what they did"},
    {.name = "xid",
     .kind = OPT_TEXT,
     .arg = "XID",
     MINE(xid),
     .help = "the end of this transaction, and what it did"},
    {.name = "database",
     .kind = OPT_TEXT,
     .arg = "NAME",
     MINE(database),
     .help = "what happened in this database only (a name, or its number)"},
    {.name = "since",
     .kind = OPT_TEXT,
     .arg = "TIME",
     MINE(since),
     .help =
         "not before this: 2026-11-20, '2026-11-20 14:02+01', 'yesterday 14:02', '2 hours ago'"},
    {.name = "until", .kind = OPT_TEXT, .arg = "TIME", MINE(until), .help = "not after this"},
    {.name = "rows",
     .kind = OPT_U64,
     .arg = "N",
     MINE(rows),
     .min = FIND_ROWS_MIN,
     .help = "for --deletes: at least so many rows of one table (default and least: 64; without "
             "--deletes and TABLE: 1000)"},
    {.name = "limit",
     .kind = OPT_U64,
     .arg = "N",
     MINE(limit),
     .min = 1,
     .max = FIND_MAX,
     .help = "so many at most, the newest (default: 50)"},
    {.name = "passphrase_file",
     .kind = OPT_TEXT,
     .arg = "FILE",
     MINE(passphrase_file),
     .help = "file whose first line is the passphrase of the secret key (default: asked at the "
             "terminal)"},
    {.name = "json", .kind = OPT_FLAG, MINE(json), .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden find",
    .operands = "[TABLE]",
    .summary = "show what happened to tables, and how to go back to just before it",
    .examples = "walden find                             what was lost of late\n"
                "walden find --drop orders               when was it dropped?\n"
                "walden find --truncate sales.items --database shop\n"
                "walden find --deletes --rows 10000 --since yesterday\n"
                "walden find --near '2026-11-20 14:23'   which commits were around then?\n",
    .exits = "0    done, also when nothing was found\n"
             "1    WAL is missing or damaged, so not everything could be searched\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there, or sealed without a key here\n"
             "4    refused for safety\n"
             "130  interrupted\n",
    .args_max = 1,
};

/* --- what was asked for --- */

static int take_time(const char *name, const char *text, enum moment_day day, int64_t *us,
                     struct err *e)
{
    bool assumed;

    *us = COVERAGE_NO_TIME;
    if (text == NULL || moment_parse(text, day, os_real_us(), us, &assumed, e) == 0)
        return 0;
    return err_context(e, "--%s", name);
}

/* Which part of the archive can hold it. */
static void take_bounds(struct find_run *f)
{
    struct find_bounds *b = &f->finder.bounds;

    *b = (struct find_bounds){f->since, f->until, f->xid};
    if (f->near == COVERAGE_NO_TIME)
        return;
    if (b->since == COVERAGE_NO_TIME || b->since < f->near - AROUND)
        b->since = f->near - AROUND;
    if (b->until == COVERAGE_NO_TIME || b->until > f->near + AROUND)
        b->until = f->near + AROUND;
}

static size_t limit_of(const struct find_run *f)
{
    return f->o->limit != 0 ? (size_t)f->o->limit : (size_t)LIMIT; /* at most FIND_MAX */
}

/* All that may be meant where nothing is named; else what was named. */
static void take_kinds(struct find_run *f)
{
    const struct find_options *o = f->o;
    struct find_filter *filter = &f->finder.filter;
    unsigned kinds = 0;

    filter->rows = o->rows != 0 ? o->rows : (uint64_t)FIND_ROWS_MIN;
    if (o->drop)
        kinds |= 1U << FIND_DROP | 1U << FIND_DROP_DATABASE;
    kinds |= o->truncate ? 1U << FIND_TRUNCATE : 0;
    kinds |= o->deletes ? 1U << FIND_DELETE : 0;
    kinds |= o->rewrites ? 1U << FIND_REWRITE : 0;
    kinds |= o->points ? 1U << FIND_RESTORE_POINT : 0;
    if (kinds == 0) {
        kinds = (1U << FIND_KINDS) - 1;
        if (!f->narrowed) { /* of late: what is worth a look without being asked for */
            kinds &= ~(1U << FIND_REWRITE);
            filter->rows = o->rows != 0 ? o->rows : (uint64_t)ROWS_NOTABLE;
        }
    }
    filter->kinds = kinds;
}

static int take_times(struct find_run *f, struct err *e)
{
    const struct find_options *o = f->o;

    if (take_time("since", o->since, MOMENT_DAY_BEGINS, &f->since, e) != 0 ||
        take_time("until", o->until, MOMENT_DAY_ENDS, &f->until, e) != 0 ||
        take_time("near", o->near, MOMENT_NO_DAY, &f->near, e) != 0)
        return -1;
    if (f->since != COVERAGE_NO_TIME && f->until != COVERAGE_NO_TIME && f->since > f->until)
        return err_set(e, ERR_USAGE, "--since is later than --until");
    return 0;
}

static int take_options(struct find_run *f, const char *table, struct err *e)
{
    const struct find_options *o = f->o;
    struct find_filter *filter = &f->finder.filter;

    if (table != NULL && find_table_parse(&filter->table, table, e) != 0)
        return err_context(e, "\"%s\"", table);
    if (take_times(f, e) != 0)
        return -1;
    if (o->xid != NULL && parse_u32(o->xid, 3, UINT32_MAX, &f->xid, e) != 0)
        return err_context(e, "--xid");
    take_bounds(f);
    filter->database = o->database;
    filter->doubtful = table != NULL || o->drop;
    f->narrowed = table != NULL || o->xid != NULL || o->near != NULL;
    take_kinds(f);
    /* Those next to a moment are chosen when all around it are known. */
    if (f->near == COVERAGE_NO_TIME)
        f->finder.most = limit_of(f);
    return 0;
}

/* --- what is shown --- */

static bool is_wanted(const void *arg, const struct find_candidate *c)
{
    const struct find_run *f = arg;

    if (f->xid != 0 && c->xid != f->xid)
        return false;
    if (c->time == COVERAGE_NO_TIME)
        return true;
    return (f->since == COVERAGE_NO_TIME || c->time >= f->since) &&
           (f->until == COVERAGE_NO_TIME || c->time <= f->until);
}

static int choose(struct find_run *f, struct err *e)
{
    size_t limit = limit_of(f);

    f->omitted = f->finder.left_out;
    for (size_t i = 0; i < f->finder.all.n; i++)
        if (find_candidates_push(&f->shown, f->finder.all.v[i], e) != 0)
            return -1;
    if ((f->near != COVERAGE_NO_TIME && find_near(f, e) != 0) ||
        (f->xid != 0 && find_xid(f, e) != 0))
        return -1;
    if (f->shown.n > limit) {
        size_t excess = f->shown.n - limit;

        f->omitted += excess;
        memmove(f->shown.v, f->shown.v + excess, limit * sizeof f->shown.v[0]);
        f->shown.n = limit;
    }
    return 0;
}

/* The exit status, or -1. */
static int work(struct find_run *f, struct err *e)
{
    if (restore_open(f->r, e) != 0 || finder_run(&f->finder, f->r, e) != 0 || choose(f, e) != 0 ||
        (f->o->json ? find_json(f, e) : find_show(f, e)) != 0)
        return -1;
    if (f->finder.read.segments == 0 && f->finder.read.sealed > 0)
        return STATUS_CANNOT_TELL;
    return finder_has_trouble(&f->finder) ? STATUS_PROBLEM : STATUS_OK;
}

static int run(const struct msg *m, struct settings *s, const struct find_options *o,
               const char *table, struct err *e)
{
    struct restore_options mine = {.action = -1, .passphrase_file = o->passphrase_file};
    struct find_run *f = calloc(1, sizeof *f);
    int status = -1;

    if (f == NULL)
        return err_set(e, ERR_NOMEM, "no memory to search the archive with");
    f->o = o;
    finder_init(&f->finder);
    f->finder.fits = is_wanted;
    f->finder.fits_arg = f;
    find_candidates_init(&f->shown, FIND_MAX);
    f->r = take_options(f, table, e) == 0 ? restore_new(m, s, &mine, e) : NULL;
    if (f->r != NULL) {
        status = work(f, e);
        finder_fini(&f->finder);
        restore_free(f->r);
    }
    find_candidates_fini(&f->shown);
    free(f);
    return status;
}

static int body(const struct command_call *c, struct err *e)
{
    return run(c->m, c->s, c->mine, c->operand, e);
}

int cmd_find(int argc, char **argv)
{
    struct find_options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}
