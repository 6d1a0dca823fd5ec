/*
 * manifest_chain: the signed chain of records, and the heads that this host remembers (FORMAT.md
 * section 10).
 *
 * Every manifest, dump and expire record names its writer, a sequence number and the digest of the
 * writer's record before it; an expire record also names the newest of each writer that it removes.
 *  The host keeps the newest it saw of each writer in `state_dir/heads`; a repository that
 * shows an older one was rolled back, or lost records.
 */
#ifndef REPO_MANIFEST_CHAIN_H
#define REPO_MANIFEST_CHAIN_H

#include "base/vec.h"
#include "object/reader.h"
#include "repo/manifest.h"
#include "repo/repo.h"

enum { MANIFEST_HEADS_MAX = 4096, MANIFEST_WHERE_MAX = 96 };

struct manifest_seen {
    uint8_t writer[MANIFEST_WRITER];
    uint64_t sequence;
    uint8_t digest[MANIFEST_DIGEST]; /* of that record's whole file */
    enum object_kind kind;           /* and which record it is: manifest, dump or expire record; */
    char job[FRAME_NAME_MAX + 1];    /* of a dump */
    char label[MANIFEST_LABEL_MAX];  /* "" in the host's file, and when the record was removed */
    char where[MANIFEST_WHERE_MAX];  /* its lineage, `cluster/system id`; "" when not known */
};

VEC_DECLARE(manifest_heads, struct manifest_seen);

/* This host's id as a writer of this lineage: made of its signing key's id, or, in a plain
 * repository, of its name. */
void manifest_writer_id(uint8_t out[MANIFEST_WRITER], const struct repo *repo, const char *host);

/* The same for a chain apart from the manifests': `what` is "writer" for these, "verifier" for
 * verification records. */
void manifest_chain_id(uint8_t out[MANIFEST_WRITER], const struct repo *repo, const char *what,
                       const char *host);

/* H of an object's whole file, for the record behind it. */
int manifest_chain_digest(struct repo *repo, const struct store_name *name,
                          uint8_t out[MANIFEST_DIGEST], struct err *e)
    __attribute__((warn_unused_result));

/* `heads` of a state directory; nothing there is an empty list. */
int manifest_heads_load(struct manifest_heads *h, const char *state_dir, struct err *e)
    __attribute__((warn_unused_result));
/* Leaves out those of other lineages. */
void manifest_heads_here(struct manifest_heads *h, const struct repo *repo);
/* Fills in the lineage. */
void manifest_seen_here(struct manifest_seen *seen, const struct repo *repo);
/* Takes one in when it is newer than what is there, and writes the file (not flushed). */
int manifest_heads_keep(const char *state_dir, const struct manifest_seen *seen, struct err *e)
    __attribute__((warn_unused_result));

/* The newest record of every writer, from the repository.  Digests are those that expire records
 * tell of what was removed, else not computed. */
int manifest_heads_scan(struct manifest_heads *h, struct repo *repo, struct object_reader *scratch,
                        struct err *e) __attribute__((warn_unused_result));

/* The first head that this host knows and the repository shows in an older state, or not at all;
 * NULL: none.  known holds this lineage's heads only: see manifest_heads_here. */
const struct manifest_seen *manifest_heads_missing(const struct manifest_heads *known,
                                                   const struct manifest_heads *found);

/* Fills writer, sequence and digest of the next record: from what the host knows, else from the
 * repository.  state_dir may be NULL. */
int manifest_chain_next(struct manifest_head *head, struct repo *repo, const char *host,
                        const char *state_dir, struct object_reader *scratch, struct err *e)
    __attribute__((warn_unused_result));

/* After a record was published: the host remembers it.  state_dir NULL: nothing is done. */
int manifest_chain_published(const struct manifest_head *head, struct repo *repo,
                             const struct store_name *name, const char *state_dir, struct err *e)
    __attribute__((warn_unused_result));

#endif
