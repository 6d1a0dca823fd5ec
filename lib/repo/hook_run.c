#include "repo/hook_run.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "os/file.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/time.h"

enum {
    SAID_MAX = 4096,
    PIECE = 512, /* a pipe takes that much at once when it takes anything */
    LOOK_US = 100 * 1000,
    GRACE_US = 5 * 1000 * 1000 /* between being asked to end and being ended */
};

struct talk {
    struct os_proc proc;
    const char *input; /* what is still to be written */
    size_t len;        /* of what it said */
    char said[SAID_MAX + 1];
};

bool hook_fact(struct hook_facts *f, const char *name, const char *value)
{
    char *at = f->text + f->used;
    size_t room = sizeof f->text - f->used;
    size_t n = strlen(name) + 2 + (value == NULL ? 0 : strlen(value));

    if (f->n == HOOK_FACTS_MAX || n > room)
        return false;
    (void)snprintf(at, room, "%s=%s", name, value == NULL ? "" : value);
    f->used += n;
    f->v[f->n++] = at;
    return true;
}

const char *hook_outcome(const struct err *e)
{
    switch (e->code) {
    case ERR_NONE:
        return "ok";
    case ERR_REFUSED:
        return "refused";
    case ERR_UNREACHABLE:
        return "unreachable";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_INTERRUPTED:
        return "interrupted";
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_IO:
    case ERR_NOMEM:
    case ERR_DAMAGED:
    case ERR_KEY:
    case ERR_HOLE:
    case ERR_INTERNAL:
        break;
    }
    return "failed";
}

/* Of two with one name the first counts. */
const char **hook_env(const struct hook_facts *f, struct err *e)
{
    size_t mine = f == NULL ? 0 : f->n;
    const char **env;
    size_t n = 0;

    while (environ[n] != NULL)
        n++;
    env = calloc(mine + n + 1, sizeof *env);
    if (env == NULL) {
        (void)err_set(e, ERR_NOMEM, "no memory for an environment");
        return NULL;
    }
    for (size_t i = 0; i < mine; i++)
        env[i] = f->v[i];
    for (size_t i = 0; i < n; i++)
        env[mine + i] = environ[i];
    return env;
}

/* Keeps the end of what it says.  1 when it will say no more. */
static int hear(struct talk *t, const char *name, struct err *e)
{
    char piece[PIECE];
    size_t got = 0;
    size_t drop;

    if (os_read(t->proc.err, piece, sizeof piece, &got, name, e) != 0)
        return -1;
    drop = t->len + got > SAID_MAX ? t->len + got - SAID_MAX : 0;
    memmove(t->said, t->said + drop, t->len - drop);
    t->len -= drop;
    memcpy(t->said + t->len, piece, got);
    t->len += got;
    t->said[t->len] = '\0';
    return got == 0 ? 1 : 0;
}

/* One that does not read its input holds nobody up: its exit status tells the rest. */
static void feed(struct talk *t, const char *name)
{
    struct err none = {0};
    size_t left = t->input == NULL ? 0 : strlen(t->input);
    size_t piece = left < PIECE ? left : (size_t)PIECE;

    if (left > 0 && os_write_full(t->proc.in, t->input, piece, name, &none) == 0)
        t->input += piece;
    else
        left = 0;
    if (left == piece)
        os_drop(&t->proc.in);
}

/* Reads and writes for a moment: 0, -1. */
static int talk(struct talk *t, int64_t until, const char *name, struct err *e)
{
    struct os_wait w[2] = {{t->proc.err, POLLIN, false}, {t->proc.in, POLLOUT, false}};
    int rc = os_wait_fds(w, 2, until, e);

    if (rc == OS_BUSY)
        return 0;
    if (rc != 0)
        return -1;
    if (w[1].ready)
        feed(t, name);
    if (w[0].ready) {
        rc = hear(t, name, e);
        if (rc > 0)
            os_drop(&t->proc.err);
    }
    return rc < 0 ? -1 : 0;
}

/* Until the command itself ends.  What it left behind in the background may hold the pipe open for
 * ever, so the end of the pipe is not waited for. */
