#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_clear(struct err *e)
{
    e->code = ERR_NONE;
    e->sys = 0;
    e->msg[0] = '\0';
    e->hint[0] = '\0';
}

const char *err_word(enum err_code code)
{
    static const char *const words[] = {
        [ERR_NONE] = "none",
        [ERR_USAGE] = "usage",
        [ERR_CONFIG] = "configuration",
        [ERR_IO] = "system",
        [ERR_NOMEM] = "memory",
        [ERR_DAMAGED] = "damaged",
        [ERR_REFUSED] = "refused",
        [ERR_UNREACHABLE] = "unreachable",
        [ERR_KEY] = "key",
        [ERR_TIMEOUT] = "timeout",
        [ERR_HOLE] = "missing",
        [ERR_INTERRUPTED] = "interrupted",
        [ERR_INTERNAL] = "internal",
    };

    return words[code];
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    if (e->code != ERR_NONE)
        return -1;
    e->code = code;
    e->sys = 0;
    va_start(ap, fmt);
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return -1;
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
    va_list ap;
    size_t used;

    if (e->code != ERR_NONE)
        return -1;
    e->code = errnum == ENOMEM ? ERR_NOMEM : ERR_IO;
    e->sys = errnum;
    va_start(ap, fmt);
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    used = strlen(e->msg);
    (void)snprintf(e->msg + used, sizeof e->msg - used, ": %s", strerror(errnum));
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list ap;

    if (e->hint[0] != '\0')
        return -1;
    va_start(ap, fmt);
    (void)vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    return -1;
}

int err_context(struct err *e, const char *fmt, ...)
{
    char front[256];
    size_t len;
    size_t room = sizeof e->msg;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(front, sizeof front, fmt, ap);
    va_end(ap);
    len = strlen(front);
    memmove(e->msg + len + 2, e->msg, room - len - 2);
    memcpy(e->msg, front, len);
    memcpy(e->msg + len, ": ", 2);
    e->msg[room - 1] = '\0';
    return -1;
}
