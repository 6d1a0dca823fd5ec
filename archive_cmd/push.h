/*
 * push: what walden-archive does with one file, under its deadline.
 */
#ifndef ARCHIVE_CMD_PUSH_H
#define ARCHIVE_CMD_PUSH_H

#include "base/err.h"
#include "base/msg.h"
#include "repo/settings.h"

/* 0: durable (or, when the operator allows it, recorded as dropped); -1. */
int push(const struct settings *s, const char *path, const struct msg *msg, struct err *e)
    __attribute__((warn_unused_result));

/* 1 to 125. */
int push_exit_status(const struct err *e);

#endif
