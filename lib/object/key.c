#include "object/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "object/record.h"
#include "os/file.h"
#include "os/proc.h"

static void set_name(char out[KEY_NAME_MAX + 1], const char *name)
{
    (void)snprintf(out, KEY_NAME_MAX + 1, "%s", name);
}

static void host_derive(struct key_host *k)
{
    secret_sign_pair(k->sign_public, k->sign_secret, k->seed);
    secret_key_id(k->id, k->sign_public);
    secret_write_id(k->write_id, k->write);
}

static void recovery_derive(struct key_recovery *k)
{
    secret_box_public(k->box_public, k->secret);
    secret_key_id(k->id, k->box_public);
}

void key_host_new(struct key_host *k, const uint8_t repo_id[16], const char *name,
                  const uint8_t owner[SECRET_KEY], const uint8_t *write_key)
{
    memset(k, 0, sizeof *k);
    memcpy(k->repo_id, repo_id, 16);
    memcpy(k->owner, owner, SECRET_KEY);
    set_name(k->name, name);
    secret_random(k->seed, SECRET_KEY);
    if (write_key != NULL)
        memcpy(k->write, write_key, SECRET_KEY);
    else
        secret_random(k->write, SECRET_KEY);
    host_derive(k);
}

void key_recovery_new(struct key_recovery *k, const uint8_t repo_id[16], const char *name,
                      const uint8_t *owner)
{
    uint8_t secret[SECRET_SIGN];

    os_hide_memory();
    memset(k, 0, sizeof *k);
    memcpy(k->repo_id, repo_id, 16);
    set_name(k->name, name);
    secret_random(k->secret, SECRET_KEY);
    k->is_owner = owner == NULL;
    if (owner != NULL) {
        memcpy(k->owner, owner, SECRET_KEY);
    } else {
        secret_random(k->owner_seed, SECRET_KEY);
        secret_sign_pair(k->owner, secret, k->owner_seed);
        secret_wipe(secret, sizeof secret);
    }
    recovery_derive(k);
}

void key_recovery_public(struct key_public *p, const struct key_recovery *k)
{
    memset(p, 0, sizeof *p);
    memcpy(p->repo_id, k->repo_id, 16);
    set_name(p->name, k->name);
    memcpy(p->owner, k->owner, SECRET_KEY);
    memcpy(p->box_public, k->box_public, SECRET_KEY);
    memcpy(p->id, k->id, KEY_ID);
}

static int write_common(struct buf *b, const char *type, const uint8_t repo_id[16],
                        const char *name, struct err *e)
{
    if (record_begin(b, type, e) != 0 || record_hex(b, "repo", repo_id, 16, "", e) != 0)
        return -1;
    return buf_fmt(b, e, "name %s\n", name);
}

int key_host_write(struct buf *b, const struct key_host *k, struct err *e)
{
    if (write_common(b, "host-key", k->repo_id, k->name, e) != 0 ||
        record_hex(b, "sign", k->seed, SECRET_KEY, "", e) != 0 ||
        record_hex(b, "write", k->write, SECRET_KEY, "", e) != 0 ||
        record_hex(b, "owner", k->owner, SECRET_KEY, "", e) != 0)
        return -1;
    return record_end(b, e);
}

int key_recovery_write(struct buf *b, const struct key_recovery *k, struct err *e)
{
    if (write_common(b, "recovery-key", k->repo_id, k->name, e) != 0 ||
        record_hex(b, "box", k->secret, SECRET_KEY, "", e) != 0 ||
        record_hex(b, "owner", k->owner, SECRET_KEY, "", e) != 0 ||
        (k->is_owner && record_hex(b, "sign", k->owner_seed, SECRET_KEY, "", e) != 0))
        return -1;
    return record_end(b, e);
}

int key_public_write(struct buf *b, const struct key_public *k, struct err *e)
{
    if (write_common(b, "recovery-pub", k->repo_id, k->name, e) != 0 ||
        record_hex(b, "box", k->box_public, SECRET_KEY, "", e) != 0 ||
        record_hex(b, "owner", k->owner, SECRET_KEY, "", e) != 0)
        return -1;
    return record_end(b, e);
}

/* One field of a key file: a word and where its bytes go. */
struct field {
    const char *word;
    uint8_t *out;
    size_t len;
    bool seen;
};

