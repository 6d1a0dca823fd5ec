/*
 * The writing half of base/json; the reading half is json_in.c.
 */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

void json_begin(struct json_out *j, struct buf *b, json_flush *flush, void *arg)
{
    memset(j, 0, sizeof *j);
    j->b = b;
    j->flush = flush;
    j->arg = arg;
}

static void put(struct json_out *j, const char *p, size_t n)
{
    if (j->rc == 0)
        j->rc = buf_add(j->b, p, n, &j->err);
}

static void drain(struct json_out *j, size_t at)
{
    if (j->rc != 0 || j->flush == NULL || j->b->len < at)
        return;
    j->rc = j->flush(j->arg, j->b->p, j->b->len, &j->err);
    buf_clear(j->b);
}

static void misuse(struct json_out *j, const char *what)
{
    if (j->rc == 0)
        j->rc = err_set(&j->err, ERR_INTERNAL, "JSON output: %s", what);
}

static uint64_t level(unsigned depth)
{
    return UINT64_C(1) << (depth - 1);
}

static void put_quoted(struct json_out *j, const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;

    put(j, "\"", 1);
    while (i < n) {
        char esc[8];
        uint32_t code;
        size_t len = text_utf8(p + i, n - i, &code);

        if (len == 0) {
            put(j, "\xef\xbf\xbd", 3);
            len = 1;
        } else if (code == '"' || code == '\\') {
            esc[0] = '\\';
            esc[1] = (char)code;
            put(j, esc, 2);
        } else if (text_is_unsafe(code)) {
            (void)snprintf(esc, sizeof esc, "\\u%04x", (unsigned)code & 0xffff);
            put(j, esc, 6);
        } else {
            put(j, s + i, len);
        }
        i += len;
    }
    put(j, "\"", 1);
}

/* What stands in front of a value: comma, key, and the check that a value may stand here. */
static void lead(struct json_out *j, const char *key)
{
    bool in_object = j->depth > 0 && (j->is_object & level(j->depth)) != 0;

    if (in_object != (key != NULL))
        misuse(j, in_object ? "a value in an object has no key" : "a key outside an object");
    if (j->depth == 0) {
        if (j->done)
            misuse(j, "a second document");
        j->done = true;
        return;
    }
    if ((j->has_items & level(j->depth)) != 0)
        put(j, ",", 1);
    j->has_items |= level(j->depth);
    if (key != NULL) {
        put_quoted(j, key, strlen(key));
        put(j, ":", 1);
    }
}

static void open_level(struct json_out *j, const char *key, bool object)
{
    lead(j, key);
    if (j->depth == JSON_DEPTH_MAX) {
        misuse(j, "nested too deeply");
        return;
    }
    j->depth++;
    j->has_items &= ~level(j->depth);
    if (object)
        j->is_object |= level(j->depth);
    else
        j->is_object &= ~level(j->depth);
    put(j, object ? "{" : "[", 1);
}

static void close_level(struct json_out *j, bool object)
{
    if (j->depth == 0 || ((j->is_object & level(j->depth)) != 0) != object) {
        misuse(j, "an end without its begin");
        return;
    }
    j->depth--;
    put(j, object ? "}" : "]", 1);
    drain(j, JSON_FLUSH_AT);
}

void json_object(struct json_out *j, const char *key)
{
    open_level(j, key, true);
}

void json_object_end(struct json_out *j)
{
    close_level(j, true);
}

void json_array(struct json_out *j, const char *key)
{
    open_level(j, key, false);
}

void json_array_end(struct json_out *j)
{
    close_level(j, false);
}

void json_strn(struct json_out *j, const char *key, const char *s, size_t n)
{
    lead(j, key);
    put_quoted(j, s, n);
    drain(j, JSON_FLUSH_AT);
}

void json_str(struct json_out *j, const char *key, const char *s)
{
    if (s == NULL)
        json_null(j, key);
    else
        json_strn(j, key, s, strlen(s));
}

void json_fmt(struct json_out *j, const char *key, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_str(j, key, text);
}

static void put_bare(struct json_out *j, const char *key, const char *text)
{
    lead(j, key);
    put(j, text, strlen(text));
    drain(j, JSON_FLUSH_AT);
}

void json_num(struct json_out *j, const char *key, uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put_bare(j, key, text);
}

void json_int(struct json_out *j, const char *key, int64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    put_bare(j, key, text);
}

void json_bool(struct json_out *j, const char *key, bool v)
{
    put_bare(j, key, v ? "true" : "false");
}

void json_null(struct json_out *j, const char *key)
{
    put_bare(j, key, "null");
}

int json_end(struct json_out *j, struct err *e)
{
    if (j->depth != 0 || !j->done)
        misuse(j, "the document is not whole");
    put(j, "\n", 1);
    drain(j, 0);
    if (j->rc == 0)
        return 0;
    if (e->code == ERR_NONE)
        *e = j->err;
    return -1;
}
