#include "os/time.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "os/sys.h"

static int64_t now_us(clockid_t clock)
{
    struct timespec ts = {.tv_sec = 0, .tv_nsec = 0};

    (void)os_sys->clock_gettime(clock, &ts); /* fails only for a clock that does not exist */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t os_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t os_real_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t os_cpu_us(void)
{
    return now_us(CLOCK_PROCESS_CPUTIME_ID);
}

void os_sleep_us(int64_t us)
{
    struct timespec want;

    if (us <= 0)
        return;
    want.tv_sec = (time_t)(us / 1000000);
    want.tv_nsec = (long)(us % 1000000) * 1000;
    (void)os_sys->nanosleep(&want, NULL); /* a signal may end it early: as documented */
}

/* Seconds, and microseconds from 0 to 999999, rounded down also before 1970. */
static int64_t split(int64_t unix_us, int *micros)
{
    int64_t s = unix_us / 1000000;
    int64_t rest = unix_us % 1000000;

    if (rest < 0) {
        s--;
        rest += 1000000;
    }
    *micros = (int)rest;
    return s;
}

static bool local_fields(int64_t unix_us, struct tm *tm, int *micros)
{
    time_t t = (time_t)split(unix_us, micros);

    return localtime_r(&t, tm) != NULL;
}

void os_local_time(int64_t unix_us, int with_micros, char *buf, size_t cap)
{
    char fraction[16] = "";
    struct tm tm;
    int micros;
    int offset;
    int n;

    if (cap == 0)
        return;
    if (!local_fields(unix_us, &tm, &micros)) {
        (void)snprintf(buf, cap, "out of range");
        return;
    }
    if (with_micros)
        (void)snprintf(fraction, sizeof fraction, ".%06d", micros % 1000000);
    offset = (int)(tm.tm_gmtoff / 60);
    n = snprintf(buf, cap, "%04d-%02d-%02d %02d:%02d:%02d%s %s (%c%02d:%02d)", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction, tm.tm_zone,
                 offset < 0 ? '-' : '+', (offset < 0 ? -offset : offset) / 60,
                 (offset < 0 ? -offset : offset) % 60);
    if (n < 0)
        buf[0] = '\0';
}

int os_local_offset(int64_t unix_us)
{
    struct tm tm;
    int micros;

    return local_fields(unix_us, &tm, &micros) ? (int)tm.tm_gmtoff : 0;
}

void os_local_zone(int64_t unix_us, char *buf, size_t cap)
{
    struct tm tm;
    int micros;

    if (cap == 0)
        return;
    (void)snprintf(buf, cap, "%s", local_fields(unix_us, &tm, &micros) ? tm.tm_zone : "UTC");
}

int os_local_to_unix(int year, int month, int day, int hour, int minute, int second,
                     int64_t *unix_s)
{
    struct tm want;
    struct tm got;
    time_t t;

    if (year < 1902 || year > 9999)
        return OS_ABSENT;
    memset(&want, 0, sizeof want);
    want.tm_year = year - 1900;
    want.tm_mon = month - 1;
    want.tm_mday = day;
    want.tm_hour = hour;
    want.tm_min = minute;
    want.tm_sec = second;
    want.tm_isdst = -1;
    t = mktime(&want);
    /* mktime() moves what does not exist to something that does; what comes back tells. */
    if (localtime_r(&t, &got) == NULL || got.tm_year != year - 1900 || got.tm_mon != month - 1 ||
        got.tm_mday != day || got.tm_hour != hour || got.tm_min != minute || got.tm_sec != second)
        return OS_ABSENT;
    *unix_s = (int64_t)t;
    return 0;
}
