/*
 * copy: brings a copy of a repository up to date (FORMAT.md section 14).
 *
 * Object for object, as they are stored: no secret key is needed, and what the copy gets is proven
 * before it has its name there (frames, signature, digest of the stored bytes; of packs the
 * checksum of each entry), read back from the copy's own file.  So damage is never copied, and
 * nothing good is written over.  Nothing is removed from the copy either: its own retention does
 * that, and what it removed is not copied again.  A run that is cut off is gone on with by the
 * next.
 *
 * Order: packs, WAL, dumps, drills and expire records, and the manifests last, so that a backup
 * that the copy shows is whole there: one of whose packs the copy lacks something is not copied.
 * Which manifests there are is read first.
 */
#ifndef REPO_COPY_H
#define REPO_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "object/reader.h"
#include "repo/copied.h"
#include "repo/expired.h"
#include "repo/manifest.h"
#include "repo/pack_set.h"
#include "repo/repo.h"

enum copy_what {
    COPY_PROBLEM, /* something could not be copied, or differs: why says what */
    COPY_MENDED   /* it was damaged there and is good now */
};

struct copy_how {
    uint64_t max_rate; /* bytes per second that the copy grows by; 0: no limit */
    bool check;        /* read back what is there already, and mend what is damaged */
    /* Told of what is found; the run goes on. */
    void (*tell)(void *arg, enum copy_what what, const char *name, const struct err *why);
    /* Called before each object, and often while one is copied; -1 ends the run. */
    int (*step)(void *arg, struct err *e);
    void *arg; /* of both */
};

struct copy_done {
    uint64_t copied; /* objects, */
    uint64_t bytes;  /* and as stored */
    uint64_t there;  /* had been copied before */
    uint64_t left;   /* removed by the copy's own retention: not copied again */
    uint64_t mended;
    uint64_t problems;
    uint64_t wal; /* of `copied`, by what they are */
    uint64_t backups;
    uint64_t dumps;
    uint64_t packs;
};

enum { COPY_LABELS_MAX = 1 << 20 };

struct copy_label {
    char text[MANIFEST_LABEL_MAX];
};
VEC_DECLARE(copy_labels, struct copy_label);

/* Large: on the heap. */
struct copy {
    const struct copy_how *how;
    struct repo *from;
    struct repo *to;
    struct copied said; /* what the copy has now, of what the repository has */
    struct copy_done done;
    struct object_reader *reader;
    struct store_put *put;
    int64_t pace_from; /* since when the rate is watched, */
    uint64_t paced;    /* and what was copied since then */
    /* of the lineage in hand */
    struct expired gone_from;
    struct expired gone_to;
    struct copy_labels short_of; /* backups that need a pack which the copy did not get */
    char place[COPIED_PLACE_MAX];
    /* dumps, of the lineages of its cluster so far */
    struct expired dumps_from;
    struct expired dumps_to;
    uint8_t io[256 * 1024];
};

/* One lineage, which both have in use.  dumps: it is the last of its cluster, and what stands
 * beside them is copied, too: any of them may have records of what was removed there. */
int copy_lineage(struct copy *c, bool dumps, struct err *e) __attribute__((warn_unused_result));

int copy_init(struct copy *c, struct repo *from, struct repo *to, const struct copy_how *how,
              struct err *e) __attribute__((warn_unused_result));
void copy_fini(struct copy *c); /* accepts a zeroed one, and one that is finished */

/* ---- inside ---- */

enum { COPY_IS_THERE = 0, COPY_IS_NOT = 1 };

/* Makes sure that the copy has this object: COPY_IS_THERE; COPY_IS_NOT, when it could not be, or
 * must not be, and was told of; -1. */
int copy_object(struct copy *c, const struct store_name *n, struct err *e)
    __attribute__((warn_unused_result));

/* The same, of a backup that would not be whole: tells, and copies nothing. */
int copy_refuse(struct copy *c, const struct store_name *n, struct err *e)
    __attribute__((warn_unused_result));

/* The packs that the backups need that the copy has or will have (copy_packs.c).  Notes in short_of
 * which of those backups the copy still lacks something for. */
int copy_packs(struct copy *c, struct err *e) __attribute__((warn_unused_result));

#endif
