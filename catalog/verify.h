/*
 * verify: what the parts of `walden verify` share.
 */
#ifndef CATALOG_VERIFY_H
#define CATALOG_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "repo/verified.h"
#include "repo/verify.h"
#include "repo/verify_backups.h"
#include "repo/verify_dumps.h"
#include "repo/verify_log.h"
#include "survey.h"

/* What became of one lineage. */
struct verify_run {
    char cluster[KEY_NAME_MAX + 1];
    uint64_t system_id;
    struct verified record;
    bool recorded;
    char unrecorded[ERR_MSG_MAX]; /* why not */
    uint64_t resumed;             /* objects that an interrupted run had read */
    bool by_chance;               /* the part was drawn: nothing is on record */
};

VEC_DECLARE(verify_runs, struct verify_run);

/* Everything together.  Large: keep it on the heap. */
struct verify_result {
    struct verify wal;
    struct verify_backups backups;
    struct verify_dumps dumps;
    uint64_t drills; /* records that were read back */
    struct verify_log log;
    struct verify_runs runs;
    bool logged; /* an interrupted run can be gone on with */
};

/* Objects whose content was proven, those of which only the stored bytes were, and bytes read. */
struct verify_count {
    uint64_t content;
    uint64_t stored;
    uint64_t bytes;
};

struct verify_count verify_counted(const struct verify_result *r);

/* verify_show.c: the result as text and as JSON, to standard output. */
int verify_print(const struct survey *s, const struct verify_result *r, struct err *e);
int verify_print_json(const struct survey *s, const struct verify_result *r, struct err *e);

/* verify_record.c: which part is due, and the record of a lineage that was read. */
int verify_choose(struct verify_run *run, struct survey *s, uint32_t parts, struct err *e)
    __attribute__((warn_unused_result));
int verify_record(struct verify_run *run, struct survey *s, struct survey_lineage *l,
                  const struct verify_count *before, const struct verify_result *r, struct err *e)
    __attribute__((warn_unused_result));

#endif
