/* One try of one job, from its first hook to its record. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "os/signal.h"
#include "os/time.h"
#include "repo/hook_run.h"
#include "run.h"

enum { LOG_MAX = 2300, PING_MAX = 4096 };

void run_log(const struct run_entry *en, const char *fmt, ...)
{
    char text[LOG_MAX];
    char shown[LOG_MAX];
    char line[LOG_MAX + 128];
    char time[TEXT_TIME_MAX];
    struct err none = {0};
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)text_visible(shown, sizeof shown, text, n < 0 ? 0 : strlen(text));
    text_time(time, os_real_us(), 0);
    n = snprintf(line, sizeof line, "%s %s: %s\n", time, en->job->name, shown);
    /* A log that nobody takes must not stop the backups. */
    if (n > 0)
        (void)!command_print(line, (size_t)n, &none);
}

/* --- hooks --- */

static int run_hook(const struct run_entry *en, const char *text, const char *when,
                    const struct run_outcome *how, struct err *e)
{
    static struct hook_facts f;
    char name[40];
    char status[12] = "";

    f.n = f.used = 0;
    (void)snprintf(name, sizeof name, "the %s hook", when);
    if (how != NULL)
        (void)snprintf(status, sizeof status, "%d", how->status);
    (void)hook_fact(&f, "HOOK_WHEN", when);
    (void)hook_fact(&f, "HOOK_COMMAND", "run");
    (void)hook_fact(&f, "HOOK_JOB", en->job->name);
    (void)hook_fact(&f, "HOOK_DO", en->job->task);
    (void)hook_fact(&f, "HOOK_RESULT", how == NULL ? "" : how->result);
    (void)hook_fact(&f, "HOOK_STATUS", status);
    return hook_run_text(text, name, &f, e);
}

/* "https://hc.example/uuid/{status}": a web server that is told cannot look into the environment.
 * What takes the place of a name has no character that means anything to anybody. */
static int fill_in(char out[PING_MAX], const struct run_entry *en, const char *text,
                   const struct run_outcome *how, struct err *e)
{
    char status[12];
    const struct {
        const char *name;
        const char *value;
    } names[] = {{"{status}", status},
                 {"{result}", how == NULL ? "begun" : how->result},
                 {"{job}", en->job->name}};
    size_t len = 0;

    (void)snprintf(status, sizeof status, "%d", how == NULL ? 0 : how->status);
    while (*text != '\0') {
        const char *piece = text;
        size_t n = 1;
        size_t skip = 1;

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strncmp(text, names[i].name, strlen(names[i].name)) == 0) {
                piece = names[i].value;
                n = strlen(piece);
                skip = strlen(names[i].name);
            }
        if (len + n >= PING_MAX)
            return err_set(e, ERR_CONFIG, "the command is too long");
        memcpy(out + len, piece, n);
        len += n;
        text += skip;
    }
    out[len] = '\0';
    return 0;
}

/* Nobody's backup fails because a web server did not answer. */
static void ping(const struct run_entry *en, const char *text, const char *when,
                 const struct run_outcome *how)
{
    static char filled[PING_MAX];
    struct err why = {0};

    if (text == NULL)
        return;
    if (fill_in(filled, en, text, how, &why) != 0 || run_hook(en, filled, when, how, &why) != 0)
        run_log(en, "warning: %s", why.msg);
    if (why.code == ERR_INTERRUPTED) /* to be seen again by whoever waits next */
        os_signal_again();
}

/* --- steps --- */

static void no_hook(struct run_outcome *out, const struct run_entry *en, const struct err *why)
{
    run_log(en, "error: %s", why->msg);
    out->status = command_status(why);
    out->interrupted = why->code == ERR_INTERRUPTED;
    out->result = out->interrupted ? "interrupted" : "hook-failed";
}

static void run_steps(struct run *r, struct run_entry *en, int64_t time, struct run_outcome *out)
{
    static struct run_steps steps;
    int64_t deadline = os_mono_us() + (int64_t)en->job->timeout;
    struct err e = {0};

    if (run_steps_parse(&steps, en->job->task, &e) != 0) { /* it was when it was loaded */
        no_hook(out, en, &e);
        return;
    }
    for (size_t i = time != 0 && en->step < steps.n ? en->step : 0; i < steps.n; i++) {
        en->last = i;
        run_step(r, en, steps.words.v + steps.first[i], deadline, out);
        if (out->status != STATUS_OK)
            return;
        if (time != 0)
            en->step = i + 1;
        if (out->interrupted && i + 1 < steps.n) {
            out->status = STATUS_INTERRUPTED;
            out->result = "interrupted";
            return;
        }
    }
}

