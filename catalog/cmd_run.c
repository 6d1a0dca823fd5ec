/*
 * walden run: jobs by the clock, for containers and for hosts without cron or systemd.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "os/signal.h"
#include "os/time.h"
#include "run.h"

struct options {
    bool once;
    bool list;
    bool dry_run;
    bool json;
};

static const struct opt options[] = {
    {.name = "once",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, once),
     .help = "do what is due, and end: for a cron line that comes often"},
    {.name = "list",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, list),
     .help = "show every job, when it is next and how it went; do nothing"},
    {.name = "dry_run",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, dry_run),
     .help = "the same"},
    {.name = "json",
     .kind = OPT_FLAG,
     .offset = offsetof(struct options, json),
     .help = "with --list: print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden run",
    .operands = "[JOB]...",
    .summary = "do jobs by the clock, one at a time: backups, dumps, checks, whatever walden can",
    .examples = "walden run                  in the foreground, until SIGTERM\n"
                "walden run nightly          this job now, whatever the clock says\n"
                "walden run --list           when is what, and how did it go?\n"
                "walden run --once           what is due, and no more\n"
                "\n"
                "In the configuration, beside state_dir:\n"
                "  [run nightly]\n"
                "  do = dump shop && expire\n"
                "  at = 02:00                          or: sun 03:30; every 15min\n"
                "  jitter = 10min\n"
                "  ping = curl -fsS -m 10 https://hc.example/uuid\n"
                "  ping_failed = curl -fsS -m 10 https://hc.example/uuid/{status}\n",
    .exits = "0    ended by a signal while no job ran; --once, JOB: all went well\n"
             "1    --once, JOB: a job failed; the log says which\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: state_dir cannot be read\n"
             "4    refused: another one waits for the clock already;\n"
             "     root, told by a file that others can write what to run (chown root it)\n"
             "130  ended by a signal; the job that ran was ended and will be done again\n",
    .args_max = OPT_ARGS_MAX,
};

/* --- the configuration --- */

static int check_steps(const struct run *r, const struct run_job *j, struct err *e)
{
    static struct run_steps steps;
    const struct command *table;
    size_t n;

    table = command_table(&n);
    if (run_steps_parse(&steps, j->task, e) != 0)
        return -1;
    for (size_t i = 0; i < steps.n; i++) {
        const char *name = steps.words.v[steps.first[i]];

        if (command_find(table, n, name, e) == NULL) {
            e->code = ERR_CONFIG;
            return err_context(e, "%s:%u: [run %s]", r->settings->config, j->line, j->name);
        }
        if (strcmp(name, "run") == 0)
            return err_set(e, ERR_CONFIG, "%s:%u: [run %s] cannot do \"run\"", r->settings->config,
                           j->line, j->name);
    }
    return 0;
}

static int load_jobs(struct run *r, struct err *e)
{
    run_look(r);
    if (settings_need(r->settings, "state_dir", e) != 0 ||
        run_jobs_load(&r->jobs, r->settings, r->host, e) != 0)
        return -1;
    for (size_t i = 0; i < r->jobs.n; i++)
        if (check_steps(r, &r->jobs.v[i], e) != 0)
            return -1;
    if (r->jobs.n > 0)
        return 0;
    (void)err_hint(e, "Write for example: [run nightly], and below it do = backup, at = 02:00.");
    return err_set(e, ERR_CONFIG, "the configuration has no section [run NAME]");
}

/* What the jobs do is done by us, and a command line of ours can do anything. */
static int may_run(const struct run *r, struct err *e)
{
    return settings_may_run(r->settings, "what the sections [run ...] say", e);
}

static struct run *run_new(const struct msg *m, struct err *e)
{
    struct run *r = calloc(1, sizeof *r);
    struct settings *s = calloc(1, sizeof *s);

    if (r == NULL || s == NULL) {
        free(r);
        free(s);
        (void)err_set(e, ERR_NOMEM, "no memory to run with");
        return NULL;
    }
    settings_init(s);
    r->settings = s;
    r->msg = m;
    r->state = (struct os_root)OS_ROOT_INIT;
    r->lock = r->turn = -1;
    r->up_since = os_real_us();
    run_jobs_init(&r->jobs, RUN_JOBS_MAX);
    run_entries_init(&r->entries, RUN_JOBS_MAX);
    os_hostname(r->host, sizeof r->host);
    (void)place_program(r->program, "walden");
    return r;
}

static void run_free(struct run *r)
{
    if (r == NULL)
        return;
    run_memory_close(r);
    run_jobs_fini(&r->jobs);
    run_entries_fini(&r->entries);
    settings_fini(r->settings);
    free(r->settings);
    free(r);
}

/* --- what was asked for --- */

struct line {
    int argc;
    char **argv;
    struct options o;
    struct opt_args args;
};

