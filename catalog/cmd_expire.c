/*
 * walden expire: removes what no rule keeps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expire.h"
#include "object/secret.h"
#include "os/file.h"
#include "os/host.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/copy_target.h"
#include "repo/verified.h"
#include "survey.h"

struct options {
    bool json;
    bool dry_run;
    bool accept_clock;
    const char *copy;
};

#define MINE(field) .offset = offsetof(struct options, field)

static const struct opt options[] = {
    {.name = "dry-run",
     .letter = 'n',
     .kind = OPT_FLAG,
     MINE(dry_run),
     .help = "only show what would go, why, and which moments are lost with it"},
    {.name = "accept-clock",
     .kind = OPT_FLAG,
     MINE(accept_clock),
     .help = "go on although a clock was set back: believe this host's clock from now on"},
    {.name = "copy",
     .kind = OPT_NAME,
     .arg = "NAME",
     MINE(copy),
     .help = "in the copy of section [repo NAME], by its rules"},
    {.name = "json", .kind = OPT_FLAG, MINE(json), .help = "print one JSON object instead of text"},
};

static const struct opt_program program = {
    .name = "walden expire",
    .operands = "",
    .summary = "remove backups, dumps and WAL that no rule keeps, with a reason for each",
    .examples =
        "walden expire --dry-run                        what would go, and why\n"
        "walden expire --keep-backups 'daily=7 weekly=4' --dry-run\n"
        "walden expire                                  by the configuration's rules\n"
        "walden expire --copy usb                       in a copy, by the rules of [repo usb]\n"
        "walden keep LABEL --reason 'before the move'   never this one\n",
    .exits = "0    done, or nothing had to go\n"
             "1    something could not be read or removed\n"
             "2    wrong command line or configuration\n"
             "3    cannot tell: the repository is not there\n"
             "4    refused for safety: a clock was set back, another expire is running\n"
             "130  interrupted; the next run completes it\n",
};

struct run {
    const struct msg *m;
    const struct settings *s;
    const struct options *o;
    struct repo repo;
    struct object_reader scratch;
    struct expire x;
};

static int wait_a_step(void *arg, struct err *e)
{
    struct run *r = arg;

    if (r->m->level == MSG_VERBOSE)
        msg_detail(r->m, "waiting to see who is at work");
    os_sleep_us((int64_t)PAGES_STEP_S * USEC_PER_SEC);
    return os_signal_check(e);
}

static void warn(void *arg, const struct err *why)
{
    const struct run *r = arg;

    msg_warn_err(r->m, why);
}

static bool is_there(const char *dir)
{
    struct err quiet = {0};
    struct stat st;

    return dir != NULL && os_stat(dir, &st, &quiet) == 0 && S_ISDIR(st.st_mode);
}

static int print(const struct run *r, bool done, struct err *e)
{
    struct buf b;
    int rc;

    if (r->o->json)
        return done ? expire_print_json(&r->x, r->s, !r->o->dry_run, e) : 0;
    buf_init(&b, SURVEY_TEXT_MAX);
    rc = done ? expire_show_done(&r->x, &b, e) : expire_show_decision(&r->x, r->s, &b, e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static bool is_anything_unreadable(const struct expire *x)
{
    bool any = x->records.unreadable > 0;

    for (size_t i = 0; i < x->in.items.n; i++)
        any = any || !x->in.items.v[i].readable;
    return any;
}

/* What nobody may do at all. */
static int may(struct run *r, struct err *e)
{
    const char *why;

    if (r->o->dry_run)
        return 0;
    why = verified_may_not(&r->repo);
    if (why != NULL) {
        (void)err_set(e, ERR_REFUSED, "nothing can be removed: %s", why);
        return err_hint(e, "Run it as the user that the repository belongs to, on a host that "
                           "writes it.");
    }
    return 0;
}

