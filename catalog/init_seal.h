/*
 * init_seal: what encryption that is switched on later has to know about a repository: which
 * lineage holds something, and what (FORMAT.md section 6).
 *
 * Whoever owns the storage may have put things there before, so nothing is believed that can be
 * judged: a segment must be one, and must not lie behind the end of the server's own WAL.
 */
#ifndef CATALOG_INIT_SEAL_H
#define CATALOG_INIT_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "init.h"
#include "object/reader.h"
#include "repo/lineage.h"
#include "repo/store.h"

/* Which lineage holds objects. */
struct seal_holders {
    char name[KEY_NAME_MAX + 1]; /* of the cluster that does */
    uint64_t system_id;
    unsigned count;
    char all[256]; /* as text, for a message */
};

int seal_holders_find(struct seal_holders *h, struct init *i, struct err *e)
    __attribute__((warn_unused_result));

struct seal_scan {
    struct init *i;
    struct store_lineage where;
    uint32_t segment_size;
    struct object_reader *reader;
    bool begun; /* something was changed: what is suspicious is left out, and told */
    struct sealed_from found;
    struct sealed_from_objects hashed; /* whose digest is known from a run before */
    /* the walk's own */
    uint32_t timeline;
    uint64_t next; /* LSN behind the newest plain segment of this timeline, 0 for none */
    enum object_kind kind;
    const char *job;
    unsigned beyond;                /* objects behind the server's end of WAL, */
    char first[FRAME_NAME_MAX + 1]; /* and one of them */
};

void seal_scan_init(struct seal_scan *s);
void seal_scan_fini(struct seal_scan *s);

/* Lists all that is plain into s->found, anew.  ERR_REFUSED when something lies behind the server's
 * WAL, unless that was accepted or `begun` is set. */
int seal_scan_all(struct seal_scan *s, struct err *e) __attribute__((warn_unused_result));

#endif
