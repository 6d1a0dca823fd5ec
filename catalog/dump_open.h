/*
 * dump_open: finds and opens a dump that a person named, for get, undump and drill.
 */
#ifndef CATALOG_DUMP_OPEN_H
#define CATALOG_DUMP_OPEN_H

#include "repo/dump_get.h"
#include "repo/settings.h"

/* Large: on the heap, zeroed. */
struct dump_open {
    struct repo repo;
    bool repo_open;
    struct dump_item item;
    struct dump_get get;
    struct object_reader reader;
};

/* text: see dump_list_find; at: a moment as a person wrote it, or NULL; pass_file: see
 * cmd_key_secret.  Call dump_close whatever the answer. */
int dump_open(struct dump_open *d, const struct settings *s, const char *text, const char *at,
              const char *pass_file, struct err *e) __attribute__((warn_unused_result));
void dump_close(struct dump_open *d);

/* The stream of that name (NULL: the only database); needs the write key or a secret key. */
int dump_open_stream(struct dump_open *d, const char *name, uint32_t *stream, struct err *e)
    __attribute__((warn_unused_result));

#endif
