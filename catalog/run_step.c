/* One command of a job: this program again, with the same settings. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/hook_run.h"
#include "run.h"

enum { LINE_MAX_BYTES = 2000, PIECE = 4096, GRACE_US = 60 * 1000 * 1000 };

/* A stream of the child, cut into lines. */
struct lines {
    size_t len;
    char text[LINE_MAX_BYTES + 1];
};

struct step {
    const struct run_entry *entry; /* for the log */
    struct os_proc proc;
    struct lines out;
    struct lines err;
};

static void end_line(struct step *s, struct lines *l)
{
    l->text[l->len] = '\0';
    if (l->len > 0)
        run_log(s->entry, "%s", l->text);
    l->len = 0;
}

static void take_piece(struct step *s, struct lines *l, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (piece[i] == '\n' || l->len == LINE_MAX_BYTES)
            end_line(s, l);
        if (piece[i] != '\n' && piece[i] != '\r')
            l->text[l->len++] = piece[i];
    }
}

static int hear(struct step *s, int *fd, struct lines *l, struct err *e)
{
    char piece[PIECE];
    size_t got = 0;

    if (os_read(*fd, piece, sizeof piece, &got, "walden", e) != 0)
        return -1;
    take_piece(s, l, piece, got);
    if (got == 0)
        os_drop(fd);
    return 0;
}

/* Until both streams are at their end and the child is: 0, OS_BUSY at the deadline, -1. */
static int attend(struct step *s, int64_t deadline, struct err *e)
{
    while (s->proc.out >= 0 || s->proc.err >= 0) {
        struct os_wait w[2] = {{s->proc.out, POLLIN, false}, {s->proc.err, POLLIN, false}};
        int rc = os_wait_fds(w, 2, deadline, e);

        if (rc != 0)
            return rc;
        if ((w[0].ready && hear(s, &s->proc.out, &s->out, e) != 0) ||
            (w[1].ready && hear(s, &s->proc.err, &s->err, e) != 0))
            return -1;
    }
    return os_proc_wait(&s->proc, deadline, e);
}

/* It is asked to end, and has time to clear up and to say how far it came. */
static void end_gently(struct step *s)
{
    struct err none = {0};

    os_signal_forget();
    os_proc_kill(&s->proc, SIGTERM);
    if (attend(s, os_mono_us() + GRACE_US, &none) != 0)
        os_proc_kill(&s->proc, SIGKILL);
}

/* What a flag said here, the environment says there. */
static int pass_settings(const struct settings *s, struct hook_facts *f, struct err *e)
{
    const char *key;

    if (s->config != NULL && !hook_fact(f, "WALDEN_CONFIG", s->config))
        return err_set(e, ERR_CONFIG, "the settings are too long");
    for (size_t i = 0; (key = settings_key(i)) != NULL; i++) {
        char name[64];

        if (s->origin[i].source != SETTINGS_FROM_FLAG)
            continue;
        settings_variable(i, name, sizeof name);
        if (!hook_fact(f, name, s->origin[i].text))
            return err_set(e, ERR_CONFIG, "the setting %s is too long", key);
    }
    return 0;
}

static int start(struct run *r, struct step *s, const char *const *words, struct err *e)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;
    struct hook_facts *facts = calloc(1, sizeof *facts);
    const char *argv[WORDS_MAX + 2] = {r->program};
    const char **env = NULL;
    int rc = -1;

    for (size_t i = 0; words[i] != NULL && i < WORDS_MAX; i++)
        argv[i + 1] = words[i];
    if (facts == NULL)
        (void)err_set(e, ERR_NOMEM, "no memory to start a command");
    else if (pass_settings(r->settings, facts, e) == 0)
        env = hook_env(facts, e);
    if (env != NULL) {
        spec.argv = argv;
        spec.env = env;
        spec.in = OS_PROC_NULL;
        spec.out = OS_PROC_PIPE;
        spec.err = OS_PROC_PIPE;
        spec.own_group = true; /* a terminal's ^C reaches it through us */
        spec.die_with_us = true;
        rc = os_proc_spawn(&s->proc, &spec, e);
    }
    free(env);
    free(facts);
    return rc;
}

static const char *word_of(int status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_USAGE:
        return "misconfigured";
    case STATUS_CANNOT_TELL:
        return "unreachable";
    case STATUS_REFUSED:
        return "refused";
    case STATUS_INTERRUPTED:
        return "interrupted";
    default:
        return "failed";
    }
}

void run_step(struct run *r, const struct run_entry *en, const char *const *words, int64_t deadline,
              struct run_outcome *out)
{
    static struct step s;
    struct err e = {0};
    int rc;

    s = (struct step){.entry = en, .proc = OS_PROC_INIT};
    rc = start(r, &s, words, &e);
    if (rc != 0) {
        run_log(en, "%s", e.msg);
        out->status = command_status(&e);
        out->result = "failed";
        return;
    }
    rc = attend(&s, deadline, &e);
    if (rc != 0)
        end_gently(&s);
    end_line(&s, &s.out);
    end_line(&s, &s.err);
    os_proc_fini(&s.proc);
    out->status = s.proc.exit_code;
    out->result = word_of(out->status);
    out->interrupted = rc < 0 && e.code == ERR_INTERRUPTED;
    if (out->status == STATUS_OK) /* it came to its end all the same */
        return;
    if (rc == OS_BUSY)
        out->result = "timeout";
    else if (out->interrupted)
        out->result = "interrupted";
}
