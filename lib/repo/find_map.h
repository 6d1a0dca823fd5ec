/*
 * find_map: relation maps of base backups: which number was which relation.
 *
 * A map is taken at the end of a backup; of the rows of a map only those are kept that somebody
 * asks for, so a cluster of a million relations costs no memory.  What rewrites did to file numbers
 * since then is noted beside them.
 */
#ifndef REPO_FIND_MAP_H
#define REPO_FIND_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "repo/plan.h"

enum { FIND_IDENT_MAX = 256, FIND_MAP_TEXT = 256 * 1024 * 1024, FIND_BUCKETS = 1024 };

/* A relation as a person names it: NAME, SCHEMA.NAME or its number; quoted as in SQL. */
struct find_table {
    bool is_set;
    uint32_t oid;      /* 0: by name */
    bool exact_schema; /* quoted: letters keep their case */
    bool exact_name;
    char schema[FIND_IDENT_MAX]; /* "": any */
    char name[FIND_IDENT_MAX];
};

/* 0, or -1 with ERR_USAGE. */
int find_table_parse(struct find_table *t, const char *text, struct err *e)
    __attribute__((warn_unused_result));
bool find_table_is(const struct find_table *t, uint32_t oid, const char *schema, const char *name);

/* The tables' name that is most like one that nobody has. */
struct find_guess {
    bool known; /* some map has the very name */
    uint32_t tried;
    size_t distance;
    char schema[FIND_IDENT_MAX];
    char name[FIND_IDENT_MAX]; /* "": nothing is like it */
};

struct find_rel {
    uint32_t db;
    uint32_t oid;
    uint32_t file; /* 0: none of its own */
    char kind;
    size_t schema; /* offsets in the map's text */
    size_t name;
};
struct find_db {
    uint32_t oid;
    size_t name;
};
VEC_DECLARE(find_rels, struct find_rel);
VEC_DECLARE(find_dbs, struct find_db);

struct find_map {
    size_t backup;            /* index in the inventory */
    struct find_guess *guess; /* while it is read; NULL: nobody asks */
    tli_t tli;
    lsn_t lsn;              /* what it shows was so here */
    bool read;              /* 0 rows when the backup has none */
    struct find_rels rels;  /* by database and number */
    struct find_rels files; /* by database and file number */
    struct find_dbs dbs;
    struct buf text;
    struct buf held; /* decoder: an item that is not whole yet */
    uint32_t db;     /* decoder: its current database */
};
VEC_DECLARE(find_map_list, struct find_map);

/* A relation got another file: 0 when it is not known which. */
struct find_move {
    lsn_t lsn;
    tli_t tli;
    uint32_t db;
    uint32_t oid;
    uint32_t file;
    size_t by_oid; /* 1 + index of the one before in its bucket */
    size_t by_file;
    bool over; /* while some are forgotten */
};
VEC_DECLARE(find_moves, struct find_move);

struct find_maps {
    const struct plan_lines *lines;
    struct find_map_list list; /* by LSN */
    struct find_moves moves;
    size_t oid_bucket[FIND_BUCKETS];
    size_t file_bucket[FIND_BUCKETS];
};

void find_maps_init(struct find_maps *m, const struct plan_lines *lines);
void find_maps_fini(struct find_maps *m);

/* Forgets the maps, and of the moves those that nothing behind them can ask for. */
void find_maps_forget(struct find_maps *m);

/* Adds an empty map; maps come by LSN. */
struct find_map *find_maps_add(struct find_maps *m, size_t backup, tli_t tli, lsn_t lsn,
                               struct err *e);

/* The next piece of a map's bytes, cut anywhere.  wanted: ascending numbers, of relations and
 * files; kept are these and what `table` names. */
int find_map_feed(struct find_map *m, const uint8_t *p, size_t n, const uint32_t *wanted,
                  size_t n_wanted, const struct find_table *table, struct err *e)
    __attribute__((warn_unused_result));

/* After the last piece. */
int find_map_done(struct find_map *m, struct err *e) __attribute__((warn_unused_result));

/* What a number meant at a moment.  rel NULL: nobody knows. */
struct find_known {
    const struct find_map *map;
    const struct find_rel *rel;
    uint32_t file; /* its file then; 0: not known, or none */
    bool later;    /* told by a map that was made afterwards */
};

struct find_known find_by_oid(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db,
                              uint32_t oid);
struct find_known find_by_file(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db,
                               uint32_t file);
/* The name of a database, or NULL. */
const char *find_database(const struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db);

/* Notes that at lsn the relation got that file (0: another one). */
int find_moved(struct find_maps *m, tli_t tli, lsn_t lsn, uint32_t db, uint32_t oid, uint32_t file,
               struct err *e) __attribute__((warn_unused_result));

static inline const char *find_map_text(const struct find_map *m, size_t at)
{
    return (const char *)m->text.p + at;
}

#endif
