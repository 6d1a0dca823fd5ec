/*
 * text: value to text, and what can be said about a text.
 *
 * The writing side of base/parse (what text_* writes, parse_* reads back as the same value), UTF-8,
 * the rule that makes foreign bytes harmless on a terminal, and the guess at what was meant.
 * Every output goes to an array of the caller whose size has a name here; nothing can fail.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_TIME_MAX = 32, /* "2026-11-20T06:21:45.123456Z" */
    TEXT_LSN_MAX = 18,  /* "FFFFFFFF/FFFFFFFF" */
    TEXT_SIZE_MAX = 24, /* 20 digits and a unit */
};

/* us microseconds since 1970 as RFC 3339 in UTC with 0, 3 or 6 digits of fraction.  The width is
 * fixed, so such texts sort like the times they name.  Moments outside the years 1 to 9999, which
 * only damage produces, are shown as the nearest of these. */
void text_time(char out[TEXT_TIME_MAX], int64_t us, unsigned digits);

/* The inverse of parse_days. */
void text_date(int64_t days, int64_t *year, unsigned *month, unsigned *day);

/* As PostgreSQL writes an LSN: upper case, no leading zeros. */
void text_lsn(char out[TEXT_LSN_MAX], uint64_t lsn);

/* n bytes as 2 * n lower-case hexadecimal digits and a 0. */
void text_hex(char *out, const uint8_t *p, size_t n);

/* The greatest unit that needs no fraction: "16MB", "1023kB", "1000" (bytes have no unit). */
void text_size(char out[TEXT_SIZE_MAX], uint64_t bytes);

/* The same for microseconds: "30s", "90min", "0". */
void text_duration(char out[TEXT_SIZE_MAX], uint64_t us);

/* The character at p (n bytes left): its length 1..4 and code point.  0 for what is not UTF-8:
 * cut off, overlong, a surrogate, above U+10FFFF. */
size_t text_utf8(const uint8_t *p, size_t n, uint32_t *code);

/* Writes the character as UTF-8 and returns its length, 1..4; code must be a valid one. */
size_t text_put_utf8(uint8_t out[4], uint32_t code);

/* Whether a character may act on a terminal or reorder a line instead of being shown: controls
 * (C0, DEL, C1), line separators, marks of direction. */
bool text_is_unsafe(uint32_t code);

/* Copies n bytes of s so that they fit out (cap bytes with the closing 0; cap >= 4) and cannot act
 * on a terminal: an unsafe character becomes \n, \t, \r or \u{hex}, a byte that is not UTF-8 \xHH.
 * What does not fit is replaced by "...".  Returns the length written. */
size_t text_visible(char *out, size_t cap, const char *s, size_t n);

/* Of what a program said before it failed, the line that says most: the last that is an error, else
 * the first one. */
void text_last_words(char *out, size_t cap, const char *said);

/* The closest of many candidates to a word that nobody knows, by edit distance: a swap of
 * neighbours counts once, upper and lower case and - and _ are the same.  best stays NULL when
 * nothing is close enough to be worth saying. */
struct text_closest {
    const char *word;
    const char *best; /* borrowed from the candidates */
    size_t distance;
};

void text_closest_init(struct text_closest *c, const char *word);
void text_closest_try(struct text_closest *c, const char *candidate);

#endif
