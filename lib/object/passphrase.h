/*
 * passphrase: recovery keys under a passphrase (FORMAT.md section 7, `protected-key`).
 *
 * Argon2id makes the key; it takes 64 MiB and a noticeable time by design, so no hook ever links
 * or calls this.
 */
#ifndef OBJECT_PASSPHRASE_H
#define OBJECT_PASSPHRASE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "object/key.h"

enum { PASSPHRASE_MIN = 8, PASSPHRASE_MAX = 1024 };

/* Appends a protected key file. */
int passphrase_protect(struct buf *out, const struct key_recovery *k, const char *pass, size_t len,
                       struct err *e) __attribute__((warn_unused_result));

/* Opens one.  ERR_KEY for a wrong passphrase (or a file that was changed on purpose). */
int passphrase_open(struct key_recovery *k, const char *text, size_t text_len, const char *what,
                    const char *pass, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* What such a file says of itself in clear: not proven, for display. */
int passphrase_public(struct key_public *p, const char *text, size_t text_len, const char *what,
                      struct err *e) __attribute__((warn_unused_result));

#endif
