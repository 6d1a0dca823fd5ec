/*
 * prior: what the repository already holds of the cluster that is being backed up.
 *
 * Filled from the manifest of the backup before, and from packs that no manifest names (what a
 * backup stored that failed or was killed).  Then asked, file by file in whatever order the
 * server's stream has, for pages that need not be stored again.
 *
 * Memory is bounded whatever the size: the runs lie in a temporary file, indexed by 8 bytes per
 * file; the page facts of each pack are put into another one when the pack is first looked at, and
 * read through small windows; one bit per page says where entries start.
 *
 * Never leaned on: packs that are missing, short or damaged, entries that verify found damaged,
 * plain packs when we seal, and packs that are not sealed to all of today's recipients.
 */
#ifndef REPO_PRIOR_H
#define REPO_PRIOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest_read.h"
#include "repo/pack_damage.h"
#include "repo/pack_set.h"
#include "repo/pages.h"
#include "repo/pages_spool.h"

enum {
    PRIOR_SOURCES = 6, /* records of one path that are looked at */
    PRIOR_WINDOWS = 64,
    PRIOR_WINDOW = 512, /* pages whose facts are read at once */
    PRIOR_FILES_MAX = 64 * 1024 * 1024
};

/*
 * Scattered files.  An entry is expanded as a whole, however few of its pages are still used, so a
 * file in which pages change here and there would take ever longer to restore.  From a spread of
 * PRIOR_SPREAD_SEEN per cent of its size on, as many of its least used entries are given up (their
 * pages are stored again) as are needed to keep the spread near PRIOR_SPREAD_AIM.
 */
enum {
    PRIOR_SPREAD_SEEN = 110,
    PRIOR_SPREAD_AIM = 124,
    PRIOR_USES = 8,             /* entries are told apart by how many eighths are used */
    PRIOR_LIVE_MAX = 128 * 1024 /* entries of one file that are counted */
};

/* The entries of one file that are used to so many eighths. */
struct prior_use {
    uint64_t entries;
    uint64_t pages; /* in them */
    uint64_t live;  /* of these, used */
    uint32_t share; /* of the entries that are given up, in 65,536ths */
};

enum prior_state { PRIOR_UNSEEN, PRIOR_GOOD, PRIOR_BAD };

/* A pack that pages may be taken from.  Slot 0 stands for zeros. */
struct prior_slot {
    uint8_t id[PACK_ID];
    enum prior_state state;
    bool orphan;
    uint32_t pages;
    uint32_t index; /* the caller's: in the manifest that is being written, 0: not yet */
    uint64_t facts_at;
    uint8_t *starts;          /* one bit per page: an entry starts here */
    struct manifest_bits bad; /* damaged, or gone with a compaction */
    bool damaged;
    /* the entry that prior_cost counted last, and for which file */
    uint32_t entry;
    uint32_t entry_end;
    uint64_t entry_file;
};

VEC_DECLARE(prior_slots, struct prior_slot);
VEC_DECLARE(prior_index, uint64_t);
VEC_DECLARE(prior_map, uint32_t);

struct prior_window {
    uint32_t slot;
    uint32_t first;
    uint32_t count;
    uint8_t facts[PRIOR_WINDOW * PACK_FACTS];
};

struct prior {
    struct repo *repo;
    const struct pack_set *set;
    struct object_reader *scratch;
    struct pack_bads damage;
    struct pages_spool records;
    struct pages_spool facts;
    struct prior_slots slots;
    struct prior_index index; /* 28 bits of the path's hash, 36 of its record's offset; sorted */
    uint8_t path_key[SECRET_TABLE_KEY];
    uint64_t file;         /* counts the files asked for */
    unsigned packs_lost;   /* packs that cannot be leaned on, */
    struct err first_loss; /* and why the first of them cannot */
    unsigned orphans;      /* packs of no backup that are used */
    uint64_t files;        /* in the prior backup, */
    uint64_t pages;        /* the pages of its files, */
    uint64_t spread;       /* and those that reading them expands */
    uint64_t sparse;       /* pages that are stored again, since their entries are given up */
    /* of the current file, when it is scattered: */
    struct prior_index live; /* entries, and how many of their pages it uses */
    size_t lives;
    bool scattered;
    struct prior_use use[PRIOR_USES];
    uint64_t seen;    /* pages that are known and came now, */
    uint64_t changed; /* and of these, not as they were */
    uint64_t choose;  /* the shares are chosen anew at so many pages seen */
    /* while filling */
    struct pages_spool *server; /* takes its backup_manifest; NULL: nobody wants it */
    struct prior_map map;       /* the manifest's pack index to slot */
    uint64_t record_at;
    struct prior_window windows[PRIOR_WINDOWS];
};