static int attend(struct talk *t, int64_t deadline, const char *name, struct err *e)
{
    for (;;) {
        int64_t now = os_mono_us();
        int64_t until = now + LOOK_US < deadline ? now + LOOK_US : deadline;
        int rc = os_proc_wait(&t->proc, 1, e);

        if (rc != OS_BUSY)
            return rc;
        if (now >= deadline)
            return OS_BUSY;
        if (talk(t, until, name, e) != 0)
            return -1;
    }
}

/* The leader is not waited for before the group got its last signal: as long as nobody took its
 * status, the number is the group's. */
static void end_group(struct talk *t, const char *name)
{
    int64_t deadline = os_mono_us() + GRACE_US;
    struct err none = {0};

    os_signal_forget();
    os_drop(&t->proc.in);
    os_proc_kill(&t->proc, SIGTERM);
    if (t->proc.err < 0)
        os_sleep_us(GRACE_US / 5);
    /* All of the group hold the pipe, unless they closed it: its end says that they are gone. */
    while (t->proc.err >= 0 && os_mono_us() < deadline)
        if (talk(t, deadline, name, &none) != 0)
            break;
    os_proc_kill(&t->proc, SIGKILL);
}

static int explain(const struct talk *t, const char *name, struct err *e)
{
    char words[512];

    if (t->proc.exit_code == 0 && t->proc.signal == 0)
        return 0;
    text_last_words(words, sizeof words, t->said);
    if (t->proc.signal != 0)
        return err_set(e, ERR_IO, "%s was ended by %s%s%s", name, os_signal_name(t->proc.signal),
                       words[0] == '\0' ? "" : "; it said: ", words);
    return err_set(e, ERR_IO, "%s failed with exit status %d%s%s", name, t->proc.exit_code,
                   words[0] == '\0' ? "" : ": ", words);
}

static int start(struct talk *t, const struct hook *h, const char *const *env, bool feeds,
                 struct err *e)
{
    struct os_proc_spec spec = OS_PROC_SPEC_INIT;

    spec.argv = h->command.v;
    spec.env = env;
    spec.in = feeds ? OS_PROC_PIPE : OS_PROC_NULL;
    spec.out = OS_PROC_NULL;
    spec.err = OS_PROC_PIPE;
    spec.own_group = true;
    spec.die_with_us = true;
    return os_proc_spawn(&t->proc, &spec, e);
}

static int run(struct talk *t, const struct hook *h, const char *name, struct err *e)
{
    int64_t end = os_mono_us() + (int64_t)h->timeout;
    char limit[TEXT_SIZE_MAX];
    int rc = attend(t, end, name, e);

    if (rc == 0 && t->proc.err >= 0) /* what is still in the pipe */
        (void)!talk(t, os_mono_us(), name, e);
    if (rc != 0)
        end_group(t, name);
    if (rc == OS_BUSY) {
        text_duration(limit, h->timeout);
        return err_set(e, ERR_TIMEOUT, "%s did not end within %s and was stopped", name, limit);
    }
    return rc == 0 ? explain(t, name, e) : -1;
}

int hook_run(const struct hook *h, const char *name, const struct hook_facts *facts,
             const char *input, struct err *e)
{
    struct talk *t;
    const char **env;
    int rc = -1;

    if (h->command.n == 0)
        return 0;
    t = calloc(1, sizeof *t);
    env = hook_env(facts, e);
    if (t == NULL || env == NULL) {
        rc = err_set(e, ERR_NOMEM, "no memory to run a hook");
    } else {
        t->proc = (struct os_proc)OS_PROC_INIT;
        t->input = input;
        rc = start(t, h, env, input != NULL, e);
        rc = rc == 0 ? run(t, h, name, e) : err_context(e, "%s", name);
        os_proc_fini(&t->proc);
    }
    free(env);
    free(t);
    return rc;
}

int hook_run_text(const char *value, const char *name, const struct hook_facts *facts,
                  struct err *e)
{
    static struct hook h;

    if (value == NULL)
        return 0;
    return hook_parse(&h, value, e) == 0 ? hook_run(&h, name, facts, NULL, e)
                                         : err_context(e, "%s", name);
}
