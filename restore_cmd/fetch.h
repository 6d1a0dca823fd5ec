/*
 * fetch: what walden-restore does for one file, under its deadline.
 */
#ifndef RESTORE_CMD_FETCH_H
#define RESTORE_CMD_FETCH_H

#include "base/err.h"
#include "base/msg.h"
#include "repo/settings.h"

enum { FETCH_ABSENT = 1 };

/* 0 delivered; FETCH_ABSENT: the server may go on without it; -1: it must not. */
int fetch(const struct settings *s, const char *name, const char *dest, const struct msg *msg,
          struct err *e) __attribute__((warn_unused_result));

/* 200 to 207. */
int fetch_exit_status(const struct err *e);

#endif
