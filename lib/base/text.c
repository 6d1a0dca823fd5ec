#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

enum { WORD_MAX = 48 }; /* longer words get no suggestion */

/* A year that is near, then the exact one, then the month. */
void text_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t y = 1970 + days / 366;
    unsigned m = 1;

    while (y > 1 && parse_days(y, 1, 1) > days)
        y--;
    while (parse_days(y + 1, 1, 1) <= days)
        y++;
    while (m < 12 && parse_days(y, m + 1, 1) <= days)
        m++;
    *year = y;
    *month = m;
    *day = (unsigned)(days - parse_days(y, m, 1)) + 1;
}

void text_time(char out[TEXT_TIME_MAX], int64_t us, unsigned digits)
{
    const int64_t least = parse_days(1, 1, 1) * USEC_PER_DAY;
    int64_t days;
    int64_t rest;
    int64_t year;
    unsigned month;
    unsigned day;
    unsigned sec;
    size_t n;

    if (us < least)
        us = least;
    if (us > PARSE_TIME_MAX)
        us = PARSE_TIME_MAX;
    days = us / USEC_PER_DAY;
    rest = us % USEC_PER_DAY;
    if (rest < 0) {
        rest += USEC_PER_DAY;
        days--;
    }
    text_date(days, &year, &month, &day);
    sec = (unsigned)(rest / USEC_PER_SEC);
    n = (size_t)snprintf(out, TEXT_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u",
                         (unsigned)year % 10000, month % 100, day % 100, sec / 3600 % 100,
                         sec / 60 % 60, sec % 60);
    rest %= USEC_PER_SEC;
    if (digits == 3)
        n += (size_t)snprintf(out + n, TEXT_TIME_MAX - n, ".%03u", (unsigned)(rest / 1000) % 1000);
    else if (digits != 0)
        n += (size_t)snprintf(out + n, TEXT_TIME_MAX - n, ".%06u", (unsigned)rest % 1000000);
    out[n] = 'Z';
    out[n + 1] = '\0';
}

void text_lsn(char out[TEXT_LSN_MAX], uint64_t lsn)
{
    (void)snprintf(out, TEXT_LSN_MAX, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

void text_hex(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

void text_size(char out[TEXT_SIZE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"", "kB", "MB", "GB", "TB"};
    size_t i = 0;

    while (i < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(out, TEXT_SIZE_MAX, "%llu%s", (unsigned long long)bytes, units[i]);
}

void text_duration(char out[TEXT_SIZE_MAX], uint64_t us)
{
    static const struct {
        const char *name;
        unsigned factor;
    } units[] = {{"us", 1000}, {"ms", 1000}, {"s", 60}, {"min", 60}, {"h", 24}, {"d", 0}};
    size_t i = 0;

    if (us == 0) {
        (void)snprintf(out, TEXT_SIZE_MAX, "0");
        return;
    }
    while (units[i].factor != 0 && us % units[i].factor == 0)
        us /= units[i++].factor;
    (void)snprintf(out, TEXT_SIZE_MAX, "%llu%s", (unsigned long long)us, units[i].name);
}

size_t text_utf8(const uint8_t *p, size_t n, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    uint32_t c;

    if (n == 0)
        return 0;
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if ((p[0] & 0xf0) == 0xe0)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (len > n)
        return 0;
    c = p[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fU);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return len;
}

size_t text_put_utf8(uint8_t out[4], uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

bool text_is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One character of s in its visible form: how it is written, and how many bytes it took. */
static size_t show_one(char piece[16], const uint8_t *s, size_t n, size_t *wrote)
{
    uint32_t code;
    size_t len = text_utf8(s, n, &code);
    const char *named;

    if (len == 0) {
        *wrote = (size_t)snprintf(piece, 16, "\\x%02X", s[0]);
        return 1;
    }
    if (!text_is_unsafe(code)) {
        memcpy(piece, s, len);
        *wrote = len;
        return len;
    }
    named = code == '\n' ? "\\n" : code == '\t' ? "\\t" : code == '\r' ? "\\r" : NULL;
    if (named != NULL)
        *wrote = (size_t)snprintf(piece, 16, "%s", named);
    else
        *wrote = (size_t)snprintf(piece, 16, "\\u{%X}", (unsigned)code);
    return len;
}

size_t text_visible(char *out, size_t cap, const char *s, size_t n)
{
    size_t len = 0;
    size_t keep = 0; /* the longest prefix that leaves room for "..." */
    size_t i = 0;

    while (i < n) {
        char piece[16];
        size_t wrote;
        size_t used = show_one(piece, (const uint8_t *)s + i, n - i, &wrote);

        if (len + wrote >= cap) {
            memcpy(out + keep, "...", 3);
            len = keep + 3;
            break;
        }
        memcpy(out + len, piece, wrote);
        len += wrote;
        i += used;
        if (len + 3 < cap)
            keep = len;
    }
    out[len] = '\0';
    return len;
}

/* Letters that people take for each other are one. */
static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

static bool same(char a, char b)
{
    return folded(a) == folded(b);
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance with swaps of neighbours; three rows are enough. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];

    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least_of(last[j], now[j - 1]) + 1;
            now[j] = least_of(now[j], last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                now[j] = least_of(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

void text_closest_init(struct text_closest *c, const char *word)
{
    c->word = word;
    c->best = NULL;
    c->distance = SIZE_MAX;
}

void text_closest_try(struct text_closest *c, const char *candidate)
{
    size_t n = strlen(c->word);
    size_t m = strlen(candidate);
    size_t d;

    if (n == 0 || n > WORD_MAX || m > WORD_MAX)
        return;
    d = distance(c->word, n, candidate, m);
    /* A third of the letters may be wrong, one always: more is another word. */
    if (d < c->distance && d < m && d <= (m < 6 ? 1 : m / 3)) {
        c->distance = d;
        c->best = candidate;
    }
}

void text_last_words(char *out, size_t cap, const char *said)
{
    const char *best = "";
    size_t best_len = 0;

    for (const char *line = said; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        const char *error = strstr(line, "rror");
        const char *fatal = strstr(line, "FATAL");

        if (n > 0 && (best_len == 0 || (error != NULL && error < line + n) ||
                      (fatal != NULL && fatal < line + n))) {
            best = line;
            best_len = n;
        }
        line += n + (line[n] == '\n' ? 1 : 0);
    }
    (void)snprintf(out, cap, "%.*s", (int)(best_len < cap ? best_len : cap - 1), best);
}
