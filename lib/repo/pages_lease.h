/*
 * pages_lease: who is using the repository's backups and packs right now (FORMAT.md section 10).
 *
 * A backup takes an intent, a restore a lease, before it looks at anything, and beats while it
 * works.  While one is alive, no pack is removed.  Alive is who beats between two looks of one
 * observer: nobody's wall clock is asked.  A holder that was taken for dead learns it at its next
 * beat and must give up: a backup looks once more right behind the publishing of its manifest.  Who
 * takes it for dead after that sees the manifest.
 */
#ifndef REPO_PAGES_LEASE_H
#define REPO_PAGES_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "repo/repo.h"

enum {
    PAGES_LEASE_ID = 8,
    PAGES_LEASE_NAME_MAX = 40,
    PAGES_LEASE_LABEL_MAX = 64,
    PAGES_LEASE_HOLDER_MAX = 128,
    PAGES_BEAT_S = 20, /* a holder beats this often, */
    PAGES_LOOK_S = 75, /* an observer waits so long for a holder to move, */
    PAGES_STEP_S = 5   /* and looks again this often */
};

struct pages_lease {
    struct repo *repo;
    enum object_kind kind; /* KIND_INTENT or KIND_LEASE */
    uint8_t id[PAGES_LEASE_ID];
    uint32_t counter;
    bool held;
    char label[PAGES_LEASE_LABEL_MAX];
    char holder[PAGES_LEASE_HOLDER_MAX];
};

/* label: the backup that is read or leaned on, "" when there is none; holder: host and process, for
 * people. */
int pages_lease_take(struct pages_lease *l, struct repo *repo, enum object_kind kind,
                     const char *label, const char *holder, struct err *e)
    __attribute__((warn_unused_result));

/* -1 with ERR_REFUSED when somebody took us for dead meanwhile. */
int pages_lease_beat(struct pages_lease *l, struct err *e) __attribute__((warn_unused_result));

/* The same without a beat: is the mark still there? */
int pages_lease_check(struct pages_lease *l, struct err *e) __attribute__((warn_unused_result));

/* Lets go; accepts a zeroed struct.  What stays behind after a failure is dead soon. */
void pages_lease_drop(struct pages_lease *l);

/* Sleeps PAGES_STEP_S; -1 (ERR_INTERRUPTED) ends the look. */
typedef int (*pages_wait_fn)(void *arg, struct err *e);

/* Waits, when there is anybody at all, until all have moved or PAGES_LOOK_S are over, and removes
 * the marks of the dead.  *alive counts the rest. */
int pages_lease_look(struct repo *repo, pages_wait_fn pause, void *arg, unsigned *alive,
                     struct err *e) __attribute__((warn_unused_result));

/* Somebody who left a mark. */
struct pages_holder {
    enum object_kind kind;
    uint8_t id[PAGES_LEASE_ID];
    uint32_t counter;
    char label[PAGES_LEASE_LABEL_MAX]; /* as they were given to pages_lease_take */
    char holder[PAGES_LEASE_HOLDER_MAX];
};
VEC_DECLARE(pages_holders, struct pages_holder);

/* Whose marks are there now, dead or alive, added to *list (initialised).  One whose mark cannot be
 * read has no label. */
int pages_lease_holders(struct pages_holders *list, struct repo *repo,
                        struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

#endif
