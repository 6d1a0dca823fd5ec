/* What the copy is asked: the questions of the configuration, and pg_amcheck. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "drill.h"
#include "os/time.h"

enum { OUTPUT_MAX = 64 * 1024, ENV_MAX = 4096, ENV_OURS = 8, ENV_TEXT = PLACE_MAX + 32 };

/* --- isolation --- */

int drill_isolated(struct drill_run *d, struct err *e)
{
    /* What the command line of the server sets must hold: nothing else may reach the original. */
    static const char sql[] =
        "select pg_catalog.string_agg(name || ' = ' || setting, ', ') from pg_catalog.pg_settings"
        " where (name = 'archive_mode' and setting <> 'off')"
        " or (name in ('archive_command', 'archive_library', 'primary_conninfo',"
        " 'primary_slot_name', 'listen_addresses', 'shared_preload_libraries')"
        " and setting not in ('', '(disabled)'))"
        " or (name = 'max_logical_replication_workers' and setting <> '0')";
    struct sqlrun *s = NULL;
    char found[300];
    int rc = sqlrun_open(&s, &d->how, "postgres", e);

    if (rc == 0)
        rc = sqlrun_one(s, sql, found, sizeof found, e);
    sqlrun_close(s);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(e, ERR_REFUSED, "the copy could reach the original: %s", found);
    return drill_add(&d->record, DRILL_PASSED, "isolated", "nothing reaches the original",
                     "private socket, no archiving, no replication", e) == NULL
               ? -1
               : 0;
}

/* --- texts --- */

/* The result of a statement: columns parted by |, rows by ;. */
static void result_text(const struct sqlrows *rows, char out[DRILL_TEXT_MAX])
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sqlrun_count(rows) && n + 1 < DRILL_TEXT_MAX; i++)
        for (size_t k = 0; k < sqlrun_columns(rows) && n + 1 < DRILL_TEXT_MAX; k++) {
            const char *value = sqlrun_value(rows, i, k);
            int len = snprintf(out + n, DRILL_TEXT_MAX - n, "%s%s",
                               k > 0   ? "|"
                               : i > 0 ? ";"
                                       : "",
                               value == NULL ? "" : value);

            n += len < 0 ? 0 : (size_t)len;
        }
}

/* The name in the copy of the database that a question is about. */
static const char *base_of(const struct drill_run *d, const struct drill_ask *a)
{
    if (a->database == NULL)
        return d->bases.n > 0 ? d->bases.v[0].now : "postgres";
    for (size_t i = 0; i < d->bases.n; i++)
        if (strcmp(d->bases.v[i].was, a->database) == 0)
            return d->bases.v[i].now;
    return a->database;
}

static int tell(struct drill_run *d, const struct drill_ask *a, bool passed, const char *found,
                struct err *e)
{
    const char *expect = a->expect != NULL ? a->expect : a->sql != NULL ? "t" : "exit status 0";
    char shown[DRILL_TEXT_MAX];
    struct drill_check *c;

    (void)text_visible(shown, sizeof shown, found, strlen(found));
    c = drill_add(&d->record, passed ? DRILL_PASSED : DRILL_FAILED, a->name, expect, shown, e);
    if (c == NULL)
        return -1;
    (void)snprintf(c->note, sizeof c->note, "%s", a->why == NULL ? "" : a->why);
    return 0;
}

/* --- SQL --- */

static int ask_sql(struct drill_run *d, const struct drill_ask *a, struct err *e)
{
    struct sqlrun *s = NULL;
    struct sqlrows *rows = NULL;
    char found[DRILL_TEXT_MAX];
    struct err why = {0};
    int rc = sqlrun_open(&s, &d->how, base_of(d, a), &why);

    if (rc == 0)
        rc = sqlrun_do(s, &why, "set statement_timeout = '%llums'",
                       (unsigned long long)(a->timeout / 1000));
    if (rc == 0)
        rc = sqlrun_query(s, a->sql, &rows, &why);
    if (rc == 0)
        result_text(rows, found);
    sqlrun_free(rows);
    sqlrun_close(s);
    if (rc == 0)
        return tell(d, a, drill_expect(a->expect, found), found, e);
    if (why.code == ERR_INTERRUPTED || why.code == ERR_NOMEM) {
        *e = why;
        return -1;
    }
    return tell(d, a, false, why.msg, e);
}

/* --- commands --- */

/* Large: on the heap. */
struct environment {
    const char *v[ENV_MAX + ENV_OURS + 1];
    char text[ENV_OURS][ENV_TEXT];
    size_t ours;
    size_t n;
};

