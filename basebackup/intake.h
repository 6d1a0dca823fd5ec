/*
 * intake: stores what arrives: the thread behind the ring.
 *
 * It first takes in what the repository holds already (while the server still works on its
 * checkpoint), then unpacks the archives, hands each file to the page store, and checks all of it:
 * archives against the form that servers write, files against the server's manifest, label and
 * pg_control against what the server said.
 */
#ifndef BASEBACKUP_INTAKE_H
#define BASEBACKUP_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "basebackup/check.h"
#include "basebackup/compose.h"
#include "basebackup/ring.h"
#include "pg/control.h"
#include "pg/label.h"
#include "pgconn/basebackup.h"
#include "repo/pack_set.h"
#include "repo/pages_put.h"
#include "repo/prior.h"
#include "stream/tar.h"

enum { INTAKE_PREFIX_MAX = 32, INTAKE_PRIORS = 3 };

struct intake_how {
    struct repo *repo;
    struct pack_how packs;
    const char *state_dir; /* NULL: none */
    uint64_t system_id;
    uint32_t segsize;
    bool has_end;  /* the server's archives have their closing blocks */
    bool no_prior; /* store everything anew */
    bool offers;   /* keep what an incremental backup has to offer the server */
};

/* What was found in the repository, for the report. */
struct intake_found {
    char label[MANIFEST_LABEL_MAX]; /* the prior backup; "": none */
    struct manifest_public public;  /* its public part */
    unsigned orphans;
    unsigned packs_lost;
    struct err first_loss;
    unsigned bad_manifests;
    struct err first_bad;
};

struct intake {
    struct intake_how how;
    struct ring ring;
    /* set by the receiver before RING_START */
    lsn_t start;
    tli_t tli;
    size_t n_spaces;
    struct basebackup_space *spaces;
    /* from here on the thread's own until it is joined */
    struct object_reader *scratch;
    struct pack_set set;
    bool has_set;
    bool loaded;
    char temp[4096]; /* the directory of temporary files */
    struct prior prior;
    struct pages_spool server; /* the prior backup's backup_manifest, with how.offers */
    struct compose compose;
    struct intake_found found;
    char label[MANIFEST_LABEL_MAX];
    struct manifest_writer manifest;
    struct pages_put put;
    bool has_put;
    struct check *check;
    struct tar tar;
    bool in_tar;
    char prefix[INTAKE_PREFIX_MAX];
    char path[TAR_NAME_MAX + INTAKE_PREFIX_MAX]; /* as the server names it, */
    char full[TAR_NAME_MAX + INTAKE_PREFIX_MAX]; /* and the file that it is about */
    struct buf kept;                             /* a small file that is looked into as well */
    int keeping;
    bool has_label;
    bool has_control;
    bool has_conf; /* postgresql.conf */
    struct label backup_label;
    struct control control;
    uint64_t bytes; /* of all files */
    uint64_t files;
    struct err help_failed;
};

/* The struct is large; it is zeroed here.  -1 leaves nothing. */
int intake_init(struct intake *i, const struct intake_how *how, struct err *e)
    __attribute__((warn_unused_result));
void intake_fini(struct intake *i); /* accepts a zeroed one */

/* Takes in what the repository holds; else the thread does it.  Afterwards compose_begin may be
 * called, when only what changed will come. */
int intake_load(struct intake *i, struct err *e) __attribute__((warn_unused_result));

/* The receiver, when it has nothing to receive: stores one block, if the thread sleeps.  1: did so;
 * 0: no; -1: a failure, which intake_run reports. */
int intake_help(struct intake *i);

/* A thread_fn; arg is the struct intake.  0: everything arrived, and is as it must be. */
int intake_run(void *arg, struct err *e);

#endif
