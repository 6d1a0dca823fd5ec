#include "repo/moment.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/time.h"

enum { LONGEST = 64, DATE = 10, DATED = DATE + 1 + LONGEST };

static const int64_t DAY = INT64_C(86400) * USEC_PER_SEC;

/* --- a moment without a zone --- */

static unsigned number(const char *digits, size_t n)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++)
        v = 10 * v + (unsigned)(digits[i] - '0');
    return v;
}

/* The moment that local clocks showed as `us` shows it in UTC. */
static int as_local(int64_t us, int64_t *out, struct err *e)
{
    static const int64_t steps[] = {-3 * 3600, -2 * 3600, -3600, -1800, 1800, 3600, 2 * 3600};
    char text[TEXT_TIME_MAX]; /* 2026-11-20T06:21:45Z */
    int64_t fraction = us % USEC_PER_SEC;
    int64_t seconds = 0;

    text_time(text, us - fraction, 0);
    if (os_local_to_unix((int)number(text, 4), (int)number(text + 5, 2), (int)number(text + 8, 2),
                         (int)number(text + 11, 2), (int)number(text + 14, 2),
                         (int)number(text + 17, 2), &seconds) != 0) {
        (void)err_set(e, ERR_USAGE, "there is no such moment: clocks were put forward then");
        return err_hint(e, "Write the time with its offset, like 2026-03-29 01:30:00+00.");
    }
    /* When clocks are put back one hour comes twice. */
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int64_t other = (seconds + steps[i]) * USEC_PER_SEC;

        if (other / USEC_PER_SEC + os_local_offset(other) ==
            seconds + os_local_offset(seconds * USEC_PER_SEC)) {
            (void)err_set(e, ERR_USAGE, "clocks showed that moment twice, for they were put back");
            return err_hint(e, "Write the time with its offset, like 2026-10-25 01:30:00+00.");
        }
    }
    *out = seconds * USEC_PER_SEC + fraction;
    return 0;
}

/* --- a day --- */

/* The date that local clocks show. */
static void local_date(int64_t us, char out[DATE + 1])
{
    char text[TEXT_TIME_MAX];

    text_time(text, us + os_local_offset(us) * USEC_PER_SEC, 0);
    (void)snprintf(out, DATE + 1, "%.10s", text);
}

/*
 * The first or the last moment at which local clocks show the date of noon: in some zones clocks
 * are changed at midnight, so that 00:00 is not there or comes twice.
 */
static int64_t edge_of_day(int64_t noon, enum moment_day day)
{
    char want[DATE + 1];
    char shown[DATE + 1];
    int64_t in = noon / USEC_PER_SEC;
    int64_t out = in + (day == MOMENT_DAY_BEGINS ? -1 : 1) * (DAY / USEC_PER_SEC);

    local_date(noon, want);
    while (in - out > 1 || out - in > 1) {
        int64_t middle = out + (in - out) / 2;

        local_date(middle * USEC_PER_SEC, shown);
        if (strcmp(shown, want) == 0)
            in = middle;
        else
            out = middle;
    }
    return in * USEC_PER_SEC + (day == MOMENT_DAY_BEGINS ? 0 : USEC_PER_SEC - 1);
}

static int take_day(const char *date, enum moment_day day, int64_t *us, struct err *e)
{
    char noon[LONGEST];
    bool zoned;

    (void)snprintf(noon, sizeof noon, "%.10s 12:00", date);
    if (parse_time(noon, us, &zoned, e) != 0 || as_local(*us, us, e) != 0)
        return -1;
    *us = edge_of_day(*us, day);
    return 0;
}

/* --- words --- */

/* Is it this word, or its plural? */
static bool is_unit(const char *word, const char *s, size_t n)
{
    size_t len = strlen(word);

    return strncmp(word, s, len) == 0 && (n == len || (n == len + 1 && len > 1 && s[len] == 's'));
}

/* "2 hours ago": the length of the time; 0: it is something else. */
static int64_t ago(const char *text)
{
    static const struct {
        const char *word;
        int64_t seconds;
    } units[] = {{"s", 1},       {"sec", 1},    {"second", 1},   {"min", 60},
                 {"minute", 60}, {"h", 3600},   {"hour", 3600},  {"d", 86400},
                 {"day", 86400}, {"w", 604800}, {"week", 604800}};
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits + strspn(text + digits, " ");
    size_t len = strcspn(unit, " ");
    char number[12];
    uint32_t n = 0;
    struct err quiet = {0};

    if (digits == 0 || digits >= sizeof number || strcmp(unit + len, " ago") != 0)
        return 0;
    (void)snprintf(number, sizeof number, "%.*s", (int)digits, text);
    if (parse_u32(number, 1, 10 * 1000 * 1000, &n, &quiet) != 0)
        return 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (is_unit(units[i].word, unit, len))
            return n * units[i].seconds * USEC_PER_SEC;
    return 0;
}