/* `dir` is for temporary files; set and scratch are borrowed until prior_close. */
int prior_open(struct prior *p, struct repo *repo, const struct pack_set *set, const char *dir,
               struct object_reader *scratch, struct err *e) __attribute__((warn_unused_result));
void prior_close(struct prior *p); /* accepts a zeroed struct */

/* Takes in a backup.  0; STORE_ABSENT; -1: nothing of it is used, and a full one can go on. */
int prior_add_manifest(struct prior *p, const char *label, struct manifest_public *public,
                       struct err *e) __attribute__((warn_unused_result));

/* Takes in the packs that no manifest names; after prior_add_manifest. */
int prior_add_orphans(struct prior *p, struct err *e) __attribute__((warn_unused_result));

/* After the last prior_add_*, before the first prior_find. */
void prior_ready(struct prior *p);

/* Can every page of the prior backup be leaned on?  Looks at all of its packs; what INCREMENTAL
 * demands, since the server sends unchanged pages no more. */
int prior_is_whole(struct prior *p, bool *whole, struct err *e) __attribute__((warn_unused_result));

/* One record of a path. */
struct prior_source {
    uint64_t at; /* what follows in the records' file */
    uint64_t end;
    bool orphan;
    struct pages_run run; /* its pack is a slot */
    uint64_t run_page;    /* page of the file at which the run starts */
    uint16_t pos;
    uint16_t have;
    uint8_t bytes[1024];
};

/* What is known of one file. */
struct prior_file {
    unsigned n;
    bool known; /* in the prior backup: source 0 is its record there */
    uint64_t size;
    uint64_t spread;
    struct prior_source source[PRIOR_SOURCES];
};

int prior_find(struct prior *p, const char *path, struct prior_file *f, struct err *e)
    __attribute__((warn_unused_result));

/* Looks for this very page among the sources.  1 and *run (of one page, its pack a slot); 0 when
 * it must be stored; -1.  Pages are asked for in order. */
int prior_page(struct prior *p, struct prior_file *f, uint64_t file_page,
               const struct pages_facts *facts, struct pages_run *run, struct err *e)
    __attribute__((warn_unused_result));

/* The page as the prior backup has it (for INCREMENTAL): 1 with *run and *facts (none when its
 * pack is 0: zeros); 0 when it is not there or cannot be leaned on; -1. */
int prior_known(struct prior *p, struct prior_file *f, uint64_t file_page, struct pages_run *run,
                struct pages_facts *facts, struct err *e) __attribute__((warn_unused_result));

/* Pages that a reader of this file has to expand more than before because of this page: those of
 * its entry, when the entry is not the one it came from last. */
uint32_t prior_cost(struct prior *p, const struct pages_run *run);

/* --- shared by the files of this module --- */

int prior_touch(struct prior *p, uint32_t slot, struct err *e) __attribute__((warn_unused_result));
/* The first page of an entry, and how many it has. */
uint32_t prior_entry(const struct prior_slot *s, uint32_t page, uint32_t *pages);
/* Is any page of the prior backup one that cannot be leaned on?  All its packs were touched and are
 * good. */
int prior_is_bad(struct prior *p, bool *bad, struct err *e) __attribute__((warn_unused_result));
/* Goes on to the next run of a record; *more is false at its end. */
int prior_next_run(struct prior *p, struct prior_source *s, bool *more, struct err *e)
    __attribute__((warn_unused_result));
/* Counts the entries of a file's record, when it is scattered. */
int prior_count_live(struct prior *p, const struct prior_file *f, struct err *e)
    __attribute__((warn_unused_result));
/* Takes note of a page, for the estimate of how many change. */
void prior_note_page(struct prior *p, bool changed);
/* Is its entry one of those that are given up?  The same answer for all of its pages, almost. */
bool prior_gives_up(const struct prior *p, const struct pages_run *run);
int prior_record_end(struct prior *p, const char *path, uint64_t size, uint64_t spread, bool orphan,
                     struct err *e) __attribute__((warn_unused_result));
int prior_record_gap(struct prior *p, uint64_t pages, struct err *e)
    __attribute__((warn_unused_result));
int prior_record_run(struct prior *p, const struct pages_run *run, struct err *e)
    __attribute__((warn_unused_result));

#endif
