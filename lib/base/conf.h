/*
 * conf: the reader of ini files.
 *
 *     # comment                          ; comment
 *     key = value                        # a comment after a value needs a blank in front
 *     key = 'a ''quoted'' value # too'   a doubled quote is one quote; nothing else is special
 *     [kind name]                        what follows belongs to this section
 *
 * One entry is one line; nothing is included, nothing is continued.  Keys are words of letters,
 * digits, _ and -; names follow parse_name.  The reader knows the grammar only: which keys and
 * sections exist, and whether one may come twice, is for the callback to say.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stddef.h>

#include "base/err.h"

enum {
    CONF_FILE_MAX = 256 * 1024, /* bytes of a whole file */
    CONF_LINE_MAX = 4096,       /* bytes of one line */
};

enum conf_flags {
    CONF_ALL = 0,
    /* Stop at the first section: a mistake behind it is not looked at, so that a typo in a section
     * of another program cannot stop this one. */
    CONF_MAIN_ONLY = 1,
};

/* One line.  A section's own line comes with key and value NULL; in the main part, before the
 * first section, kind and name are NULL.  The strings are valid during the call. */
struct conf_entry {
    const char *kind;
    const char *name;
    const char *key;
    const char *value;
    unsigned line;
};

/* Takes an entry: 0, or -1 with a message that needs no place (conf_parse puts it in front). */
typedef int conf_fn(void *arg, const struct conf_entry *entry, struct err *e);

/* Reads len bytes of text, the content of `file`, and calls fn for each entry in order.  0, or -1
 * at the first mistake with "FILE:LINE: what is wrong", code ERR_CONFIG (ERR_NOMEM stays). */
int conf_parse(const char *file, const char *text, size_t len, enum conf_flags flags, conf_fn *fn,
               void *arg, struct err *e) __attribute__((warn_unused_result));

#endif
