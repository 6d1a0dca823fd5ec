/*
 * pin: "keep this one" (FORMAT.md section 10).  A pin is a small signed object; releasing it is
 * removing it.  A backup or dump with a pin that still holds never expires.
 */
#ifndef REPO_PIN_H
#define REPO_PIN_H

#include "base/vec.h"
#include "object/reader.h"
#include "repo/expired.h"
#include "repo/repo.h"

enum { PIN_REASON_MAX = 200, PIN_NAME_MAX = 40 };

struct pin {
    char name[PIN_NAME_MAX];      /* the pin's own */
    enum object_kind kind;        /* KIND_MANIFEST, KIND_DUMP */
    char label[EXPIRED_NAME_MAX]; /* a backup's label, or <job>/<label> */
    int64_t made;
    int64_t until; /* 0: for ever */
    char reason[PIN_REASON_MAX];
};
VEC_DECLARE(pins, struct pin);

/* All pins of the current lineage, oldest first; one that cannot be read is an error: what it keeps
 * might go. */
int pins_read(struct pins *list, struct repo *repo, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* Publishes one; name is made. */
int pin_put(struct pin *p, struct repo *repo, struct err *e) __attribute__((warn_unused_result));

/* Is it the name of a pin itself, as errors about one tell it? */
bool pin_is_name(const char *text);

/* Removes it, durably; only its name is needed.  0, STORE_ABSENT, -1. */
int pin_release(const struct pin *p, struct repo *repo, struct err *e)
    __attribute__((warn_unused_result));

/* The pin that holds a backup or dump longest, NULL: none does. */
const struct pin *pins_find(const struct pins *list, enum object_kind kind, const char *label,
                            int64_t now);

#endif
