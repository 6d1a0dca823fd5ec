#include "base/msg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

enum { LINE_MAX_BYTES = 2048, JSON_BYTES_MAX = 16 * 1024 };

static void put_line(const struct msg *m, const char *kind, const char *text)
{
    char line[LINE_MAX_BYTES];
    size_t n;

    n = text_visible(line, 64, m->program, strlen(m->program));
    n += (size_t)snprintf(line + n, sizeof line - n, ": %s", kind);
    n += text_visible(line + n, sizeof line - n - 1, text, strlen(text));
    line[n++] = '\n';
    /* Standard error is not buffered, so this is one write.  There is nowhere left to report that
     * it failed. */
    (void)fwrite(line, 1, n, stderr);
}

__attribute__((format(printf, 3, 0))) static void put_args(const struct msg *m, const char *kind,
                                                           const char *fmt, va_list ap)
{
    char text[LINE_MAX_BYTES];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    put_line(m, kind, text);
}

void msg_error(const struct msg *m, const struct err *e)
{
    put_line(m, "error: ", e->msg);
    if (e->hint[0] != '\0')
        put_line(m, "hint: ", e->hint);
}

void msg_fail(const struct msg *m, const struct err *e)
{
    struct err quiet = {0};
    struct json_out j;
    struct buf b;

    msg_error(m, e);
    if (!m->json)
        return;
    buf_init(&b, JSON_BYTES_MAX);
    json_begin(&j, &b, NULL, NULL);
    json_object(&j, NULL);
    json_num(&j, "schema", 1);
    json_object(&j, "error");
    json_str(&j, "command", m->program);
    json_str(&j, "code", err_word(e->code));
    json_str(&j, "message", e->msg);
    json_str(&j, "hint", e->hint[0] == '\0' ? NULL : e->hint);
    json_object_end(&j);
    json_object_end(&j);
    /* Who cannot take it has the text on standard error, and the exit status. */
    if (json_end(&j, &quiet) == 0)
        (void)fwrite(b.p, 1, b.len, stdout);
    (void)fflush(stdout);
    buf_fini(&b);
}

void msg_warn_err(const struct msg *m, const struct err *e)
{
    put_line(m, "warning: ", e->msg);
    if (e->hint[0] != '\0')
        put_line(m, "hint: ", e->hint);
}

void msg_warn(const struct msg *m, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_args(m, "warning: ", fmt, ap);
    va_end(ap);
}

void msg_note(const struct msg *m, const char *fmt, ...)
{
    va_list ap;

    if (m->level < MSG_NORMAL)
        return;
    va_start(ap, fmt);
    put_args(m, "", fmt, ap);
    va_end(ap);
}

void msg_detail(const struct msg *m, const char *fmt, ...)
{
    va_list ap;

    if (m->level < MSG_VERBOSE)
        return;
    va_start(ap, fmt);
    put_args(m, "detail: ", fmt, ap);
    va_end(ap);
}
