/*
 * incremental: whether the server is asked for only what changed since the prior backup
 * (BASE_BACKUP INCREMENTAL, 17 and later, with summarize_wal on), and the upload of that backup's
 * manifest.
 *
 * It is a matter of what crosses the wire and of what the server reads; the backup is the same full
 * one either way, so whatever stands in the way leads to the whole stream and is told.
 */
#ifndef BASEBACKUP_INCREMENTAL_H
#define BASEBACKUP_INCREMENTAL_H

#include <stdbool.h>

#include "basebackup/backup.h"
#include "basebackup/intake.h"
#include "basebackup/source.h"

/* Files that make a reader expand so many per cent of their size: everything is sent then, and what
 * has become scattered is gathered again. */
enum { INCREMENTAL_SPREAD_MAX = 128 };

/* Is it to be tried?  Else *why says why not ("": nobody need be told). */
bool incremental_is_wanted(struct source *s, const struct backup_options *o,
                           char why[BACKUP_WHY_MAX]);

/* Takes in what the repository holds, and uploads.  1: ask for the increment, i->compose is ready
 * for it; 0: for everything, *why says why; -1. */
int incremental_offer(struct source *s, const struct backup_options *o, struct intake *i,
                      char why[BACKUP_WHY_MAX], struct err *e) __attribute__((warn_unused_result));

#endif
