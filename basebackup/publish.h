/*
 * publish: the last step: the manifest takes its place in the chain of this host's records and
 * appears; only now does the backup exist.
 */
#ifndef BASEBACKUP_PUBLISH_H
#define BASEBACKUP_PUBLISH_H

#include "base/msg.h"
#include "object/reader.h"
#include "repo/manifest_write.h"

/* p: all but the head and what manifest_finish fills in.  state_dir may be NULL. */
int publish_manifest(struct repo *repo, struct manifest_writer *m, struct manifest_public *p,
                     const char *state_dir, const struct msg *msg, struct object_reader *scratch,
                     struct err *e) __attribute__((warn_unused_result));

#endif
