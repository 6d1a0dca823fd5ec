/*
 * verify_log: what an interrupted run of verify has read already, so that the next one goes on.
 *
 * One file of lines in the host's state directory, per lineage: first what the run was about, then
 * each object that was found sound, with the bytes it counted for.  What was not sound is not
 * listed: it is read and told again.  The file is never flushed and never believed for longer than
 * VERIFY_LOG_AGE_S; losing it costs time, nothing else.  A finished run removes it.
 */
#ifndef REPO_VERIFY_LOG_H
#define REPO_VERIFY_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "os/root.h"
#include "repo/repo.h"
#include "repo/verify_part.h"

enum {
    VERIFY_LOG_NAME_MAX = 44,
    VERIFY_LOG_MAX = 1 << 24,
    VERIFY_LOG_AGE_S = 7 * 24 * 3600,
    VERIFY_LOG_FILE_MAX = 96
};

/* An object: 'w' WAL file, 'p' pack, 'b' base backup. */
struct verify_log_item {
    char name[VERIFY_LOG_NAME_MAX]; /* the letter, then the object's name */
    uint64_t bytes;
};

VEC_DECLARE(verify_log_items, struct verify_log_item);

struct verify_log {
    bool open;                    /* this run is being logged */
    bool resumed;                 /* and goes on where another stopped */
    int64_t start;                /* of the first of them */
    struct verify_log_items done; /* by name */
    struct os_root root;
    char file[VERIFY_LOG_FILE_MAX];
    int fd;
    struct buf line;
    int64_t written; /* when, on the monotonic clock */
    pthread_mutex_t lock;
};

/*
 * Opens the log of the repository's current lineage in state_dir (NULL or not there: there is no
 * log, and `open` stays false; so it does while another run holds it).  A log of a run over
 * another part, at another level, by an older version or of another time is begun anew, and so is
 * any with `fresh`.  0, or -1 (no memory).
 */
int verify_log_open(struct verify_log *l, const struct repo *repo, const char *state_dir,
                    const struct verify_part *part, bool content, bool fresh, struct err *e)
    __attribute__((warn_unused_result));

/* Was this object read by the run that this one goes on with?  *bytes may be NULL. */
bool verify_log_has(const struct verify_log *l, char kind, const char *name, uint64_t *bytes);

/* Notes that it is sound; from any thread. */
void verify_log_add(struct verify_log *l, char kind, const char *name, uint64_t bytes);

/* The run is over: nothing is left to go on with.  Without it the log stays. */
void verify_log_done(struct verify_log *l);

void verify_log_close(struct verify_log *l); /* accepts a zeroed struct */

#endif