static void work(struct run *r, struct run_entry *en, int64_t time, struct run_outcome *out)
{
    struct err why = {0};

    *out = (struct run_outcome){.status = STATUS_OK, .result = "ok"};
    if (run_hook(en, en->job->pre, "pre", NULL, &why) != 0) {
        no_hook(out, en, &why);
        return;
    }
    ping(en, en->job->ping_start, "ping_start", NULL);
    run_steps(r, en, time, out);
    /* What the first hook stopped must start again, whatever became of the rest. */
    if (out->interrupted)
        os_signal_forget();
    if (run_hook(en, en->job->post, "post", out, &why) != 0 && out->status == STATUS_OK)
        no_hook(out, en, &why);
    else if (why.code != ERR_NONE)
        run_log(en, "warning: %s", why.msg);
}

/* --- records --- */

/* What looks and found a problem finds it again at once; what could not be done may be later. */
static bool is_worth_a_retry(const struct run_entry *en, const struct run_outcome *out)
{
    static const char *const looks[] = {"check", "verify", "doctor", "window", "list", "drill"};
    static struct run_steps steps;
    struct err none = {0};
    const char *command = "";

    if (strcmp(out->result, "refused") == 0 || strcmp(out->result, "misconfigured") == 0)
        return false;
    if (run_steps_parse(&steps, en->job->task, &none) == 0 && en->step < steps.n)
        command = steps.words.v[steps.first[en->step]];
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        if (strcmp(command, looks[i]) == 0)
            return out->status != STATUS_PROBLEM;
    return true;
}

/* A minute more or less of a check is not worth wearing out a memory card. */
static bool must_last(const struct run_entry *en)
{
    return en->job->rule.at.every == 0;
}

static void say_result(const struct run *r, const struct run_entry *en, int64_t time,
                       unsigned tries, const struct run_outcome *out,
                       const struct schedule_next *next)
{
    char due[TEXT_TIME_MAX] = "now";
    char at[TEXT_TIME_MAX] = "never";
    int64_t took = en->ended > en->began ? en->ended - en->began : 0;

    (void)r;
    if (time != 0)
        text_time(due, time, 0);
    if (next->at != SCHEDULE_NEVER)
        text_time(at, next->at, 0);
    run_log(en, "result=%s status=%d seconds=%lld.%lld due=%s try=%u %s=%s do=\"%s\"", out->result,
            out->status, (long long)(took / 1000000), (long long)(took / 100000 % 10), due, tries,
            next->why == SCHEDULE_AGAIN ? "retry" : "next", at, en->job->task);
}

/* By hand: what was due is done with, what was not due stays. */
static void settle_by_hand(struct run *r, struct run_entry *en, const struct run_outcome *out)
{
    struct schedule_next next;

    schedule_next(&en->job->rule, &en->when, r->up_since, en->ended, &next);
    if (out->status == STATUS_OK && next.time != SCHEDULE_NEVER && next.time <= en->ended) {
        schedule_take(&en->when, next.time);
        en->step = 0;
    }
}

static void settle(struct run_entry *en, int64_t time, const struct run_outcome *out)
{
    struct schedule_memory *w = &en->when;

    w->tried = en->ended;
    if (out->status != STATUS_OK && out->interrupted) {
        w->tries--; /* it was not its fault: at the next start it begins at once */
        w->tried = 0;
    } else if (out->status == STATUS_OK || !is_worth_a_retry(en, out)) {
        schedule_take(w, time);
        en->step = 0;
    }
}

int run_work(struct run *r, struct run_entry *en, int64_t time, struct run_outcome *out,
             struct err *e)
{
    struct schedule_next next;
    unsigned tries = 1;

    en->began = os_real_us();
    en->ended = 0;
    en->status = 0;
    (void)snprintf(en->result, sizeof en->result, "begun");
    if (time != 0) {
        if (en->when.trying != time) {
            en->when.trying = time;
            en->when.tries = 0;
            en->step = 0;
        }
        tries = ++en->when.tries;
        en->when.tried = en->began;
    }
    if (run_memory_write(r, must_last(en), e) != 0)
        return -1;
    run_log(en, "begin do=\"%s\"", en->job->task);
    work(r, en, time, out);
    en->ended = os_real_us();
    en->status = out->status;
    (void)snprintf(en->result, sizeof en->result, "%.15s", out->result);
    if (time == 0)
        settle_by_hand(r, en, out);
    else
        settle(en, time, out);
    schedule_next(&en->job->rule, &en->when, r->up_since, en->ended, &next);
    if (next.dropped != 0) {
        schedule_take(&en->when, next.dropped);
        en->step = 0;
    }
    say_result(r, en, time, tries, out, &next);
    if (out->status == STATUS_OK)
        ping(en, en->job->ping, "ping", out);
    else if (next.why != SCHEDULE_AGAIN && !out->interrupted)
        ping(en, en->job->ping_failed, "ping_failed", out);
    return run_memory_write(r, must_last(en), e);
}
