/*
 * walxids: what the transactions that are open at this point of a segment have done so far.
 *
 * WAL names a relation in each row change but an outcome only in the commit or abort record, so
 * counts wait here until that comes.  Everything is in fixed arrays.  When they are full the
 * transaction with the least in it gives way: into the transaction it is part of when that is
 * known, else into nothing; either way `lost` turns true and stays so.
 */
#ifndef PG_WALXIDS_H
#define PG_WALXIDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/meta.h"

enum {
    WALXIDS_XACTS = 1024,
    WALXIDS_COUNTS = 2048,
    WALXIDS_NOTES = 2048,
    WALXIDS_EACH = 256, /* counts, and notes, that one transaction may have */
    WALXIDS_HINTS = 512,
    WALXIDS_NONE = 0xffff
};

enum walxids_kind { WALXIDS_CREATED, WALXIDS_LOCKED, WALXIDS_TRUNCATED };

struct walxids_count {
    struct meta_count c;
    uint32_t owner; /* transaction; 0 while it is free */
    uint16_t next;
};

struct walxids_note {
    uint32_t value;
    uint32_t owner;
    uint16_t next;
    uint8_t kind;
};

struct walxids_xact {
    uint32_t xid;
    uint32_t top;     /* 0 when not known */
    uint32_t weight;  /* rows, and much for each note: the least gives way */
    uint32_t db;      /* of the first file made */
    uint32_t made_lo; /* the file numbers it made lie between these */
    uint32_t made_hi;
    lsn_t lock; /* first AccessExclusiveLock */
    uint64_t volume;
    uint16_t next; /* in its bucket, or in the list of free ones */
    uint16_t counts;
    uint16_t notes;
    uint16_t n_counts;
    uint16_t n_notes;
    uint8_t flags; /* META_APPROXIMATE */
    bool creates;  /* has notes of WALXIDS_CREATED */
    bool in_use;
    bool must_tell; /* its outcome is to be told in any case */
};

struct walxids {
    bool lost;
    uint16_t last; /* the one found last */
    uint16_t clock;
    uint16_t xact_used, xact_free;
    uint16_t count_used, count_free;
    uint16_t note_used, note_free;
    uint32_t creating;                  /* transactions that have made files */
    uint16_t count_hint[WALXIDS_HINTS]; /* where a transaction's count of a relation was last */
    uint16_t note_hint[WALXIDS_HINTS];  /* the same for a file it made; both may be stale */
    uint16_t bucket[WALXIDS_XACTS];
    struct walxids_xact xact[WALXIDS_XACTS];
    struct walxids_count count[WALXIDS_COUNTS];
    struct walxids_note note[WALXIDS_NOTES];
};

/* Empties the table; most of it is not touched before it is needed. */
void walxids_init(struct walxids *t);

/* The entry of xid, or NULL. */
struct walxids_xact *walxids_find(struct walxids *t, uint32_t xid);

/* The entry of xid, made when there is none.  Older pointers into the table are dead then. */
struct walxids_xact *walxids_get(struct walxids *t, uint32_t xid);

/* Counts rows that xid changed in a relation. */
void walxids_rows(struct walxids *t, uint32_t xid, const struct relnode *rel, uint32_t deletes,
                  uint32_t updates);

/* Notes something about xid; equal notes are kept once. */
void walxids_note(struct walxids *t, uint32_t xid, enum walxids_kind kind, uint32_t value);

/* Copies the notes of one kind. */
void walxids_notes(const struct walxids *t, const struct walxids_xact *x, enum walxids_kind kind,
                   struct meta_list *out);

/* Whether x made the file with this number. */
bool walxids_made(struct walxids *t, const struct walxids_xact *x, uint32_t rel);

/* Adds all of `from` to `into` and forgets `from`; returns into's entry.  Makes it when needed,
 * by renaming. */
struct walxids_xact *walxids_fold(struct walxids *t, uint32_t into, uint32_t from);

/* Forgets an entry. */
void walxids_drop(struct walxids *t, struct walxids_xact *x);

#endif
