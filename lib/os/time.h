/*
 * time: clocks and local time.  Deadlines are points on the monotonic clock in microseconds; wall
 * time is microseconds since 1970-01-01 UTC and is never used to order anything.
 */
#ifndef OS_TIME_H
#define OS_TIME_H

#include <stddef.h>
#include <stdint.h>

int64_t os_mono_us(void);
int64_t os_real_us(void);

/* Process CPU time, for the meters. */
int64_t os_cpu_us(void);

/* Sleeps; returns early when a signal comes. */
void os_sleep_us(int64_t us);

enum { OS_LOCAL_TIME_MAX = 80 };

/*
 * Writes "2026-03-01 14:05:06.123456 CET (+01:00)" in the zone of TZ; without micros the fraction
 * is left out.  Always NUL-terminated; a time outside the calendar becomes "out of range".
 */
void os_local_time(int64_t unix_us, int with_micros, char *buf, size_t cap);

/* Seconds east of UTC in force at that moment in the zone of TZ. */
int os_local_offset(int64_t unix_us);

/* The zone's abbreviation ("CET") at that moment. */
void os_local_zone(int64_t unix_us, char *buf, size_t cap);

/*
 * The moment that the local calendar fields name (a time a person typed without a zone); month and
 * day count from 1.  0 and *unix_s; OS_ABSENT (1) when no such moment exists (the hour a clock
 * change skips, or a wrong date).
 */
int os_local_to_unix(int year, int month, int day, int hour, int minute, int second,
                     int64_t *unix_s);

#endif
