/* What is in the database: pg_restore or psql, and the counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/file.h"
#include "os/host.h"
#include "os/publish.h"
#include "os/root.h"
#include "os/time.h"
#include "os/tty.h"
#include "undump.h"

/* --- feeding a program --- */

enum { FEED_BEGIN = 4096, SHOW_US = 200 * 1000, PATIENCE_US = 2 * 1000 * 1000 };

struct feeder {
    struct sink sink;
    struct pgtool_run *to;
    uint64_t fed; /* bytes, */
    uint64_t all; /* of so many; 0: nobody watches */
    int64_t began;
    int64_t shown;
    bool refused; /* it does not read any more */
    bool old;     /* plain SQL for a server that lacks a setting which the dump makes */
    size_t held;  /* its beginning, until it can be looked at */
    uint8_t begin[FEED_BEGIN];
};

static void show_progress(struct feeder *f, size_t len)
{
    int64_t now = os_mono_us();
    char left[TEXT_SIZE_MAX];

    f->fed += len;
    if (f->all == 0 || now < f->shown + SHOW_US || now < f->began + PATIENCE_US)
        return;
    f->shown = now;
    text_duration(left, (uint64_t)((now - f->began) / USEC_PER_SEC) * (f->all - f->fed) /
                            (f->fed + 1) * (uint64_t)USEC_PER_SEC);
    fprintf(stderr, "\r\033[Kwalden undump: %u %% is read, about %s left",
            (unsigned)(f->fed * 100 / f->all), left);
}

static int feed(struct feeder *f, const uint8_t *bytes, size_t len, struct err *e)
{
    int rc = pgtool_write(f->to, bytes, len, e);

    if (rc == 0)
        show_progress(f, len);
    if (rc <= 0)
        return rc;
    f->refused = true;
    return err_set(e, ERR_IO, "%s does not read any more", f->to->program);
}

/* What pg_dump sets before the first statement, on servers that have it.  psql stops at the first
 * error, and here it would be at a setting that only says the default: it becomes a comment. */
static void make_old(uint8_t *text, size_t len)
{
    static const char setting[] = "SET transaction_timeout = 0;\n";

    for (size_t at = 0; at < len;) {
        const uint8_t *end = memchr(text + at, '\n', len - at);
        size_t n = end == NULL ? len - at : (size_t)(end - (text + at)) + 1;
        const char *line = (const char *)text + at;

        if (n == sizeof setting - 1 && memcmp(line, setting, n) == 0) {
            memcpy(text + at, "--", 2);
            return;
        }
        if (line[0] != '\n' && line[0] != '-' && line[0] != '\\' &&
            (n < 4 || memcmp(line, "SET ", 4) != 0))
            return;
        at += n;
    }
}

static int let_go(struct feeder *f, struct err *e)
{
    size_t held = f->held;

    if (held == 0)
        return 0;
    make_old(f->begin, held);
    f->held = 0;
    f->old = false;
    return feed(f, f->begin, held, e);
}

static int feeder_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    struct feeder *f = (struct feeder *)s;
    size_t room = sizeof f->begin - f->held;
    size_t n = len < room ? len : room;

    if (f->old) {
        memcpy(f->begin + f->held, bytes, n);
        f->held += n;
        bytes += n;
        len -= n;
        if (f->held == sizeof f->begin && let_go(f, e) != 0)
            return -1;
    }
    return len == 0 ? 0 : feed(f, bytes, len, e);
}

static int feeder_finish(struct sink *s, struct err *e)
{
    return let_go((struct feeder *)s, e);
}

static void feeder_abort(struct sink *s)
{
    (void)s; /* the caller ends the program */
}

static const struct sink_ops feeder_ops = {"program", feeder_write, feeder_finish, feeder_abort};

int undump_feed(struct undump *u, struct pgtool_run *to, struct err *e)
{
    struct feeder f = {.to = to, .began = os_mono_us()};
    struct err why = {0};
    int rc;

    f.old = u->dump.get.meta.streams.v[u->stream].format == DUMPFILE_PLAIN &&
            sqlrun_version(u->sql) < 170000;

    if (os_tty_is(STDERR_FILENO) && !u->o->json)
        f.all = u->dump.get.meta.streams.v[u->stream].size;
    sink_init(&f.sink, &feeder_ops, PHASE_DELIVER);
    rc = dump_get_stream(&u->dump.get, u->stream, &f.sink, &why);
    if (f.shown > 0)
        fprintf(stderr, "\r\033[K");
    if (rc == 0)
        return 0;
    if (f.refused)
        return 0; /* its own words tell why */
    *e = why;
    return -1;
}

/* --- a file for --jobs --- */

struct spool {
    struct sink sink;
    struct os_root root;
    struct publish publish;
    char dir[PLACE_MAX];
    char name[64];
    char path[PLACE_MAX];
    bool there;
};

static int spool_write(struct sink *s, const uint8_t *bytes, size_t len, struct err *e)
{
    return publish_write(&((struct spool *)s)->publish, bytes, len, e);
}

