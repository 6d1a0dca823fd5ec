#include "repo/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "base/words.h"
#include "os/time.h"

enum {
    MINUTES = 24 * 60,
    DAYS_MAX = 12 * 366, /* "29 mon" and the like come round within that */
    RETRY_MAX_S = 3600
};

/* A record so far ahead of the clock was made by a clock that was wrong. */
#define AHEAD_MAX (25 * INT64_C(3600) * USEC_PER_SEC)

/* --- reading --- */

static const char *const day_names[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};

static int no_schedule(const char *word, struct err *e)
{
    (void)err_set(e, ERR_CONFIG, "\"%.40s\" is no time", word);
    return err_hint(e, "Write for example 02:00, mon-fri 08:00 20:00, sun 1-7 04:00 (the first "
                       "Sunday), last 23:30, or every 15min.");
}

static int take_number(const char **at, unsigned max, unsigned *out)
{
    unsigned v = 0;
    size_t n = 0;

    for (; **at >= '0' && **at <= '9' && n < 3; n++)
        v = v * 10 + (unsigned)(*(*at)++ - '0');
    *out = v;
    return n == 0 || v > max ? -1 : 0;
}

/* A weekday 0 to 6, or a day of the month 1 to 31. */
static int take_day(const char **at, bool *is_weekday, unsigned *day)
{
    *is_weekday = false;
    for (unsigned i = 0; i < 7; i++) {
        size_t n = strlen(day_names[i]);

        if (strncmp(*at, day_names[i], 3) != 0)
            continue;
        *is_weekday = true;
        *day = i;
        *at += strncmp(*at, day_names[i], n) == 0 ? n : 3;
        return 0;
    }
    return take_number(at, 31, day) == 0 && *day > 0 ? 0 : -1;
}

/* "mon-fri,sun", "1,15", "1-7", "last" */
static int take_days(struct schedule *s, const char *word)
{
    while (*word != '\0') {
        unsigned from;
        unsigned to;
        bool weekday;
        bool also;

        if (strncmp(word, "last", 4) == 0) {
            s->last_day = true;
            word += 4;
        } else {
            if (take_day(&word, &weekday, &from) != 0)
                return -1;
            to = from;
            if (*word == '-' && (word++, take_day(&word, &also, &to) != 0 || also != weekday ||
                                             (!weekday && to < from)))
                return -1;
            for (unsigned d = from;; d = weekday ? (d + 1) % 7 : d + 1) {
                if (weekday)
                    s->weekdays |= (uint8_t)(1U << d);
                else
                    s->month_days |= UINT32_C(1) << d;
                if (d == to)
                    break;
            }
        }
        if (*word == ',' && word[1] != '\0')
            word++;
        else if (*word != '\0')
            return -1;
    }
    return 0;
}

