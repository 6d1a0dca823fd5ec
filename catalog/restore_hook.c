/* The application is stopped before its server's directory is made anew, and started again behind
 * it. */
#include <stdio.h>

#include "os/signal.h"
#include "repo/hook_run.h"
#include "restore.h"

static int run(struct restore *r, const char *text, const char *when, const struct err *how,
               struct err *e)
{
    struct hook_facts f = {.n = 0};
    char target[RESTORE_TARGET_TEXT];
    char name[32];

    restore_target_text(r, target);
    (void)hook_fact(&f, "HOOK_WHEN", when);
    (void)hook_fact(&f, "HOOK_COMMAND", "restore");
    (void)hook_fact(&f, "HOOK_DIRECTORY", r->dir);
    (void)hook_fact(&f, "HOOK_LABEL", restore_backup(r)->label);
    (void)hook_fact(&f, "HOOK_TARGET", target);
    if (how != NULL) {
        (void)hook_fact(&f, "HOOK_RESULT", hook_outcome(how));
        (void)hook_fact(&f, "HOOK_ERROR", how->msg);
    }
    (void)snprintf(name, sizeof name, "the %s hook", when);
    return hook_run_text(text, name, &f, e);
}

int restore_pre(struct restore *r, struct err *e)
{
    if (hook_set_load(&r->hooks, r->s, "restore", e) != 0)
        return -1;
    if (!r->o->become_primary || r->o->dry_run)
        return 0;
    if (hook_set_may_run(&r->hooks, r->s, "restore", e) != 0 ||
        run(r, r->hooks.pre, "pre", NULL, e) != 0)
        return -1;
    r->paused = true;
    return 0;
}

int restore_gate(struct restore *r, struct err *e)
{
    return r->paused ? run(r, r->hooks.gate, "gate", NULL, e) : 0;
}

int restore_post(struct restore *r, int status, struct err *e)
{
    struct err why = {0};

    if (!r->paused || r->hooks.post == NULL)
        return status;
    if (status != 0 && r->changed) {
        msg_warn(r->m, "the post hook was not run: \"%s\" is not as it should be", r->dir);
        return status;
    }
    if (status != 0)
        os_signal_forget();
    if (run(r, r->hooks.post, "post", e, &why) == 0)
        return status;
    if (status == 0) {
        *e = why;
        return err_context(e, "all is restored, but");
    }
    msg_warn_err(r->m, &why);
    return status;
}
