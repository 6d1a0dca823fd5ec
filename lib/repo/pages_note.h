/*
 * pages_note: small objects without a body: leases, intents, condemned lists, drills.
 */
#ifndef REPO_PAGES_NOTE_H
#define REPO_PAGES_NOTE_H

#include "base/buf.h"
#include "base/err.h"
#include "repo/repo.h"

/* Publishes; a name that exists is an error. */
int pages_note_put(struct repo *repo, enum object_kind kind, const char *name,
                   const struct buf *part, struct err *e) __attribute__((warn_unused_result));

/* The same with a metadata part. */
int pages_note_put_parts(struct repo *repo, enum object_kind kind, const char *name,
                         const struct object_parts *parts, struct err *e)
    __attribute__((warn_unused_result));

#endif
