#include "base/parse.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"B", 1},
    {"kB", UINT64_C(1) << 10},
    {"MB", UINT64_C(1) << 20},
    {"GB", UINT64_C(1) << 30},
    {"TB", UINT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit time_units[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", UINT64_C(1000000)},
    {"min", UINT64_C(60000000)},
    {"h", UINT64_C(3600000000)},
    {"d", UINT64_C(86400000000)},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Reads the digits at *s and passes them.  False without a digit; *fits turns false when the
 * number is beyond 64 bits. */
static bool take_digits(const char **s, uint64_t *v, bool *fits)
{
    const char *p = *s;
    uint64_t sum = 0;

    *fits = true;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
            *fits = false;
    }
    *s = p;
    *v = sum;
    return true;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    const char *p = s;
    uint64_t v;
    bool fits;

    if (!take_digits(&p, &v, &fits) || *p != '\0')
        return err_set(e, ERR_USAGE, "\"%.80s\" is not a whole number", s);
    if (!fits || v < min || v > max)
        return err_set(e, ERR_USAGE, "%.40s is outside the valid range (%llu .. %llu)", s,
                       (unsigned long long)min, (unsigned long long)max);
    *out = v;
    return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *out, struct err *e)
{
    uint64_t v;

    if (parse_u64(s, min, max, &v, e) < 0)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    bool minus = *s == '-';
    const char *p = minus ? s + 1 : s;
    uint64_t v;
    int64_t signed_v = 0;
    bool fits;

    if (!take_digits(&p, &v, &fits) || *p != '\0')
        return err_set(e, ERR_USAGE, "\"%.80s\" is not a whole number", s);
    if (fits && minus)
        fits = !__builtin_sub_overflow((int64_t)0, v, &signed_v);
    else if (fits)
        fits = !__builtin_add_overflow((int64_t)0, v, &signed_v);
    if (!fits || signed_v < min || signed_v > max)
        return err_set(e, ERR_USAGE, "%.40s is outside the valid range (%lld .. %lld)", s,
                       (long long)min, (long long)max);
    *out = signed_v;
    return 0;
}

/* Reads up to `most` hexadecimal digits at *s and passes them; returns how many there were. */
static size_t take_hex(const char **s, size_t most, uint64_t *v)
{
    size_t n = 0;

    *v = 0;
    while (n < most && hex_value((*s)[n]) >= 0)
        *v = *v << 4 | (uint64_t)hex_value((*s)[n++]);
    *s += n;
    return n;
}

int parse_hex(const char *s, uint64_t max, uint64_t *out, struct err *e)
{
    const char *p = s;
    uint64_t v;

    if (take_hex(&p, 16, &v) == 0 || *p != '\0')
        return err_set(e, ERR_USAGE, "\"%.80s\" is not a hexadecimal number of 1 to 16 digits", s);
    if (v > max)
        return err_set(e, ERR_USAGE, "%.40s is above the greatest valid value (%llX)", s,
                       (unsigned long long)max);
    *out = v;
    return 0;
}

int parse_bytes(const char *s, uint8_t *out, size_t n, struct err *e)
{
    size_t digits = 0;

    while (hex_value(s[digits]) >= 0)
        digits++;
    if (s[digits] != '\0')
        return err_set(e, ERR_USAGE, "\"%.150s\" is not hexadecimal", s);
    if (digits != 2 * n)
        return err_set(e, ERR_USAGE, "%zu hexadecimal digits expected, not %zu", 2 * n, digits);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(hex_value(s[2 * i]) << 4 | hex_value(s[2 * i + 1]));
    return 0;
}

static bool same_but_case(const char *a, const char *b)
{
    for (; *a != '\0' || *b != '\0'; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b - 'A' + 'a') : *b;

        if (x != y)
            return false;
    }
    return true;
}

/* Says which units there are, and which was meant when only its case is wrong. */
static int wrong_unit(const char *s, const char *digits_end, const char *unit,
                      const struct unit *units, struct err *e)
{
    char list[64] = "";
    size_t used = 0;

    for (size_t i = 0; units[i].name != NULL; i++) {
        const char *sep = i == 0 ? "" : units[i + 1].name == NULL ? " or " : ", ";

        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", sep, units[i].name);
        if (same_but_case(unit, units[i].name))
            (void)err_hint(e, "Did you mean \"%.*s%s\"? The case matters.",
                           digits_end - s > 40 ? 40 : (int)(digits_end - s), s, units[i].name);
    }
    if (*unit == '\0')
        return err_set(e, ERR_USAGE, "\"%.40s\" has no unit; write %s behind it", s, list);
    return err_set(e, ERR_USAGE, "\"%.80s\" has an unknown unit; valid units are %s", s, list);
}