static void env_put(struct environment *env, const char *name, const char *value)
{
    if (value == NULL || env->ours == ENV_OURS)
        return;
    (void)snprintf(env->text[env->ours], ENV_TEXT, "%s=%.4000s", name, value);
    env->v[env->n++] = env->text[env->ours++];
}

/* Is the variable one that was put here? */
static bool is_ours(const struct environment *env, const char *line)
{
    size_t n = strcspn(line, "=") + 1;

    for (size_t i = 0; i < env->ours; i++)
        if (strncmp(env->text[i], line, n) == 0)
            return true;
    return false;
}

/* The command finds the copy as every client of libpq does: what the connection does not say comes
 * from where it came for us. */
static void make_environment(const struct drill_run *d, const struct drill_ask *a,
                             struct environment *env)
{
    const struct pgconn_opts *c = &d->how.connect;
    size_t n = 0;

    env_put(env, "PGHOST", c->host);
    env_put(env, "PGHOSTADDR", c->host == NULL ? NULL : "");
    env_put(env, "PGPORT", c->port);
    env_put(env, "PGUSER", c->user);
    env_put(env, "PGDATABASE", base_of(d, a));
    env_put(env, "DRILL_KIND", d->record.kind == DRILL_BACKUP ? "backup" : "dump");
    env_put(env, "DRILL_JOB", d->record.job);
    env_put(env, "DRILL_LABEL", d->record.what);
    n = env->n;
    for (size_t i = 0; environ[i] != NULL && n < ENV_MAX; i++)
        if (!is_ours(env, environ[i]))
            env->v[n++] = environ[i];
    env->v[n] = NULL;
}

struct output {
    char *text;
    size_t len;
};

static int take_output(void *arg, const uint8_t *bytes, size_t len, struct err *e)
{
    struct output *o = arg;
    size_t n = OUTPUT_MAX - o->len < len ? OUTPUT_MAX - o->len : len;

    (void)e;
    memcpy(o->text + o->len, bytes, n);
    o->len += n;
    o->text[o->len] = '\0';
    return 0;
}

/* 0: it ended well; 1: it did not, and *e says why; -1. */
static int run_program(struct pgtool_args *a, const char *name, uint64_t timeout,
                       struct output *out, struct err *e)
{
    struct pgtool_run *run = calloc(1, sizeof *run);
    int64_t until = timeout == 0 ? 0 : os_mono_us() + (int64_t)timeout;
    int rc;

    if (run == NULL)
        return err_set(e, ERR_NOMEM, "no memory to run a program with");
    run->proc = (struct os_proc)OS_PROC_INIT;
    rc = pgtool_start(run, a, name, OS_PROC_NULL, OS_PROC_PIPE, e);
    run->deadline_us = until;
    if (rc == 0)
        rc = pgtool_read(run, take_output, out, e);
    if (rc == 0)
        rc = pgtool_end(run, until, e) == 0 ? 0 : 1;
    pgtool_fini(run);
    free(run);
    if (rc != 0 && e->code != ERR_INTERRUPTED && e->code != ERR_NOMEM)
        return 1;
    return rc;
}

static int ask_command(struct drill_run *d, const struct drill_ask *a, struct err *e)
{
    struct pgtool_args args = {.n = 0, .as = &d->owner};
    struct environment *env = calloc(1, sizeof *env);
    struct output out = {calloc(1, OUTPUT_MAX + 1), 0};
    struct err why = {0};
    int rc = -1;

    if (env == NULL || out.text == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory to run a command with");
        goto done;
    }
    make_environment(d, a, env);
    rc = d->owner.change ? 0 : settings_may_run(d->s, "the command of a section [drill ...]", e);
    for (size_t i = 0; rc == 0 && i < a->command.n; i++)
        rc = pgtool_arg(&args, a->command.v[i], e);
    args.env = env->v;
    if (rc == 0)
        rc = run_program(&args, a->command.v[0], a->timeout, &out, &why);
    while (out.len > 0 && (out.text[out.len - 1] == '\n' || out.text[out.len - 1] == '\r'))
        out.text[--out.len] = '\0';
    if (rc < 0)
        *e = why;
    else if (rc > 0)
        rc = tell(d, a, false, why.msg, e);
    else
        rc = tell(d, a, a->expect == NULL || drill_expect(a->expect, out.text), out.text, e);
done:
    free(out.text);
    free(env);
    return rc;
}

/* --- pg_amcheck --- */

static int no_amcheck(struct drill_run *d, const char *why, struct err *e)
{
    struct drill_check *c = drill_add(&d->record, DRILL_SKIPPED, "amcheck",
                                      "no damage in tables and indexes", "not checked", e);

    if (c == NULL)
        return -1;
    (void)snprintf(c->note, sizeof c->note, "%s", why);
    return 0;
}

