/*
 * verified: what verify found, on record (FORMAT.md section 10).
 *
 * A run of verify publishes one small signed object per lineage: when it ran, how deep it looked,
 * and its verdict on each base backup, dump and timeline.  So `check` knows how long ago somebody
 * looked, `expire` which backups are known to be good, and a run that reads one part of n which
 * part is due.  Each writer keeps its newest VERIFIED_KEEP records and removes its older ones.
 */
#ifndef REPO_VERIFIED_H
#define REPO_VERIFIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest.h"
#include "repo/repo.h"

enum verified_level {
    VERIFIED_NONE,    /* nothing was read */
    VERIFIED_STORED,  /* digest of the stored bytes, and the signature */
    VERIFIED_CONTENT, /* opened and decoded */
    VERIFIED_RECORDS  /* and proven by what PostgreSQL put into it: every WAL record walked, every
                         file of a backup rebuilt and its checksum compared */
};

enum {
    VERIFIED_KEEP = 64,          /* records of one writer */
    VERIFIED_BACKUPS_MAX = 1000, /* backups in one record, the newest; */
    VERIFIED_WAL_MAX = 500,      /* timelines in one record, the newest */
    VERIFIED_DUMPS_MAX = 500,    /* dumps in one record, the newest */
    VERIFIED_PARTS_MAX = 1000,
    VERIFIED_LIST_MAX = 100 * 1000,
    VERIFIED_NAME_MAX = 32
};

struct verified_backup {
    char label[MANIFEST_LABEL_MAX];
    uint8_t level; /* enum verified_level */
    bool damaged;
    bool part; /* only what the run's part holds of it was read */
};

/* The WAL of one timeline, from its first to its last segment. */
struct verified_wal {
    uint32_t tli;
    uint64_t from;
    uint64_t to;
    uint64_t segments; /* read by this run */
    uint8_t level;
    bool damaged; /* or with a hole */
    bool part;
    bool spoiled; /* of its objects some are damaged, which headers may not show */
};

VEC_DECLARE(verified_backups, struct verified_backup);
VEC_DECLARE(verified_wals, struct verified_wal);

struct verified {
    struct manifest_head head;
    int64_t start;
    int64_t end;
    uint8_t level;                   /* the least at which anything was proven */
    bool cut;                        /* more backups or timelines than fit */
    uint32_t part;                   /* of 1..parts */
    uint32_t parts;                  /* 1: everything was read */
    uint64_t objects;                /* read */
    uint64_t bytes;                  /* of their content, or as stored at the first level */
    uint64_t damaged;                /* findings */
    struct verified_backups backups; /* oldest first */
    struct verified_wals wal;        /* by timeline */
    struct verified_backups dumps;   /* oldest first; a dump is read whole or not at all */
};

void verified_init(struct verified *v);
void verified_fini(struct verified *v);

/* The public part, and back.  -1 with ERR_DAMAGED when an item is missing or impossible. */
int verified_encode(struct buf *part, const struct verified *v, struct err *e)
    __attribute__((warn_unused_result));
int verified_decode(struct verified *v, const uint8_t *part, size_t len, struct err *e)
    __attribute__((warn_unused_result));

/* Why this process should not write records into the current lineage; NULL: it may.  A file of
 * another user's would stop the owner's programs, and without the host's key nobody would believe
 * it. */
const char *verified_may_not(struct repo *repo);

/* Fills in the head, all but the newest WAL, publishes under the lineage's lock and removes the
 * writer's old records.  host: this host's name. */
int verified_put(struct verified *v, struct repo *repo, const char *host, struct err *e)
    __attribute__((warn_unused_result));

/* --- reading --- */

VEC_DECLARE(verified_records, struct verified);

struct verified_list {
    struct verified_records records; /* by the end of the run, oldest first */
    uint64_t unreadable;             /* records that are damaged, or not to be trusted */
};

/* Reads all records of the current lineage into *l, which is initialised here. */
int verified_read(struct verified_list *l, struct repo *repo, struct object_reader *scratch,
                  struct err *e) __attribute__((warn_unused_result));
void verified_list_fini(struct verified_list *l);

/* What is known about one backup. */
struct verified_verdict {
    uint8_t level;  /* VERIFIED_NONE: never read whole */
    bool damaged;   /* what was read last is damaged */
    int64_t time;   /* when the oldest of what makes up `level` was read */
    int64_t damage; /* when the damage was found */
};

/* Runs over parts count together once all parts of one division were read. */
struct verified_verdict verified_of(const struct verified_list *l, const char *label);

/* The same about a logical dump, by its label (which no other job has, too). */
struct verified_verdict verified_dump(const struct verified_list *l, const char *label);

/* Whether objects of that timeline's WAL behind `start` were found damaged, and not sound since;
 * level and time say nothing. */
struct verified_verdict verified_wal(const struct verified_list *l, uint32_t tli, uint64_t start);

/* When everything had last been read: the end of the newest whole run, or of the oldest of the
 * newest runs over all parts.  *level is the least of them.  False: never. */
bool verified_sweep(const struct verified_list *l, int64_t *time, uint8_t *level);

/* Findings that are still open: those of the newest run over everything, or over each part of its
 * division, whichever was later. */
uint64_t verified_open(const struct verified_list *l);

/* Which of n parts is due: the one that was not read for the longest time, 1 at first. */
uint32_t verified_due(const struct verified_list *l, uint32_t parts);

/* "stored", "content" ...: stable words, used in JSON. */
const char *verified_word(unsigned level);

#endif