static int by_minute(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* "02:00,14:00" */
static int take_times(struct schedule *s, const char *word)
{
    for (;; word++) {
        unsigned hour;
        unsigned minute;

        if (take_number(&word, 23, &hour) != 0 || *word++ != ':' || word[0] == '\0' ||
            word[1] == '\0' || take_number(&word, 59, &minute) != 0 || s->n == SCHEDULE_TIMES_MAX)
            return -1;
        s->minute[s->n++] = (uint16_t)(hour * 60 + minute);
        if (*word != ',')
            return *word == '\0' ? 0 : -1;
    }
}

/* "every 15min", "every 1h +17min" */
static int take_every(struct schedule *s, const struct words *w, struct err *e)
{
    if (w->n < 2 || w->n > 3 || (w->n == 3 && w->v[2][0] != '+'))
        return no_schedule(w->v[w->n - 1], e);
    if (parse_duration(w->v[1], 60 * USEC_PER_SEC, (uint64_t)USEC_PER_DAY, &s->every, e) != 0 ||
        (w->n == 3 && parse_duration(w->v[2] + 1, 0, s->every - 1, &s->offset, e) != 0)) {
        e->code = ERR_CONFIG;
        return err_hint(e, "At least 1min, at most 1d; for longer ones name days, like sun 03:00.");
    }
    return 0;
}

int schedule_parse(struct schedule *s, const char *text, struct err *e)
{
    struct words w;

    memset(s, 0, sizeof *s);
    if (words_split(&w, text, WORDS_NAMES, e) != 0)
        return -1;
    for (size_t i = 0; i < w.n; i++)
        for (char *c = w.text + (w.v[i] - w.text); *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    if (w.n > 0 && strcmp(w.v[0], "every") == 0)
        return take_every(s, &w, e);
    for (size_t i = 0; i < w.n; i++) {
        if (strcmp(w.v[i], "daily") == 0)
            continue;
        if ((strchr(w.v[i], ':') != NULL ? take_times(s, w.v[i]) : take_days(s, w.v[i])) != 0)
            return no_schedule(w.v[i], e);
    }
    if (s->n == 0) {
        (void)err_set(e, ERR_CONFIG, "no time of day in \"%.60s\"", text);
        return err_hint(e, "Write for example 02:00, sun 03:30, or every 15min.");
    }
    qsort(s->minute, s->n, sizeof s->minute[0], by_minute);
    return 0;
}

/* --- the calendar --- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* What the clocks on the wall show, as if they were in UTC. */
static int64_t wall_of(int64_t t)
{
    return t + os_local_offset(t) * USEC_PER_SEC;
}

/* The moment that the clocks show `wall`: the first one when there are two, the end of the gap when
 * there is none.  At most one change of the clocks is within a day of it. */
static int64_t moment_of(int64_t wall)
{
    int64_t before = os_local_offset(wall - USEC_PER_DAY) * USEC_PER_SEC;
    int64_t after = os_local_offset(wall + USEC_PER_DAY) * USEC_PER_SEC;
    int64_t low;
    int64_t high;

    if (wall_of(wall - before) == wall)
        return wall - before;
    if (wall_of(wall - after) == wall)
        return wall - after;
    low = floor_div(wall - after, USEC_PER_SEC); /* still the old offset */
    high = floor_div(wall - before, USEC_PER_SEC);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (os_local_offset(middle * USEC_PER_SEC) * USEC_PER_SEC == before)
            low = middle;
        else
            high = middle;
    }
    return high * USEC_PER_SEC;
}

static bool is_day(const struct schedule *s, int64_t day)
{
    unsigned weekday = (unsigned)((day % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
    int64_t year;
    unsigned month;
    unsigned mday;
    bool last;

    if (s->weekdays != 0 && (s->weekdays & (1U << weekday)) == 0)
        return false;
    if (s->month_days == 0 && !s->last_day)
        return true;
    text_date(day, &year, &month, &mday);
    last = month == 12 ? mday == 31 : parse_days(year, month + 1, 1) == day + 1;
    return (s->month_days & (UINT32_C(1) << mday)) != 0 || (s->last_day && last);
}

static int64_t moment_on(const struct schedule *s, int64_t day, unsigned i)
{
    return moment_of((day * MINUTES + s->minute[i]) * 60 * USEC_PER_SEC);
}

static int64_t every_at(const struct schedule *s, int64_t t)
{
    int64_t every = (int64_t)s->every;
    int64_t offset = (int64_t)s->offset;
    int64_t day = floor_div(t - offset, USEC_PER_DAY) * USEC_PER_DAY;

    return day + floor_div(t - offset - day, every) * every + offset;
}

/* A day ends what is counted from its midnight: with 7h, 21:00 is followed by 00:00. */
static int64_t every_after(const struct schedule *s, int64_t t)
{
    int64_t now = every_at(s, t);
    int64_t midnight =
        (floor_div(now - (int64_t)s->offset, USEC_PER_DAY) + 1) * USEC_PER_DAY + (int64_t)s->offset;
    int64_t next = now + (int64_t)s->every;

    return next < midnight ? next : midnight;
}

int64_t schedule_after(const struct schedule *s, int64_t t)
{
    int64_t first = floor_div(wall_of(t), USEC_PER_DAY) - 1;

    if (s->every != 0)
        return every_after(s, t);
    for (int64_t day = first; day < first + DAYS_MAX; day++) {
        if (!is_day(s, day))
            continue;
        for (unsigned i = 0; i < s->n; i++) {
            int64_t at = moment_on(s, day, i);

            if (at > t)
                return at;
        }
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_latest(const struct schedule *s, int64_t t)
{
    int64_t first = floor_div(wall_of(t), USEC_PER_DAY) + 1;

    if (s->every != 0)
        return every_at(s, t);
    for (int64_t day = first; day > first - DAYS_MAX; day--) {
        if (!is_day(s, day))
            continue;
        for (unsigned i = s->n; i-- > 0;) {
            int64_t at = moment_on(s, day, i);

            if (at <= t)
                return at;
        }
    }
    return SCHEDULE_NEVER;
}

/* --- what is next --- */

static int64_t put_off(const struct schedule_rule *r, int64_t time)
{
    uint64_t x = (uint64_t)time ^ ((uint64_t)r->seed << 32 | r->seed);

    if (r->jitter == 0)
        return time;
    /* The finalizer of splitmix64: the same time is always put off by as much. */
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return time + (int64_t)((x ^ (x >> 31)) % (r->jitter + 1));
}

static int64_t retry_at(const struct schedule_rule *r, const struct schedule_memory *m, int64_t now)
{
    uint64_t wait = r->retry_wait;
    uint64_t most = (uint64_t)RETRY_MAX_S * (uint64_t)USEC_PER_SEC;
    int64_t tried = m->tried < now ? m->tried : now; /* the clock went back */

    for (unsigned i = 1; i < m->tries && wait < most; i++)
        wait *= 2;
    if (most < r->retry_wait)
        most = r->retry_wait;
    return tried + (int64_t)(wait < most ? wait : most);
}

static bool is_too_late(const struct schedule_rule *r, int64_t due, int64_t up_since, int64_t now)
{
    return due < up_since && (uint64_t)(now - due) > r->catch_up;
}

/* Shall the time in hand be tried again?  Not when the next one is due before that. */
static bool again(const struct schedule_rule *r, const struct schedule_memory *m, int64_t up_since,
                  int64_t now, struct schedule_next *out)
{
    int64_t at = retry_at(r, m, now);
    int64_t following;

    if (m->trying == 0 || m->trying > now + AHEAD_MAX || m->tries > r->retries ||
        is_too_late(r, put_off(r, m->trying), up_since, now))
        return false;
    following = schedule_after(&r->at, m->trying);
    if (following != SCHEDULE_NEVER && (following <= now || following <= at))
        return false;
    out->time = m->trying;
    out->at = at;
    out->why = SCHEDULE_AGAIN;
    return true;
}

/* The first one behind base that is still to be run. */
static void after_base(const struct schedule_rule *r, int64_t base, int64_t up_since, int64_t now,
                       struct schedule_next *out)
{
    out->time = schedule_after(&r->at, base);
    if (out->time > now) /* or never */
        return;
    out->time = schedule_latest(&r->at, now);
    if (is_too_late(r, put_off(r, out->time), up_since, now)) {
        out->dropped = out->time;
        out->time = schedule_after(&r->at, out->time);
    } else if (put_off(r, out->time) < up_since) {
        out->why = SCHEDULE_MISSED;
    }
}

void schedule_next(const struct schedule_rule *r, const struct schedule_memory *m, int64_t up_since,
                   int64_t now, struct schedule_next *out)
{
    int64_t base = m->taken > m->since ? m->taken : m->since;

    memset(out, 0, sizeof *out);
    if (again(r, m, up_since, now, out))
        return;
    if (m->trying > base)
        base = out->dropped = m->trying;
    if (base > now + AHEAD_MAX)
        base = out->dropped = now;
    after_base(r, base, up_since, now, out);
    out->at = out->time == SCHEDULE_NEVER ? SCHEDULE_NEVER : put_off(r, out->time);
}

void schedule_take(struct schedule_memory *m, int64_t time)
{
    m->taken = time;
    m->trying = 0;
    m->tries = 0;
    if (m->since > time)
        m->since = time;
}
