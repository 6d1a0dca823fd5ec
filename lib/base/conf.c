#include "base/conf.h"

#include <stdbool.h>
#include <string.h>

#include "base/parse.h"

/* Room for the longest kind and name, and for the text of one line. */
struct reader {
    conf_fn *fn;
    void *arg;
    char kind[PARSE_NAME_MAX + 1];
    char name[PARSE_NAME_MAX + 1];
    char line[CONF_LINE_MAX + 1];
    bool in_section;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static char *skip_blanks(char *s)
{
    while (is_blank(*s))
        s++;
    return s;
}

/* Whether nothing but a comment follows. */
static bool is_over(const char *s)
{
    while (is_blank(*s))
        s++;
    return *s == '\0' || *s == '#';
}

/* Cuts the word at s off and returns what follows it. */
static char *cut_word(char *s, char *out, size_t cap)
{
    size_t n = 0;

    while (s[n] != '\0' && !is_blank(s[n]) && s[n] != ']')
        n++;
    if (n >= cap)
        return NULL;
    memcpy(out, s, n);
    out[n] = '\0';
    return skip_blanks(s + n);
}

/* "[kind name]" */
static int read_section(struct reader *r, char *s, unsigned line, struct err *e)
{
    struct conf_entry entry = {r->kind, r->name, NULL, NULL, line};

    s = cut_word(skip_blanks(s + 1), r->kind, sizeof r->kind);
    if (s != NULL && r->kind[0] != '\0')
        s = cut_word(s, r->name, sizeof r->name);
    if (s == NULL || r->kind[0] == '\0' || *s != ']' || !is_over(s + 1))
        return err_set(e, ERR_CONFIG, "a section line looks like [dump NAME]");
    if (r->name[0] == '\0')
        return err_set(e, ERR_CONFIG, "section [%s] needs a name, like [%s main]", r->kind,
                       r->kind);
    if (parse_name(r->name, e) < 0)
        return -1;
    r->in_section = true;
    return r->fn(r->arg, &entry, e);
}

/* 'it''s' becomes it's, in place; what follows the closing quote must be a comment. */
static int unquote(char *s, struct err *e)
{
    char *from = s + 1;
    char *to = s;

    for (;; from++) {
        if (*from == '\0')
            return err_set(e, ERR_CONFIG, "the closing quote is missing");
        if (*from == '\'' && *++from != '\'')
            break;
        *to++ = *from;
    }
    if (!is_over(from))
        return err_set(e, ERR_CONFIG, "something follows the closing quote: \"%.80s\"", from);
    *to = '\0';
    return 0;
}

/* Cuts a comment and the blanks at the end off. */
static void trim(char *s)
{
    size_t n = 0;

    while (s[n] != '\0' && !(s[n] == '#' && (n == 0 || is_blank(s[n - 1]))))
        n++;
    while (n > 0 && is_blank(s[n - 1]))
        n--;
    s[n] = '\0';
}

/* "key = value" */
static int read_entry(struct reader *r, char *s, unsigned line, struct err *e)
{
    struct conf_entry entry = {NULL, NULL, s, NULL, line};
    char *key_end = s;
    char *value;

    while (is_key_char(*key_end))
        key_end++;
    value = skip_blanks(key_end);
    if (key_end == s || *value != '=')
        return err_set(e, ERR_CONFIG, "expected \"key = value\", not \"%.80s\"", s);
    value = skip_blanks(value + 1);
    *key_end = '\0';
    if (*value == '\'') {
        if (unquote(value, e) < 0)
            return err_context(e, "%s", entry.key);
    } else {
        trim(value);
        if (*value == '\0')
            return err_set(e, ERR_CONFIG, "%.80s has no value", entry.key);
    }
    entry.value = value;
    if (r->in_section) {
        entry.kind = r->kind;
        entry.name = r->name;
    }
    return r->fn(r->arg, &entry, e);
}

/* Copies one line (without its end) to r->line, so that it can be cut up.  -1 when it is none. */
static int copy_line(struct reader *r, const char *text, size_t n, struct err *e)
{
    if (n > 0 && text[n - 1] == '\r')
        n--;
    if (n > CONF_LINE_MAX)
        return err_set(e, ERR_CONFIG, "the line is longer than %d bytes", CONF_LINE_MAX);
    for (size_t i = 0; i < n; i++) {
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return err_set(e, ERR_CONFIG, "the line holds a control character (byte %zu)", i + 1);
    }
    memcpy(r->line, text, n);
    r->line[n] = '\0';
    return 0;
}

/* Takes one line.  *done turns true where the main part ends and no more is asked for. */
static int read_line(struct reader *r, const char *text, size_t n, unsigned line,
                     enum conf_flags flags, bool *done, struct err *e)
{
    size_t blanks = 0;
    char *s;

    while (blanks < n && is_blank(text[blanks]))
        blanks++;
    if (flags == CONF_MAIN_ONLY && blanks < n && text[blanks] == '[') {
        *done = true;
        return 0;
    }
    if (copy_line(r, text, n, e) < 0)
        return -1;
    s = skip_blanks(r->line);
    if (*s == '\0' || *s == '#' || *s == ';')
        return 0;
    return *s == '[' ? read_section(r, s, line, e) : read_entry(r, s, line, e);
}

int conf_parse(const char *file, const char *text, size_t len, enum conf_flags flags, conf_fn *fn,
               void *arg, struct err *e)
{
    struct reader r = {.fn = fn, .arg = arg};
    unsigned line = 0;
    bool done = false;
    size_t at = 0;

    if (len > CONF_FILE_MAX)
        return err_set(e, ERR_CONFIG, "%s: the file is larger than %d kB", file,
                       CONF_FILE_MAX / 1024);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at = 3; /* a byte order mark, as some editors leave it */
    while (at < len && !done) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - (text + at)) : len - at;

        line++;
        if (read_line(&r, text + at, n, line, flags, &done, e) < 0) {
            if (e->code != ERR_NOMEM)
                e->code = ERR_CONFIG;
            return err_context(e, "%s:%u", file, line);
        }
        at += n + (end != NULL ? 1 : 0);
    }
    return 0;
}
