#include "basebackup/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/time.h"
#include "os/tty.h"

enum { EVERY_US = 300 * 1000, EVERY_LINE_US = 5 * 1000 * 1000, LINE_MAX_WIDTH = 160 };

void progress_init(struct progress *p, bool wanted, bool fast)
{
    memset(p, 0, sizeof *p);
    p->terminal = os_tty_is(STDERR_FILENO);
    p->on = wanted || p->terminal;
    p->fast = fast;
}

static bool is_time(struct progress *p)
{
    int64_t now = os_mono_us();

    if (!p->on || now < p->next)
        return false;
    p->next = now + (p->terminal ? EVERY_US : EVERY_LINE_US);
    return true;
}

static void show(struct progress *p, const char *line)
{
    size_t len = strlen(line);

    if (!p->terminal)
        fprintf(stderr, "walden-basebackup: %s\n", line);
    else
        fprintf(stderr, "\r%s%*s", line, len < p->shown ? (int)(p->shown - len) : 0, "");
    (void)fflush(stderr); /* nobody can be told that telling failed */
    p->shown = len;
}

void progress_clear(struct progress *p)
{
    if (p->terminal && p->shown > 0)
        fprintf(stderr, "\r%*s\r", (int)p->shown, "");
    p->shown = 0;
}

void progress_size(char out[PROGRESS_SIZE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    unsigned unit = 0;
    uint64_t tenths = bytes * 10;

    if (bytes < 1000) {
        (void)snprintf(out, PROGRESS_SIZE_MAX, "%" PRIu64 " bytes", bytes);
        return;
    }
    for (; tenths >= 10000 && unit < 6; unit++)
        tenths = bytes > UINT64_MAX / 10 ? tenths / 1000 : (tenths + 500) / 1000;
    if (tenths < 100)
        (void)snprintf(out, PROGRESS_SIZE_MAX, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10,
                       tenths % 10, units[unit]);
    else
        (void)snprintf(out, PROGRESS_SIZE_MAX, "%" PRIu64 " %s", (tenths + 5) / 10, units[unit]);
}

void progress_time(char out[PROGRESS_TIME_MAX], int64_t us)
{
    int64_t s = us / USEC_PER_SEC;

    if (s < 10)
        (void)snprintf(out, PROGRESS_TIME_MAX, "%" PRId64 ".%" PRId64 " s", s,
                       us / (USEC_PER_SEC / 10) % 10);
    else if (s < 60)
        (void)snprintf(out, PROGRESS_TIME_MAX, "%" PRId64 " s", s);
    else if (s < 3600)
        (void)snprintf(out, PROGRESS_TIME_MAX, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        (void)snprintf(out, PROGRESS_TIME_MAX, "%" PRId64 " h %" PRId64 " min", s / 3600,
                       s / 60 % 60);
}

void progress_checkpoint(struct progress *p, int64_t waited_us)
{
    char waited[PROGRESS_TIME_MAX];

    progress_time(waited, waited_us);
    progress_say(p, "waiting for the server's checkpoint, %s%s", waited,
                 p->fast ? "" : " (--fast would skip it)");
}

void progress_bytes(struct progress *p, uint64_t bytes)
{
    char line[LINE_MAX_WIDTH];
    char have[PROGRESS_SIZE_MAX];
    char want[PROGRESS_SIZE_MAX];
    char rate[PROGRESS_SIZE_MAX];
    char left[PROGRESS_TIME_MAX];
    int64_t now;
    uint64_t per_second;

    if (!is_time(p))
        return;
    now = os_mono_us();
    if (p->begun == 0)
        p->begun = now;
    per_second =
        now - p->begun < USEC_PER_SEC / 4 ? 0 : bytes / (uint64_t)((now - p->begun) / 1000) * 1000;
    progress_size(have, bytes);
    progress_size(rate, per_second);
    if (p->want < bytes || per_second == 0) {
        (void)snprintf(line, sizeof line, "%s received, %s/s", have, rate);
    } else {
        progress_size(want, p->want);
        progress_time(left, (int64_t)((p->want - bytes) / per_second) * USEC_PER_SEC);
        (void)snprintf(line, sizeof line, "%s of %s (%u %%), %s/s, %s left", have, want,
                       (unsigned)(p->want / 100 == 0 ? 100 : bytes / (p->want / 100)), rate, left);
    }
    show(p, line);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
    char line[LINE_MAX_WIDTH];
    va_list ap;

    if (!is_time(p))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    show(p, line);
}