/* A copy that never acknowledged anything lets nothing go: that is worth more than a list. */
static int wants_copies(const struct run *r, struct err *e)
{
    for (size_t i = 0; i < r->x.copies.n && !r->o->dry_run; i++) {
        const struct copied *c = &r->x.copies.v[i];

        if (c->time != 0)
            continue;
        (void)err_set(e, ERR_REFUSED,
                      "require_copy asks for a copy in \"%s\" of all that goes, and no copy has "
                      "acknowledged any there",
                      c->name);
        return err_hint(e, "Nothing was removed. Run \"walden copy %s\" first.", c->name);
    }
    return 0;
}

static int finish(struct run *r, struct err *e)
{
    if (retention_is_blocked(&r->x.r, &r->x.in)) {
        if (r->o->json && print(r, true, e) != 0)
            return -1;
        (void)err_set(e, ERR_REFUSED,
                      "nothing was removed: the clock here and those above do not agree");
        return err_hint(e, "When this host's clock is right now, \"walden expire --accept-clock "
                           "--dry-run\" shows what goes then, and \"walden expire "
                           "--accept-clock\" does it.");
    }
    if (!r->o->dry_run && expire_do(&r->x, e) != 0)
        return -1;
    if (print(r, true, e) != 0)
        return -1;
    return is_anything_unreadable(&r->x) || r->x.done.packs_failed ? STATUS_PROBLEM : STATUS_OK;
}

static int expire(struct run *r, struct err *e)
{
    char host[OS_HOSTNAME_MAX + 1];
    const struct expire_how how = {.settings = r->s,
                                   .host = host,
                                   .state_dir = is_there(r->s->state_dir) ? r->s->state_dir : NULL,
                                   .now = os_real_us(),
                                   .dry_run = r->o->dry_run,
                                   .accept_clock = r->o->accept_clock,
                                   .wait = wait_a_step,
                                   .warn = warn,
                                   .arg = r};
    int rc;

    os_hostname(host, sizeof host);
    if (secret_start(e) != 0 ||
        repo_open(&r->repo, r->s, r->o->dry_run ? REPO_READ : REPO_WRITE | REPO_COPY_TOO, e) != 0)
        return -1;
    rc = may(r, e);
    if (rc == 0) {
        rc = expire_look(&r->x, &r->repo, &how, &r->scratch, e);
        if (rc == 0 && r->x.records.unreadable > 0)
            msg_warn(r->m, "%zu expire records cannot be read; \"walden list\" names them",
                     r->x.records.unreadable);
        if (rc == 0)
            rc = wants_copies(r, e);
        if (rc == 0)
            rc = print(r, false, e);
        if (rc == 0)
            rc = finish(r, e);
        expire_close(&r->x);
    }
    repo_close(&r->repo);
    return rc;
}

/* Place and rules of a copy in place of the repository's. */
static int use_copy(struct settings *s, const char *name, struct err *e)
{
    const struct copy_target *t;
    struct copy_targets all;
    int rc;

    copy_targets_init(&all, COPY_TARGETS_MAX);
    rc = copy_targets_load(&all, s, e);
    t = rc == 0 ? copy_targets_find(&all, name, e) : NULL;
    if (t != NULL)
        copy_target_use(t, s);
    copy_targets_fini(&all);
    return t != NULL ? 0 : -1;
}

static int body(const struct command_call *c, struct err *e)
{
    const struct options *mine = c->mine;
    struct run *r;
    int status = -1;

    if (mine->copy != NULL && use_copy(c->s, mine->copy, e) != 0)
        return -1;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_set(e, ERR_NOMEM, "no memory to read the repository with");
    r->m = c->m;
    r->s = c->s;
    r->o = mine;
    status = expire(r, e);
    free(r);
    return status;
}

int cmd_expire(int argc, char **argv)
{
    struct options mine = {0};
    const struct opt_set own = {"Options", options, sizeof options / sizeof options[0],
                                &mine,     NULL,    NULL};

    return command_run(&program, &own, 1, body, argc, argv);
}