/* Puts a date in the place of "today" and "yesterday", or in front of a time alone. */
static const char *with_date(const char *text, int64_t now, char out[DATED])
{
    static const struct {
        const char *word;
        int64_t days;
    } days[] = {{"today", 0}, {"yesterday", 1}};
    char date[DATE + 1];

    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        size_t n = strlen(days[i].word);

        if (strncmp(text, days[i].word, n) != 0 || (text[n] != '\0' && text[n] != ' '))
            continue;
        /* Noon of it: no change of clocks leads out of the day. */
        local_date(now, date);
        if (days[i].days > 0) {
            struct err quiet = {0};
            char noon[LONGEST];
            int64_t us = 0;
            bool zoned;

            (void)snprintf(noon, sizeof noon, "%s 12:00", date);
            if (parse_time(noon, &us, &zoned, &quiet) == 0) {
                text_time(noon, us - days[i].days * DAY, 0);
                (void)snprintf(date, sizeof date, "%.10s", noon);
            }
        }
        (void)snprintf(out, DATED, "%s%s", date, text + n);
        return out;
    }
    if (strlen(text) >= 5 && text[2] == ':') {
        local_date(now, date);
        (void)snprintf(out, DATED, "%s %s", date, text);
        return out;
    }
    return text;
}

static int examples(struct err *e)
{
    return err_hint(e, "Write a moment like \"2026-11-20 14:02:11+00\", \"yesterday 14:02\" or "
                       "\"2 hours ago\".");
}

/* A date that was left out or said in words is the host's: is it the same day in the zone given? */
static int same_day(const char *text, const char *dated, int64_t us, int64_t now, struct err *e)
{
    static const int64_t MINUTE = 60 * USEC_PER_SEC;
    struct err quiet = {0};
    char minute[DATED];
    char here[DATE + 1];
    char there[TEXT_TIME_MAX];
    int64_t shown = us;
    bool zoned;

    (void)snprintf(minute, sizeof minute, "%.16s", dated); /* 2026-11-20 14:02 */
    if (parse_time(minute, &shown, &zoned, &quiet) != 0)
        return 0; /* was read before, with its zone */
    text_time(there, now + shown - us / MINUTE * MINUTE, 0);
    local_date(now, here);
    if (strncmp(there, here, DATE) == 0)
        return 0;
    (void)err_hint(e, "Write the date, too: it is %s here, and %.10s there.", here, there);
    return err_set(e, ERR_USAGE, "\"%s\" is of one day here and of another in that zone", text);
}

/* "23:50" at 00:10 is yesterday's for whoever speaks of what happened. */
static int is_over(const char *text, int64_t us, int64_t now, struct err *e)
{
    if (text[2] != ':' || us <= now)
        return 0;
    (void)err_hint(e, "Write \"yesterday %s\", \"today %s\" or the date.", text, text);
    return err_set(e, ERR_USAGE, "\"%s\" is still to come today", text);
}

int moment_parse(const char *text, enum moment_day day, int64_t now, int64_t *us, bool *assumed,
                 struct err *e)
{
    char buffer[DATED];
    const char *dated;
    int64_t past = ago(text);
    bool zoned = false;

    *assumed = false;
    if (strcmp(text, "now") == 0 || (past > 0 && past < now)) {
        *us = now - past;
        return 0;
    }
    if (strlen(text) >= LONGEST) {
        (void)examples(e);
        return err_set(e, ERR_USAGE, "\"%.40s...\" is no moment", text);
    }
    dated = with_date(text, now, buffer);
    if (strlen(dated) == DATE && day != MOMENT_NO_DAY) {
        *assumed = true;
        if (take_day(dated, day, us, e) == 0)
            return 0;
        (void)(e->hint[0] == '\0' ? examples(e) : 0);
        return -1;
    }
    if (parse_time(dated, us, &zoned, e) != 0) {
        (void)examples(e);
        return -1;
    }
    *assumed = !zoned;
    if (!zoned && as_local(*us, us, e) != 0)
        return -1;
    if (dated == text)
        return 0;
    return zoned && same_day(text, dated, *us, now, e) != 0 ? -1 : is_over(text, *us, now, e);
}
