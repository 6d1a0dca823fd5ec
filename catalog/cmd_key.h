/*
 * cmd_key: what the subcommands of `walden key` share.
 */
#ifndef CATALOG_CMD_KEY_H
#define CATALOG_CMD_KEY_H

#include "command.h"
#include "object/key.h"
#include "place.h"
#include "repo/repo.h"

int cmd_key_new(int argc, char **argv);
int cmd_key_show(int argc, char **argv);
int cmd_key_check(int argc, char **argv);
int cmd_key_protect(int argc, char **argv);
int cmd_key_open(int argc, char **argv);
int cmd_key_add_recipient(int argc, char **argv);

/* Reads a recovery key and asks for its passphrase if it has one (from pass_file, else from the
 * terminal). */
int cmd_key_secret(struct key_recovery *k, const char *path, const char *pass_file, struct err *e)
    __attribute__((warn_unused_result));

/* A passphrase: the first line of pass_file, else from the terminal, there twice when it is a new
 * one.  out has PASSPHRASE_MAX + 1 bytes. */
int cmd_key_passphrase(const char *pass_file, bool is_new, char *out, size_t *len, struct err *e)
    __attribute__((warn_unused_result));

/* Opens the repository, with the secret key if there is one. */
int cmd_key_repo(struct repo *r, const struct settings *s, unsigned use, const char *pass_file,
                 struct err *e) __attribute__((warn_unused_result));

/* Whose the repository is: what root changes in it stays theirs. */
int cmd_key_owner(const struct repo *r, struct place_owner *owner, struct err *e)
    __attribute__((warn_unused_result));

/* Writes a key file: an absolute path is made of `path`. */
int cmd_key_put(const char *path, struct buf *b, mode_t mode, struct err *e)
    __attribute__((warn_unused_result));

#endif
