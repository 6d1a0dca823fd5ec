/*
 * parse: text to value, strictly.
 *
 * The whole string must be the value: no blanks around it, no sign unless a sign means something,
 * nothing behind it, nothing out of range.  On failure each function returns -1, leaves *out alone
 * and says what was expected, with code ERR_USAGE; a caller who knows that the text came from a
 * file or from a repository sets e->code to ERR_CONFIG or ERR_DAMAGED and puts the place in front
 * with err_context.  The hint holds the spelling that was probably meant, where there is one.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define USEC_PER_SEC   INT64_C(1000000)
#define USEC_PER_DAY   (INT64_C(86400) * USEC_PER_SEC)
#define PARSE_TIME_MAX INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

enum { PARSE_NAME_MAX = 64 };

/* One word of a fixed choice; tables end with a NULL word. */
struct parse_word {
    const char *word;
    int value;
};

/* Decimal digits; a leading zero is allowed, a sign only in front of a negative i64. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *out, struct err *e)
    __attribute__((warn_unused_result));
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* Hexadecimal digits of either case without a prefix; at most max. */
int parse_hex(const char *s, uint64_t max, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* Exactly n bytes as 2 * n hexadecimal digits of either case. */
int parse_bytes(const char *s, uint8_t *out, size_t n, struct err *e)
    __attribute__((warn_unused_result));

/* A size as PostgreSQL writes it: digits, perhaps blanks, and B, kB, MB, GB or TB (powers of
 * 1024); bare digits are bytes. */
int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* A duration as PostgreSQL writes it: digits, perhaps blanks, and us, ms, s, min, h or d; *out is
 * in microseconds.  Bare digits are refused, except 0: nobody should have to guess the unit. */
int parse_duration(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
    __attribute__((warn_unused_result));

/* on, off, true, false, yes, no, 1 or 0, in any case. */
int parse_bool(const char *s, bool *out, struct err *e) __attribute__((warn_unused_result));

/* One of the words of the table, as written there. */
int parse_word(const char *s, const struct parse_word *words, int *out, struct err *e)
    __attribute__((warn_unused_result));

/* An LSN, X/X: one to eight hexadecimal digits on each side. */
int parse_lsn(const char *s, uint64_t *out, struct err *e) __attribute__((warn_unused_result));

/*
 * A moment: RFC 3339 ("2026-11-20T06:21:45Z") or PostgreSQL's style ("2026-11-20 06:21:45.123+01"),
 * years 1970 to 9999, seconds may be left out, at most nine digits of fraction of which six count.
 * A zone is Z, UTC, GMT, or an offset +HH, +HHMM or +HH:MM; other abbreviations are refused, for
 * they mean different things in different places.
 *
 * *us is in microseconds since 1970-01-01 UTC.  *zoned says whether a zone was there; without one,
 * *us is the moment as if the zone were UTC, and it is for the caller to apply the zone it assumes
 * and to say so.
 */
int parse_time(const char *s, int64_t *us, bool *zoned, struct err *e)
    __attribute__((warn_unused_result));

/* Checks the name of a cluster, job or label: 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor - in
 * front.  Such a name is safe as a path component and as a word of a shell.  0 or -1. */
int parse_name(const char *s, struct err *e) __attribute__((warn_unused_result));

/* Days from 1970-01-01 to a date of the Gregorian calendar: year from 1, month 1..12, day 1..31;
 * negative before 1970. */
int64_t parse_days(int64_t year, unsigned month, unsigned day);

#endif
