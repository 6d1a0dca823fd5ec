/*
 * inventory: what a plan needs to know, read from the repository.
 *
 * One scan of the WAL tree (repo/scan, with the index) and the public parts of all backups tell
 * what most plans need.  The metadata of segments (restore points, tablespaces, the records between
 * two segments; repo/inventory_peek) and their records are read when a plan asks for them.
 */
#ifndef REPO_INVENTORY_H
#define REPO_INVENTORY_H

#include "object/reader.h"
#include "repo/backup_list.h"
#include "repo/plan.h"
#include "repo/repo.h"
#include "repo/scan.h"

struct inventory {
    struct plan_input in;
    struct scan scan;
    struct backup_list list;
    uint64_t asked; /* segments that were read for a plan */
};

/* Reads all of the current lineage.  r is open for reading; scratch is used for one object at a
 * time.  quick: see repo/scan. */
int inventory_read(struct inventory *v, struct repo *r, bool quick, struct object_reader *scratch,
                   struct err *e) __attribute__((warn_unused_result));
void inventory_fini(struct inventory *v); /* accepts a zeroed struct */

/* Plans, reading what the plan asks for. */
int inventory_plan(struct inventory *v, struct repo *r, const struct plan_target *t, struct plan *p,
                   struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* The index of a backup by its label; the count when there is none. */
size_t inventory_backup(const struct inventory *v, const char *label);

#endif
