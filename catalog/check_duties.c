/* What check finds of the things that are to be done from time to time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os/file.h"
#include "repo/copied.h"
#include "repo/copy_target.h"
#include "run.h"

/* A mistake in a section is a verdict, not the end of the check. */
static int pass_over(struct check *c, struct err *e)
{
    struct judge_host *h = &c->facts.host;

    if (e->code != ERR_CONFIG)
        return -1;
    if (h->config_error[0] == '\0') {
        (void)snprintf(h->config_error, sizeof h->config_error, "%s", e->msg);
        (void)snprintf(h->config_hint, sizeof h->config_hint, "%.*s", JUDGE_NEXT_MAX - 1, e->hint);
    }
    err_clear(e);
    return 0;
}

/* --- copies --- */

static void look_at_copy(struct check *c, const struct copy_target *t)
{
    struct judge_copy *f = &c->facts.copy[c->facts.copies++];
    char file[COPIED_FILE_MAX];
    struct copied said;
    struct err why = {0};
    char *text = NULL;
    size_t len = 0;
    int rc;

    (void)snprintf(f->name, sizeof f->name, "%s", t->name);
    f->limit = t->max_age;
    f->time = JUDGE_NEVER;
    copied_init(&said);
    copied_file(file, t->name);
    rc = store_get_text(&c->survey.repo.store, NULL, file, &text, &len, &why);
    if (rc == 0 && (rc = copied_read(&said, text, len, file, &why)) == 0) {
        f->time = said.time;
        f->whole = said.whole;
    }
    f->known = rc >= 0;
    (void)snprintf(f->why, sizeof f->why, "%s", why.msg);
    free(text);
    copied_fini(&said);
}

static int look_at_copies(struct check *c, struct err *e)
{
    struct copy_targets all;
    int rc;

    copy_targets_init(&all, COPY_TARGETS_MAX);
    rc = copy_targets_load(&all, c->settings, e);
    if (rc != 0)
        rc = pass_over(c, e);
    else if (c->survey_open && !c->survey.repo.copy.there)
        for (size_t i = 0; i < all.n && i < JUDGE_COPIES_MAX; i++)
            look_at_copy(c, &all.v[i]);
    copy_targets_fini(&all);
    return rc;
}

/* --- jobs --- */

/* A job that only says that something is red must not keep it red. */
static bool is_check(const struct run_entry *en)
{
    struct run_steps *steps = calloc(1, sizeof *steps);
    struct err quiet = {0};
    bool is = false;

    if (steps != NULL && run_steps_parse(steps, en->job->task, &quiet) == 0 && en->last < steps->n)
        is = strcmp(steps->words.v[steps->first[en->last]], "check") == 0;
    free(steps);
    return is;
}

static void look_at_job(struct judge_jobs *f, const struct run_entry *en)
{
    f->jobs++;
    if (en->ended == 0 || en->result[0] == '\0' || strcmp(en->result, "ok") == 0 ||
        strcmp(en->result, "interrupted") == 0 || is_check(en))
        return;
    if (f->failed++ == 0) {
        (void)snprintf(f->name, sizeof f->name, "%s", en->job->name);
        (void)snprintf(f->result, sizeof f->result, "%s", en->result);
        f->ended = en->ended;
    }
}

static int look_at_jobs(struct check *c, struct err *e)
{
    struct settings settings = *c->settings;
    struct run *r = calloc(1, sizeof *r);
    struct err quiet = {0};
    bool changed;
    int rc;

    if (r == NULL)
        return err_set(e, ERR_NOMEM, "no memory to look at jobs");
    r->settings = &settings;
    r->lock = r->turn = -1;
    r->state = (struct os_root)OS_ROOT_INIT;
    run_jobs_init(&r->jobs, SETTINGS_SECTIONS_MAX);
    run_entries_init(&r->entries, SETTINGS_SECTIONS_MAX);
    rc = run_jobs_load(&r->jobs, &settings, "", e);
    if (rc != 0)
        rc = pass_over(c, e);
    /* Where nothing can be read nothing was tried from here. */
    else if (r->jobs.n > 0 && settings.state_dir != NULL && run_memory_open(r, &quiet) == 0 &&
             run_memory_read(r, &changed, &quiet) == 0)
        for (size_t i = 0; i < r->entries.n; i++)
            look_at_job(&c->facts.jobs, &r->entries.v[i]);
    run_memory_close(r);
    run_entries_fini(&r->entries);
    run_jobs_fini(&r->jobs);
    free(r);
    return rc;
}

int check_duties(struct check *c, struct err *e)
{
    return look_at_copies(c, e) != 0 ? -1 : look_at_jobs(c, e);
}
