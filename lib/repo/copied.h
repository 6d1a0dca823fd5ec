/*
 * copied: what a copy of the repository has acknowledged (FORMAT.md section 14).
 *
 * That is what it has, or had and removed by its own rules: nobody has to wait for that.
 *
 * Pure.  `walden copy` leaves it beside the marker after each run, one file per copy that has a
 * name; where require_copy names that copy, `walden expire` removes nothing that is not in it.  It
 * is not signed: who can forge it can remove the files themselves.
 */
#ifndef REPO_COPIED_H
#define REPO_COPIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "object/key.h"
#include "pg/walname.h"
#include "repo/copy_mark.h"
#include "repo/expired.h"

enum { COPIED_MAX = 1 << 20, COPIED_FILE_MAX = 80, COPIED_PLACE_MAX = 96 };

/* A backup or dump.  `place` is its lineage, `cluster/system id`, or its cluster. */
struct copied_object {
    enum object_kind kind;
    char place[COPIED_PLACE_MAX];
    char name[EXPIRED_NAME_MAX]; /* of a dump `job/label` */
};
VEC_DECLARE(copied_objects, struct copied_object);

/* WAL from <= LSN < to, without a gap. */
struct copied_range {
    char place[COPIED_PLACE_MAX];
    tli_t tli;
    lsn_t from;
    lsn_t to;
};
VEC_DECLARE(copied_ranges, struct copied_range);

struct copied {
    char name[KEY_NAME_MAX + 1]; /* of its section [repo NAME] */
    uint8_t repo[16];
    uint8_t copy[COPY_ID];
    int64_t time; /* when the run ended by the clock of the host that copied */
    bool whole;   /* it copied all that it had to */
    struct copied_objects objects;
    struct copied_ranges ranges;
};

void copied_init(struct copied *c);
void copied_fini(struct copied *c);

/* The name of the file for a copy of that name. */
void copied_file(char out[COPIED_FILE_MAX], const char *name);

int copied_read(struct copied *c, const char *text, size_t len, const char *what, struct err *e)
    __attribute__((warn_unused_result));
int copied_write(struct buf *b, const struct copied *c, struct err *e)
    __attribute__((warn_unused_result));

/* Adding: a segment that goes on where the last range ends makes that one longer. */
int copied_add_object(struct copied *c, enum object_kind kind, const char *place, const char *name,
                      struct err *e) __attribute__((warn_unused_result));
int copied_add_wal(struct copied *c, const char *place, tli_t tli, lsn_t from, lsn_t to,
                   struct err *e) __attribute__((warn_unused_result));

bool copied_has_object(const struct copied *c, enum object_kind kind, const char *place,
                       const char *name);
bool copied_has_wal(const struct copied *c, const char *place, tli_t tli, lsn_t from, lsn_t to);

#endif
