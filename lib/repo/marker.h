/*
 * marker: the file that makes a directory a repository (FORMAT.md section 4).
 *
 * Pure: bytes in, struct out, and back.  It says which repository this is, what modes its files
 * get, and, when it is sealed, who owns it and to whom objects are sealed.  None of the last is
 * believed because it stands here; repo/repo compares it with what this host pins.
 */
#ifndef REPO_MARKER_H
#define REPO_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "object/key.h"

#define MARKER_FILE "walden-repo"

enum { MARKER_RECIPIENTS_MAX = FRAME_BOXES_MAX };

struct marker {
    uint8_t id[16];
    bool group; /* files 0640 and directories 0750, else 0600 and 0700 */
    bool sealed;
    uint8_t owner[SECRET_KEY];
    unsigned count;
    uint8_t recipient[MARKER_RECIPIENTS_MAX][SECRET_KEY];
    char name[MARKER_RECIPIENTS_MAX][KEY_NAME_MAX + 1];
};

/* A sealed marker's signature is checked against the owner it names, no more. */
int marker_read(struct marker *m, const char *text, size_t len, const char *what, struct err *e)
    __attribute__((warn_unused_result));

/* owner_secret signs; NULL for a plain repository. */
int marker_write(struct buf *b, const struct marker *m, const uint8_t *owner_secret, struct err *e)
    __attribute__((warn_unused_result));

#endif
