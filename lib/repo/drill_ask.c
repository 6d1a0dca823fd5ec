#include "repo/drill_ask.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"

enum { TIMEOUT_S = 600 };

/* --- what is expected --- */

enum relation { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, CONTAINS };

static const struct {
    const char *word;
    enum relation relation;
} relations[] = {
    {"<=", LESS_EQUAL}, {">=", GREATER_EQUAL}, {"!=", NOT_EQUAL}, {"<>", NOT_EQUAL},
    {"<", LESS},        {">", GREATER},        {"=", EQUAL},      {"contains ", CONTAINS}};

/* Its relation; *value is what stands behind it. */
static enum relation split(const char *expect, const char **value)
{
    enum relation r = EQUAL;

    *value = expect;
    for (size_t i = 0; i < sizeof relations / sizeof relations[0]; i++) {
        size_t n = strlen(relations[i].word);

        if (strncmp(expect, relations[i].word, n) != 0)
            continue;
        r = relations[i].relation;
        *value = expect + n;
        break;
    }
    *value += strspn(*value, " \t");
    return r;
}

/* A decimal number, taken apart: leading zeros of the whole part and trailing ones behind the point
 * do not count. */
struct number {
    bool negative;
    const char *whole;
    size_t whole_len;
    const char *part;
    size_t part_len;
};

static bool take_number(struct number *n, const char *text)
{
    const char *p = text;

    n->negative = *p == '-';
    p += *p == '-' || *p == '+' ? 1 : 0;
    n->whole = p;
    n->whole_len = strspn(p, "0123456789");
    if (n->whole_len == 0)
        return false;
    p += n->whole_len;
    n->part = p;
    n->part_len = 0;
    if (*p == '.') {
        n->part = p + 1;
        n->part_len = strspn(p + 1, "0123456789");
        if (n->part_len == 0)
            return false;
        p += 1 + n->part_len;
    }
    if (*p != '\0')
        return false;
    for (; n->whole_len > 0 && *n->whole == '0'; n->whole++)
        n->whole_len--;
    while (n->part_len > 0 && n->part[n->part_len - 1] == '0')
        n->part_len--;
    n->negative = n->negative && n->whole_len + n->part_len > 0; /* there is one zero */
    return true;
}

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static int compare_numbers(const struct number *a, const struct number *b)
{
    size_t least = a->part_len < b->part_len ? a->part_len : b->part_len;
    int c;

    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    if (a->whole_len != b->whole_len)
        c = a->whole_len < b->whole_len ? -1 : 1;
    else
        c = sign(memcmp(a->whole, b->whole, a->whole_len));
    if (c == 0)
        c = sign(memcmp(a->part, b->part, least));
    if (c == 0)
        c = (a->part_len > b->part_len) - (a->part_len < b->part_len);
    return a->negative ? -c : c;
}

int drill_expect_check(const char *expect, struct err *e)
{
    const char *value;
    enum relation r = split(expect, &value);
    struct number n;

    if (*value == '\0' && r != EQUAL && r != NOT_EQUAL)
        return err_set(e, ERR_CONFIG, "\"%.40s\" lacks a value, as in >= 1", expect);
    if (r >= LESS && r <= GREATER_EQUAL && !take_number(&n, value))
        return err_set(e, ERR_CONFIG, "\"%.40s\" is no number to compare with", value);
    return 0;
}

bool drill_expect(const char *expect, const char *found)
{
    const char *value;
    enum relation r = split(expect == NULL ? "t" : expect, &value);
    struct number a;
    struct number b;
    int c;

    if (r == CONTAINS)
        return strstr(found, value) != NULL;
    if (take_number(&a, found) && take_number(&b, value))
        c = compare_numbers(&a, &b);
    else if (r == EQUAL || r == NOT_EQUAL)
        c = strcmp(found, value);
    else
        return false; /* what was found is no number */
    switch (r) {
    case EQUAL:
        return c == 0;
    case NOT_EQUAL:
        return c != 0;
    case LESS:
        return c < 0;
    case LESS_EQUAL:
        return c <= 0;
    case GREATER:
        return c > 0;
    case GREATER_EQUAL:
        return c >= 0;
    case CONTAINS:
        break;
    }
    return false;
}

/* --- a section --- */

static const char *const keys[] = {"of", "database", "sql", "command", "expect", "why", "timeout"};

static int unknown_key(const char *key, struct err *e)
{
    struct text_closest near;

    text_closest_init(&near, key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        text_closest_try(&near, keys[i]);
    (void)err_set(e, ERR_CONFIG, "unknown key \"%.60s\" in a section [drill ...]", key);
    return near.best == NULL ? -1 : err_hint(e, "Did you mean %s?", near.best);
}

static int set(struct drill_ask *a, const char *key, const char *value, struct err *e)
{
    size_t i = 0;

    while (i < sizeof keys / sizeof keys[0] && strcmp(keys[i], key) != 0)
        i++;
    switch (i) {
    case 0:
        a->of = strcmp(value, "all") == 0 ? NULL : value;
        return a->of == NULL ? 0 : parse_name(value, e);
    case 1:
        a->database = value;
        return 0;
    case 2:
        a->sql = value;
        return 0;
    case 3:
        return words_split(&a->command, value, WORDS_COMMAND, e);
    case 4:
        a->expect = value;
        return drill_expect_check(value, e);
    case 5:
        a->why = value;
        return 0;
    case 6:
        return parse_duration(value, (uint64_t)USEC_PER_SEC, (uint64_t)USEC_PER_DAY, &a->timeout,
                              e);
    default:
        return unknown_key(key, e);
    }
}

static int check(const struct drill_ask *a, struct err *e)
{
    if (a->sql != NULL && a->command.n > 0)
        return err_set(e, ERR_CONFIG, "a section asks one question: sql or command");
    if (a->sql != NULL || a->command.n > 0)
        return 0;
    (void)err_set(e, ERR_CONFIG, "the section asks nothing");
    return err_hint(e, "Give it sql = ... or command = ...");
}

int drill_ask_load(struct drill_ask *a, const struct settings *s, size_t i, struct err *e)
{
    const struct settings_rows *rows = &s->rows;
    unsigned line = 0;
    size_t k = 0;

    for (; k < rows->n; k++)
        if (rows->v[k].key == NULL && strcmp(rows->v[k].kind, "drill") == 0 && i-- == 0)
            break;
    if (k == rows->n)
        return 1;
    memset(a, 0, sizeof *a);
    a->name = rows->v[k].name;
    a->timeout = (uint64_t)TIMEOUT_S * USEC_PER_SEC;
    line = rows->v[k].line;
    while (++k < rows->n && rows->v[k].key != NULL) {
        line = rows->v[k].line;
        if (set(a, rows->v[k].key, rows->v[k].value, e) != 0)
            goto fail;
    }
    if (check(a, e) == 0)
        return 0;
fail:
    if (e->code == ERR_USAGE)
        e->code = ERR_CONFIG;
    return err_context(e, "%s:%u: [drill %s]", s->config, line, a->name);
}

bool drill_ask_is_of(const struct drill_ask *a, const char *job)
{
    return a->of == NULL || strcmp(a->of, job == NULL ? "backup" : job) == 0;
}
