/*
 * The reading half of base/json: a state machine that takes one byte at a time, so that input may
 * be cut anywhere.  `expect` is the grammar's state between tokens, `lex` the state inside one.
 */
#include "base/json.h"

#include <string.h>

#include "base/parse.h"
#include "base/text.h"

enum expect {
    WANT_VALUE,        /* the document, after a key, after a comma in an array */
    WANT_FIRST_VALUE,  /* after [ : a value or ] */
    WANT_FIRST_KEY,    /* after { : a key or } */
    WANT_KEY,          /* after a comma in an object */
    WANT_COLON,        /* after a key */
    WANT_COMMA_OR_END, /* after a value inside something */
    WANT_NOTHING       /* after the document */
};

enum lex { LEX_NONE, LEX_STRING, LEX_ESCAPE, LEX_HEX, LEX_WORD };

void json_in_init(struct json_in *j, size_t max_text)
{
    memset(j, 0, sizeof *j);
    buf_init(&j->text, max_text);
    j->expect = WANT_VALUE;
    j->lex = LEX_NONE;
}

void json_in_fini(struct json_in *j)
{
    buf_fini(&j->text);
}

void json_feed(struct json_in *j, const void *p, size_t n, bool last)
{
    j->p = p;
    j->left = n;
    j->last = last;
}

void json_skip(struct json_in *j)
{
    j->skipping = true;
    j->skip_depth = j->depth;
}

static int damaged(const struct json_in *j, const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "invalid JSON at byte %llu: %s", (unsigned long long)j->offset,
                   what);
}

static uint8_t take(struct json_in *j)
{
    j->left--;
    j->offset++;
    return *j->p++;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool in_object(const struct json_in *j)
{
    return j->depth > 0 && (j->is_object >> (j->depth - 1) & 1) != 0;
}

/* After a value: more of what is around it, or the end of the document. */
static void value_done(struct json_in *j)
{
    j->expect = j->depth > 0 ? WANT_COMMA_OR_END : WANT_NOTHING;
}

static bool wants_value(const struct json_in *j)
{
    return j->expect == WANT_VALUE || j->expect == WANT_FIRST_VALUE;
}

/* Fills in a token whose text is in j->text. */
static int text_token(struct json_in *j, enum json_type type, struct json_token *t)
{
    t->type = type;
    t->text = buf_text(&j->text);
    t->len = j->text.len;
    t->depth = j->depth;
    j->lex = LEX_NONE;
    if (type == JSON_KEY)
        j->expect = WANT_COLON;
    else
        value_done(j);
    return 0;
}

static int bare_token(const struct json_in *j, enum json_type type, struct json_token *t)
{
    t->type = type;
    t->text = "";
    t->len = 0;
    t->depth = j->depth;
    return 0;
}

static int open_level(struct json_in *j, bool object, struct json_token *t, struct err *e)
{
    (void)bare_token(j, object ? JSON_OBJECT : JSON_ARRAY, t);
    if (j->depth == JSON_DEPTH_MAX)
        return damaged(j, "nested too deeply", e);
    j->is_object &= ~(UINT64_C(1) << j->depth);
    j->is_object |= (uint64_t)object << j->depth;
    j->depth++;
    j->expect = object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    return 0;
}

static int close_level(struct json_in *j, bool object, struct json_token *t, struct err *e)
{
    int empty = object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;

    if (j->depth == 0 || in_object(j) != object ||
        (j->expect != WANT_COMMA_OR_END && j->expect != empty))
        return damaged(j, object ? "unexpected }" : "unexpected ]", e);
    j->depth--;
    value_done(j);
    return bare_token(j, object ? JSON_OBJECT_END : JSON_ARRAY_END, t);
}

static int add_code(struct json_in *j, uint32_t code, struct err *e)
{
    uint8_t raw[4];

    return buf_add(&j->text, raw, text_put_utf8(raw, code), e);
}

/* A whole \uXXXX: a character, or one half of a pair. */
static int unicode(struct json_in *j, struct err *e)
{
    uint32_t code = j->code;

    j->lex = LEX_STRING;
    if (j->high != 0) {
        if (code < 0xdc00 || code > 0xdfff)
            return damaged(j, "a surrogate without its pair", e);
        code = 0x10000 + ((j->high - 0xd800) << 10) + (code - 0xdc00);
        j->high = 0;
        return add_code(j, code, e);
    }
    if (code >= 0xd800 && code <= 0xdbff) {
        j->high = code;
        return 0;
    }
    if (code >= 0xdc00 && code <= 0xdfff)
        return damaged(j, "a surrogate without its pair", e);
    if (code == 0)
        return damaged(j, "a string holds the character 0", e);
    return add_code(j, code, e);
}

static int hex_digit(struct json_in *j, uint8_t c, struct err *e)
{
    uint32_t v;

    if (c >= '0' && c <= '9')
        v = c - (uint32_t)'0';
    else if (c >= 'a' && c <= 'f')
        v = c - (uint32_t)'a' + 10;
    else if (c >= 'A' && c <= 'F')
        v = c - (uint32_t)'A' + 10;
    else
        return damaged(j, "four hexadecimal digits must follow \\u", e);
    j->code = j->code << 4 | v;
    return --j->need > 0 ? 0 : unicode(j, e);
}

static int escape(struct json_in *j, uint8_t c, struct err *e)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *at;

    if (c == 'u') {
        j->lex = LEX_HEX;
        j->need = 4;
        j->code = 0;
        return 0;
    }
    at = c == 0 ? NULL : strchr(from, c);
    if (at == NULL)
        return damaged(j, "unknown escape in a string", e);
    if (j->high != 0)
        return damaged(j, "a surrogate without its pair", e);
    j->lex = LEX_STRING;
    return buf_add(&j->text, &to[at - from], 1, e);
}