/* Digits and a unit.  `bare` is the factor of a number without one; 0 when it needs one. */
static int parse_quantity(const char *s, const struct unit *units, uint64_t bare, bool *fits,
                          uint64_t *out, struct err *e)
{
    const char *p = s;
    const char *end;
    uint64_t v;
    uint64_t factor = bare;

    if (!take_digits(&p, &v, fits))
        return err_set(e, ERR_USAGE, "\"%.80s\" does not start with a whole number", s);
    end = p;
    while (*p == ' ')
        p++;
    if (*p != '\0' || (v != 0 && bare == 0)) {
        size_t i = 0;

        while (units[i].name != NULL && strcmp(units[i].name, p) != 0)
            i++;
        if (units[i].name == NULL)
            return wrong_unit(s, end, p, units, e);
        factor = units[i].factor;
    } else if (p != end) {
        return err_set(e, ERR_USAGE, "\"%.80s\" ends with blanks", s);
    }
    if (__builtin_mul_overflow(v, factor, out))
        *fits = false;
    return 0;
}

int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    char lo[TEXT_SIZE_MAX];
    char hi[TEXT_SIZE_MAX];
    uint64_t v;
    bool fits;

    if (parse_quantity(s, size_units, 1, &fits, &v, e) < 0)
        return -1;
    if (!fits || v < min || v > max) {
        text_size(lo, min);
        text_size(hi, max);
        return err_set(e, ERR_USAGE, "%.40s is outside the valid range (%s .. %s)", s, lo, hi);
    }
    *out = v;
    return 0;
}

int parse_duration(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    char lo[TEXT_SIZE_MAX];
    char hi[TEXT_SIZE_MAX];
    uint64_t v;
    bool fits;

    if (parse_quantity(s, time_units, 0, &fits, &v, e) < 0)
        return -1;
    if (!fits || v < min || v > max) {
        text_duration(lo, min);
        text_duration(hi, max);
        return err_set(e, ERR_USAGE, "%.40s is outside the valid range (%s .. %s)", s, lo, hi);
    }
    *out = v;
    return 0;
}

int parse_bool(const char *s, bool *out, struct err *e)
{
    static const struct parse_word words[] = {
        {"on", 1}, {"off", 0}, {"true", 1}, {"false", 0}, {"yes", 1},
        {"no", 0}, {"1", 1},   {"0", 0},    {NULL, 0},
    };

    for (size_t i = 0; words[i].word != NULL; i++) {
        if (same_but_case(s, words[i].word)) {
            *out = words[i].value == 1;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "\"%.80s\" is neither on nor off", s);
}

int parse_word(const char *s, const struct parse_word *words, int *out, struct err *e)
{
    struct text_closest near;
    char list[256] = "";
    size_t used = 0;

    text_closest_init(&near, s);
    for (size_t i = 0; words[i].word != NULL; i++) {
        const char *sep = i == 0 ? "" : words[i + 1].word == NULL ? " or " : ", ";

        if (strcmp(s, words[i].word) == 0) {
            *out = words[i].value;
            return 0;
        }
        text_closest_try(&near, words[i].word);
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", sep, words[i].word);
    }
    (void)err_set(e, ERR_USAGE, "\"%.80s\" is not one of %s", s, list);
    if (near.best != NULL)
        (void)err_hint(e, "Did you mean \"%s\"?", near.best);
    return -1;
}

int parse_lsn(const char *s, uint64_t *out, struct err *e)
{
    const char *p = s;
    uint64_t hi;
    uint64_t lo;

    if (take_hex(&p, 8, &hi) == 0 || *p++ != '/' || take_hex(&p, 8, &lo) == 0 || *p != '\0')
        return err_set(e, ERR_USAGE, "\"%.80s\" is not an LSN (like 16/B374D848)", s);
    *out = hi << 32 | lo;
    return 0;
}

/* Exactly n digits at *s, passed when they are there. */
static bool take_fixed(const char **s, size_t n, unsigned *v)
{
    unsigned value = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_digit((*s)[i]))
            return false;
        value = value * 10 + (unsigned)((*s)[i] - '0');
    }
    *s += n;
    *v = value;
    return true;
}

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int64_t parse_days(int64_t year, unsigned month, unsigned day)
{
    static const unsigned short before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1; /* whole years since 0001-01-01, each fourth of them longer */
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400;

    days += before[month - 1] + (month > 2 && is_leap(year) ? 1 : 0) + (int64_t)day - 1;
    return days - 719162; /* the days from 0001-01-01 to 1970-01-01 */
}

