/*
 * words: a value of the configuration that is a list or a command, split into words.
 *
 * Blanks separate.  In a command, '...' and "..." hold blanks and are taken off, and a backslash
 * takes the next character as it is, outside of '...'; nothing else is special: no shell reads it.
 * In a list of names "..." holds blanks too but stays, because PostgreSQL's patterns need it.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>

#include "base/err.h"

enum { WORDS_MAX = 256, WORDS_TEXT_MAX = 8192 };

enum words_kind { WORDS_COMMAND, WORDS_NAMES };

/* Points into its own text, so it must not be copied. */
struct words {
    const char *v[WORDS_MAX + 1]; /* ends in NULL */
    size_t n;
    char text[WORDS_TEXT_MAX];
};

/* An empty list for "" and NULL.  -1 (ERR_CONFIG): a quote that is not closed, too long. */
int words_split(struct words *w, const char *text, enum words_kind kind, struct err *e)
    __attribute__((warn_unused_result));

#endif
