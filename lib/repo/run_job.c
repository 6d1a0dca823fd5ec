#include "repo/run_job.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/parse.h"
#include "base/text.h"
#include "repo/hook.h"

enum { RETRIES = 3, RETRIES_MAX = 20 };

int run_steps_parse(struct run_steps *steps, const char *task, struct err *e)
{
    struct words *w = &steps->words;

    steps->n = 0;
    if (words_split(w, task, WORDS_COMMAND, e) != 0)
        return -1;
    for (size_t i = 0; i <= w->n; i++) {
        size_t begin = i;

        while (i < w->n && strcmp(w->v[i], "&&") != 0)
            i++;
        if (i == begin)
            return err_set(e, ERR_CONFIG, "a command is missing %s",
                           i < w->n ? "before \"&&\"" : "at the end");
        if (steps->n == RUN_STEPS_MAX)
            return err_set(e, ERR_CONFIG, "more than %d commands", RUN_STEPS_MAX);
        steps->first[steps->n++] = begin;
        w->v[i] = NULL;
    }
    return 0;
}

/* --- values --- */

static int set_task(struct run_job *j, const char *value, struct err *e)
{
    struct run_steps steps;

    j->task = value;
    return run_steps_parse(&steps, value, e);
}

static int set_at(struct run_job *j, const char *value, struct err *e)
{
    j->at = value;
    return schedule_parse(&j->rule.at, value, e);
}

static int set_jitter(struct run_job *j, const char *value, struct err *e)
{
    return parse_duration(value, 0, (uint64_t)USEC_PER_DAY, &j->rule.jitter, e);
}

static int set_catch_up(struct run_job *j, const char *value, struct err *e)
{
    bool on;
    struct err none = {0};

    if (parse_bool(value, &on, &none) == 0) {
        j->rule.catch_up = on ? UINT64_MAX : 0;
        return 0;
    }
    return parse_duration(value, 0, UINT64_MAX, &j->rule.catch_up, e);
}

/* "3", "3 5min", "off" */
static int set_retry(struct run_job *j, const char *value, struct err *e)
{
    struct words w;
    uint32_t n = 0;

    if (words_split(&w, value, WORDS_NAMES, e) != 0)
        return -1;
    if (w.n == 0 || w.n > 2)
        return err_set(e, ERR_CONFIG, "\"%.40s\" is not like \"3 5min\"", value);
    if (strcmp(w.v[0], "off") != 0 && parse_u32(w.v[0], 0, RETRIES_MAX, &n, e) != 0)
        return -1;
    j->rule.retries = n;
    return w.n == 1 ? 0
                    : parse_duration(w.v[1], USEC_PER_SEC, (uint64_t)USEC_PER_DAY,
                                     &j->rule.retry_wait, e);
}

static int set_timeout(struct run_job *j, const char *value, struct err *e)
{
    return parse_duration(value, USEC_PER_SEC, 366 * (uint64_t)USEC_PER_DAY, &j->timeout, e);
}

static int set_hook(const char **hook, const char *value, struct err *e)
{
    struct hook h;

    if (hook_parse(&h, value, e) != 0)
        return -1;
    *hook = h.command.n == 0 ? NULL : value;
    return 0;
}

static const char *const keys[] = {"do",  "at",   "jitter", "catch_up",    "retry",     "timeout",
                                   "pre", "post", "ping",   "ping_failed", "ping_start"};

static int unknown_key(const char *key, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        text_closest_try(&near, keys[i]);
    (void)err_set(e, ERR_CONFIG, "unknown key \"%.60s\" in a section [run ...]", key);
    return near.best == NULL ? -1 : err_hint(e, "Did you mean %s?", near.best);
}

static int set_key(struct run_job *j, const char *key, const char *value, struct err *e)
{
    size_t i = 0;

    while (i < sizeof keys / sizeof keys[0] && strcmp(keys[i], key) != 0)
        i++;
    switch (i) {
    case 0:
        return set_task(j, value, e);
    case 1:
        return set_at(j, value, e);
    case 2:
        return set_jitter(j, value, e);
    case 3:
        return set_catch_up(j, value, e);
    case 4:
        return set_retry(j, value, e);
    case 5:
        return set_timeout(j, value, e);
    case 6:
        return set_hook(&j->pre, value, e);
    case 7:
        return set_hook(&j->post, value, e);
    case 8:
        return set_hook(&j->ping, value, e);
    case 9:
        return set_hook(&j->ping_failed, value, e);
    case 10:
        return set_hook(&j->ping_start, value, e);
    default:
        return unknown_key(key, e);
    }
}

/* --- sections --- */

static int check_job(const struct run_job *j, const struct settings *s, struct err *e)
{
    const char *missing = j->task == NULL ? "do" : j->at == NULL ? "at" : NULL;

    if (missing == NULL)
        return 0;
    (void)err_set(e, ERR_CONFIG, "%s:%u: [run %s] does not say \"%s\"", s->config, j->line, j->name,
                  missing);
    return err_hint(e, "Write for example %s.", j->task == NULL ? "do = backup" : "at = 02:00");
}

static int begin_job(struct run_jobs *jobs, const struct settings_row *row, const char *host,
                     struct err *e)
{
    struct run_job *j = run_jobs_add(jobs, e);

    if (j == NULL)
        return -1;
    j->name = row->name;
    j->line = row->line;
    j->timeout = (uint64_t)USEC_PER_DAY;
    j->rule.catch_up = UINT64_MAX;
    j->rule.retries = RETRIES;
    j->rule.retry_wait = 5 * 60 * (uint64_t)USEC_PER_SEC;
    j->rule.seed = crc32c_extend(crc32c_extend(0, (const uint8_t *)host, strlen(host)),
                                 (const uint8_t *)row->name, strlen(row->name));
    return 0;
}

int run_jobs_load(struct run_jobs *jobs, const struct settings *s, const char *host, struct err *e)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        const struct settings_row *row = &s->rows.v[i];
        int rc;

        if (strcmp(row->kind, "run") != 0)
            continue;
        rc = row->key == NULL ? begin_job(jobs, row, host, e)
                              : set_key(&jobs->v[jobs->n - 1], row->key, row->value, e);
        if (rc == 0)
            continue;
        if (e->code == ERR_USAGE)
            e->code = ERR_CONFIG;
        return err_context(e, "%s:%u: %s", s->config, row->line, row->key == NULL ? "" : row->key);
    }
    for (size_t i = 0; i < jobs->n; i++)
        if (check_job(&jobs->v[i], s, e) != 0)
            return -1;
    return 0;
}
