/*
 * drop: the operator's explicit way out of a full disk (on_trouble = drop-and-record).
 *
 * When the repository cannot be reached the server may keep running without archiving, at the
 * price of a gap.  The gap is recorded on this host, durably, before the server is told that it
 * may forget the file; `walden check` stays red until a new base backup exists.
 */
#ifndef ARCHIVE_CMD_DROP_H
#define ARCHIVE_CMD_DROP_H

#include "base/err.h"
#include "base/msg.h"
#include "repo/settings.h"

/* 0 when the failure in *e is one that may be dropped and the gap was recorded; else -1 with *e
 * unchanged, or with why the record could not be written. */
int drop(const struct settings *s, const char *path, const struct msg *msg, struct err *e)
    __attribute__((warn_unused_result));

#endif