static int add_amcheck_args(const struct drill_run *d, const char *program, struct pgtool_args *a,
                            struct err *e)
{
    const char *const args[] = {program,
                                "--all",
                                "--install-missing",
                                "--no-password",
                                "-h",
                                d->server.dir,
                                "-p",
                                RESTORE_PORT,
                                "-U",
                                d->user};

    for (size_t i = 0; i < sizeof args / sizeof args[0]; i++)
        if (pgtool_arg(a, args[i], e) != 0)
            return -1;
    return 0;
}

/* Does the server bring the extension?  1 yes, 0 no, -1. */
static int has_extension(const struct drill_run *d, struct err *e)
{
    struct sqlrun *s = NULL;
    uint64_t n = 0;
    int rc = sqlrun_open(&s, &d->how, "postgres", e);

    if (rc == 0)
        rc = sqlrun_number(s,
                           "select pg_catalog.count(*) from pg_catalog.pg_available_extensions"
                           " where name = 'amcheck'",
                           &n, e);
    sqlrun_close(s);
    return rc != 0 ? -1 : n > 0 ? 1 : 0;
}

static int amcheck(struct drill_run *d, struct err *e)
{
    enum { FIRST = 14, LATEST = 99 };
    struct pgtool_args a = {.n = 0, .as = &d->owner};
    struct output out = {NULL, 0};
    struct err why = {0};
    char dir[PLACE_MAX];
    char program[PLACE_MAX];
    int rc;

    if (!d->o->amcheck)
        return no_amcheck(d, "--no-amcheck", e);
    if (d->user == NULL)
        return no_amcheck(d, "the server is not one of ours", e);
    if (!d->writable)
        return no_amcheck(d, "the copy cannot be written to", e);
    if (d->server.major < FIRST)
        return no_amcheck(d, "pg_amcheck needs PostgreSQL 14 or later", e);
    if (restore_programs(d->s, "pg_amcheck", d->server.major, d->server.major, dir, &why) != 0 &&
        restore_programs(d->s, "pg_amcheck", d->server.major, LATEST, dir, &why) != 0)
        return no_amcheck(d, "there is no pg_amcheck here", e);
    rc = has_extension(d, e);
    if (rc <= 0)
        return rc < 0 ? -1 : no_amcheck(d, "the server lacks the extension amcheck", e);
    out.text = calloc(1, OUTPUT_MAX + 1);
    if (out.text == NULL)
        return err_set(e, ERR_NOMEM, "no memory to check with");
    err_clear(&why);
    rc = place_join(program, dir, "pg_amcheck", e);
    if (rc == 0)
        rc = add_amcheck_args(d, program, &a, e);
    if (rc == 0)
        rc = run_program(&a, "pg_amcheck", 0, &out, &why);
    if (rc < 0 && e->code == ERR_NONE)
        *e = why;
    if (rc >= 0) {
        char shown[DRILL_TEXT_MAX];

        /* It tells damage on standard output. */
        (void)text_visible(shown, sizeof shown, out.len > 0 ? out.text : why.msg,
                           out.len > 0 ? strcspn(out.text, "\n") : strlen(why.msg));
        rc = drill_add(&d->record, rc == 0 ? DRILL_PASSED : DRILL_FAILED, "amcheck",
                       "no damage in tables and indexes", rc == 0 ? "none" : shown, e) == NULL
                 ? -1
                 : 0;
    }
    free(out.text);
    return rc;
}

/* --- all --- */

static const char *job_of(const struct drill_run *d)
{
    return d->record.kind == DRILL_BACKUP ? NULL : d->record.job;
}

int drill_ask_check(const struct drill_run *d, struct err *e)
{
    struct drill_ask *a = calloc(1, sizeof *a);
    int rc = 0;

    if (a == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the questions of the configuration");
    for (size_t i = 0; rc == 0; i++)
        rc = drill_ask_load(a, d->s, i, e);
    free(a);
    return rc < 0 ? -1 : 0;
}

int drill_ask(struct drill_run *d, struct err *e)
{
    struct drill_ask *a = calloc(1, sizeof *a);
    int rc = 0;

    if (a == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the questions of the configuration");
    for (size_t i = 0; rc == 0; i++) {
        rc = drill_ask_load(a, d->s, i, e);
        if (rc == 0 && drill_ask_is_of(a, job_of(d)))
            rc = a->sql != NULL ? ask_sql(d, a, e) : ask_command(d, a, e);
    }
    free(a);
    return rc < 0 ? -1 : amcheck(d, e);
}
