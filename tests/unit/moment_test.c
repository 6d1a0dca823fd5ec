/*
 * Goal: moments are understood as a person means them, in the zone of the host, over changes of
 * clocks; a day alone is its beginning, its end or refused, as the caller says; anything else is
 * refused with an example.
 */
#include "tap.h"

#include <stdlib.h>
#include <time.h>

#include "base/parse.h"
#include "base/text.h"
#include "repo/moment.h"

static void zone(const char *tz)
{
    (void)setenv("TZ", tz, 1);
    tzset();
}

static int64_t utc(const char *text)
{
    struct err e = {0};
    int64_t us = 0;
    bool zoned;

    if (parse_time(text, &us, &zoned, &e) != 0)
        printf("Bail out! %s\n", e.msg);
    return us;
}

static void means(const char *now, const char *text, enum moment_day day, const char *want)
{
    struct err e = {0};
    int64_t us = -1;
    bool assumed;
    char shown[TEXT_TIME_MAX] = "refused";

    if (moment_parse(text, day, utc(now), &us, &assumed, &e) == 0)
        text_time(shown, us, us % USEC_PER_SEC == 0 ? 0 : 6);
    else if (e.code != ERR_USAGE || e.hint[0] == '\0')
        (void)snprintf(shown, sizeof shown, "no hint");
    IS_STR(shown, want, "\"%s\" at %s", text, now);
}

static const char *const now = "2026-11-20 00:30:00Z";

static void words(void)
{
    zone("UTC0");
    means(now, "now", MOMENT_NO_DAY, "2026-11-20T00:30:00Z");
    means(now, "90 s ago", MOMENT_NO_DAY, "2026-11-20T00:28:30Z");
    means(now, "1 second ago", MOMENT_NO_DAY, "2026-11-20T00:29:59Z");
    means(now, "10 min ago", MOMENT_NO_DAY, "2026-11-20T00:20:00Z");
    means(now, "10 mins ago", MOMENT_NO_DAY, "2026-11-20T00:20:00Z");
    means(now, "10 minutes ago", MOMENT_NO_DAY, "2026-11-20T00:20:00Z");
    means(now, "2 hours ago", MOMENT_NO_DAY, "2026-11-19T22:30:00Z");
    means(now, "2h ago", MOMENT_NO_DAY, "2026-11-19T22:30:00Z");
    means(now, "3 days ago", MOMENT_DAY_ENDS, "2026-11-17T00:30:00Z");
    means(now, "2 weeks ago", MOMENT_NO_DAY, "2026-11-06T00:30:00Z");
    means("2026-11-20 14:30Z", "14:02", MOMENT_NO_DAY, "2026-11-20T14:02:00Z");
    means("2026-11-20 14:30Z", "14:02:11.5+02", MOMENT_NO_DAY, "2026-11-20T12:02:11.500000Z");
    means(now, "today 14:02", MOMENT_NO_DAY, "2026-11-20T14:02:00Z");
    means(now, "yesterday 14:02:11", MOMENT_NO_DAY, "2026-11-19T14:02:11Z");
    means("2026-03-01 10:00Z", "yesterday 1:00", MOMENT_NO_DAY, "refused");
    means("2026-03-01 10:00Z", "yesterday 01:00", MOMENT_NO_DAY, "2026-02-28T01:00:00Z");
    means("2026-01-01 10:00Z", "yesterday", MOMENT_DAY_BEGINS, "2025-12-31T00:00:00Z");
    means("2026-01-01 10:00Z", "yesterday", MOMENT_DAY_ENDS, "2025-12-31T23:59:59.999999Z");
    means(now, "today", MOMENT_DAY_BEGINS, "2026-11-20T00:00:00Z");
    means(now, "2026-11-18", MOMENT_DAY_BEGINS, "2026-11-18T00:00:00Z");
    means(now, "2026-11-18", MOMENT_DAY_ENDS, "2026-11-18T23:59:59.999999Z");
    means(now, "2026-11-18", MOMENT_NO_DAY, "refused");
    means(now, "yesterday", MOMENT_NO_DAY, "refused");
    means(now, "2026-11-18 14:02:11+01", MOMENT_DAY_BEGINS, "2026-11-18T13:02:11Z");
}

