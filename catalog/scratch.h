/*
 * scratch: a directory for a copy that is thrown away again, for rescue and drill.
 *
 * It is walden-<word>.<random>, with `lock` (held by the run that owns it), `data` (the copy),
 * `run` (configuration, socket and log of its server) and `space` (tablespaces).  A run that is
 * killed takes its server with it and leaves the directory, whose lock is then free: the next run
 * removes it, and the key that the hook of its server was handed.
 */
#ifndef CATALOG_SCRATCH_H
#define CATALOG_SCRATCH_H

#include "base/msg.h"
#include "place.h"
#include "repo/settings.h"
#include "repo/unpack.h"

struct scratch {
    const struct msg *m;
    struct os_root base; /* the directory that it is in */
    char base_path[PLACE_MAX];
    char name[48];
    char path[PLACE_MAX];
    char data[PLACE_MAX];
    char run[PLACE_MAX];
    int lock;
    bool made;
};

void scratch_init(struct scratch *s, const struct msg *m);
void scratch_fini(struct scratch *s);

/* Where it shall be (NULL: the first of state_dir, TMPDIR and /tmp whose path leaves room for a
 * socket's); removes what killed runs left there. */
int scratch_open(struct scratch *s, const char *place, const struct settings *settings,
                 struct err *e) __attribute__((warn_unused_result));

/* Makes the directory; `data` is left to the caller. */
int scratch_make(struct scratch *s, const char *word, struct err *e)
    __attribute__((warn_unused_result));

/* All tablespaces come into it. */
int scratch_map_spaces(const struct scratch *s, struct unpack *u, struct err *e)
    __attribute__((warn_unused_result));

/* Gives the server its folder. */
int scratch_own_run(struct scratch *s, const struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

/* Makes one more directory in it, for its owner. */
int scratch_dir(struct scratch *s, const char *name, const struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

/* Removes it, when it was made. */
int scratch_remove(struct scratch *s, struct err *e) __attribute__((warn_unused_result));

#endif
