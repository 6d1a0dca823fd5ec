/*
 * publish: the last step: the manifest takes its place in the chain of this host's records and
 * appears; only now does the backup exist.
 */
#ifndef BASEBACKUP_PUBLISH_H
#define BASEBACKUP_PUBLISH_H

#include "base/msg.h"
#include "basebackup/beat.h"
#include "object/reader.h"
#include "repo/manifest_write.h"

struct publish_how {
    const char *label;
    const char *state_dir; /* may be NULL */
    struct beat *beat;
    const struct msg *msg;
    struct object_reader *scratch;
};

/*
 * p: all but the head and what manifest_finish fills in.  A backup that others took for dead is not
 * published: what it leans on may be gone.  That is looked for before, so that nobody sees it, and
 * again behind it: who takes it for dead later sees the manifest.
 */
int publish_manifest(struct repo *repo, struct manifest_writer *m, struct manifest_public *p,
                     const struct publish_how *how, struct err *e)
    __attribute__((warn_unused_result));

#endif
