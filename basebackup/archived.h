/*
 * archived: waits until the WAL that a backup needs is in the repository, and proves it.
 *
 * Each segment's object is opened (header, trailer, signature), its stored bytes are read and their
 * digest compared, its summary must show no damage, and its records must go on from the segment
 * before.
 */
#ifndef BASEBACKUP_ARCHIVED_H
#define BASEBACKUP_ARCHIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "object/reader.h"
#include "pg/walname.h"
#include "pgconn/replication.h"
#include "repo/repo.h"

struct archived_range {
    tli_t start_tli;
    lsn_t start;
    tli_t stop_tli;
    lsn_t stop;
};

/* Told twice a second what is waited for; -1 ends the waiting. */
typedef int archived_waits(void *arg, const char *segment, int64_t waited_us, struct err *e);

/* deadline_us by os_mono_us().  0; ERR_TIMEOUT; ERR_DAMAGED and the like for what came. */
int archived_wait(struct repo *repo, const struct archived_range *range, int64_t deadline_us,
                  archived_waits *tell, void *arg, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* Is the server's timeline the one that the archive knows under this number?  If not, nobody could
 * tell its backups from those of the other branch, and a recovery would take that one's WAL:
 * ERR_REFUSED.  0 also when the archive does not know it. */
int archived_same_branch(struct repo *repo, struct pgconn *c, tli_t tli, struct err *e)
    __attribute__((warn_unused_result));

/* A server archives the history of its timeline when that begins, and never again: where it was
 * promoted before it archived here, nobody could recover along its timeline.  Then the history,
 * and those of its ancestors, are asked of the server and put into the archive: 1.  0: it is there,
 * or there is none; -1. */
int archived_history(struct repo *repo, struct pgconn *c, tli_t tli, bool compress, struct err *e)
    __attribute__((warn_unused_result));

/* The newest segment in the archive: its timeline and end; 0 and 0 when there is none. */
int archived_newest(struct repo *repo, tli_t *tli, lsn_t *end, struct err *e)
    __attribute__((warn_unused_result));

/* 1 when the segment before this position is in the archive, else 0; -1. */
int archived_has(struct repo *repo, tli_t tli, lsn_t lsn, struct err *e)
    __attribute__((warn_unused_result));

#endif