/* 0: go on.  1: all was said, *status. */
static int parse(struct run *r, struct line *l, int *status)
{
    struct opt_set sets[2];

    memset(&l->o, 0, sizeof l->o);
    sets[0] =
        (struct opt_set){"Options", options, sizeof options / sizeof options[0], &l->o, NULL, NULL};
    sets[1] = settings_options(r->settings);
    return command_parse(&program, sets, 2, l->argc, l->argv, &l->args, status);
}

static int check_line(const struct line *l, struct err *e)
{
    bool list = l->o.list || l->o.dry_run;

    if (l->o.json && !list)
        return err_set(e, ERR_USAGE, "--json belongs to --list");
    if ((list && l->o.once) || (l->args.n > 0 && (list || l->o.once)))
        return err_set(e, ERR_USAGE, "choose one: jobs, --once, or --list");
    return 0;
}

static struct run_entry *find_job(struct run *r, const char *name, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, name);
    for (size_t i = 0; i < r->entries.n; i++) {
        if (strcmp(r->entries.v[i].job->name, name) == 0)
            return &r->entries.v[i];
        text_closest_try(&near, r->entries.v[i].job->name);
    }
    (void)err_set(e, ERR_USAGE, "the configuration has no section [run %s]", name);
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean %s?", near.best);
    return NULL;
}

/* These jobs, now. */
static int run_these(struct run *r, const struct opt_args *args, int *status, struct err *e)
{
    bool changed;

    for (size_t i = 0; i < args->n; i++) {
        struct run_outcome out = {.status = 0};
        struct run_entry *en;
        int rc = -1;

        if (run_turn_take(r, e) != 0)
            return -1;
        if (run_memory_read(r, &changed, e) == 0 && (en = find_job(r, args->v[i], e)) != NULL)
            rc = run_work(r, en, 0, &out, e);
        run_turn_end(r);
        if (rc != 0)
            return -1;
        if (out.status != STATUS_OK)
            *status = out.interrupted ? STATUS_INTERRUPTED : STATUS_PROBLEM;
        if (out.interrupted)
            return 0;
    }
    return 0;
}

/* The same line with what the configuration says now; the old one goes on when that is wrong. */
static struct run *load_again(struct run *old, struct line *l)
{
    struct err e = {0};
    struct run *r = run_new(old->msg, &e);
    int status;

    if (r != NULL && parse(r, l, &status) == 0 && command_settings(r->settings, r->msg, &e) == 0 &&
        load_jobs(r, &e) == 0 && may_run(r, &e) == 0 && run_memory_open(r, &e) == 0) {
        r->up_since = old->up_since;
        r->lock = old->lock;
        old->lock = -1;
        run_free(old);
        msg_note(r->msg, "the configuration was read again: %zu jobs", r->jobs.n);
        return r;
    }
    run_free(r);
    (void)err_context(&e, "the configuration changed and is not taken");
    msg_warn_err(old->msg, &e);
    return old;
}

static int wait_for_clock(struct run **r, struct line *l, int *status, struct err *e)
{
    int ignored = 0;
    int rc;

    if (run_lock(*r, e) != 0)
        return -1;
    msg_note((*r)->msg, "%zu jobs; \"walden run --list\" shows them", (*r)->jobs.n);
    while ((rc = run_loop(*r, false, &ignored, e)) > 0)
        *r = load_again(*r, l);
    if (rc == 0 || e->code != ERR_INTERRUPTED)
        return rc;
    msg_note((*r)->msg, "ended by a signal%s",
             ignored == STATUS_INTERRUPTED ? "; the job that ran was ended, too" : "");
    *status = ignored == STATUS_INTERRUPTED ? STATUS_INTERRUPTED : STATUS_OK;
    return 0;
}

static int run(struct run **r, struct line *l, int *status, struct err *e)
{
    if (check_line(l, e) != 0 || command_settings((*r)->settings, (*r)->msg, e) != 0 ||
        load_jobs(*r, e) != 0 || run_memory_open(*r, e) != 0)
        return -1;
    *status = STATUS_OK;
    if (l->o.list || l->o.dry_run)
        return run_show(*r, l->o.json, e);
    if (may_run(*r, e) != 0)
        return -1;
    if (l->args.n > 0)
        return run_these(*r, &l->args, status, e);
    if (!l->o.once)
        return wait_for_clock(r, l, status, e);
    /* Cron comes when it comes: within the hour is on time. */
    (*r)->up_since -= 3600 * INT64_C(1000000);
    return run_loop(*r, true, status, e);
}

int cmd_run(int argc, char **argv)
{
    const struct msg m = command_msg(&program, argc, argv);
    struct line l = {.argc = argc, .argv = argv};
    struct err e = {0};
    struct run *r = run_new(&m, &e);
    int status = STATUS_PROBLEM;

    if (r == NULL)
        return command_fail(&m, &e);
    if (parse(r, &l, &status) == 0 && run(&r, &l, &status, &e) != 0)
        status = command_fail(&m, &e);
    run_free(r);
    return status;
}