static int spool_finish(struct sink *s, struct err *e)
{
    struct spool *f = (struct spool *)s;

    /* A crash behind this leaves a file that only its owner can read. */
    if (publish_commit(&f->publish, e) != 0)
        return -1;
    f->there = true;
    return 0;
}

static void spool_abort(struct sink *s)
{
    publish_abort(&((struct spool *)s)->publish);
}

static const struct sink_ops spool_ops = {"spool", spool_write, spool_finish, spool_abort};

static int spool(struct undump *u, struct spool *f, struct err *e)
{
    struct publish_opts how = {.flags = PUBLISH_REPLACE | PUBLISH_NO_FLUSH, .mode = 0600};
    const char *tmp = os_env("TMPDIR");

    sink_init(&f->sink, &spool_ops, PHASE_DELIVER);
    f->root = (struct os_root)OS_ROOT_INIT;
    f->publish = (struct publish)PUBLISH_INIT;
    (void)snprintf(f->name, sizeof f->name, "walden-undump-%ld.dump", (long)os_pid());
    if (place_absolute(f->dir, tmp == NULL ? "/tmp" : tmp, e) != 0 ||
        place_join(f->path, f->dir, f->name, e) != 0 || os_root_open(&f->root, f->dir, e) != 0 ||
        publish_begin(&f->publish, &f->root, ".", f->name, &how, e) != 0)
        return -1;
    msg_note(u->msg, "--jobs: the dump lies in the clear in \"%s\" while it is restored", f->path);
    return dump_get_stream(&u->dump.get, u->stream, &f->sink, e);
}

static void spool_remove(struct spool *f)
{
    struct err none = {0};

    publish_abort(&f->publish);
    if (f->there)
        (void)!os_root_unlink(&f->root, f->name, 0, &none); /* nothing more could be done */
    os_root_close(&f->root);
}

/* --- what pg_restore says --- */

/* Errors that leave a whole database behind. */
static bool is_harmless(const char *line, size_t n)
{
    static const char *const harmless[] = {
        "must be owner of extension",          "schema \"public\" already exists",
        "must be owner of schema public",      "unrecognized configuration parameter",
        "language \"plpgsql\" already exists", "extension \"plpgsql\" already exists"};

    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        const char *at = strstr(line, harmless[i]);

        if (at != NULL && at < line + n)
            return true;
    }
    return false;
}

/* 0 when all its errors are harmless; else the first that is not, in *e. */
static int judge(struct undump *u, const struct pgtool_run *r, struct err *e)
{
    static const char mark[] = "pg_restore: error:";
    bool any = false;

    for (const char *line = r->said; *line != '\0';) {
        size_t n = strcspn(line, "\n");

        if (strncmp(line, mark, sizeof mark - 1) == 0) {
            any = true;
            if (!is_harmless(line, n))
                return err_set(e, ERR_IO, "%.*s", (int)(n < 500 ? n : 500), line);
            u->ignored++;
            msg_detail(u->msg, "ignored: %.*s", (int)(n < 500 ? n : 500), line);
        }
        line += n + (line[n] == '\n' ? 1 : 0);
    }
    if (!any || r->said_more)
        return err_set(e, ERR_IO, "pg_restore failed with exit status %d%s", r->proc.exit_code,
                       r->said_more ? " and more errors than can be kept" : "");
    return 0;
}

static int end_restore(struct undump *u, struct err *e)
{
    struct err why = {0};
    int rc = pgtool_end(&u->restore, 0, &why);

    if (rc == 0)
        return 0;
    if (rc > 0 && u->restore.proc.signal == 0 && u->restore.proc.exit_code == 1 &&
        why.code != ERR_UNREACHABLE)
        return judge(u, &u->restore, e);
    *e = why;
    return -1;
}