static bool take_date(const char **s, int64_t *days)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned length;

    if (!take_fixed(s, 4, &year) || !take_char(s, '-') || !take_fixed(s, 2, &month) ||
        !take_char(s, '-') || !take_fixed(s, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12)
        return false;
    length = lengths[month - 1];
    if (month == 2 && is_leap(year))
        length = 29;
    if (day < 1 || day > length)
        return false;
    *days = parse_days(year, month, day);
    return true;
}

/* HH:MM[:SS[.fraction]]; 60 is allowed for a leap second and is the next minute's 0. */
static bool take_clock(const char **s, int64_t *us)
{
    unsigned hour;
    unsigned minute;
    unsigned second = 0;
    int64_t scale = 100000;
    int64_t fraction = 0;

    if (!take_fixed(s, 2, &hour) || !take_char(s, ':') || !take_fixed(s, 2, &minute))
        return false;
    if (take_char(s, ':')) {
        if (!take_fixed(s, 2, &second))
            return false;
        if (take_char(s, '.')) {
            size_t n = 0;

            for (; is_digit(**s) && n < 9; n++, (*s)++, scale /= 10)
                fraction += scale * (**s - '0');
            if (n == 0)
                return false;
        }
    }
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *us = ((int64_t)hour * 3600 + minute * 60 + second) * USEC_PER_SEC + fraction;
    return true;
}

/* The zone at *s, to the end of the string. */
static bool take_zone(const char *s, int64_t *offset_us, bool *zoned)
{
    unsigned hour;
    unsigned minute = 0;
    int64_t sign;

    *zoned = *s != '\0';
    *offset_us = 0;
    if (*s == '\0')
        return true;
    if (*s == ' ')
        s++;
    if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0 || strcmp(s, "UTC") == 0 ||
        strcmp(s, "GMT") == 0)
        return true;
    if (*s != '+' && *s != '-')
        return false;
    sign = *s++ == '+' ? 1 : -1;
    if (!take_fixed(&s, 2, &hour))
        return false;
    if (*s != '\0') {
        (void)take_char(&s, ':'); /* +HHMM and +HH:MM are both in use */
        if (!take_fixed(&s, 2, &minute))
            return false;
    }
    if (*s != '\0' || hour > 15 || minute > 59)
        return false;
    *offset_us = sign * ((int64_t)hour * 3600 + minute * 60) * USEC_PER_SEC;
    return true;
}

int parse_time(const char *s, int64_t *us, bool *zoned, struct err *e)
{
    const char *p = s;
    int64_t days;
    int64_t clock;
    int64_t offset;
    int64_t v;
    bool has_zone;

    if (!take_date(&p, &days))
        return err_set(e, ERR_USAGE, "\"%.80s\" does not start with a valid date (YYYY-MM-DD)", s);
    if (*p == '\0') {
        (void)err_hint(e, "Write the time of day too, for example \"%s 00:00:00+00\".", s);
        return err_set(e, ERR_USAGE, "\"%s\" has no time of day", s);
    }
    if (*p != 'T' && *p != 't' && *p != ' ')
        return err_set(e, ERR_USAGE, "\"%.80s\" needs a blank or T between date and time", s);
    p++;
    if (!take_clock(&p, &clock))
        return err_set(e, ERR_USAGE, "\"%.80s\" has no valid time of day (HH:MM:SS)", s);
    if (!take_zone(p, &offset, &has_zone)) {
        (void)err_hint(e, "Write the zone as Z or as an offset from UTC, like +01:00.");
        return err_set(e, ERR_USAGE, "\"%.80s\" has something after the time that is no zone", s);
    }
    v = days * USEC_PER_DAY + clock - offset;
    if (v < 0 || v > PARSE_TIME_MAX)
        return err_set(e, ERR_USAGE, "\"%.80s\" is outside the years 1970 to 9999 (UTC)", s);
    *us = v;
    *zoned = has_zone;
    return 0;
}

int parse_name(const char *s, struct err *e)
{
    size_t n = 0;

    for (; s[n] != '\0'; n++) {
        bool letter = (s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z');

        if (n == PARSE_NAME_MAX)
            return err_set(e, ERR_USAGE, "name \"%.20s...\" is longer than %d characters", s,
                           PARSE_NAME_MAX);
        if (!letter && !is_digit(s[n]) && (s[n] == '\0' || strchr("._-", s[n]) == NULL))
            return err_set(e, ERR_USAGE,
                           "name \"%.80s\" holds other characters than letters, digits, . _ and -",
                           s);
    }
    if (n == 0)
        return err_set(e, ERR_USAGE, "a name must not be empty");
    if (s[0] == '.' || s[0] == '-')
        return err_set(e, ERR_USAGE, "name \"%s\" starts with \"%c\"", s, s[0]);
    return 0;
}
