/*
 * store_index: where the files of the index are kept (repo/index): part of the directory driver.
 *
 * One file per host that writes, grown by appending; nothing here is flushed but a whole file that
 * takes another's place.
 */
#ifndef REPO_STORE_INDEX_H
#define REPO_STORE_INDEX_H

#include "repo/store.h"

enum { STORE_INDEX_MAX = 1 << 28 };

/* The names of the files. */
int store_each_index(struct store *s, const struct store_lineage *l, store_each_fn fn, void *arg,
                     struct err *e);

/* A whole file of at most `most` bytes; *bytes is freed by the caller.  0, STORE_ABSENT, -1. */
int store_index_load(struct store *s, const struct store_lineage *l, const char *file, size_t most,
                     uint8_t **bytes, size_t *len, struct err *e)
    __attribute__((warn_unused_result));

/* Opens a host's file for reading and writing, made when it is missing, and locked.  As root, what
 * is made belongs to the owner of the lineage.  0 and *fd; STORE_EXISTS: another writer is at work;
 * -1. */
int store_index_open(struct store_writer *w, const struct store_lineage *l, const char *file,
                     int *fd, struct err *e) __attribute__((warn_unused_result));

/* Puts a whole file in the place of one that store_index_open has locked. */
int store_index_replace(struct store_writer *w, const struct store_lineage *l, const char *file,
                        const void *bytes, size_t len, struct err *e);

#endif