static int read_line(const struct record *r, const struct record_line *l, struct field *f, size_t n,
                     char *name, struct err *e)
{
    if (record_expect(r, l, 2, e) != 0)
        return -1;
    if (strcmp(l->word[0], "name") == 0) {
        struct err bad = {0};

        if (parse_name(l->word[1], &bad) != 0)
            return record_bad(r, "its name is not a valid name", e);
        set_name(name, l->word[1]);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(l->word[0], f[i].word) != 0)
            continue;
        if (f[i].seen)
            return record_bad(r, "a line stands twice", e);
        f[i].seen = true;
        return record_bytes(r, l, 1, f[i].out, f[i].len, e);
    }
    return record_bad(r, "it has a line of an unknown kind", e);
}

/* Reads all lines; the first `needed` fields and the name must be there. */
static int read_fields(const char *text, size_t len, const char *type, const char *what,
                       struct field *f, size_t n, size_t needed, char *name, struct err *e)
{
    struct record r;
    struct record_line l;
    int rc;

    if (record_open(&r, type, text, len, what, e) != 0)
        return -1;
    while ((rc = record_next(&r, &l, e)) == 1)
        if (read_line(&r, &l, f, n, name, e) != 0) {
            rc = -1;
            break;
        }
    secret_wipe(&l, sizeof l);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < needed; i++)
        if (!f[i].seen)
            return record_bad(&r, "a line is missing", e);
    return name[0] != '\0' ? 0 : record_bad(&r, "it has no name", e);
}

int key_host_read(struct key_host *k, const char *text, size_t len, const char *what, struct err *e)
{
    struct field f[] = {{"repo", k->repo_id, 16, false},
                        {"sign", k->seed, SECRET_KEY, false},
                        {"write", k->write, SECRET_KEY, false},
                        {"owner", k->owner, SECRET_KEY, false}};

    memset(k, 0, sizeof *k);
    if (read_fields(text, len, "host-key", what, f, 4, 4, k->name, e) != 0)
        return -1;
    host_derive(k);
    return 0;
}

int key_recovery_read(struct key_recovery *k, const char *text, size_t len, const char *what,
                      struct err *e)
{
    struct field f[] = {{"repo", k->repo_id, 16, false},
                        {"box", k->secret, SECRET_KEY, false},
                        {"owner", k->owner, SECRET_KEY, false},
                        {"sign", k->owner_seed, SECRET_KEY, false}};
    static const char protected_type[] = "walden-protected-key 1\n";

    os_hide_memory(); /* whoever reads such a key has it in memory, or is about to ask for it */
    memset(k, 0, sizeof *k);
    if (len > sizeof protected_type && memcmp(text, protected_type, sizeof protected_type - 1) == 0)
        return KEY_PROTECTED;
    if (read_fields(text, len, "recovery-key", what, f, 4, 3, k->name, e) != 0)
        return -1;
    k->is_owner = f[3].seen;
    recovery_derive(k);
    return 0;
}

int key_public_read(struct key_public *k, const char *text, size_t len, const char *what,
                    struct err *e)
{
    struct field f[] = {{"repo", k->repo_id, 16, false},
                        {"box", k->box_public, SECRET_KEY, false},
                        {"owner", k->owner, SECRET_KEY, false}};

    memset(k, 0, sizeof *k);
    if (read_fields(text, len, "recovery-pub", what, f, 3, 3, k->name, e) != 0)
        return -1;
    secret_key_id(k->id, k->box_public);
    return 0;
}

static int absent(const char *path, const char *kind, struct err *e)
{
    return err_set(e, ERR_KEY, "%s \"%s\" does not exist", kind, path);
}

int key_host_load(struct key_host *k, const char *path, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = os_read_secret(path, KEY_FILE_MAX, &text, &len, e);

    if (rc > 0)
        rc = absent(path, "host key", e);
    if (rc == 0)
        rc = key_host_read(k, text, len, path, e);
    os_wipe_free(text, len);
    return rc;
}

int key_recovery_load(struct key_recovery *k, const char *path, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = os_read_secret(path, KEY_FILE_MAX, &text, &len, e);

    if (rc > 0)
        rc = absent(path, "secret key", e);
    if (rc == 0)
        rc = key_recovery_read(k, text, len, path, e);
    os_wipe_free(text, len);
    return rc;
}

int key_public_load(struct key_public *k, const char *path, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = os_read_small(path, KEY_FILE_MAX, &text, &len, e);

    if (rc > 0)
        rc = absent(path, "public key", e);
    if (rc == 0)
        rc = key_public_read(k, text, len, path, e);
    free(text);
    return rc;
}

void key_host_wipe(struct key_host *k)
{
    secret_wipe(k, sizeof *k);
}

void key_recovery_wipe(struct key_recovery *k)
{
    secret_wipe(k, sizeof *k);
}
