/*
 * init: the parts of `walden init`, which work on one struct.
 *
 * Order of the writes, each durable before the next: the repository's directory; a note of the
 * repository's id (only until the marker is there); keys; marker; lineage; configuration.  Wherever
 * a crash stops it, the same command goes on from there (catalog/DESIGN.md has the table).
 */
#ifndef CATALOG_INIT_H
#define CATALOG_INIT_H

#include <stdbool.h>

#include "base/msg.h"
#include "init_config.h"
#include "init_server.h"
#include "object/key.h"
#include "place.h"
#include "repo/lineage.h"
#include "repo/marker.h"
#include "repo/settings.h"
#include "repo/store.h"

struct init {
    struct msg msg;
    struct settings s;
    /* what was asked for */
    bool encrypt;
    bool group;
    bool apply;
    bool accept_beyond;
    const char *config_given;
    const char *key_dir_given;
    struct pgconn_opts connect;
    /* places */
    char repo[PLACE_MAX];
    char config[PLACE_MAX];
    char key_dir[PLACE_MAX];
    char host_path[PLACE_MAX];
    char recovery_path[PLACE_MAX];
    char public_path[PLACE_MAX];
    struct place_owner owner;
    struct init_server server;
    /* the repository */
    struct store store;
    struct store_writer writer;
    int lock;
    struct marker marker; /* valid id from init_repo_open on; the rest once `fresh` is false */
    bool fresh;           /* there is no marker yet */
    bool sealed;          /* it is sealed, or will be when we are done */
    struct lineage lineage;
    uint8_t sealed_from[DIGEST_STRONG];
    bool has_sealed_from;
    /* keys; of a sealed repository */
    struct key_host host;
    bool has_owner_key; /* recovery holds the owner's signing key */
    struct key_recovery recovery;
    struct key_public public_key;
    unsigned changes; /* how many files were written */
    struct buf said;  /* lines of the report about what was sealed */
};

/* init_repo: the directory, the marker, the lineage. */

/* Makes or opens the directory, takes its lock, reads the marker, and settles the id. */
int init_repo_open(struct init *i, struct err *e) __attribute__((warn_unused_result));
void init_repo_close(struct init *i);

/* Tries what the filesystem can do; only before there is a marker. */
int init_repo_probe(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* Publishes the marker: plain, or signed by the owner. */
int init_repo_mark(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* Makes or checks this server's lineage, and certifies this host in a sealed repository. */
int init_repo_lineage(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* Certifies this host in a lineage that was read.  0 it was added, 1 it was there, -1. */
int init_repo_certify(struct init *i, struct lineage *l, struct err *e)
    __attribute__((warn_unused_result));

/* Writes a lineage's file. */
int init_repo_put_lineage(struct init *i, const struct lineage *l, bool replace, struct err *e)
    __attribute__((warn_unused_result));

/* Gives all that init makes in the repository to the owner. */
int init_repo_own(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* init_keys: makes the keys of a new sealed repository, or finds those of an existing one. */
int init_keys(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* init_seal: switches encryption on in a repository that is plain. */
int init_seal(struct init *i, struct err *e) __attribute__((warn_unused_result));

/* What the configuration has to hold, from what is known now. */
struct init_config init_pins(const struct init *i);

#endif
