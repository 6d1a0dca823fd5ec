#include "repo/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "repo/judge_inside.h"

void judge_limits_init(struct judge_limits *l)
{
    *l = (struct judge_limits){
        .wal_age = 15 * JUDGE_MINUTE,
        .backup_age = 8 * JUDGE_DAY,
        .dump_age = 26 * JUDGE_HOUR,
        .verify_age = 35 * JUDGE_DAY,
        .drill_age = 35 * JUDGE_DAY,
        .space_percent = 10,
        .full_within = 2 * JUDGE_DAY,
    };
}

const char *judge_word(enum judge_state s)
{
    static const char *const words[] = {
        [JUDGE_OK] = "ok",
        [JUDGE_WARNING] = "warning",
        [JUDGE_CRITICAL] = "critical",
        [JUDGE_UNKNOWN] = "unknown",
    };

    return words[s];
}

static int rank(enum judge_state s)
{
    static const int ranks[] = {
        [JUDGE_OK] = 0, [JUDGE_UNKNOWN] = 1, [JUDGE_WARNING] = 2, [JUDGE_CRITICAL] = 3};

    return ranks[s];
}

enum judge_state judge_worse(enum judge_state a, enum judge_state b)
{
    return rank(a) >= rank(b) ? a : b;
}

enum judge_state judge_worst(const struct judge_verdicts *v)
{
    enum judge_state worst = JUDGE_OK;

    for (size_t i = 0; i < v->n; i++)
        worst = judge_worse(worst, v->v[i].state);
    return worst;
}

void judge_age(char out[JUDGE_AGE_MAX], uint64_t us)
{
    if (us < 2 * JUDGE_MINUTE)
        (void)snprintf(out, JUDGE_AGE_MAX, "%llu s", (unsigned long long)(us / JUDGE_SECOND));
    else if (us < 2 * JUDGE_HOUR)
        (void)snprintf(out, JUDGE_AGE_MAX, "%llu min", (unsigned long long)(us / JUDGE_MINUTE));
    else if (us < 2 * JUDGE_DAY)
        (void)snprintf(out, JUDGE_AGE_MAX, "%llu h", (unsigned long long)(us / JUDGE_HOUR));
    else
        (void)snprintf(out, JUDGE_AGE_MAX, "%llu days", (unsigned long long)(us / JUDGE_DAY));
}

void judge_bytes(char out[JUDGE_AGE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    uint64_t tenths = bytes;
    size_t unit = 0;

    while (tenths / 1024 >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        tenths /= 1024;
        unit++;
    }
    tenths = tenths * 10 / 1024;
    (void)snprintf(out, JUDGE_AGE_MAX, "%llu.%u %s", (unsigned long long)(tenths / 10),
                   (unsigned)(tenths % 10), units[unit]);
}

void judge_say(struct judge *j, const char *name, enum judge_state state, const char *next,
               const char *fmt, ...)
{
    struct err e = {0};
    struct judge_verdict *v = judge_verdicts_add(j->out, &e);
    va_list ap;

    if (v == NULL) {
        j->failed = true;
        return;
    }
    v->name = name;
    v->state = state;
    (void)snprintf(v->next, sizeof v->next, "%s", next == NULL ? "" : next);
    va_start(ap, fmt);
    (void)vsnprintf(v->text, sizeof v->text, fmt, ap);
    va_end(ap);
}

uint64_t judge_since(const struct judge *j, int64_t time)
{
    return time == JUDGE_NEVER || time > j->f->now ? 0 : (uint64_t)j->f->now - (uint64_t)time;
}

enum judge_state judge_against(uint64_t age, uint64_t limit)
{
    if (limit == 0 || age <= limit)
        return JUDGE_OK;
    return age - limit <= limit ? JUDGE_WARNING : JUDGE_CRITICAL;
}

enum judge_state judge_room(const struct judge *j, const struct judge_space *s, char *out,
                            size_t cap)
{
    uint64_t percent = s->total == 0 ? 0 : s->free / (s->total / 100 + 1);
    uint64_t limit = j->l->space_percent;
    enum judge_state state = JUDGE_OK;
    char size[JUDGE_AGE_MAX];
    char left[JUDGE_AGE_MAX];
    uint64_t hours;
    size_t len;

    judge_bytes(size, s->free);
    (void)snprintf(out, cap, "%s free of its disk (%llu %%)", size, (unsigned long long)percent);
    if (percent < limit)
        state = percent < (limit + 1) / 2 ? JUDGE_CRITICAL : JUDGE_WARNING;
    if (s->grows == 0)
        return state;
    hours = s->grows / 24 == 0 ? UINT64_MAX : s->free / (s->grows / 24);
    if (hours > UINT64_C(24) * 365 * 20)
        return state;
    judge_age(left, hours * JUDGE_HOUR);
    len = strlen(out);
    (void)snprintf(out + len, cap - len, ", full in about %s at the rate of late", left);
    if (j->l->full_within != 0 && hours * JUDGE_HOUR < j->l->full_within)
        state = judge_worse(state, hours * JUDGE_HOUR < j->l->full_within / 6 ? JUDGE_CRITICAL
                                                                              : JUDGE_WARNING);
    return state;
}

bool judge_loss(const struct judge_facts *f, uint64_t *us)
{
    int64_t from = JUDGE_NEVER;

    if (f->archive.read && f->archive.restorable > 0) {
        from = f->archive.arrived;
        if (f->archive.backup_time != JUDGE_NEVER && f->archive.backup_time > from)
            from = f->archive.backup_time;
    }
    if (f->dumps.known && f->dumps.dumps > 0 && f->dumps.newest > from)
        from = f->dumps.newest;
    if (from == JUDGE_NEVER)
        return false;
    *us = from > f->now ? 0 : (uint64_t)(f->now - from);
    return true;
}

int judge_all(const struct judge_facts *f, const struct judge_limits *l, struct judge_verdicts *out,
              struct err *e)
{
    struct judge j = {f, l, out, false};

    judge_verdicts_init(out, JUDGE_VERDICTS_MAX);
    judge_repository(&j);
    judge_contents(&j);
    judge_server(&j);
    judge_this_host(&j);
    judge_duties(&j);
    return j.failed ? err_set(e, ERR_NOMEM, "no memory for a verdict") : 0;
}