static void zones(void)
{
    /* East of UTC the day began before. */
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    means("2026-11-19 23:30:00Z", "today 00:15", MOMENT_NO_DAY, "2026-11-19T23:15:00Z");
    means("2026-11-19 23:30:00Z", "yesterday", MOMENT_DAY_BEGINS, "2026-11-18T23:00:00Z");
    means("2026-11-19 23:30:00Z", "2026-11-18 14:02", MOMENT_NO_DAY, "2026-11-18T13:02:00Z");
    /* Clocks are put forward at 2:00 of March 29th and back at 3:00 of October 25th. */
    means("2026-03-30 10:00Z", "yesterday", MOMENT_DAY_ENDS, "2026-03-29T21:59:59.999999Z");
    means("2026-03-30 10:00Z", "yesterday 02:30", MOMENT_NO_DAY, "refused");
    means("2026-10-25 22:30Z", "today 02:30", MOMENT_NO_DAY, "refused");
    means("2026-10-25 22:30Z", "yesterday", MOMENT_DAY_BEGINS, "2026-10-23T22:00:00Z");
    means("2026-10-25 22:30Z", "24 hours ago", MOMENT_NO_DAY, "2026-10-24T22:30:00Z");
}

/* What could be meant in two ways, and days whose ends are not where they are elsewhere. */
static void twofold(void)
{
    zone("UTC0");
    /* After midnight: yesterday's? */
    means(now, "14:02", MOMENT_NO_DAY, "refused");
    means(now, "00:31", MOMENT_DAY_ENDS, "refused");
    means(now, "00:30", MOMENT_DAY_ENDS, "2026-11-20T00:30:00Z");
    /* It is the 19th there; and the 21st. */
    means(now, "00:10-05", MOMENT_NO_DAY, "refused");
    means(now, "today 14:02 -05:00", MOMENT_NO_DAY, "refused");
    means("2026-11-20 12:00Z", "00:30+13", MOMENT_NO_DAY, "refused");
    means("2026-11-20 12:00Z", "yesterday 00:30+13", MOMENT_NO_DAY, "refused");
    means("2026-11-20 12:00Z", "yesterday 00:30+11", MOMENT_NO_DAY, "2026-11-18T13:30:00Z");
    means("2026-11-20 12:00Z", "2026-11-20 14:02-05", MOMENT_NO_DAY, "2026-11-20T19:02:00Z");
    /* Never without the zone that it was written with. */
    means(now, "yesterday 14:02:11.00000000000000000000000000000000000000+05", MOMENT_NO_DAY,
          "refused");
    /* Cairo's clocks are changed at midnight: to 01:00, and back to 23:00. */
    zone("EET-2EEST,M4.5.5/0,M10.5.4/24");
    means("2026-12-01 10:00Z", "2026-04-24", MOMENT_DAY_BEGINS, "2026-04-23T22:00:00Z");
    means("2026-12-01 10:00Z", "2026-04-23", MOMENT_DAY_ENDS, "2026-04-23T21:59:59.999999Z");
    means("2026-12-01 10:00Z", "2026-10-29", MOMENT_DAY_BEGINS, "2026-10-28T21:00:00Z");
    means("2026-12-01 10:00Z", "2026-10-29", MOMENT_DAY_ENDS, "2026-10-29T21:59:59.999999Z");
    means("2026-12-01 10:00Z", "2026-10-30", MOMENT_DAY_BEGINS, "2026-10-29T22:00:00Z");
    means("2026-12-01 10:00Z", "2026-04-24 00:30", MOMENT_NO_DAY, "refused");
    means("2026-12-01 10:00Z", "2026-10-29 23:30", MOMENT_NO_DAY, "refused");
    /* On the Azores 00:00 to 01:00 comes twice. */
    zone("<-01>1<+00>,M3.5.0/0,M10.5.0/1");
    means("2026-12-01 10:00Z", "2026-10-25", MOMENT_DAY_BEGINS, "2026-10-25T00:00:00Z");
    means("2026-12-01 10:00Z", "2026-10-24", MOMENT_DAY_ENDS, "2026-10-24T23:59:59.999999Z");
}

static void refused(void)
{
    static const char *const wrong[] = {
        "",
        "ago",
        "2 ago",
        "two hours ago",
        "2 fortnights ago",
        "0 h ago",
        "-2 h ago",
        "2 h ago ",
        "4000000000 weeks ago",
        "2 hs ago",
        "yesterdays",
        "yesterday at noon",
        "today 25:00",
        "tomorrow",
        "14:2",
        "14:",
        "2026-02-30",
        "20.11.2026",
        "11/20/2026 14:00",
        "yesterday 14:02:11.1234567890123456789012345678901234567890"
        "1234567890123456789012345678901234567890"};

    zone("UTC0");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        means(now, wrong[i], MOMENT_DAY_BEGINS, "refused");
}

int main(void)
{
    words();
    zones();
    twofold();
    refused();
    return tap_done();
}