/* The closing quote: the bytes must be UTF-8. */
static int string_done(struct json_in *j, struct json_token *t, struct err *e)
{
    size_t i = 0;

    if (j->high != 0)
        return damaged(j, "a surrogate without its pair", e);
    while (i < j->text.len) {
        uint32_t code;
        size_t n = text_utf8(j->text.p + i, j->text.len - i, &code);

        if (n == 0)
            return damaged(j, "a string is not valid UTF-8", e);
        i += n;
    }
    return text_token(j, wants_value(j) ? JSON_STRING : JSON_KEY, t);
}

/* Takes plain bytes of a string up to the next one that means something. */
static int plain_run(struct json_in *j, struct err *e)
{
    size_t n = 0;

    while (n < j->left && j->p[n] >= 0x20 && j->p[n] != '"' && j->p[n] != '\\')
        n++;
    if (n > 0 && j->high != 0)
        return damaged(j, "a surrogate without its pair", e);
    if (buf_add(&j->text, j->p, n, e) < 0)
        return -1;
    j->p += n;
    j->left -= n;
    j->offset += n;
    return 0;
}

/* Goes on inside a string.  0 with a token, JSON_MORE, -1. */
static int read_string(struct json_in *j, struct json_token *t, struct err *e)
{
    while (j->left > 0) {
        int rc = 0;
        uint8_t c;

        if (j->lex == LEX_STRING && plain_run(j, e) < 0)
            return -1;
        if (j->left == 0)
            break;
        c = take(j);
        if (j->lex == LEX_HEX)
            rc = hex_digit(j, c, e);
        else if (j->lex == LEX_ESCAPE)
            rc = escape(j, c, e);
        else if (c == '"')
            return string_done(j, t, e);
        else if (c == '\\')
            j->lex = LEX_ESCAPE;
        else
            return damaged(j, "a control character in a string", e);
        if (rc < 0)
            return -1;
    }
    return JSON_MORE;
}

