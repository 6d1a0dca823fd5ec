/*
 * verify_dumps: reads the logical dumps of a cluster back.
 *
 *   whole    plain objects, and sealed ones with a secret key: expanded, digests checked, and every
 *            stream decoded as dump_check does
 *   stored   sealed ones without: the digest of the stored bytes, and the host's signature
 */
#ifndef REPO_VERIFY_DUMPS_H
#define REPO_VERIFY_DUMPS_H

#include "repo/dump_list.h"
#include "repo/problem.h"
#include "repo/repo.h"
#include "repo/verified.h"
#include "repo/verify.h"

struct verify_dumps {
    uint64_t looked_at;
    uint64_t whole;
    uint64_t stored;
    uint64_t bytes; /* of content that was decoded */
};

struct verify_dumps_how {
    struct repo *repo;
    const struct dump_list *list;
    struct problems *problems; /* derived */
    struct object_reader *scratch;
    struct verify_part part;           /* of all dumps, by their counters */
    struct verified_backups *verdicts; /* one for each dump that was read; or NULL */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total,
                     uint64_t bytes); /* or NULL */
    void *arg;
};

/* Adds to *v.  What is wrong becomes problems. */
int verify_dumps(struct verify_dumps *v, const struct verify_dumps_how *how, struct err *e)
    __attribute__((warn_unused_result));

/* Dumps whose ends cannot be read become problems: for those who do not read the rest. */
int verify_dumps_listed(const struct dump_list *list, struct problems *problems, struct err *e)
    __attribute__((warn_unused_result));

#endif
