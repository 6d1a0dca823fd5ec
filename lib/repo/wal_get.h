/*
 * wal_get: one WAL file comes out of the repository, proven before anybody can see it.
 *
 * The content goes to a temp beside the destination and gets its name only when every check has
 * passed: signature, digests, ciphers, sizes.  Nothing is flushed: the server does that itself
 * when it takes the file over, and an SD card is spared.
 */
#ifndef REPO_WAL_GET_H
#define REPO_WAL_GET_H

#include "base/err.h"
#include "object/reader.h"
#include "os/publish.h"
#include "repo/repo.h"

struct wal_get {
    struct object_reader reader;
    struct publish file;
    void (*begun)(void); /* called when content arrives, may be NULL */
};

/* Proven: the file is not in the archive, and nothing needs it (repo/absence). */
enum { WAL_GET_ABSENT = 1 };

/*
 * 0 delivered at `dest`; WAL_GET_ABSENT; -1: ERR_HOLE, ERR_DAMAGED, ERR_KEY, ERR_REFUSED,
 * ERR_USAGE (no WAL name), ERR_IO.  An existing `dest` is replaced.
 */
int wal_get(struct wal_get *w, struct repo *r, const char *name, const char *dest, struct err *e)
    __attribute__((warn_unused_result));

#endif
