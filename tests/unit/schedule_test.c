/* When jobs are due: the words, the calendar with its changes of the clocks, and what becomes of
 * times that were slept through, failed, or recorded by a clock that was wrong. */
#include <stdlib.h>
#include <time.h>

#include "base/parse.h"
#include "base/text.h"
#include "repo/schedule.h"
#include "tap.h"

/* Clocks go forward on the last Sunday of March at 2, back on the last of October at 3. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
/* Half-hour zone whose clocks change by half an hour. */
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"

static const int64_t min_us = 60 * USEC_PER_SEC;

static void zone(const char *tz)
{
    (void)setenv("TZ", tz, 1);
    tzset();
}

static int64_t at(const char *text)
{
    struct err e = {0};
    int64_t us = 0;
    bool zoned;

    if (parse_time(text, &us, &zoned, &e) != 0)
        OK(false, "%s: %s", text, e.msg);
    return us;
}

static struct schedule rule(const char *text)
{
    struct schedule s;
    struct err e = {0};

    if (schedule_parse(&s, text, &e) != 0)
        OK(false, "%s: %s", text, e.msg);
    return s;
}

static const char *shown(int64_t t)
{
    static char text[TEXT_TIME_MAX];

    text_time(text, t, 0);
    return t == SCHEDULE_NEVER ? "never" : text;
}

static void words(void)
{
    static const char *const good[] = {"02:00",        "2:05 14:00",  "02:00,14:00",
                                       "daily 02:00",  "Sun 03:30",   "mon-fri,sun 08:00",
                                       "fri-mon 1:00", "1,15 04:00",  "sun 1-7 04:00",
                                       "last 23:59",   "every 15min", "every 1h +17min",
                                       "every 1d"};
    static const char *const bad[] = {"",
                                      "sun",
                                      "25:00",
                                      "24:00",
                                      "2:60",
                                      "2:5",
                                      "02:00,",
                                      "noon",
                                      "sunday-ish 02:00",
                                      "0 02:00",
                                      "32 02:00",
                                      "7-1 02:00",
                                      "mon-7 02:00",
                                      "mon- 02:00",
                                      "every",
                                      "every 30s",
                                      "every 2d",
                                      "every 15min 02:00",
                                      "every 1h +1h",
                                      "every 15",
                                      "1,,2 02:00",
                                      "02:00x",
                                      "last,x 1:00",
                                      "-1 02:00"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct schedule s;
        struct err e = {0};

        OK(schedule_parse(&s, good[i], &e) == 0, "\"%s\" is a time %s", good[i], e.msg);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct schedule s;
        struct err e = {0};

        OK(schedule_parse(&s, bad[i], &e) == -1 && e.code == ERR_CONFIG && e.hint[0] != '\0',
           "\"%s\" is none: %s", bad[i], e.msg);
    }
}

