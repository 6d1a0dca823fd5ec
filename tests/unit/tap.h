/*
 * tap: the few lines a unit test needs to speak TAP.
 *
 * OK(cond, name...) prints one result; a failing one prints file and line and is counted;
 * tap_done() prints the plan and gives main its exit status.  SKIP(reason) counts as neither.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count;
static int tap_failed;

__attribute__((format(printf, 4, 5))) static inline bool tap_ok(bool cond, const char *file,
                                                                int line, const char *fmt, ...)
{
    va_list ap;

    printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    if (!cond) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return cond;
}

#define OK(cond, ...) tap_ok((cond), __FILE__, __LINE__, __VA_ARGS__)
#define IS_STR(got, want, ...)                                                                     \
    (tap_ok(strcmp((got), (want)) == 0, __FILE__, __LINE__, __VA_ARGS__) ||                        \
     (printf("#  got: %s\n# want: %s\n", (got), (want)), false))
#define SKIP(reason, name) printf("ok %d - %s # SKIP %s\n", ++tap_count, (name), (reason))

static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed == 0 ? 0 : 1;
}

#endif
