/*
 * problem: what is wrong in an archive, said so that a person knows what it means.
 *
 * A scan collects problems as it meets them; problems_derive adds what only the whole picture shows
 * (holes, missing histories, broken joins) and sorts all by timeline and place, notes last.  The
 * consequence is the sentence that matters: how far a recovery gets.
 *
 * A note is something to know that harms no recovery; notes do not count as problems.
 */
#ifndef REPO_PROBLEM_H
#define REPO_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "pg/walname.h"
#include "repo/coverage.h"

enum {
    PROBLEMS_MAX = 20000,       /* kept in all; */
    PROBLEMS_FOUND_MAX = 10000, /* of these, met by the scan */
    PROBLEM_TEXT_MAX = 1024,
    PROBLEM_PATH_MAX = 512
};

enum problem_kind {
    PROBLEM_HOLE,         /* segments are missing */
    PROBLEM_NO_HISTORY,   /* history files are missing */
    PROBLEM_DAMAGED_WAL,  /* the WAL was broken when it was stored */
    PROBLEM_DAMAGED,      /* an object was damaged since, or cannot be read */
    PROBLEM_REFUSED,      /* an object that is not to be trusted */
    PROBLEM_KEY,          /* an object that the keys here do not open */
    PROBLEM_BROKEN_CHAIN, /* a segment does not go on where the one before it ends */
    PROBLEM_SUMMARY,      /* an object's summary does not tell what is in it */
    PROBLEM_MISPLACED,    /* a file that nobody looks for there */
    PROBLEM_LINEAGE,      /* a lineage that cannot be read at all */
    PROBLEM_NO_PACK,      /* a pack that a base backup needs is missing */
    PROBLEM_GONE,         /* objects were there and vanished, though no expire record says why */
    PROBLEM_HEAD,         /* the newest record is older than one that this host has seen */
    PROBLEM_BACKUP,       /* a base backup that cannot be restored whole, or not by itself */
    PROBLEM_RECIPIENT,    /* an object that not all recipients can open */
    PROBLEM_LATER,        /* note: one that recipients cannot open who were added later */
    PROBLEM_DUMP,         /* a logical dump that cannot be restored */
    PROBLEM_TEMP,         /* note: a dead writer's unfinished file */
    PROBLEM_KINDS
};

struct problem {
    enum problem_kind kind;
    tli_t tli;      /* 0: of no timeline */
    uint64_t first; /* segment numbers first <= n < end; both 0 when it is about no segment */
    uint64_t end;
    lsn_t at;     /* where recovery stops; 0 when it does not */
    int64_t seen; /* the last commit before that */
    char *name;   /* object, range of names, or path */
    char *what;
    char *consequence; /* given, or made by problems_derive; NULL when there is none */
};

VEC_DECLARE(problem_list, struct problem);

struct problems {
    struct problem_list list;
    size_t omitted; /* found, but too many to keep */
    size_t notes;   /* how many of the list are notes */
};

void problems_init(struct problems *p);
void problems_fini(struct problems *p);

/* Adds one; texts are copied.  0 also when it is omitted. */
int problems_add(struct problems *p, const struct problem *one, struct err *e)
    __attribute__((warn_unused_result));

/* Adds what the coverage shows and the consequences of all, and sorts.  tli: only that timeline's
 * (0: all).  Once, after coverage_finish. */
int problems_derive(struct problems *p, const struct coverage *c, tli_t tli, struct err *e)
    __attribute__((warn_unused_result));

/* Adds one that is complete, after problems_derive; problems_sort puts such into their places. */
int problems_tell(struct problems *p, const struct problem *one, struct err *e)
    __attribute__((warn_unused_result));
void problems_sort(struct problems *p);

/* Problems without the notes, omitted ones included. */
size_t problems_count(const struct problems *p);

bool problem_is_note(const struct problem *p);

/* Whether it stands for a segment whose WAL cannot be used as it should: list's `damaged`. */
bool problem_is_damage(const struct problem *p);

/* "hole", "damaged" ...: stable words, used in JSON. */
const char *problem_word(enum problem_kind kind);

#endif
