#include "repo/moment.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/time.h"

enum { LONGEST = 64, DATE = 10 };

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

/* --- words --- */

/* The date that local clocks show. */
static void local_date(int64_t us, char out[DATE + 1])
{
    char text[TEXT_TIME_MAX];

    text_time(text, us + os_local_offset(us) * USEC_PER_SEC, 0);
    (void)snprintf(out, DATE + 1, "%.10s", text);
}

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
static const char *with_date(const char *text, int64_t now, char out[LONGEST])
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
        (void)snprintf(out, LONGEST, "%s%.50s", date, text + n);
        return out;
    }
    if (strlen(text) >= 5 && text[2] == ':') {
        local_date(now, date);
        (void)snprintf(out, LONGEST, "%s %.50s", date, text);
        return out;
    }
    return text;
}

static int examples(struct err *e)
{
    return err_hint(e, "Write a moment like \"2026-11-20 14:02:11+00\", \"yesterday 14:02\" or "
                       "\"2 hours ago\".");
}

int moment_parse(const char *text, enum moment_day day, int64_t now, int64_t *us, bool *assumed,
                 struct err *e)
{
    char dated[LONGEST];
    char whole[LONGEST];
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
    text = with_date(text, now, dated);
    if (strlen(text) == DATE && day != MOMENT_NO_DAY) {
        (void)snprintf(whole, sizeof whole, "%.10s %s", text,
                       day == MOMENT_DAY_BEGINS ? "00:00" : "23:59:59.999999");
        text = whole;
    }
    if (parse_time(text, us, &zoned, e) != 0) {
        (void)examples(e);
        return -1;
    }
    *assumed = !zoned;
    return zoned ? 0 : as_local(*us, us, e);
}