static size_t digits(const char *s)
{
    size_t n = 0;

    while (s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)? */
static bool is_number(const char *s)
{
    size_t n;

    s += *s == '-' ? 1 : 0;
    n = digits(s);
    if (n == 0 || (n > 1 && *s == '0'))
        return false;
    s += n;
    if (*s == '.') {
        n = digits(++s);
        if (n == 0)
            return false;
        s += n;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-' ? 1 : 0;
        n = digits(s);
        if (n == 0)
            return false;
        s += n;
    }
    return *s == '\0';
}

static int word_done(struct json_in *j, struct json_token *t, struct err *e)
{
    const char *s = buf_text(&j->text);

    if (strcmp(s, "true") == 0)
        return text_token(j, JSON_TRUE, t);
    if (strcmp(s, "false") == 0)
        return text_token(j, JSON_FALSE, t);
    if (strcmp(s, "null") == 0)
        return text_token(j, JSON_NULL, t);
    if (is_number(s))
        return text_token(j, JSON_NUMBER, t);
    return damaged(j, "neither a number nor true, false or null", e);
}

static bool is_word_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

/* Goes on inside a number or literal, which only the byte behind it or the last piece ends. */
static int read_word(struct json_in *j, struct json_token *t, struct err *e)
{
    while (j->left > 0) {
        if (!is_word_char(*j->p))
            return word_done(j, t, e);
        if (buf_u8(&j->text, take(j), e) < 0)
            return -1;
    }
    return j->last ? word_done(j, t, e) : JSON_MORE;
}

/* , and : only move the state on. */
static bool punctuation(struct json_in *j, uint8_t c)
{
    if (c == ',' && j->expect == WANT_COMMA_OR_END)
        j->expect = in_object(j) ? WANT_KEY : WANT_VALUE;
    else if (c == ':' && j->expect == WANT_COLON)
        j->expect = WANT_VALUE;
    else
        return false;
    return true;
}

/* The first byte of a token, not yet taken. */
static int start_token(struct json_in *j, uint8_t c, struct json_token *t, struct err *e)
{
    bool key = j->expect == WANT_KEY || j->expect == WANT_FIRST_KEY;

    buf_clear(&j->text);
    if (c == '}' || c == ']') {
        (void)take(j);
        return close_level(j, c == '}', t, e);
    }
    if (c == '"' && (key || wants_value(j))) {
        (void)take(j);
        j->lex = LEX_STRING;
        return read_string(j, t, e);
    }
    if (!wants_value(j))
        return damaged(j, key ? "a key must come here" : "unexpected character", e);
    if (c == '{' || c == '[') {
        (void)take(j);
        return open_level(j, c == '{', t, e);
    }
    if (!is_word_char(c))
        return damaged(j, "unexpected character", e);
    j->lex = LEX_WORD;
    return read_word(j, t, e);
}

static int read_token(struct json_in *j, struct json_token *t, struct err *e)
{
    if (j->lex == LEX_WORD)
        return read_word(j, t, e);
    if (j->lex != LEX_NONE)
        return read_string(j, t, e);
    while (j->left > 0) {
        uint8_t c = *j->p;

        if (is_space(c) || punctuation(j, c))
            (void)take(j);
        else
            return start_token(j, c, t, e);
    }
    if (j->last && j->expect == WANT_NOTHING)
        return bare_token(j, JSON_END, t);
    return JSON_MORE;
}

/* Whether the token still belongs to a value that the caller wants passed over. */
static bool passed_over(struct json_in *j, const struct json_token *t)
{
    if (!j->skipping)
        return false;
    if (t->type != JSON_OBJECT && t->type != JSON_ARRAY && t->depth == j->skip_depth)
        j->skipping = false; /* a scalar, or the end of what was opened here */
    return true;
}

int json_next(struct json_in *j, struct json_token *t, struct err *e)
{
    int rc;

    do {
        rc = read_token(j, t, e);
        if (rc == JSON_MORE && j->last)
            return damaged(j, "the document is cut off", e);
    } while (rc == 0 && t->type != JSON_END && passed_over(j, t));
    return rc;
}

int json_u64(const struct json_token *t, uint64_t max, uint64_t *out, struct err *e)
{
    if (t->type != JSON_NUMBER)
        return err_set(e, ERR_DAMAGED, "a number was expected");
    if (parse_u64(t->text, 0, max, out, e) < 0) {
        e->code = ERR_DAMAGED;
        return -1;
    }
    return 0;
}

bool json_is(const struct json_token *t, const char *text)
{
    return (t->type == JSON_KEY || t->type == JSON_STRING) && t->len == strlen(text) &&
           memcmp(t->text, text, t->len) == 0;
}
