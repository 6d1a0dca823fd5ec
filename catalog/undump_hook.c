/* The application is stopped before its database is changed, and started again behind it. */
#include <stdio.h>

#include "os/signal.h"
#include "repo/hook_run.h"
#include "undump.h"

static int run(struct undump *u, const char *text, const char *when, const struct err *how,
               struct err *e)
{
    struct hook_facts f = {.n = 0};
    char name[32];

    (void)hook_fact(&f, "HOOK_WHEN", when);
    (void)hook_fact(&f, "HOOK_COMMAND", "undump");
    (void)hook_fact(&f, "HOOK_JOB", u->dump.item.job);
    (void)hook_fact(&f, "HOOK_LABEL", u->dump.item.label);
    (void)hook_fact(&f, "HOOK_DATABASE", u->target);
    (void)hook_fact(&f, "HOOK_SCHEMA", u->o->schema);
    (void)hook_fact(&f, "HOOK_SCHEMA_VERSION", undump_fact(u, "schema_version"));
    if (how != NULL) {
        (void)hook_fact(&f, "HOOK_RESULT", hook_outcome(how));
        (void)hook_fact(&f, "HOOK_ERROR", how->msg);
    }
    (void)snprintf(name, sizeof name, "the %s hook", when);
    return hook_run_text(text, name, &f, e);
}

int undump_pre(struct undump *u, struct err *e)
{
    if (hook_set_load(&u->hooks, u->settings, "undump", e) != 0 ||
        hook_set_may_run(&u->hooks, u->settings, "undump", e) != 0 ||
        run(u, u->hooks.pre, "pre", NULL, e) != 0)
        return -1;
    u->paused = true;
    return 0;
}

int undump_gate(struct undump *u, struct err *e)
{
    return u->paused ? run(u, u->hooks.gate, "gate", NULL, e) : 0;
}

int undump_post(struct undump *u, int rc, struct err *e)
{
    struct err why = {0};

    if (!u->paused || u->hooks.post == NULL)
        return rc;
    if (rc != 0 && u->changed) {
        msg_warn(u->msg, "the post hook was not run: the database is not as it should be");
        return rc;
    }
    if (rc != 0)
        os_signal_forget();
    if (run(u, u->hooks.post, "post", e, &why) == 0)
        return rc;
    if (rc == 0) {
        *e = why;
        return err_context(e, "all is restored, but");
    }
    msg_warn_err(u->msg, &why);
    return rc;
}
