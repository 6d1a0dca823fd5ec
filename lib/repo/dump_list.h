/*
 * dump_list: the logical dumps of a cluster, from their public parts.  No key is needed.
 */
#ifndef REPO_DUMP_LIST_H
#define REPO_DUMP_LIST_H

#include "base/vec.h"
#include "object/reader.h"
#include "repo/dump.h"
#include "repo/repo.h"

enum { DUMP_LIST_MAX = 1 << 20 };

struct dump_item {
    char job[FRAME_NAME_MAX + 1];
    char label[DUMP_LABEL_MAX];
    uint32_t counter;
    uint64_t stored; /* bytes of its file */
    bool readable;   /* else `why` says what is wrong, and public is empty */
    struct dump_public public;
    char why[128];
};

VEC_DECLARE(dump_list, struct dump_item);

/* The dumps of one job (NULL: of all) of repo's cluster, ordered by counter.  A file that cannot be
 * read as a dump is an item that is not readable; names that are no labels are none of ours. */
int dump_list_read(struct dump_list *l, struct repo *repo, const char *job,
                   struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* The highest counter in use. */
uint32_t dump_list_counter(const struct dump_list *l);

/*
 * What a person may mean: a label, JOB/LABEL, or the name of a job (or "latest") for its newest
 * readable dump without a tag, failing that with one.  Of a job, those count whose snapshot is not
 * younger than `at` (INT64_MAX: all).  NULL with *e and a hint.
 */
const struct dump_item *dump_list_find(const struct dump_list *l, const char *text, int64_t at,
                                       struct err *e);

#endif
