/*
 * pages_kit: a repository in a temporary directory, a cluster in memory, and backups of it, driven
 * the way the programs drive the library.
 */
#ifndef TESTS_UNIT_PAGES_KIT_H
#define TESTS_UNIT_PAGES_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/manifest_read.h"
#include "repo/pages_put.h"
#include "repo/prior.h"
#include "repo/repo.h"

struct kit {
    char dir[200];
    struct repo repo;
    struct key_recovery recovery;
    struct key_recovery second;
    struct key_host host;
    struct object_reader *scratch;
    struct pack_limits limits;
    unsigned backups;
};

/* A new repository; what fails ends the test. */
void kit_open(struct kit *k, bool sealed);
void kit_close(struct kit *k);

/* Makes the program that uses the repository forget or know the secret key. */
void kit_secret(struct kit *k, bool has);

struct kit_file {
    char path[64];
    uint8_t *bytes;
    size_t len;
    bool gone;
};

enum { KIT_FILES = 64 };

struct kit_cluster {
    struct kit_file file[KIT_FILES];
    unsigned n;
};

uint32_t kit_random(void); /* the same row in every run */
void kit_cluster_free(struct kit_cluster *c);
void kit_cluster_copy(struct kit_cluster *to, const struct kit_cluster *from);

/* A file of len bytes that look like pages of a database. */
struct kit_file *kit_file_add(struct kit_cluster *c, const char *path, size_t len);
/* Changes page `page`. */
void kit_touch(struct kit_file *f, size_t page);

struct kit_backup {
    const char *prior;      /* label, or NULL */
    bool orphans;           /* use packs that no manifest names */
    unsigned fail_after;    /* files; 0: not.  Packs are finished, the manifest is not */
    bool killed;            /* and with fail_after: not even the packs are finished */
    unsigned known_percent; /* pages that are not sent, as with INCREMENTAL (0: all are sent) */
    const struct kit_cluster *before; /* for known pages: the cluster at the prior backup */
    unsigned rotate;                  /* start with another file */
};

/* Takes a backup of the cluster; 0 or -1.  label has MANIFEST_LABEL_MAX bytes. */
int kit_backup(struct kit *k, const struct kit_cluster *c, const struct kit_backup *how,
               char *label, struct pages_put_totals *totals, struct err *e);

/* Reads a backup back and compares; 0 or -1.  *expanded (may be NULL): pages expanded. */
int kit_restore(struct kit *k, const char *label, const struct kit_cluster *want,
                uint64_t *expanded, struct err *e);

/* The only waiting a test does. */
int kit_no_wait(void *arg, struct err *e);

/* Bytes of a file of the repository, and back. */
uint8_t *kit_slurp(const struct kit *k, const char *rel, size_t *len);
void kit_spit(const struct kit *k, const char *rel, const uint8_t *bytes, size_t len);

/* Calls fn with the name of each file in a lineage's directory ("pack", "backup", ...). */
unsigned kit_list(const struct kit *k, const char *sub, char names[][48], unsigned max);
/* Path of such a file below the repository. */
void kit_path(char out[160], const char *sub, const char *name);
void kit_unlink(const struct kit *k, const char *rel);

#endif
