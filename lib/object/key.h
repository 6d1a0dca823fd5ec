/*
 * key: key files (FORMAT.md section 7).
 *
 * Three kinds.  The *host key* lives on a host that writes: it signs, and holds the write key that
 * opens metadata and makes plaintext digests; it opens no table data.  The *recovery key* opens
 * everything; it belongs in a safe, not on the database host.  The *recovery public key* is what
 * the host needs to seal.  All carry the repository id and the owner's public key, so that trust
 * starts from a file in the user's hand and never from the storage.
 */
#ifndef OBJECT_KEY_H
#define OBJECT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "object/frame.h"
#include "object/secret.h"

enum { KEY_FILE_MAX = 16 * 1024, KEY_NAME_MAX = 64 };

struct key_host {
    uint8_t repo_id[16];
    char name[KEY_NAME_MAX + 1];
    uint8_t owner[SECRET_KEY];
    uint8_t seed[SECRET_KEY];
    uint8_t write[SECRET_KEY];
    /* derived */
    uint8_t sign_public[SECRET_KEY];
    uint8_t sign_secret[SECRET_SIGN];
    uint8_t id[KEY_ID];
    uint8_t write_id[8];
};

struct key_recovery {
    uint8_t repo_id[16];
    char name[KEY_NAME_MAX + 1];
    uint8_t owner[SECRET_KEY];
    uint8_t secret[SECRET_KEY];
    bool is_owner; /* holds the owner's signing key */
    uint8_t owner_seed[SECRET_KEY];
    /* derived */
    uint8_t box_public[SECRET_KEY];
    uint8_t id[KEY_ID];
};

struct key_public {
    uint8_t repo_id[16];
    char name[KEY_NAME_MAX + 1];
    uint8_t owner[SECRET_KEY];
    uint8_t box_public[SECRET_KEY];
    uint8_t id[KEY_ID];
};

/* Fresh keys.  A new host key of an existing repository takes its write key over. */
void key_host_new(struct key_host *k, const uint8_t repo_id[16], const char *name,
                  const uint8_t owner[SECRET_KEY], const uint8_t *write_key);
void key_recovery_new(struct key_recovery *k, const uint8_t repo_id[16], const char *name,
                      const uint8_t *owner); /* NULL: becomes the owner */
void key_recovery_public(struct key_public *p, const struct key_recovery *k);

/* As file contents. */
int key_host_write(struct buf *b, const struct key_host *k, struct err *e);
int key_recovery_write(struct buf *b, const struct key_recovery *k, struct err *e);
int key_public_write(struct buf *b, const struct key_public *k, struct err *e);

/* From file contents; `what` names the file.  A recovery key that is protected by a passphrase is
 * the positive answer KEY_PROTECTED (see object/passphrase). */
enum { KEY_PROTECTED = 1 };
int key_host_read(struct key_host *k, const char *text, size_t len, const char *what, struct err *e)
    __attribute__((warn_unused_result));
int key_recovery_read(struct key_recovery *k, const char *text, size_t len, const char *what,
                      struct err *e) __attribute__((warn_unused_result));
int key_public_read(struct key_public *k, const char *text, size_t len, const char *what,
                    struct err *e) __attribute__((warn_unused_result));

/* From files; secret ones are refused when others can read them.  -1 also when absent. */
int key_host_load(struct key_host *k, const char *path, struct err *e)
    __attribute__((warn_unused_result));
int key_recovery_load(struct key_recovery *k, const char *path, struct err *e)
    __attribute__((warn_unused_result));
int key_public_load(struct key_public *k, const char *path, struct err *e)
    __attribute__((warn_unused_result));

void key_host_wipe(struct key_host *k);
void key_recovery_wipe(struct key_recovery *k);

#endif
