/* walden run --list. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "command.h"
#include "os/time.h"
#include "run.h"
#include "survey.h"

static const char *const whys[] = {
    [SCHEDULE_ON_TIME] = "on-time", [SCHEDULE_MISSED] = "missed", [SCHEDULE_AGAIN] = "retry"};

/* "in 13 h" */
static void distance(char out[40], int64_t us)
{
    int64_t min = us / 60000000;

    if (us <= 0)
        (void)snprintf(out, 40, "due now");
    else if (min < 120)
        (void)snprintf(out, 40, "in %lld min", (long long)min);
    else if (min < 48 * 60)
        (void)snprintf(out, 40, "in %lld h", (long long)(min / 60));
    else
        (void)snprintf(out, 40, "in %lld days", (long long)(min / 1440));
}

static int show_rule(const struct run_job *j, struct buf *b, struct err *e)
{
    char text[TEXT_SIZE_MAX];
    int rc = buf_fmt(b, e, "%s\n  do    %s\n  at    %s", j->name, j->task, j->at);

    text_duration(text, j->rule.jitter);
    if (rc == 0 && j->rule.jitter > 0)
        rc = buf_fmt(b, e, ", put off by up to %s", text);
    return rc == 0 ? buf_str(b, "\n", e) : -1;
}

static int show_next(const struct run_entry *en, const struct schedule_next *n, int64_t now,
                     struct buf *b, struct err *e)
{
    char local[SURVEY_TIME_MAX];
    char utc[TEXT_TIME_MAX];
    char in[40];

    if (n->at == SCHEDULE_NEVER)
        return buf_fmt(b, e, "  next  never\n");
    os_local_time(n->at, 0, local, sizeof local);
    text_time(utc, n->at, 0);
    distance(in, n->at - now);
    if (buf_fmt(b, e, "  next  %s, %s\n        %s\n", local, utc, in) != 0)
        return -1;
    if (n->why == SCHEDULE_MISSED)
        return buf_str(b, "        nobody was there at the time: it will be made up for\n", e);
    if (n->why == SCHEDULE_AGAIN)
        return buf_fmt(b, e, "        try %u: the last one failed\n", en->when.tries + 1);
    return 0;
}

static int show_last(const struct run_entry *en, struct buf *b, struct err *e)
{
    char local[SURVEY_TIME_MAX];
    char took[TEXT_SIZE_MAX];

    if (en->began == 0)
        return buf_str(b, "  last  never\n", e);
    os_local_time(en->began, 0, local, sizeof local);
    if (en->ended == 0)
        return buf_fmt(b, e, "  last  %s, not ended: it runs, or was cut off\n", local);
    text_duration(took, (uint64_t)((en->ended - en->began) / 1000000 * 1000000));
    return buf_fmt(b, e, "  last  %s: %s, took %s\n", local, en->result, took);
}

static int show_text(struct run *r, bool waiting, int64_t now, struct err *e)
{
    struct schedule_next n;
    struct buf b;
    int rc = 0;

    buf_init(&b, SURVEY_TEXT_MAX);
    for (size_t i = 0; i < r->entries.n && rc == 0; i++) {
        const struct run_entry *en = &r->entries.v[i];

        schedule_next(&en->job->rule, &en->when, r->up_since, now, &n);
        rc = show_rule(en->job, &b, e);
        if (rc == 0)
            rc = show_next(en, &n, now, &b, e);
        if (rc == 0)
            rc = show_last(en, &b, e);
    }
    if (rc == 0 && !waiting)
        rc = buf_str(&b,
                     "\nnobody waits for these times now: type \"walden run\", or see that a "
                     "service\nor cron does\n",
                     e);
    if (rc == 0)
        rc = command_print(buf_text(&b), b.len, e);
    buf_fini(&b);
    return rc;
}

static void json_time(struct json_out *j, const char *key, int64_t time)
{
    char text[TEXT_TIME_MAX];

    text_time(text, time, 0);
    json_str(j, key, time == 0 || time == SCHEDULE_NEVER ? NULL : text);
}

static int show_json(struct run *r, bool waiting, int64_t now, struct err *e)
{
    struct schedule_next n;
    struct json_out j;
    struct buf b;
    int rc;

    buf_init(&b, SURVEY_TEXT_MAX);
    json_begin(&j, &b, survey_flush, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", SURVEY_SCHEMA);
    json_str(&j, "cluster", r->settings->cluster);
    json_time(&j, "time", now);
    json_bool(&j, "running", waiting);
    json_array(&j, "jobs");
    for (size_t i = 0; i < r->entries.n; i++) {
        const struct run_entry *en = &r->entries.v[i];

        schedule_next(&en->job->rule, &en->when, r->up_since, now, &n);
        json_object(&j, NULL);
        json_str(&j, "name", en->job->name);
        json_str(&j, "do", en->job->task);
        json_str(&j, "at", en->job->at);
        json_time(&j, "next", n.at);
        json_time(&j, "next_for", n.time);
        json_bool(&j, "due", n.at <= now);
        json_str(&j, "why", whys[n.why]);
        json_num(&j, "tries", en->when.trying == 0 ? 0 : en->when.tries);
        json_time(&j, "last_begin", en->began);
        json_time(&j, "last_end", en->ended);
        json_str(&j, "last_result", en->result[0] == '\0' ? NULL : en->result);
        if (en->ended == 0)
            json_null(&j, "last_status");
        else
            json_int(&j, "last_status", en->status);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
    rc = json_end(&j, e);
    buf_fini(&b);
    return rc;
}

int run_show(struct run *r, bool json, struct err *e)
{
    int64_t now = os_real_us();
    bool waiting = run_is_waiting(r);
    bool changed;

    if (waiting) /* what is late then was not slept through: something else runs */
        r->up_since = 0;
    if (run_memory_read(r, &changed, e) != 0)
        return -1;
    return json ? show_json(r, waiting, now, e) : show_text(r, waiting, now, e);
}