static int add_args(struct undump *u, struct pgtool_args *a, bool custom, const char *conninfo,
                    struct err *e)
{
    static const char *const psql[] = {
        "--no-psqlrc", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1", "-f", "-"};

    if (pgtool_begin(a, &u->tool, custom ? "pg_restore" : "psql", e) != 0 ||
        pgtool_arg(a, "--no-password", e) != 0 || pgtool_arg(a, "-d", e) != 0 ||
        pgtool_arg(a, conninfo, e) != 0)
        return -1;
    if (!custom)
        a->as = undump_psql_as(u);
    for (size_t i = 0; !custom && i < sizeof psql / sizeof psql[0]; i++)
        if (pgtool_arg(a, psql[i], e) != 0)
            return -1;
    if (!custom || !u->o->no_owner)
        return 0;
    return pgtool_arg(a, "--no-owner", e) == 0 ? pgtool_arg(a, "--no-privileges", e) : -1;
}

static int load_by_jobs(struct undump *u, struct pgtool_args *a, struct err *e)
{
    struct spool *f = calloc(1, sizeof *f);
    char jobs[32];
    int rc = -1;

    if (f == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    (void)snprintf(jobs, sizeof jobs, "--jobs=%llu", (unsigned long long)u->settings->jobs);
    if (spool(u, f, e) == 0 && pgtool_arg(a, jobs, e) == 0 && pgtool_arg(a, f->path, e) == 0 &&
        pgtool_start(&u->restore, a, "pg_restore", OS_PROC_NULL, OS_PROC_NULL, e) == 0)
        rc = end_restore(u, e);
    pgtool_fini(&u->restore);
    spool_remove(f);
    free(f);
    return rc;
}

int undump_load(struct undump *u, struct err *e)
{
    static struct pgtool_args a;
    bool custom = u->dump.get.meta.streams.v[u->stream].format == DUMPFILE_CUSTOM;
    bool jobs = custom && settings_is_explicit(u->settings, "jobs") && u->settings->jobs > 1;
    struct buf conninfo;
    int rc = -1;

    buf_init(&conninfo, 16 * 1024);
    if (jobs && u->job.runner.n > 0) {
        (void)err_set(e, ERR_USAGE,
                      "--jobs needs a file that pg_restore can read, and behind a "
                      "runner there is none");
        goto out;
    }
    if (sqlrun_conninfo(u->sql, &u->how, u->target, &conninfo, e) != 0 ||
        add_args(u, &a, custom, buf_text(&conninfo), e) != 0)
        goto out;
    if (jobs) {
        rc = load_by_jobs(u, &a, e);
        goto out;
    }
    rc = pgtool_start(&u->restore, &a, custom ? "pg_restore" : "psql", OS_PROC_PIPE, OS_PROC_NULL,
                      e);
    if (rc == 0)
        rc = undump_feed(u, &u->restore, e);
    if (rc == 0)
        rc = end_restore(u, e);
    pgtool_fini(&u->restore);
out:
    buf_fini(&conninfo);
    return rc;
}

/* --- counts --- */

static int tell(struct undump *u, const struct undump_table *t, struct err *e)
{
    bool differs = t->why != NULL || t->rows != t->found;

    u->tables++;
    u->rows += t->why == NULL ? t->found : 0;
    u->differ += differs ? 1 : 0;
    u->differ_rows += differs ? 1 : 0;
    if (u->told != NULL)
        return u->told(u->arg, t, e);
    if (t->why != NULL)
        msg_warn(u->msg, "table \"%s\".\"%s\" cannot be read: %s", t->schema, t->name, t->why);
    else if (differs && u->differ <= UNDUMP_SHOWN_MAX)
        msg_warn(u->msg, "table \"%s\".\"%s\" has %llu rows, the dump has %llu", t->schema, t->name,
                 (unsigned long long)t->found, (unsigned long long)t->rows);
    return 0;
}

static int compare_table(struct undump *u, struct sqlrun *s, const struct dump_table *t,
                         struct err *e)
{
    const struct dump_meta *m = &u->dump.get.meta;
    struct undump_table one = {dump_text(m, t->schema), dump_text(m, t->name), t->rows, 0, NULL};
    char schema[SQL_NAME_MAX];
    char name[SQL_NAME_MAX];
    char sql[2 * SQL_NAME_MAX + 64];
    struct err why = {0};

    (void)snprintf(sql, sizeof sql, "select pg_catalog.count(*) from only %s.%s",
                   sql_quoted(schema, one.schema), sql_quoted(name, one.name));
    if (sqlrun_number(s, sql, &one.found, &why) != 0) {
        if (why.code != ERR_REFUSED) {
            *e = why;
            return -1;
        }
        one.why = why.msg;
    }
    return tell(u, &one, e);
}

int undump_compare(struct undump *u, const char *schema, struct err *e)
{
    const struct dump_meta *m = &u->dump.get.meta;
    struct sqlrun *s;
    int rc = sqlrun_open(&s, &u->how, u->target, e);

    if (rc == 0)
        rc = sqlrun_query(s, "set row_security = off", NULL, e);
    for (size_t i = 0; rc == 0 && i < m->tables.n; i++) {
        const struct dump_table *t = &m->tables.v[i];

        if (t->stream == u->stream && t->rows != DUMP_NO_ROWS &&
            (schema == NULL || strcmp(schema, dump_text(m, t->schema)) == 0))
            rc = compare_table(u, s, t, e);
    }
    if (rc == 0)
        rc = undump_facts(u, s, schema, e);
    /* The planner knows nothing about what was just loaded. */
    if (rc == 0)
        rc = sqlrun_query(s, "analyze", NULL, e);
    sqlrun_close(s);
    if (rc != 0 || u->differ == 0)
        return rc;
    if (u->differ_rows == 0)
        return err_set(e, ERR_DAMAGED,
                       "all rows are there, but what was restored is not as it was");
    return err_set(e, ERR_DAMAGED, "%llu of %llu tables do not have the rows of the dump",
                   (unsigned long long)u->differ_rows, (unsigned long long)u->tables);
}

int undump_fill(struct undump *u, struct err *e)
{
    if (undump_create(u, e) != 0 || undump_load(u, e) != 0 || undump_compare(u, NULL, e) != 0)
        return -1;
    return undump_properties(u, e);
}
