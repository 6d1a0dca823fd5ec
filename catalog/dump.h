/*
 * dump: what the parts of `walden dump` share.
 */
#ifndef CATALOG_DUMP_H
#define CATALOG_DUMP_H

#include <stdbool.h>

#include "command.h"
#include "pgtool.h"
#include "repo/dump_job.h"
#include "repo/dump_put.h"
#include "sqlrun.h"

enum { DUMP_GLOBALS_MAX = 64 * 1024 * 1024, DUMP_DATABASES_MAX = 10000 };

/* Row security of each table that has any, as one text each: noted with a dump, and asked of what
 * was restored. */
#define DUMP_ROW_SECURITY_SQL                                                                      \
    "select pg_catalog.format('%I.%I enabled=%s forced=%s policies=%s', n.nspname, c.relname,"     \
    " c.relrowsecurity, c.relforcerowsecurity, case when pg_catalog.length(p.p) > 500 then"        \
    " pg_catalog.md5(p.p) else p.p end) from pg_catalog.pg_class c join pg_catalog.pg_namespace n" \
    " on n.oid = c.relnamespace, lateral (select coalesce(pg_catalog.string_agg("                  \
    "pg_catalog.quote_ident(o.polname), ',' order by o.polname), '') from pg_catalog.pg_policy o"  \
    " where o.polrelid = c.oid) p(p) where c.relkind in ('r', 'p') and (c.relrowsecurity or"       \
    " c.relforcerowsecurity or p.p <> '')"

/* A table whose rows are counted beside the dump. */
struct dump_count {
    char schema[256];
    char name[256];
    uint64_t rows;
};
VEC_DECLARE(dump_counts, struct dump_count);
VEC_DECLARE(dump_names, char *);

/* Large: on the heap. */
struct dump_run {
    const struct msg *msg;
    struct settings *settings;
    struct dump_job job;
    const char *tag;
    bool accept;   /* whatever the guard says */
    bool progress; /* on a terminal */

    struct sqlrun_how how;
    uint64_t system_id; /* 0: the server does not tell */
    uint32_t server_version;
    bool may_read_passwords;
    struct dump_names databases;
    struct pgtool tool;

    struct repo repo;
    bool repo_open;
    struct object_reader reader;
    struct dump_list list;
    struct dump_item prior; /* what the guard compares with */
    bool has_prior;
    struct dump_put put;
    bool putting;
    struct buf globals;

    struct dump_counts counts; /* of the database in hand */
    struct pgtool_run child;
    const char *database; /* the one in hand */
    int64_t next_progress;
    bool shown_progress;
    bool done;
};

/* --- the server (dump_server.c) --- */

/* Version, system identifier, rights, and which databases. */
int dump_look(struct dump_run *r, struct err *e) __attribute__((warn_unused_result));
/* Opens a transaction on one database, exports its snapshot ("" when the server cannot), notes the
 * facts of the database and counts what the job names. */
int dump_snapshot(struct dump_run *r, struct sqlrun *s, char *snapshot, size_t cap, struct err *e)
    __attribute__((warn_unused_result));
/* The names of tables to count that are known only behind the dump (counts = all); then compares
 * with what was in the dump. */
int dump_compare_counts(struct dump_run *r, struct sqlrun *s, size_t first_table, struct err *e)
    __attribute__((warn_unused_result));

/* --- the whole (dump_run.c) --- */

struct dump_run *dump_run_new(struct err *e);
void dump_run_free(struct dump_run *r);

/* All of it, hooks included.  After 0 r->put holds what was stored. */
int dump_run(struct dump_run *r, struct err *e) __attribute__((warn_unused_result));

/* What can be known beforehand: that the disk has no room for another one (ERR_REFUSED), that the
 * compression is dear. */
int dump_room(struct dump_run *r, struct err *e) __attribute__((warn_unused_result));
void dump_warn_compression(const struct dump_run *r);

/* Is this dump believable beside the last one (dump_guard.c)?  Warnings are printed. */
int dump_guard(struct dump_run *r, struct err *e) __attribute__((warn_unused_result));

#endif