static void calendar(void)
{
    static const struct {
        const char *tz, *rule, *from, *after, *latest;
    } t[] = {
        {"UTC", "02:00", "2026-11-20 01:59:59", "2026-11-20T02:00:00Z", "2026-11-19T02:00:00Z"},
        {"UTC", "02:00", "2026-11-20 02:00:00", "2026-11-21T02:00:00Z", "2026-11-20T02:00:00Z"},
        {"UTC", "14:00 02:00", "2026-11-20 03:00", "2026-11-20T14:00:00Z", "2026-11-20T02:00:00Z"},
        {"UTC", "sun 03:30", "2026-11-20 12:00", "2026-11-22T03:30:00Z", "2026-11-15T03:30:00Z"},
        {"UTC", "Sunday 03:30", "2026-11-20 12:00", "2026-11-22T03:30:00Z", "2026-11-15T03:30:00Z"},
        {"UTC", "monday-friday 03:30", "2026-11-20 12:00", "2026-11-23T03:30:00Z",
         "2026-11-20T03:30:00Z"},
        {"UTC", "fri-mon 03:30", "2026-11-23 12:00", "2026-11-27T03:30:00Z",
         "2026-11-23T03:30:00Z"},
        {"UTC", "sun 1-7 04:00", "2026-11-20 12:00", "2026-12-06T04:00:00Z",
         "2026-11-01T04:00:00Z"},
        {"UTC", "31 04:00", "2027-02-01 12:00", "2027-03-31T04:00:00Z", "2027-01-31T04:00:00Z"},
        {"UTC", "29 04:00", "2028-02-10 12:00", "2028-02-29T04:00:00Z", "2028-01-29T04:00:00Z"},
        {"UTC", "last 04:00", "2027-02-10 12:00", "2027-02-28T04:00:00Z", "2027-01-31T04:00:00Z"},
        {"UTC", "1,last 00:00", "2027-02-28 00:00", "2027-03-01T00:00:00Z", "2027-02-28T00:00:00Z"},
        {"UTC", "every 15min", "2026-11-20 01:59", "2026-11-20T02:00:00Z", "2026-11-20T01:45:00Z"},
        {"UTC", "every 1h +17min", "2026-11-20 02:17", "2026-11-20T03:17:00Z",
         "2026-11-20T02:17:00Z"},
        {"UTC", "every 7h", "2026-11-20 22:00", "2026-11-21T00:00:00Z", "2026-11-20T21:00:00Z"},
        {BERLIN, "02:00", "2026-07-01 12:00", "2026-07-02T00:00:00Z", "2026-07-01T00:00:00Z"},
        {BERLIN, "00:30", "2026-07-01 22:00", "2026-07-01T22:30:00Z", "2026-06-30T22:30:00Z"},
        /* 2:30 does not exist on 2026-03-29: when the gap is over, at 3:00 */
        {BERLIN, "02:30", "2026-03-29 00:00", "2026-03-29T01:00:00Z", "2026-03-28T01:30:00Z"},
        {BERLIN, "02:30", "2026-03-29 01:00", "2026-03-30T00:30:00Z", "2026-03-29T01:00:00Z"},
        {BERLIN, "02:30 03:00", "2026-03-29 01:00", "2026-03-30T00:30:00Z", "2026-03-29T01:00:00Z"},
        /* 2:30 comes twice on 2026-10-25: the first, in summer time */
        {BERLIN, "02:30", "2026-10-25 00:00", "2026-10-25T00:30:00Z", "2026-10-24T00:30:00Z"},
        {BERLIN, "02:30", "2026-10-25 00:30", "2026-10-26T01:30:00Z", "2026-10-25T00:30:00Z"},
        {BERLIN, "02:30", "2026-10-25 01:30", "2026-10-26T01:30:00Z", "2026-10-25T00:30:00Z"},
        {BERLIN, "every 1h", "2026-10-25 00:30", "2026-10-25T01:00:00Z", "2026-10-25T00:00:00Z"},
        {NEW_YORK, "02:30", "2026-03-08 06:00", "2026-03-08T07:00:00Z", "2026-03-07T07:30:00Z"},
        {NEW_YORK, "01:30", "2026-11-01 05:00", "2026-11-01T05:30:00Z", "2026-10-31T05:30:00Z"},
        {NEW_YORK, "01:30", "2026-11-01 05:30", "2026-11-02T06:30:00Z", "2026-11-01T05:30:00Z"},
        {LORD_HOWE, "02:15", "2026-10-03 12:00", "2026-10-03T15:30:00Z", "2026-10-02T15:45:00Z"},
        {LORD_HOWE, "01:45", "2026-04-04 12:00", "2026-04-04T14:45:00Z", "2026-04-03T14:45:00Z"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct schedule s = rule(t[i].rule);

        zone(t[i].tz);
        IS_STR(shown(schedule_after(&s, at(t[i].from))), t[i].after, "%s, \"%s\" after %s", t[i].tz,
               t[i].rule, t[i].from);
        IS_STR(shown(schedule_latest(&s, at(t[i].from))), t[i].latest, "and the newest by then");
    }
}

/* Walking a year from time to time: each local day has its time once, whatever the clocks do, and
 * looking back from each gives itself. */
static void year(const char *tz, const char *text, int expected)
{
    struct schedule s = rule(text);
    int64_t t = at("2026-01-01 00:00") - USEC_PER_DAY;
    int64_t end = t + 366 * USEC_PER_DAY;
    int n = 0;
    bool same = true;

    zone(tz);
    while ((t = schedule_after(&s, t)) < end) {
        n++;
        same = same && schedule_latest(&s, t) == t && schedule_latest(&s, t - 1) < t &&
               schedule_latest(&s, schedule_after(&s, t) - 1) == t;
    }
    OK(n == expected && same, "%s, \"%s\": %d times in a year, each once", tz, text, n);
}

/* --- what is next --- */

static struct schedule_rule job(const char *text)
{
    struct schedule_rule r = {.at = rule(text),
                              .catch_up = UINT64_MAX,
                              .retries = 3,
                              .retry_wait = 5 * 60 * (uint64_t)USEC_PER_SEC};

    return r;
}

static struct schedule_next next_of(const struct schedule_rule *r, const struct schedule_memory *m,
                                    const char *up, const char *now)
{
    struct schedule_next n;

    schedule_next(r, m, at(up), at(now), &n);
    return n;
}

static void downtime(void)
{
    struct schedule_rule r = job("02:00");
    struct schedule_memory m = {.since = at("2026-11-01 12:00")};
    struct schedule_next n;

    zone("UTC");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-01 12:00");
    IS_STR(shown(n.at), "2026-11-02T02:00:00Z", "a new job has missed nothing");
    OK(n.why == SCHEDULE_ON_TIME && n.dropped == 0, "and waits for its time");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:40");
    OK(n.at <= at("2026-11-02 02:40") && n.why == SCHEDULE_ON_TIME,
       "what was late because something else ran is on time");
    schedule_take(&m, n.time);
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:41");
    IS_STR(shown(n.at), "2026-11-03T02:00:00Z", "what is done is not done again");
    n = next_of(&r, &m, "2026-11-09 12:00", "2026-11-09 12:00");
    IS_STR(shown(n.time), "2026-11-09T02:00:00Z", "seven that were missed are one");
    OK(n.why == SCHEDULE_MISSED && n.at <= at("2026-11-09 12:00"), "made up for at once");
    r.catch_up = 0;
    n = next_of(&r, &m, "2026-11-09 12:00", "2026-11-09 12:00");
    IS_STR(shown(n.time), "2026-11-10T02:00:00Z", "not without catch_up");
    IS_STR(shown(n.dropped), "2026-11-09T02:00:00Z", "which is said");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-09 12:00");
    OK(n.at <= at("2026-11-09 12:00"), "but what was only late is done");
    r.catch_up = 6 * 3600 * (uint64_t)USEC_PER_SEC;
    n = next_of(&r, &m, "2026-11-09 08:00", "2026-11-09 08:00");
    OK(n.time == at("2026-11-09 02:00"), "within catch_up");
    n = next_of(&r, &m, "2026-11-09 08:01", "2026-11-09 08:01");
    OK(n.time == at("2026-11-10 02:00"), "and later than that");
}

static void jitter(void)
{
    struct schedule_rule r = job("02:00");
    struct schedule_memory m = {.since = at("2026-11-01 12:00")};
    struct schedule_next n;
    struct schedule_next same;
    bool in_range = true;
    int differ = 0;

    zone("UTC");
    r.jitter = 3600 * (uint64_t)USEC_PER_SEC;
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-01 12:00");
    same = next_of(&r, &m, "2026-11-02 01:00", "2026-11-02 01:00");
    OK(n.at == same.at, "a restart does not draw again");
    for (uint32_t seed = 1; seed < 100; seed++) {
        r.seed = seed;
        same = next_of(&r, &m, "2026-11-01 12:00", "2026-11-01 12:00");
        in_range = in_range && same.at >= same.time && same.at <= same.time + 60 * min_us;
        differ += same.at != n.at;
    }
    OK(in_range && differ > 90, "hosts differ, within the hour");
    r.catch_up = 0;
    for (uint32_t seed = 1; seed < 100; seed++) {
        r.seed = seed;
        schedule_next(&r, &m, at("2026-11-01 12:00"), at("2026-11-01 12:00"), &n);
        schedule_next(&r, &m, n.at - 1, n.at - 1, &same);
        in_range = in_range && same.at == n.at && same.dropped == 0;
        schedule_next(&r, &m, n.at, n.at, &same);
        in_range = in_range && same.at == n.at && same.dropped == 0;
        schedule_next(&r, &m, n.at + 1, n.at + 1, &same);
        in_range = in_range && same.dropped == n.time;
    }
    OK(in_range, "a restart before it is put off to misses nothing");
}

static void retries(void)
{
    struct schedule_rule r = job("02:00");
    struct schedule_memory m = {.since = at("2026-11-01 12:00"),
                                .taken = at("2026-11-01 02:00"),
                                .trying = at("2026-11-02 02:00"),
                                .tries = 1,
                                .tried = at("2026-11-02 02:10")};
    struct schedule_next n;

    zone("UTC");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:10");
    IS_STR(shown(n.at), "2026-11-02T02:15:00Z", "5 minutes after the first try");
    OK(n.why == SCHEDULE_AGAIN && n.time == m.trying, "for the same time");
    m.tries = 3;
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:10");
    IS_STR(shown(n.at), "2026-11-02T02:30:00Z", "20 minutes after the third");
    m.tries = 4;
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:10");
    IS_STR(shown(n.at), "2026-11-03T02:00:00Z", "no fifth");
    OK(n.dropped == m.trying && n.why == SCHEDULE_ON_TIME, "it is given up");
    m.tries = 1;
    n = next_of(&r, &m, "2026-11-02 09:00", "2026-11-02 09:00");
    OK(n.why == SCHEDULE_AGAIN && n.at <= at("2026-11-02 09:00"), "one that was cut off goes on");
    n = next_of(&r, &m, "2026-11-04 09:00", "2026-11-04 09:00");
    OK(n.time == at("2026-11-04 02:00") && n.dropped == m.trying, "unless a later one is due");
    r.catch_up = 0;
    n = next_of(&r, &m, "2026-11-02 09:00", "2026-11-02 09:00");
    OK(n.time == at("2026-11-03 02:00") && n.dropped == m.trying, "or it is too late for it");
    r = job("every 10min");
    m.tried = at("2026-11-02 02:06");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:07");
    OK(n.time == at("2026-11-02 02:10") && n.dropped == m.trying, "or the next is due before");
    m.tried = at("2026-11-02 02:06");
    r = job("02:00");
    n = next_of(&r, &m, "2026-11-01 12:00", "2026-11-02 02:01");
    IS_STR(shown(n.at), "2026-11-02T02:06:00Z", "a clock that went back does not put it off");
}

static void clocks(void)
{
    struct schedule_rule r = job("02:00");
    struct schedule_memory m = {.since = at("2026-11-01 12:00"), .taken = at("2026-11-20 02:00")};
    struct schedule_next n;

    zone("UTC");
    n = next_of(&r, &m, "2026-11-20 01:00", "2026-11-20 01:30");
    IS_STR(shown(n.at), "2026-11-21T02:00:00Z", "a clock that goes back an hour repeats nothing");
    n = next_of(&r, &m, "2026-11-20 01:00", "2026-11-23 01:30");
    OK(n.time == at("2026-11-22 02:00") && n.at <= at("2026-11-23 01:30"),
       "one that jumps ahead does it once");
    n = next_of(&r, &m, "1970-01-01 00:00", "1970-01-01 00:00:10");
    OK(n.dropped == at("1970-01-01 00:00:10") && n.at == at("1970-01-01 02:00"),
       "a host without a clock begins anew in 1970");
    schedule_take(&m, n.dropped);
    n = next_of(&r, &m, "1970-01-01 00:00", "1970-01-01 00:01");
    OK(n.dropped == 0 && n.at == at("1970-01-01 02:00"), "once");
    n = next_of(&r, &m, "1970-01-01 00:00", "2026-11-20 09:00");
    OK(n.time == at("2026-11-20 02:00") && n.at <= at("2026-11-20 09:00"),
       "and makes up for one when it learns the time");
    m = (struct schedule_memory){.since = at("2026-11-01 12:00"), .taken = at("2031-01-01 02:00")};
    n = next_of(&r, &m, "2026-11-20 09:00", "2026-11-20 09:00");
    OK(n.dropped == at("2026-11-20 09:00") && n.at == at("2026-11-21 02:00"),
       "a record of years to come stops nothing");
    schedule_take(&m, n.dropped);
    n = next_of(&r, &m, "2026-11-20 09:00", "2026-11-21 02:00");
    OK(n.at == at("2026-11-21 02:00"), "the next time is due");
}

int main(void)
{
    words();
    calendar();
    year("UTC", "02:30", 366);
    year(BERLIN, "02:30", 366);
    year(BERLIN, "00:00", 366);
    year(NEW_YORK, "01:30 02:30 03:30", 3 * 366);
    year(LORD_HOWE, "01:45", 366);
    year(BERLIN, "sun 02:30", 52);
    year(BERLIN, "every 1h", 366 * 24 - 1);
    downtime();
    jitter();
    retries();
    clocks();
    return tap_done();
}
