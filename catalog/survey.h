/*
 * survey: every lineage of a repository, looked at (list) or read back (verify).
 *
 * A lineage that cannot be read becomes a problem of its own, so that one broken place does not
 * hide the state of the others.
 */
#ifndef CATALOG_SURVEY_H
#define CATALOG_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/vec.h"
#include "object/reader.h"
#include "repo/backup_list.h"
#include "repo/drill.h"
#include "repo/dump_list.h"
#include "repo/heads.h"
#include "repo/inventory.h"
#include "repo/repo.h"
#include "repo/scan.h"
#include "repo/settings.h"
#include "repo/verified.h"

enum { SURVEY_MAX = 65536, SURVEY_SCHEMA = 1, SURVEY_TEXT_MAX = 256 * 1024 * 1024 };

struct survey_lineage {
    char cluster[KEY_NAME_MAX + 1];
    uint64_t system_id;
    uint32_t major; /* 0 when the lineage cannot be read */
    uint32_t segment_size;
    struct backup_list backups;
    struct dump_list dumps;   /* the cluster's, in its first lineage that can be read */
    struct drill_list drills; /* likewise */
    struct scan scan;
    struct heads heads;            /* after a look */
    struct verified_list verified; /* after survey_verified */
};
VEC_DECLARE(survey_lineages, struct survey_lineage);

/* Large: keep one static or on the heap. */
struct survey {
    const char *path;
    struct repo repo;
    struct survey_lineages lineages;
    struct object_reader reader;
};

/* Opens the repository and lists its lineages: all, or those of an explicit cluster or system_id
 * (a flag or a variable; what the configuration says is for the hooks).  On -1 nothing is left
 * open. */
int survey_open(struct survey *s, const struct settings *settings, struct err *e)
    __attribute__((warn_unused_result));
void survey_close(struct survey *s);

/* Lists the backups of one lineage and scans its WAL.  Without `deep`, whose caller reads the packs
 * back, it looks whether they are there. */
int survey_scan(struct survey *s, const struct settings *settings, struct survey_lineage *l,
                const struct scan_how *how, struct err *e) __attribute__((warn_unused_result));

/* The same with all that a plan needs, in *v (inventory_fini in any case); what was scanned and the
 * list of backups belong to *l then. */
int survey_inventory(struct survey *s, const struct settings *settings, struct survey_lineage *l,
                     struct inventory *v, struct err *e) __attribute__((warn_unused_result));

/* Reads what verify put on record; what it found damaged, and the look of now did not see, becomes
 * a problem (survey_verified.c).  After survey_scan. */
int survey_verified(struct survey *s, struct survey_lineage *l, struct err *e)
    __attribute__((warn_unused_result));
/* A line of text; the member `verified`. */
int survey_show_verified(const struct verified_verdict *v, struct buf *out, struct err *e);
void survey_json_verified(const struct verified_verdict *v, struct json_out *j);

/* Of all lineages. */
size_t survey_problems(const struct survey *s);

/* --- what list and verify show alike --- */

/* "repository ..." and "cluster ...": lines of text. */
int survey_show_repo(const struct survey *s, struct buf *out, struct err *e);
int survey_show_lineage(const struct survey_lineage *l, struct buf *out, struct err *e);
/* Its base backups, oldest first, behind those that cannot be read (survey_backups.c). */
int survey_show_backups(const struct survey_lineage *l, struct buf *out, struct err *e);
int survey_json_backups(const struct survey_lineage *l, struct json_out *j, struct err *e);
/* The dumps of its cluster, oldest first (survey_dumps.c). */
int survey_show_dumps(const struct survey_lineage *l, struct buf *out, struct err *e);
void survey_json_dumps(const struct survey_lineage *l, struct json_out *j);
/* The drills of its cluster, oldest first (survey_drills.c). */
int survey_show_drills(const struct survey_lineage *l, struct buf *out, struct err *e);
void survey_json_drills(const struct survey_lineage *l, struct json_out *j);
/* The problems and notes of a lineage. */
int survey_show_problems(const struct survey_lineage *l, struct buf *out, struct err *e);

/* The members `repository`, `lineages`, and `problems`, `notes`, `problems_omitted`. */
void survey_json_repo(const struct survey *s, struct json_out *j);
void survey_json_problems(const struct survey *s, struct json_out *j);

/* A member that is an LSN, a moment or null. */
void survey_json_lsn(struct json_out *j, const char *key, lsn_t lsn);
void survey_json_time(struct json_out *j, const char *key, int64_t time);

/* A json_flush to standard output. */
int survey_flush(void *arg, const void *p, size_t n, struct err *e);

enum { SURVEY_SIZE_MAX = 32, SURVEY_TIME_MAX = 128 };

/* "3.4 MB", and a moment in local time and UTC. */
void survey_size(char out[SURVEY_SIZE_MAX], uint64_t bytes);
void survey_time(char out[SURVEY_TIME_MAX], int64_t time);

#endif
