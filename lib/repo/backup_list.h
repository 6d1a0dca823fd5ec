/*
 * backup_list: the base backups of a lineage, from the public parts of their manifests, and whether
 * each can be restored by itself.  No key is needed.
 *
 * Read before the WAL is scanned: a backup that is published meanwhile is then not looked for in an
 * older picture of the WAL.
 */
#ifndef REPO_BACKUP_LIST_H
#define REPO_BACKUP_LIST_H

#include "base/vec.h"
#include "object/reader.h"
#include "repo/coverage.h"
#include "repo/manifest.h"
#include "repo/problem.h"
#include "repo/repo.h"

enum { BACKUP_LIST_MAX = 1 << 20 };

struct backup_item {
    char label[MANIFEST_LABEL_MAX];
    struct manifest_public public;
    bool restorable; /* its packs are there, and after backup_list_judge: its WAL, too */
    uint8_t *counts; /* its row counts, for counts_next; NULL: none, or no key here reads them */
    size_t counts_len;
    bool counts_known;
};

VEC_DECLARE(backup_items, struct backup_item);

struct backup_list {
    struct backup_items items; /* oldest first */
    unsigned unreadable;       /* manifests that only a problem tells of */
};

void backup_list_init(struct backup_list *l);
void backup_list_fini(struct backup_list *l);

/*
 * Reads them all into *l (initialised).  Manifests that cannot be read, files that are none and,
 * with `packs`, backups whose packs are missing become problems; before problems_derive.
 */
int backup_list_read(struct backup_list *l, struct repo *repo, bool packs, struct problems *p,
                     struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* Looks in the WAL that was scanned for what each backup needs to become consistent; after
 * problems_derive. */
int backup_list_judge(struct backup_list *l, const struct coverage *c, struct problems *p,
                      struct err *e) __attribute__((warn_unused_result));

/* Is this how a backup is called? */
bool backup_list_is_label(const char *name);

#endif
